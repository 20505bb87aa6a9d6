"""New randomness for the generators of this process, when it wakes as a clone."""

from __future__ import annotations

import os
import random
import sys

# Bound now: user code may put anything under these names.
_open = open
_seed_random = random.seed
_of_kernel = os.urandom

_NUMPY = 0x6E756D70


def _hardware_address() -> int | None:
    try:
        with _open("/sys/class/net/eth0/address", encoding="ascii") as file:
            return int(file.read().replace(":", ""), 16)
    except (OSError, ValueError):
        return None


def _random_node() -> int:
    # With the bit that no hardware address has.
    return int.from_bytes(_of_kernel(6), "big") | 1 << 40


def reseed(entropy: bytes) -> None:
    """Generators that the code has made itself are its own; these are the shared ones.

    What is to be secret comes from the kernel, which has new entropy by now. Nothing is hashed:
    a clone that is emulated would have to translate that code first.
    """
    _seed_random(int.from_bytes(entropy, "little"))
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        words = [int.from_bytes(entropy[at:at + 4], "little") for at in range(0, len(entropy), 4)]
        # The same generator as above would draw the same numbers from the same words.
        words.append(_NUMPY)
        try:
            numpy_random.seed(words)
        except TypeError:
            # The code has put another kind of generator in its place, which is seeded when made.
            kind = type(numpy_random.get_bit_generator())
            numpy_random.set_bit_generator(kind(words))
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        # What it and the C library behind it remember makes uuid1() of clones alike.
        uuid._generate_time_safe = None
        uuid._last_timestamp = None
        uuid._node = _hardware_address() or _random_node()
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(_of_kernel(32), 32.0)

"""`wake`: what a machine hears before anything else of a host that has started it as a clone.

It confirms only when everything is its own: the kernel's entropy and that of the Python process,
the clock, the names, the connections. A clone that can't do any part of it says so, or says
nothing, and is never handed out.
"""

from __future__ import annotations

import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from typing import Any

from podflare_agent.machine import Identity, Machine
from podflare_agent.python import Python
from podflare_agent.refusals import Refusal
from podflare_wire.frames import encode_json
from podflare_wire.mailbox import ENTROPY_SIZE


def wake(
    machine: Machine,
    python: Python,
    request: dict[str, Any],
    running: bool,
    terminals: bool,
    close: Callable[[bytes], None],
    refuse: Callable[[str, str], None],
) -> None:
    """`running` is whether an exec of before goes on, `terminals` whether there are such."""
    was = time.time_ns()
    identity = _identity(request)
    env, rehearsed = request["env"], request["rehearsed"]
    machine.take_identity(identity)
    machine.env.update(env)
    closed = encode_json({
        "ok": True, "generation": identity.generation, "was_ns": was, "running": running,
        "terminals": terminals}).encode()

    def on_reseeded(failure: str | None) -> None:
        if failure is not None:
            refuse("io_error", f"the Python process did not take new entropy: {failure}")
            return
        try:
            machine.tell_generation(identity.generation)
        except OSError as failed:
            refuse("io_error", f"the generation could not be told: {failed}")
            return
        if python.busy or not rehearsed:
            close(closed)
        else:
            # So that the first call of the user finds code and memory warm.
            python.rehearse(lambda: close(closed))

    python.wake(identity.entropy, env, on_reseeded)


def _identity(request: dict[str, Any]) -> Identity:
    try:
        entropy = b64decode(request["entropy"], validate=True)
    except (NotBase64, TypeError, ValueError) as malformed:
        raise Refusal("invalid_request", "entropy is not base64") from malformed
    if len(entropy) != ENTROPY_SIZE:
        raise Refusal("invalid_request", f"entropy has {len(entropy)} bytes, not {ENTROPY_SIZE}")
    mac = bytes.fromhex(request["mac"].replace(":", ""))
    if len(mac) not in (0, 6):
        raise Refusal("invalid_request", f"{request['mac']!r} is no hardware address")
    return Identity(
        entropy, request["time_ns"], request["hostname"], request["generation"], mac,
        request["severed"])

"""A page of memory that the agent and the user's Python process share, and the signal that says
"look".

A socket message reaches the Python process only between two calls. Two things can't wait for that:
an interrupt, and new entropy for a clone whose parent was in the middle of a call. For these the
agent writes the page first and sends SIGNAL after; the handler runs at the next bytecode of the
main thread.

An interrupt names the call that it is for. So one that arrives too late names a call that has
ended, and is no one's; one that arrives too early is found in the page when its call begins.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct

SIGNAL = signal.SIGRTMAX - 2
ENTROPY_SIZE = 64

_u32 = struct.Struct("=I")
_INTERRUPT, _RESEED_WANTED, _RESEED_DONE, _ENTROPY = 0, 4, 8, 12
_SIZE = _ENTROPY + ENTROPY_SIZE


class Mailbox:
    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, _SIZE)

    @staticmethod
    def create_file() -> int:
        fd = os.memfd_create("podflare-mailbox", os.MFD_CLOEXEC)
        os.ftruncate(fd, _SIZE)
        return fd

    @property
    def interrupted_call(self) -> int:
        """The stream number of the call that is to be interrupted; 0 is none."""
        return self._number_at(_INTERRUPT)

    def interrupt(self, call: int) -> None:
        _u32.pack_into(self._page, _INTERRUPT, call)

    def ask_reseed(self, entropy: bytes) -> None:
        """Leaves the entropy, in the place of one that has not been taken."""
        number = (self._number_at(_RESEED_WANTED) + 1) & 0xFFFFFFFF
        self._page[_ENTROPY:_ENTROPY + ENTROPY_SIZE] = entropy
        _u32.pack_into(self._page, _RESEED_WANTED, number)

    @property
    def awaits_reseed(self) -> bool:
        """Whether the last entropy that was left has not been taken."""
        return self._number_at(_RESEED_WANTED) != self._number_at(_RESEED_DONE)

    def forget_requests(self) -> None:
        """For a new Python process: nothing that was asked of the old one is asked of it."""
        self._page[:] = bytes(_SIZE)

    def wanted_reseed(self) -> tuple[int, bytes] | None:
        """Entropy that was left and not yet taken, and its number, which was read before it: should
        other entropy be left meanwhile, then that is still to be taken."""
        if not self.awaits_reseed:
            return None
        return self._number_at(_RESEED_WANTED), self._page[_ENTROPY:]

    def confirm_reseed(self, number: int) -> None:
        _u32.pack_into(self._page, _RESEED_DONE, number)

    def _number_at(self, place: int) -> int:
        number: int = _u32.unpack_from(self._page, place)[0]
        return number

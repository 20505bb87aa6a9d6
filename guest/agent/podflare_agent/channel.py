"""The one way to the host: a virtio-serial port, or in tests a socket."""

from __future__ import annotations

import os
from collections.abc import Callable

from podflare_agent.loop import EDGE, READABLE, WRITABLE, Loop
from podflare_wire.frames import READ_SIZE, Decoder, ProtocolViolation, frame
from podflare_wire.resync import TokenFinder

# Above this many bytes that the host has not taken yet, nothing new is read for it.
CONGESTED = 262_144
# The kernel hands out at most one page a read from a virtio port, so a longer message takes
# several. This many are read before anyone else has a turn.
_PORT_PAGE = 4096
_READS_A_TURN = 32


class ChannelBroken(Exception):
    """There is no host any more, and there never will be."""


class Channel:
    """Frames in, frames out, never blocking. A host that takes over from another, or from the
    host of the machine that this one was cut from, begins anew: see podflare_wire/resync.py.

    What is sent in a turn of the loop goes out with one write at its end. A port without a host
    reads as end-of-file and polls as hung up, for ever. So at the first empty read it is watched by
    edge, which says nothing until something changes, and by level again once bytes come: by level
    no read is wasted on finding that nothing is left.
    """

    def __init__(self, loop: Loop, fd: int, *, survives_hangup: bool) -> None:
        os.set_blocking(fd, False)
        self._loop = loop
        self._fd = fd
        self._survives_hangup = survives_hangup
        self._finder = TokenFinder(self._begin_anew)
        self._decoder = Decoder()
        self._on_frame: Callable[[int, int, bytes], None] = lambda *_: None
        self._on_cut: Callable[[], int] = lambda: 0
        self._last_of_before = -1
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._unsent = memoryview(b"")
        self._host_absent = False
        self._waiting: list[Callable[[], None]] = []

    def serve(
        self, on_frame: Callable[[int, int, bytes], None], on_cut: Callable[[], int]
    ) -> None:
        """`on_cut` is told that the host begins anew, and that nothing which is open by then will
        be heard. It answers with the number of the last stream that was opened."""
        self._on_frame = on_frame
        self._on_cut = on_cut
        self._loop.watch(self._fd, self._on_ready)
        self._loop.at_turn_end(self._flush)

    def send(self, kind: int, stream: int, payload: bytes = b"") -> None:
        if stream <= self._last_of_before:
            return
        data = frame(kind, stream, payload)
        self._gathered.append(data)
        self._gathered_size += len(data)

    @property
    def token(self) -> bytes:
        """By which a host that begins anew is known."""
        return self._finder.token

    def is_of_before(self, stream: int) -> bool:
        """Whether the stream was opened before the host began anew. What is sent on it is not
        heard: the host would not know what it belongs to."""
        return stream <= self._last_of_before

    @property
    def congested(self) -> bool:
        return self._gathered_size + len(self._unsent) > CONGESTED

    def when_clear(self, resume: Callable[[], None]) -> None:
        """`resume` is called once when the channel is no longer congested."""
        if resume not in self._waiting:
            self._waiting.append(resume)

    def _on_ready(self, events: int) -> None:
        if events & WRITABLE and self._unsent:
            self._write_unsent()
        if events & ~WRITABLE:
            self._read()

    def _read(self) -> None:
        for _ in range(_READS_A_TURN):
            try:
                chunk = os.read(self._fd, READ_SIZE)
            except BlockingIOError:
                return
            except OSError as gone:
                raise ChannelBroken(str(gone)) from gone
            if not chunk:
                self._host_left()
                return
            if self._host_absent:
                self._host_absent = False
                self._rewatch()
            size = len(chunk)
            chunk = self._finder.feed(chunk)
            try:
                for kind, stream, payload in self._decoder.feed(chunk):
                    self._on_frame(kind, stream, payload)
            except ProtocolViolation as violation:
                raise ChannelBroken(str(violation)) from violation
            if size < _PORT_PAGE:
                return

    def _begin_anew(self, nonce: bytes) -> None:
        last = self._on_cut()
        self._last_of_before = last
        self._decoder = Decoder()
        answer = self.token + nonce + last.to_bytes(4, "big")
        self._gathered = [answer]
        self._gathered_size = len(answer)
        if self._unsent:
            self._unsent = memoryview(b"")
            self._rewatch()
        self._call_waiting()

    def _call_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def _host_left(self) -> None:
        if not self._survives_hangup:
            raise ChannelBroken("end of the socket")
        if not self._host_absent:
            self._host_absent = True
            self._rewatch()

    def _rewatch(self) -> None:
        events = READABLE
        if self._unsent:
            events |= WRITABLE
        if self._host_absent:
            events |= EDGE
        self._loop.change(self._fd, events)

    def _flush(self) -> None:
        while self._gathered and not self._unsent:
            gathered = self._gathered
            self._unsent = memoryview(gathered[0] if len(gathered) == 1 else b"".join(gathered))
            self._gathered = []
            self._gathered_size = 0
            self._write()
            if self._unsent:
                self._rewatch()
            elif self._waiting:
                # They may send, so the loop goes round; each stops by itself when it is congested.
                self._call_waiting()

    def _write_unsent(self) -> None:
        self._write()
        if not self._unsent:
            self._rewatch()
            self._call_waiting()

    def _write(self) -> None:
        unsent = self._unsent
        while unsent:
            try:
                unsent = unsent[os.write(self._fd, unsent):]
            except BlockingIOError:
                break
            except OSError as gone:
                raise ChannelBroken(str(gone)) from gone
        self._unsent = unsent

"""Terminals: programs on a pseudo-terminal of their own, which outlive the host that opened them.

A host that begins anew finds the terminals of before and takes them over, each on a stream of its
own. Until then nothing is read from them: their programs go on until the kernel's buffer is full.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable, Mapping
from typing import Any

from podflare_agent.channel import Channel
from podflare_agent.loop import READABLE, WRITABLE, Loop
from podflare_agent.processes import (
    name_of,
    reads_its_input,
    signal_quietly,
    spawn_on_terminal,
)
from podflare_agent.refusals import Refusal
from podflare_wire.frames import (
    CHUNK,
    CLOSED,
    CREDIT,
    DATA,
    STARTED,
    WINDOW,
    decode_object,
    encode_json,
)

_BASH = "/bin/bash"
_SHELLS = frozenset({"bash", "dash", "sh", "zsh", "fish", "ksh", "busybox"})
# <asm-generic/termbits.h>; the module has no name for it before Python 3.14.
_IUTF8 = 0o040000
_LONGEST_SIDE = 10_000
# A read that is shorter has taken all there was, so that another one would only find that out.
_FULL_READ = 1024
# What is read behind the end of a program: more than the kernel holds for a terminal.
_MOST_AT_END = 4 * CHUNK


def size_of(request: Mapping[str, Any]) -> tuple[int, int]:
    """Columns and rows."""
    cols, rows = request["cols"], request["rows"]
    for side in (cols, rows):
        if type(side) is not int or not 1 <= side <= _LONGEST_SIDE:
            raise Refusal("invalid_request", f"{side!r} is no number of columns or rows")
    return cols, rows


class Terminal:
    """A program on a terminal of its own, and the stream on which the host hears it, if one does.

    It ends with its first process: what others have written by then is sent, and CLOSED behind it.
    Then the terminal is hung up, as one is that somebody closes.
    """

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        request: Mapping[str, Any],
        env: Mapping[str, str],
        cwd: str,
        on_closed: Callable[[int], None],
    ) -> None:
        self._cols, self._rows = size_of(request)
        self._name, self._cmd = request["name"], request["cmd"]
        self._created_ms = request["created_ms"]
        self._loop = loop
        self._channel = channel
        self._stream = stream
        self._on_closed = on_closed
        self._heard = True
        self._credit = WINDOW
        self._consumed = 0
        self._input = bytearray()
        self._rest = b""
        self._exit_code: int | None = None
        self._watched = READABLE
        # Our own hold on the program's end of it keeps the terminal from being hung up when the
        # program closes its files, which it may well open again.
        self._master, self._slave = os.openpty()
        try:
            _count_characters(self._slave)
            self._apply_size()
            self._pid = spawn_on_terminal(
                [_BASH, "-c", self._cmd], cwd=cwd, env=env, terminal=os.ttyname(self._slave))
        except BaseException:
            os.close(self._master)
            os.close(self._slave)
            raise
        os.set_blocking(self._master, False)
        loop.watch(self._master, self._on_ready, self._watched)
        loop.on_exit(self._pid, self._on_exit)
        self._say_started()

    # A host that begins anew

    def lose_host(self) -> None:
        """Nobody hears it until `rejoin`. Input that the program has not taken is forgotten, as it
        may end in the middle of what was typed."""
        self._heard = False
        self._input.clear()
        self._consumed = 0
        self._rewatch()

    def rejoin(self, stream: int) -> None:
        self._stream = stream
        self._heard = True
        self._credit = WINDOW
        self._say_started()
        # Not at once: the stream is not in the table yet, and CLOSED would take it from there.
        self._loop.call_later(0, self._forward)

    def about(self) -> dict[str, Any]:
        """What a host is told that takes it over."""
        return {
            "stream": self._stream, "name": self._name, "cmd": self._cmd, "pid": self._pid,
            "cols": self._cols, "rows": self._rows, "created_ms": self._created_ms}

    def _say_started(self) -> None:
        self._channel.send(STARTED, self._stream, b'{"pid":%d}' % self._pid)

    # Output

    def _on_ready(self, events: int) -> None:
        if events & WRITABLE:
            self._write_input()
        if events & ~WRITABLE:
            self._forward()

    def _may_send(self) -> bool:
        if not self._heard or self._credit <= 0:
            return False
        if self._channel.congested:
            self._channel.when_clear(self._forward)
            return False
        return True

    def _forward(self) -> None:
        """Sends what there is, as far as the host takes it, and at the end says CLOSED."""
        if self._master < 0:
            return
        if self._exit_code is None:
            if self._may_send():
                self._send(self._read(CHUNK))
        else:
            while self._rest and self._may_send():
                self._send(self._rest[:CHUNK])
                self._rest = self._rest[CHUNK:]
            if not self._rest and self._heard:
                self._close(self._exit_code)
                return
        self._rewatch()

    def _read(self, most: int) -> bytes:
        parts = []
        while most > 0:
            try:
                part = os.read(self._master, most)
            except BlockingIOError:
                break
            parts.append(part)
            most -= len(part)
            if len(part) < _FULL_READ:
                break
        return b"".join(parts)

    def _send(self, data: bytes) -> None:
        if data:
            self._credit -= len(data)
            self._channel.send(DATA, self._stream, data)

    def on_credit(self, size: int) -> None:
        self._credit += size
        self._forward()

    def _rewatch(self) -> None:
        events = 0
        if self._exit_code is None:
            if self._may_send():
                events |= READABLE
            if self._input:
                events |= WRITABLE
        if events != self._watched:
            self._watched = events
            self._loop.change(self._master, events)

    # Input

    def on_data(self, data: bytes) -> None:
        if self._heard and self._exit_code is None:
            self._input += data
            self._write_input()
            self._rewatch()

    def _write_input(self) -> None:
        while self._input:
            try:
                written = os.write(self._master, self._input)
            except BlockingIOError:
                break
            if written == 0:
                break
            del self._input[:written]
            self._consumed += written
        if self._consumed >= WINDOW // 2:
            self._channel.send(CREDIT, self._stream, self._consumed.to_bytes(4, "big"))
            self._consumed = 0
        self._rewatch()

    def on_control(self, payload: bytes) -> None:
        control = decode_object(payload)
        if self._exit_code is not None:
            return
        if "resize" in control:
            self._cols, self._rows = size_of(control["resize"])
            self._apply_size()
        if "signal" in control:
            self._signal(signal.Signals[control["signal"]])

    def _apply_size(self) -> None:
        # The kernel tells the programs in its foreground.
        fcntl.ioctl(self._master, termios.TIOCSWINSZ,
                    struct.pack("=HHHH", self._rows, self._cols, 0, 0))

    def _signal(self, number: signal.Signals) -> None:
        """To what runs in its foreground, as a key would; SIGKILL also to its first process."""
        groups = {self._foreground()}
        if number == signal.SIGKILL:
            groups.add(self._pid)
        for group in groups:
            signal_quietly(group, number, group=True)

    def _foreground(self) -> int:
        foreground = os.tcgetpgrp(self._master)
        return foreground if foreground > 0 else self._pid

    def is_busy(self) -> bool:
        """Whether something runs in its foreground: all but a shell that waits at its prompt.

        A prompt is a shell that has the terminal for itself and either edits the line, for which it
        takes the terminal out of line mode, or waits in a read of it."""
        if self._exit_code is not None or self._master < 0:
            return False
        if self._foreground() != self._pid or name_of(self._pid) not in _SHELLS:
            return True
        edits_a_line = not termios.tcgetattr(self._slave)[3] & termios.ICANON
        return not (edits_a_line or reads_its_input(self._pid))

    def on_cancel(self, _reason: str) -> None:
        """The host wants it no more."""
        if self._exit_code is None:
            self._signal(signal.SIGKILL)

    # The end

    def _on_exit(self, status: int) -> None:
        self._rest = self._read_rest()
        self._exit_code = 128 - status if status < 0 else status
        self._input.clear()
        self._forward()

    def _read_rest(self) -> bytes:
        rest = bytearray()
        while len(rest) < _MOST_AT_END:
            try:
                rest += os.read(self._master, CHUNK)
            except BlockingIOError:
                break
        return bytes(rest)

    def _close(self, exit_code: int) -> None:
        self._loop.unwatch(self._master)
        os.close(self._slave)
        # The last of our two ends hangs it up for whoever still has it.
        os.close(self._master)
        self._master = -1
        self._channel.send(
            CLOSED, self._stream, encode_json({"ok": True, "exit_code": exit_code}).encode())
        self._on_closed(self._stream)


def _count_characters(terminal: int) -> None:
    """So that a backspace takes a whole character from a line that is being typed, not its last
    byte."""
    modes = termios.tcgetattr(terminal)
    modes[0] |= _IUTF8
    termios.tcsetattr(terminal, termios.TCSANOW, modes)

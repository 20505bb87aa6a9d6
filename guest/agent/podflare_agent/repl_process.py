"""One life of the user's Python process, and the socket to it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Protocol

from podflare_agent.loop import READABLE, WRITABLE, Loop
from podflare_agent.machine import Machine
from podflare_agent.processes import above_child_numbers, out_of_memory_kills, signal_quietly, spawn
from podflare_wire import mailbox
from podflare_wire.frames import READ_SIZE, Decoder, ProtocolViolation, frame

# Where the process finds its ends.
CONTROL_FD = 3
MAILBOX_FD = 4


class ReplOwner(Protocol):
    def on_repl_frames(self, frames: list[tuple[int, int, bytes]]) -> None:
        """(kind, stream, payload) each. Raises ProtocolViolation for what the process had no reason
        to say."""

    def on_repl_death(self, exit_code: int, out_of_memory: bool) -> None:
        """`exit_code` is as a shell says it: 128 + n for signal n. The socket has been read to its
        end."""


class ReplProcess:
    """What the process says is not trusted, as user code can write to any descriptor: a frame that
    is malformed, or that the owner refuses, costs the process its life."""

    def __init__(
        self,
        loop: Loop,
        machine: Machine,
        owner: ReplOwner,
        *,
        mailbox_fd: int,
        stdout: int,
        stderr: int,
        warm_script: str | None,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._decoder = Decoder()
        self._unsent = b""
        self._oom_kills = out_of_memory_kills()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        their_end = above_child_numbers(theirs.detach())
        try:
            self.pid = spawn(
                [sys.executable, machine.repl_script] + ([warm_script] if warm_script else []),
                cwd=machine.start_directory,
                env=machine.env,
                stdout=stdout,
                stderr=stderr,
                inherited=[(their_end, CONTROL_FD), (mailbox_fd, MAILBOX_FD)],
            )
        except OSError:
            self._control.close()
            raise
        finally:
            os.close(their_end)
        self._listening = True
        loop.on_exit(self.pid, self._on_exit)
        loop.watch(self._control.fileno(), self._on_ready)

    def send(self, kind: int, stream: int, payload: bytes) -> None:
        data = frame(kind, stream, payload)
        if self._unsent:
            self._unsent += data
        else:
            self._send(data)
            if self._unsent and self._listening:
                self._loop.change(self._control.fileno(), READABLE | WRITABLE)

    def look_in_mailbox(self) -> None:
        """Only for a process that has said it is ready: before, the signal would kill it."""
        signal_quietly(self.pid, mailbox.SIGNAL)

    def kill(self) -> None:
        """With everything that it started and that is still in its group: an out-of-memory kill or
        a crash of the leader would otherwise leave the workers that caused it."""
        signal_quietly(self.pid, signal.SIGKILL, group=True)

    def note_oom_kills(self) -> None:
        """So that a kill of some child, long ago, is not taken for the cause of this process's
        death."""
        self._oom_kills = out_of_memory_kills()

    def _on_ready(self, events: int) -> None:
        if events & WRITABLE and self._unsent:
            self._send(self._unsent)
            if not self._unsent and self._listening:
                self._loop.change(self._control.fileno(), READABLE)
        if events & ~WRITABLE and self._listening and not self._read():
            self._lose()  # it is dead, or the code has closed every descriptor

    def _send(self, data: bytes) -> None:
        try:
            self._unsent = data[self._control.send(data):]
        except BlockingIOError:
            self._unsent = data
        except OSError:
            self._unsent = b""  # it is dead or about to be; its exit says the rest

    def _read(self) -> bool:
        """Takes what has come; False at the end of the socket."""
        try:
            chunk = self._control.recv(READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not chunk:
            return False
        try:
            frames = self._decoder.feed(chunk)
            if frames:
                self._owner.on_repl_frames(frames)
        except ProtocolViolation as violation:
            print(f"podflare: killing the Python process: {violation}", file=sys.stderr)
            self._lose()
        return True

    def _lose(self) -> None:
        if self._listening:
            self._stop_listening()
            self.kill()

    def _stop_listening(self) -> None:
        self._listening = False
        self._loop.unwatch(self._control.fileno())

    def _on_exit(self, status: int) -> None:
        # It may have said something in its last moment. Not more than the socket holds, though: a
        # forked child could still be writing.
        for _ in range(64):
            if not self._listening or not self._read():
                break
        if self._listening:
            self._stop_listening()
        self._control.close()
        killed = status == -signal.SIGKILL
        self.kill()
        self._owner.on_repl_death(
            128 - status if status < 0 else status,
            killed and out_of_memory_kills() > self._oom_kills)

"""One exec: its output, the credit and the cap on it, its clock, and how it was told to stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from podflare_agent.loop import Loop, Timer
from podflare_agent.output import Outputs
from podflare_agent.refusals import refusal
from podflare_wire.frames import CLOSED, ERROR, STDERR, STDOUT, WINDOW

OUTPUT_CAP = 10 * 1024 * 1024
# After an interrupt the code has this long to end by itself.
GRACE_SECONDS = 5.0

# What a shell and the `timeout` command say.
EXIT_INTERRUPTED = 130
EXIT_TIMEOUT = 124


def _nothing() -> None:
    """Until the runner has said what else."""


class Outlet(Protocol):
    """The part of the channel that a call needs."""

    @property
    def congested(self) -> bool: ...

    def send(self, kind: int, stream: int, payload: bytes = b"") -> None: ...

    def when_clear(self, resume: Callable[[], None]) -> None: ...


class Call:
    """The guest's end of one exec stream.

    It is open while the code runs. At its end it takes in what was written before, and sends CLOSED
    behind everything that waits for credit. The runner (Python or bash) owns the process and gives
    two actions: `interrupt` and `kill`.
    """

    __slots__ = (
        "_backlog", "_channel", "_closed", "_credit", "_dropped", "_duration_ms", "_failed",
        "_followers", "_kill_timer", "_loop", "_on_closed", "_outputs", "_room", "_unread", "_verdict",
        "background", "interrupt", "kill", "started", "stop_reason", "stream",
    )

    def __init__(
        self,
        loop: Loop,
        channel: Outlet,
        stream: int,
        outputs: Outputs,
        on_closed: Callable[[int], None],
    ) -> None:
        self.stream = stream
        self.started = monotonic()
        self.stop_reason: str | None = None
        self.background = False
        self.interrupt: Callable[[], None] = _nothing
        self.kill: Callable[[], None] = _nothing
        self._loop = loop
        self._channel = channel
        self._outputs = outputs
        self._on_closed = on_closed
        self._credit = WINDOW
        self._room = OUTPUT_CAP
        self._dropped = 0
        self._backlog: deque[tuple[int, bytes]] = deque()
        self._unread = False
        self._verdict: tuple[int, str, bool] | None = None
        self._closed = False
        self._failed = False
        self._duration_ms = 0
        self._kill_timer: Timer | None = None
        self._followers: list[Callable[[Call, bytes], None]] | None = None
        outputs.attach(self)

    # Output

    @property
    def takes_output(self) -> bool:
        """Whether more may be read from the pipes now; if not, `resume` will be called."""
        if self._unread or not self._room:
            return True  # it is thrown away, so the code never blocks on it
        if self._credit <= 0 or self._backlog:
            return False
        if self._channel.congested:
            self._channel.when_clear(self.resume)
            return False
        return True

    @property
    def ended(self) -> bool:
        """Whether the code has ended; what comes from its pipes now is not its own any more."""
        return self._verdict is not None

    @property
    def throws_away(self) -> bool:
        return self._unread or not self._room

    def count_dropped(self, size: int) -> None:
        self._dropped += size

    def write(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if self._unread:
            self._dropped += size
            return
        if kind == ERROR and not self._failed:
            self._failed = True  # outside of the cap: it is bounded, and a call has but one
        else:
            if size > self._room:
                # Half a picture is of no use, half a text is.
                kept = self._room if kind in (STDOUT, STDERR) else 0
                self._dropped += size - kept
                if not kept:
                    return
                payload = payload[:kept]
                size = kept
            self._room -= size
        if self._backlog or self._credit <= 0:
            self._backlog.append((kind, payload))
        else:
            self._credit -= size
            self._channel.send(kind, self.stream, payload)

    def on_credit(self, size: int) -> None:
        self._credit += size
        backlog = self._backlog
        while backlog and self._credit > 0:
            kind, payload = backlog.popleft()
            self._credit -= len(payload)
            self._channel.send(kind, self.stream, payload)
        self.resume()

    def resume(self) -> None:
        if self._verdict is None:
            self._outputs.resume()
        elif not self._backlog and not self._closed:
            self._close(*self._verdict)

    # The end

    def finish(self, exit_code: int, reason: str, *, state_kept: bool = True) -> None:
        """The code has ended, and `Outputs.read_all` has been called since. CLOSED goes out when
        all that was written before has gone out."""
        if self._verdict is not None:
            return
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._duration_ms = int((monotonic() - self.started) * 1000)
        self._verdict = (exit_code, reason, state_kept)
        if not self._backlog:
            self._close(exit_code, reason, state_kept)

    def follow(self, follower: Callable[[Call, bytes], None]) -> None:
        """`follower` gets the payload of CLOSED as well."""
        self._followers = [*(self._followers or []), follower]

    def refuse(self, code: str, error: str) -> None:
        """For a call that never began."""
        self._say_closed(refusal(code, error))

    def _close(self, exit_code: int, reason: str, state_kept: bool) -> None:
        self._closed = True
        self._say_closed((
            f'{{"ok":true,"exit_code":{exit_code},"reason":"{reason}",'
            f'"state_kept":{"true" if state_kept else "false"},'
            f'"duration_ms":{self._duration_ms},"dropped":{self._dropped}}}').encode())

    def _say_closed(self, payload: bytes) -> None:
        self._outputs.detach()
        self._channel.send(CLOSED, self.stream, payload)
        self._on_closed(self.stream)
        if self._followers is not None:
            for follower in self._followers:
                follower(self, payload)

    # Stopping

    def on_cancel(self, reason: str) -> None:
        if reason == "gone":
            self._unread = True
            self._backlog.clear()
            self.resume()
        elif self.stop_reason is None and self._verdict is None:
            self.stop_reason = "timeout" if reason == "timeout" else "interrupted"
            self._kill_timer = self._loop.call_later(GRACE_SECONDS, self.kill)
            self.interrupt()

    @property
    def stop_exit_code(self) -> int:
        return EXIT_TIMEOUT if self.stop_reason == "timeout" else EXIT_INTERRUPTED

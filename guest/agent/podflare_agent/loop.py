"""One thread waits here for everything: the channel, pipes, dead children and clocks."""

from __future__ import annotations

import heapq
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from time import monotonic

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
EDGE = select.EPOLLET

# A job is a long operation cut into steps. Each turn of the loop takes one step of every job, so a
# large file does not keep a small exec waiting. A step answers False when the job is over.
Job = Callable[[], bool]


class Timer:
    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._jobs: list[Job] = []
        self._children: dict[int, Callable[[int], None]] = {}
        self._at_turn_end: Callable[[], None] = lambda: None
        self._listen_for_dead_children()

    def watch(self, fd: int, handler: Callable[[int], None], events: int = READABLE) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        timer = Timer(monotonic() + seconds, action)
        heapq.heappush(self._timers, timer)
        return timer

    def add_job(self, job: Job) -> None:
        self._jobs.append(job)

    def at_turn_end(self, action: Callable[[], None]) -> None:
        """What is done each time before the loop waits: the channel sends what has gathered."""
        self._at_turn_end = action

    def on_exit(self, pid: int, action: Callable[[int], None]) -> None:
        """`action` gets the exit status (negative: the signal) once the child `pid` is dead."""
        self._children[pid] = action

    def forget_exit(self, pid: int) -> None:
        self._children.pop(pid, None)

    def run(self, fatal: tuple[type[Exception], ...]) -> None:
        """Runs until one of the `fatal` exceptions. Any other is a defect: it costs one event, not
        the microVM, and its trace goes to the console."""
        while True:
            try:
                while True:
                    self._turn()
            except fatal:
                raise
            except Exception:
                traceback.print_exc(file=sys.stderr)

    def _turn(self) -> None:
        handlers = self._handlers
        for fd, events in self._epoll.poll(self._patience()):
            handler = handlers.get(fd)
            if handler is not None:  # an earlier event of this batch may have closed it
                handler(events)
        if self._timers:
            self._ring_timers()
        if self._jobs:
            self._jobs = [job for job in self._jobs if job()]
        self._at_turn_end()

    def _patience(self) -> float | None:
        if self._jobs:
            return 0
        timers = self._timers
        while timers and timers[0].action is None:
            heapq.heappop(timers)
        if not timers:
            return None
        return max(0.0, timers[0].when - monotonic())

    def _ring_timers(self) -> None:
        now = monotonic()
        timers = self._timers
        while timers and timers[0].when <= now:
            action = heapq.heappop(timers).action
            if action is not None:
                action()

    def _listen_for_dead_children(self) -> None:
        # The C-level handler writes to this pipe, so a death is an event like the others. As
        # process 1 the agent inherits every orphan of the machine; those die here unnoticed.
        woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        self.watch(woken, lambda _events: self._reap(woken))

    def _reap(self, woken: int) -> None:
        os.read(woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            action = self._children.pop(pid, None)
            if action is not None:
                action(os.waitstatus_to_exitcode(status))

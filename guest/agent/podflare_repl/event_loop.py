"""The event loop of the user's code, which lives as long as the process.

As in a notebook, a loop is there while a cell runs, for asyncio.create_task and
get_running_loop, and what is started in it goes on after the cell. It runs in the main thread:
while a cell awaits, and while the process waits for the next call. A statement that does not await runs
with the loop at rest, so that asyncio.run and run_until_complete, which a notebook refuses, work:
in this loop, where they meet what other cells have made in it.

Nothing here costs anything before the code imports asyncio.
"""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import ModuleType
from typing import Any

from podflare_repl.imports import when_imported

_MAIN_THREAD = threading.get_ident()
_UNSET = object()
# In milliseconds: a day, as asyncio waits itself. What is due in a hundred years is no time for poll.
_LONGEST_WAIT = 24 * 3600 * 1000.0


class EventLoop:
    def __init__(self) -> None:
        self._asyncio: Any = None
        self._events: Any = None
        self._runner: Any = None
        self._loop: Any = None
        self._poll: Any = None
        self._in_cell = False

    def install(self) -> None:
        when_imported("asyncio", self._on_import)

    def _on_import(self, asyncio: ModuleType) -> None:
        self._asyncio = asyncio
        self._events = sys.modules["asyncio.events"]
        self._adopt_functions()
        self._renew()
        if self._in_cell and threading.get_ident() == _MAIN_THREAD:
            self._events._set_running_loop(self._loop)

    def _renew(self) -> None:
        self._live_with(self._asyncio.SelectorEventLoop())

    def _live_with(self, loop: Any) -> None:
        self._loop = loop
        self._runner = self._asyncio.Runner(loop_factory=lambda: loop)
        self._poll = None

    # Cells

    def begin_cell(self) -> None:
        self._in_cell = True
        if self._loop is not None:
            self._renew_if_lost()
            self._events._set_running_loop(self._loop)

    def run(self, coroutine: Any) -> Any:
        """What the coroutine returns or raises; an interrupt cancels it."""
        if self._loop is None:
            import asyncio  # noqa: F401  only here: it is slow to import
        if self._runs(self._loop):
            return self._run_within(coroutine)  # a magic's, in the middle of a coroutine
        self._renew_if_lost()
        context = copy_context()
        with self._at_rest():
            try:
                return self._runner.run(coroutine, context=context)
            finally:
                # A context variable that is set in a cell is set for the cells after it.
                for variable, value in context.items():
                    if variable.get(_UNSET) is not value:
                        variable.set(value)

    def _renew_if_lost(self) -> None:
        """The code has closed it, as programs do at their end, or runs it in a thread of its own."""
        lost = self._loop
        if not (lost.is_closed() or lost.is_running() and not _runs_here(lost)):
            return
        self._renew()
        if self._events._get_running_loop() is lost:
            self._events._set_running_loop(self._loop)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Within, this thread has no loop, if the one it has is ours and does not run."""
        events = self._events
        loop = events._get_running_loop()
        if loop is None or _runs_here(loop):
            yield
            return
        events._set_running_loop(None)
        try:
            yield
        finally:
            events._set_running_loop(loop)

    # Between two cells

    def wait(self, control: Any) -> None:
        """Returns when `control` can be read. Raises what a task raises that is no Exception."""
        self._in_cell = False
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        self._events._set_running_loop(None)
        if loop.is_running():
            return  # in a thread of the code's own, which needs nobody else
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(control, select.POLLIN)
            self._poll.register(loop._selector, select.POLLIN)
        wanted = control.fileno()
        while True:
            ready = self._poll.poll(_milliseconds_to_next(loop))
            if any(fd == wanted for fd, _ in ready):
                return
            if loop.is_running():
                return
            loop.stop()  # then it runs what is due, and waits for nothing
            loop.run_forever()
            if loop.is_closed():
                return

    # asyncio's own functions

    def _adopt_functions(self) -> None:
        """They refuse to run where a loop is, also if it is at rest."""
        asyncio = self._asyncio
        runners, base = sys.modules["asyncio.runners"], asyncio.BaseEventLoop
        at_rest = self._at_rest
        run_alone, set_loop = asyncio.run, asyncio.set_event_loop
        run_forever, run_until_complete = base.run_forever, base.run_until_complete
        run_in_runner = asyncio.Runner.run

        def run(main, **options):  # type: ignore[no-untyped-def]
            if self._is_at_rest() and asyncio.iscoroutine(main) and (
                    options.keys() <= {"debug"}):
                return self._run_program(main, options.get("debug"))
            if self._runs(self._loop) and asyncio.iscoroutine(main):
                with self._program():
                    return self._run_within(main)
            with at_rest():
                return run_alone(main, **options)

        def in_runner(runner, coroutine, **options):  # type: ignore[no-untyped-def]
            with at_rest():
                return run_in_runner(runner, coroutine, **options)

        def forever(loop):  # type: ignore[no-untyped-def]
            with at_rest():
                return run_forever(loop)

        def until_complete(loop, future):  # type: ignore[no-untyped-def]
            if loop is self._loop and self._runs(loop):
                return self._run_within(future)
            with at_rest():
                return run_until_complete(loop, future)

        def set_event_loop(loop):  # type: ignore[no-untyped-def]
            set_loop(loop)
            self._change_to(loop)

        for function, original in (
                (run, run_alone), (in_runner, run_in_runner), (forever, run_forever),
                (until_complete, run_until_complete), (set_event_loop, set_loop)):
            function.__doc__, function.__name__ = original.__doc__, original.__name__
            function.__qualname__ = original.__qualname__
        asyncio.run = runners.run = run
        asyncio.Runner.run = in_runner
        base.run_forever, base.run_until_complete = forever, until_complete
        asyncio.set_event_loop = self._events.set_event_loop = set_event_loop

    def _is_at_rest(self) -> bool:
        loop = self._events._get_running_loop()
        return loop is not None and loop is self._loop and not (
            loop.is_running() or loop.is_closed())

    def _runs(self, loop: Any) -> bool:
        return self._events._get_running_loop() is loop and _runs_here(loop)

    def _run_program(self, main: Any, debug: bool | None) -> Any:
        loop = self._loop
        was_debugging = loop.get_debug()
        if debug is not None:
            loop.set_debug(debug)
        try:
            with self._program():
                return self._runner.run(main, context=copy_context())
        finally:
            loop.set_debug(was_debugging)

    @contextmanager
    def _program(self) -> Iterator[None]:
        """asyncio.run: what the program leaves running is cancelled."""
        loop = self._loop
        before = self._asyncio.all_tasks(loop)
        try:
            yield
        finally:
            left = self._asyncio.all_tasks(loop) - before
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(self._asyncio.gather(*left, return_exceptions=True))

    def _run_within(self, future: Any) -> Any:
        """In the middle of a coroutine. The loop goes on with all else meanwhile."""
        loop, tasks = self._loop, sys.modules["asyncio.tasks"]
        current = self._asyncio.current_task(loop)
        future = self._asyncio.ensure_future(future, loop=loop)
        # As many as the loop is in the middle of running, at most. It counts on finding them.
        ready = len(loop._ready)
        if current is not None:
            tasks._leave_task(loop, current)  # type: ignore[attr-defined]
        try:
            while not future.done():
                loop._run_once()
                if current is not None and current.cancelling():
                    future.cancel()  # the cell is interrupted
        finally:
            if current is not None:
                tasks._enter_task(loop, current)  # type: ignore[attr-defined]
            while len(loop._ready) < ready:
                loop.call_soon(_nothing)
        return future.result()

    def _change_to(self, loop: Any) -> None:
        """The loop that the code sets for the main thread is its cell's from here on, and also the
        next ones', unless there is something in the present one."""
        present = self._events._get_running_loop()
        if loop is None or loop.is_closed() or present is None or present.is_running():
            return
        self._events._set_running_loop(loop)
        if (loop is not self._loop and isinstance(loop, self._asyncio.SelectorEventLoop)
                and _is_empty(self._loop) and not self._asyncio.all_tasks(self._loop)):
            self._live_with(loop)


def _runs_here(loop: Any) -> bool:
    """In this thread. A loop of another make does not tell, and is taken at its word."""
    here = threading.get_ident()
    running: bool = loop.is_running()
    return running and getattr(loop, "_thread_id", here) == here


def _nothing() -> None:
    """Stands in for what has run already."""


def _milliseconds_to_next(loop: Any) -> float | None:
    if loop._ready:
        return 0
    if loop._scheduled:
        return min(max(0.0, (loop._scheduled[0].when() - loop.time()) * 1000), _LONGEST_WAIT)
    return None


def _is_empty(loop: Any) -> bool:
    # One file is its own, by which other threads wake it.
    return not loop._ready and not loop._scheduled and len(loop._selector.get_map()) <= 1

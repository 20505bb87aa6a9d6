"""Runs one cell and says how it ended."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

from podflare_repl import figures
from podflare_repl.cells import Cell, Compiler
from podflare_repl.event_loop import EventLoop
from podflare_repl.magics import Scope
from podflare_repl.results import History
from podflare_repl.streams import flush_replaced, write_error

_COROUTINE = inspect.CO_COROUTINE
# Every character can take 12 bytes in the frame, which has room for 2 MiB.
_MAX_VALUE = 16_384
_MAX_TRACEBACK = 131_072
_MAX_FRAMES = 4_000
_OURS = os.path.dirname(os.path.abspath(__file__))


class Failure(NamedTuple):
    """An uncaught exception: what the ERROR frame says."""

    name: str
    value: str
    traceback: str


class Runner:
    """Runs cells in one namespace, with the event loop and the history that live as long."""

    def __init__(
        self, namespace: dict[str, Any], show: Callable[[Any], None], compiler: Compiler,
        loop: EventLoop, history: History
    ) -> None:
        self._namespace = namespace
        self._show = show
        sys.displayhook = self.show_value
        self._compiler = compiler
        self._loop = loop
        self._history = history

    def run(self, source: str) -> None:
        """Raises whatever the code raises."""
        self._history.begin(source)
        self._run(self._compiler.compile(source), self._namespace)

    def run_part(self, source: str, scope: Scope) -> Any:
        """A part of the running cell, for a magic; the value of its last expression."""
        cell = self._compiler.compile_part(source, scope.line)
        for statements in cell.statements:
            self._evaluate(statements, scope.globals, scope.locals)
        if cell.value is None:
            return None
        return self._evaluate(cell.value, scope.globals, scope.locals)

    def run_unseen(self, source: str) -> None:
        """As if it had never been: in a namespace of its own, without a number, and in no history.
        Raises whatever the code raises."""
        with self._history.unrecorded():
            self._run(self._compiler.compile_unseen(source), {"__name__": "__main__"})

    def rehearse(self) -> None:
        with self._history.unrecorded():
            for cell in self._compiler.rehearse():
                self._run(cell, {})

    def _run(self, cell: Cell, namespace: dict[str, Any]) -> None:
        self._loop.begin_cell()
        try:
            for statements in cell.statements:
                self._evaluate(statements, namespace)
            if cell.value is not None:
                self.show_value(self._evaluate(cell.value, namespace))
        except (Exception, SystemExit):
            # What was drawn and printed before belongs to this call, not to the next.
            _bring_out()
            raise
        _bring_out()

    def show_value(self, value: Any) -> None:
        """As the value of a cell."""
        if value is not None:
            self._history.keep(value)
            self._show(value)

    def _evaluate(
        self, code: Any, globals_: dict[str, Any], locals_: dict[str, Any] | None = None
    ) -> Any:
        value = eval(code, globals_, locals_)
        if code.co_flags & _COROUTINE:
            return self._loop.run(value)
        return value


def _bring_out() -> None:
    figures.show_open()
    flush_replaced()


def exit_code_of(stop: SystemExit) -> int:
    """As the system would make of it."""
    code = stop.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    write_error(f"{_text_of(code)}\n")
    return 1


def failure_of(error: BaseException) -> Failure:
    """Never raises, whatever the exception's own methods do."""
    text = _format(error)
    if len(text) > _MAX_TRACEBACK:
        half = _MAX_TRACEBACK // 2
        text = f"{text[:half]}\n… [{len(text) - 2 * half} characters left out]\n{text[-half:]}"
    return Failure(type(error).__name__, _text_of(error)[:_MAX_VALUE], text)


def failure_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {_text_of(error)}"


def _format(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(
            type(error), error, _users_frames(error.__traceback__)))
    except Exception:
        return f"{failure_line(error)}\n"


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    """Without what is ours: above the code, asyncio's included, below it, where an interrupt came,
    and within, where a magic runs code."""
    above = [frame for frame in _each(frames) if _file(frame).startswith("<cell")]
    # None of a cell: the code did not compile, or a figure could not be drawn at the end.
    if not above:
        above = [frame for frame in _each(frames) if not _is_ours(frame)]
    users = [frame for frame in _each(above[0] if above else None) if not _is_ours(frame)]
    if len(users) > _MAX_FRAMES:
        # Of a recursion without a limit: to write down a million frames takes minutes.
        del users[_MAX_FRAMES // 2:-_MAX_FRAMES // 2]
    for frame, next_frame in zip(users, [*users[1:], None]):
        if frame.tb_next is not next_frame:  # to set it takes long: Python looks for circles
            frame.tb_next = next_frame
    return users[0] if users else None


def _each(frames: TracebackType | None) -> Iterator[TracebackType]:
    while frames is not None:
        yield frames
        frames = frames.tb_next


def _file(frame: TracebackType) -> str:
    return frame.tb_frame.f_code.co_filename


def _is_ours(frame: TracebackType) -> bool:
    return _file(frame).startswith(_OURS)


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that can't be shown>"

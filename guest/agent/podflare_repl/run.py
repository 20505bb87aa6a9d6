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
from podflare_repl.streams import flush_replaced, write_error

_COROUTINE = inspect.CO_COROUTINE
# Every character can take 12 bytes in the frame, which has room for 2 MiB.
_MAX_VALUE = 16_384
_MAX_TRACEBACK = 131_072
_OURS = os.path.dirname(os.path.abspath(__file__))


class Failure(NamedTuple):
    """An uncaught exception: what the ERROR frame says."""

    name: str
    value: str
    traceback: str


class Runner:
    """Runs cells in one namespace; the event loop for top-level `await` lives as long."""

    def __init__(self, namespace: dict[str, Any], show: Callable[[Any], None]) -> None:
        self._namespace = namespace
        self._show = show
        sys.displayhook = self._show_value
        self._compiler = Compiler()
        self._async_runner: Any = None

    def run(self, source: str) -> None:
        """Raises whatever the code raises."""
        self._run(self._compiler.compile(source), self._namespace)

    def rehearse(self) -> None:
        for cell in self._compiler.rehearse():
            self._run(cell, {})

    def _run(self, cell: Cell, namespace: dict[str, Any]) -> None:
        try:
            if cell.statements is not None:
                self._evaluate(cell.statements, namespace)
            if cell.value is not None:
                self._show_value(self._evaluate(cell.value, namespace))
        except (Exception, SystemExit):
            # What was drawn and printed before belongs to this call, not to the next.
            _bring_out()
            raise
        _bring_out()

    def _show_value(self, value: Any) -> None:
        if value is not None:
            self._show(value)

    def _evaluate(self, code: Any, namespace: dict[str, Any]) -> Any:
        value = eval(code, namespace)
        if code.co_flags & _COROUTINE:
            return self._await(value)
        return value

    def _await(self, coroutine: Any) -> Any:
        if self._async_runner is None:
            import asyncio  # only here: it is slow to import

            self._async_runner = asyncio.Runner()
        return self._async_runner.run(coroutine)


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
    """Without what is ours: above the code, asyncio's included, and below it, where an interrupt
    came."""
    above = [frame for frame in _each(frames) if _file(frame).startswith("<cell")]
    # None of a cell: the code did not compile, or a figure could not be drawn at the end.
    if not above:
        above = [frame for frame in _each(frames) if not _is_ours(frame)]
    begin = above[0] if above else None
    last = None
    for frame in _each(begin):
        if not _is_ours(frame):
            last = frame
    if last is not None:
        last.tb_next = None
    return begin


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

"""Standard input, output and error. What is written is in the pipe when the write returns; and
whatever a cell does to the streams or to their descriptors, the next cell finds them in order.

A replacement of the user's that works stays, as in a notebook. One that can't be written to any
more gives its place back, and so does one that keeps all in memory, where nobody would see what
later cells print.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
from errno import EBADF
from typing import Any, TextIO

# Bound now: user code may put anything under these names.
_write, _fstat, _dup2, _set_blocking = os.write, os.fstat, os.dup2, os.set_blocking
_open = open
_write_some = io.FileIO.write

# The number from which on duplicates are kept: code that closes descriptors by guess begins lower.
_KEPT_FROM = 500


class _Pipe(io.FileIO):
    """Writes all or raises. A plain FileIO may stop in the middle when a signal comes, and the text
    layer above does not look.

    It is never closed. A wrapper that the code puts around `sys.stdout.buffer` closes that when it
    is collected, and whatever else stands on it would be closed too.
    """

    def write(self, data: Any) -> int:
        try:
            written = _write_some(self, data)
        except OSError as error:
            if error.errno != EBADF:
                raise
            written = _write(_KEPT[self.fileno()], data)  # the code has closed the descriptor
        if written == len(data):
            return written
        return self._write_rest(memoryview(data), written)

    def _write_rest(self, view: memoryview, written: int | None) -> int:
        size = len(view)
        while True:
            if written is None:
                # Some child has made the pipe non-blocking, for all who share it.
                _set_blocking(self.fileno(), True)
                written = 0
            view = view[written:]
            if not view:
                return size
            written = _write_some(self, view)

    def close(self) -> None:
        """Nothing: the descriptor outlives every stream on it."""

    @property
    def buffer(self) -> _Pipe:
        """For code that wraps `sys.stdout.buffer` in a writer of `codecs`, and in a later cell does
        so again: such a writer hands on what it is asked for."""
        return self


# By descriptor: a duplicate of it, and which file that is.
_KEPT: dict[int, int] = {}
_FILES: dict[int, tuple[int, int]] = {}
_stdin: TextIO
_stdout: TextIO
_stderr: TextIO


def install() -> None:
    global _stdin, _stdout, _stderr
    for fd in (0, 1, 2):
        _KEPT[fd] = _duplicate(fd)
        _FILES[fd] = _file(fd)
    _stdin, _stdout, _stderr = sys.stdin, _output(1), _output(2)
    sys.stdout = sys.__stdout__ = _stdout  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stderr  # type: ignore[misc]


def _duplicate(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _KEPT_FROM)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)  # so many may not be open


def _input() -> TextIO:
    stream = _open(0, encoding="utf-8", closefd=False)
    setattr(stream.buffer.raw, "name", "<stdin>")
    return stream


def _output(fd: int) -> TextIO:
    pipe = _Pipe(fd, "w", closefd=False)
    pipe.name = "<stdout>" if fd == 1 else "<stderr>"
    # No text makes print() fail, whatever file names or halves of characters it holds.
    return io.TextIOWrapper(
        pipe, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)


def _file(fd: int) -> tuple[int, int]:
    status = _fstat(fd)
    return status.st_dev, status.st_ino


def write_error(text: str) -> None:
    """To descriptor 2 itself: sys.stderr is the user's to replace, break or close."""
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    fd = 2
    while data:
        try:
            data = data[_write(fd, data):]
        except BlockingIOError:
            _set_blocking(fd, True)  # some child has changed that for all who share it
        except OSError:
            if fd != 2:
                return  # the ERROR frame still carries the text
            fd = _KEPT[2]


def put_back_descriptors() -> None:
    """Where the code has closed 0, 1 or 2, or put another file there."""
    for fd, file in _FILES.items():
        try:
            if _file(fd) == file:
                continue
        except OSError as closed:
            if closed.errno != EBADF:
                raise
        _dup2(_KEPT[fd], fd)


def put_back() -> None:
    """Before a cell: a stream of ours in the place of each that can't be used."""
    try:
        if (sys.stdin is _stdin and sys.stdout is _stdout and sys.stderr is _stderr
                and not _stdin.closed and not _stdout.closed and not _stderr.closed):
            return
    except (AttributeError, ValueError):
        pass  # one is deleted or detached
    _renew()
    for name, ours, method in (
            ("stdin", _stdin, "readline"),
            ("stdout", _stdout, "write"),
            ("stderr", _stderr, "write")):
        setattr(sys, f"__{name}__", ours)
        if not _is_usable(getattr(sys, name, None), method):
            setattr(sys, name, ours)


def _renew() -> None:
    """Makes those of ours again that the code has closed or detached."""
    global _stdin, _stdout, _stderr
    if not _is_usable(_stdin, "readline"):
        _stdin = _input()
    if not _is_usable(_stdout):
        _stdout = _output(1)
    if not _is_usable(_stderr):
        _stderr = _output(2)


def _is_usable(stream: Any, method: str = "write") -> bool:
    try:
        return callable(getattr(stream, method, None)) and not getattr(stream, "closed", False)
    except Exception:
        return False


def flush_replaced() -> None:
    """What the code has put in the place of our streams may have a buffer."""
    try:
        if (sys.stdout is _stdout and sys.stderr is _stderr
                and _stdout.write_through and _stderr.write_through):  # type: ignore[attr-defined]
            return
    except (AttributeError, ValueError):
        pass
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        if _is_usable(stream):
            try:
                if hasattr(stream, "flush"):
                    stream.flush()
            except Exception as why:
                _take_place_of(name, f"can't be written to: {type(why).__name__}")


def settle(failed: bool) -> None:
    """After a cell, flushed: puts ours in the place of what would swallow what the next one
    prints."""
    if sys.__dict__.get("stdout") is _stdout and sys.__dict__.get("stderr") is _stderr:
        return
    for name, ours in (("stdout", _stdout), ("stderr", _stderr)):
        stream = getattr(sys, name, None)
        if stream is ours or not _is_usable(stream):
            continue  # the latter is put back before the next cell
        if _is_on(stream, (1, 2)):
            setattr(sys, name, ours)  # to the same end; and when collected, it closes what it is on
        elif _keeps_in_memory(stream):
            _take_place_of(name, "keeps what is printed in memory")
        elif failed:
            # The error may be that of the replacement: a second stream in it that is closed.
            try:
                stream.write("")
            except Exception as why:
                _take_place_of(name, f"can't be written to: {type(why).__name__}")


def _is_on(stream: Any, descriptors: tuple[int, ...]) -> bool:
    """Whether it is a plain stream on one of these that the code has made."""
    if type(stream) is not io.TextIOWrapper or type(stream.buffer) is _Pipe:
        return False
    try:
        return stream.fileno() in descriptors
    except (OSError, ValueError):
        return False


def _keeps_in_memory(stream: Any) -> bool:
    return isinstance(stream, io.StringIO) or (
        isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, io.BytesIO))


def _take_place_of(name: str, why: str) -> None:
    _renew()
    kind = type(getattr(sys, name)).__name__
    setattr(sys, name, _stdout if name == "stdout" else _stderr)
    write_error(
        f"[sys.{name} was left replaced by a {kind}, which {why}. "
        f"The next cell has the standard one again]\n")

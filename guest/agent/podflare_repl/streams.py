"""Standard output and error: what is written is in the pipe when the write returns."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


_write_some = io.FileIO.write


class _Pipe(io.FileIO):
    """Writes all or raises. A plain FileIO may stop in the middle when a signal comes, and the text
    layer above does not look."""

    def write(self, data: Any) -> int:
        written = _write_some(self, data)
        if written == len(data):
            return written
        return self._write_rest(memoryview(data), written)

    def _write_rest(self, view: memoryview, written: int | None) -> int:
        size = len(view)
        while True:
            if written is None:
                # Some child has made the pipe non-blocking, for all who share it.
                os.set_blocking(self.fileno(), True)
                written = 0
            view = view[written:]
            if not view:
                return size
            written = _write_some(self, view)


def install() -> None:
    sys.stdout = _text(1, "<stdout>")
    sys.stderr = _text(2, "<stderr>")
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr


def _text(fd: int, name: str) -> io.TextIOWrapper:
    pipe = _Pipe(fd, "w", closefd=False)
    pipe.name = name
    # No text makes print() fail, whatever file names or halves of characters it holds.
    return io.TextIOWrapper(
        pipe, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)


def write_error(text: str) -> None:
    """To descriptor 2 itself: sys.stderr is the user's to replace, break or close."""
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    try:
        while data:
            data = data[os.write(2, data):]
    except OSError:
        return  # closed by the code; the ERROR frame still carries the text


def flush_replaced() -> None:
    """What the code has put in the place of our streams may have a buffer. Anything may be
    raised."""
    for stream in (sys.stdout, sys.stderr):
        if type(getattr(stream, "buffer", None)) is not _Pipe:
            flush = getattr(stream, "flush", None)
            if flush is not None:
                flush()

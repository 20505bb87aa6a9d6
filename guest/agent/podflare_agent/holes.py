"""Where a sparse file has content. A file that something has mapped at its full size, or truncated
to it, may be a thousand times as long as what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator


def is_sparse(status: os.stat_result) -> bool:
    return status.st_blocks * 512 < status.st_size


def next_data(fd: int, at: int, size: int) -> int:
    """Where content begins at or behind `at`; `size` if there is no more of it."""
    try:
        return min(os.lseek(fd, at, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size


def runs(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """(where it begins, how long it is) of each run of content. The last is empty if a hole is at
    the end."""
    at = 0
    while at < size:
        begin = next_data(fd, at, size)
        end = begin
        if begin < size:
            # Not behind it at once: it has been punched out meanwhile, and reads as zeros.
            end = max(min(os.lseek(fd, begin, os.SEEK_HOLE), size), begin + 1)
        yield begin, end - begin
        at = end

"""Files from one machine to another: `pack` tells them, `unpack` puts them in place.

What arrives comes from another guest, which may be anybody's by now. So nothing is believed of it
that is not checked here as well as on the host: each path is absolute and plain, and leads through
real directories only.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from podflare_agent.channel import Channel
from podflare_agent.exchange import Steps
from podflare_agent.files import MAX_PATH, FileStream
from podflare_agent.holes import is_sparse, runs
from podflare_agent.loop import Loop
from podflare_agent.refusals import Refusal, from_os_error, refusal
from podflare_wire.frames import CHUNK, CREDIT, WINDOW

# The records of docs/agent-protocol.md.
_END, _FILE, _DIRECTORY, _SYMLINK, _REMOVAL, _SPARSE = 0, 1, 2, 3, 4, 5
_record = struct.Struct("!BHIIqQHH")
_run = struct.Struct("!QQ")
_STEP = 64


def pack(paths: list[bytes]) -> Steps:
    """Tells the files, directories and symbolic links at these paths, each by itself. What is not
    there any more, or is something else, is left out."""
    told: list[bytes] = []
    size = 0
    for path in paths:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISREG(status.st_mode):
            yield from _pack_file(path, told)
            size = sum(map(len, told))
        elif stat.S_ISDIR(status.st_mode):
            told += (_header(_DIRECTORY, status, 0, path, b""), path)
        elif stat.S_ISLNK(status.st_mode):
            target = os.readlink(path)
            told += (_header(_SYMLINK, status, 0, path, target), path, target)
        if size > CHUNK or len(told) > 3 * _STEP:
            yield b"".join(told)
            told.clear()
            size = 0
    told.append(_record.pack(_END, 0, 0, 0, 0, 0, 0, 0))
    yield b"".join(told)
    yield {}


def _pack_file(path: bytes, told: list[bytes]) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Refusal("invalid_path", f"Not a regular file any more: {os.fsdecode(path)}")
        size = status.st_size
        if not is_sparse(status):
            told += (_header(_FILE, status, size, path, b""), path)
            yield from _pack_content(fd, 0, size, path, told)
        else:
            told += (_header(_SPARSE, status, size, path, b""), path)
            at = 0
            for begin, length in runs(fd, size):
                told.append(_run.pack(begin - at, length))
                yield from _pack_content(fd, begin, length, path, told)
                at = begin + length
    finally:
        os.close(fd)


def _pack_content(
    fd: int, at: int, left: int, path: bytes, told: list[bytes]
) -> Iterator[bytes]:
    while left > 0:
        data = os.pread(fd, min(CHUNK, left), at)
        if not data:
            raise Refusal("io_error", f"It became shorter while it was read: {os.fsdecode(path)}")
        at += len(data)
        left -= len(data)
        told.append(data)
        if left > 0 or len(told) > 3 * _STEP:
            yield b"".join(told)
            told.clear()


def _header(
    kind: int, status: os.stat_result, size: int, path: bytes, target: bytes
) -> bytes:
    return _record.pack(
        kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid,
        max(-(1 << 63), min(status.st_mtime_ns, (1 << 63) - 1)), size, len(path), len(target))


class _Arrival(NamedTuple):
    """One thing that is to appear at a path; a file or link waits under `staged` until it does."""

    kind: int
    path: bytes
    mode: int
    owner: tuple[int, int]
    staged: bytes


class Unpack(FileStream):
    """Takes in everything first, beside where it is to be, and then puts each thing in its place.

    Until the first is in place, an error changes nothing. From then on nobody can stop it: half of
    a merge is worse than a late one.
    """

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        room: str,
        on_closed: Callable[[int], None],
    ) -> None:
        super().__init__(channel, stream, on_closed)
        self._loop = loop
        self._room = os.fsencode(os.path.join(room, f".podflare-merge-{stream}"))
        os.mkdir(self._room, 0o700)
        self._arrivals: list[_Arrival] = []
        self._removals: list[bytes] = []
        self._fd = -1
        self._us = (os.geteuid(), os.getegid())
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._complete = False
        self._applying = False
        self._size = 0
        self._consumed = 0
        self._steps: Iterator[None] = iter(())
        self._reader = self._read()
        next(self._reader)

    # Taking in

    def on_data(self, data: bytes) -> None:
        if not self._open or self._applying:
            return
        self._size += len(data)
        try:
            self._reader.send(data)
        except Refusal as no:
            self._close(refusal(no.code, no.error))
        except OSError as error:
            self._fail(error)
        else:
            self._consumed += len(data)
            if self._consumed >= WINDOW // 2:
                self._channel.send(CREDIT, self._stream, self._consumed.to_bytes(4, "big"))
                self._consumed = 0

    def _read(self) -> Generator[None, bytes, None]:
        """Takes the stream apart as it comes, in pieces of any size."""
        buffer = bytearray()

        def exactly(size: int) -> Generator[None, bytes, bytes]:
            while len(buffer) < size:
                buffer.extend((yield))
            taken = bytes(buffer[:size])
            del buffer[:size]
            return taken

        def write(size: int) -> Generator[None, bytes, None]:
            while size > 0:
                # What comes next is written as it came, without a way through the buffer.
                data = bytes(buffer) if buffer else (yield)
                buffer.clear()
                with memoryview(data) as view, view[:size] as block:
                    written = os.write(self._fd, block)
                    size -= written
                    if written < len(view):
                        buffer.extend(view[written:])

        while True:
            header = yield from exactly(_record.size)
            kind, mode, uid, gid, mtime, size, path_size, target_size = _record.unpack(header)
            if kind == _END:
                break
            path = _plain((yield from exactly(path_size)))
            target = yield from exactly(target_size)
            if kind == _REMOVAL:
                self._removals.append(path)
                continue
            staged = b"%b/%d" % (self._room, len(self._arrivals))
            self._arrivals.append(_Arrival(kind, path, mode & 0o7777, (uid, gid), staged))
            if kind in (_FILE, _SPARSE):
                self._fd = os.open(
                    staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o777)
                if kind == _FILE:
                    yield from write(size)
                else:
                    os.ftruncate(self._fd, size)
                    while size > 0:
                        hole, length = _run.unpack((yield from exactly(_run.size)))
                        if not 0 < hole + length <= size:
                            raise Refusal("invalid_request", "the runs of a file are not its size")
                        os.lseek(self._fd, hole, os.SEEK_CUR)
                        yield from write(length)
                        size -= hole + length
                # Each call costs a fifth of what a file costs, and few files need these two.
                if (uid, gid) != self._us:
                    os.fchown(self._fd, uid, gid)
                if (uid, gid) != self._us or mode & ~0o777 or mode & self._umask:
                    os.fchmod(self._fd, mode & 0o7777)
                os.utime(self._fd, ns=(mtime, mtime))
                os.close(self._fd)
                self._fd = -1
            elif kind == _SYMLINK:
                os.symlink(target, staged)
                os.lchown(staged, uid, gid)
                os.utime(staged, ns=(mtime, mtime), follow_symlinks=False)
            elif kind != _DIRECTORY:
                raise Refusal("invalid_request", f"a record of the unknown kind {kind}")
        self._complete = True
        if buffer:
            raise Refusal("invalid_request", "it goes on after its end")
        yield
        raise Refusal("invalid_request", "it goes on after its end")

    def on_end(self) -> None:
        if not self._open or self._applying:
            return
        if not self._complete:
            self._close(refusal("invalid_request", "it stops before its end"))
            return
        try:
            self._check()
        except Refusal as no:
            self._close(refusal(no.code, no.error))
        except OSError as error:
            self._fail(error)
        else:
            self._applying = True
            self._steps = self._apply()
            self._loop.add_job(self._step)

    # Putting in place

    def _check(self) -> None:
        """That everything can be put in its place, as far as can be told before."""
        to_come = {arrival.path for arrival in self._arrivals if arrival.kind == _DIRECTORY}
        paths = [arrival.path for arrival in self._arrivals]
        if len(set(paths)) != len(paths):
            raise Refusal("invalid_request", "a path comes twice")
        for parent in {os.path.dirname(path) for path in paths} - to_come:
            self._check_parent(parent)
        for parent in {os.path.dirname(path) for path in self._removals}:
            if os.path.lexists(parent):
                self._check_parent(parent)

    def _check_parent(self, path: bytes) -> None:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or os.path.realpath(path) != path:
            raise Refusal("not_a_directory", f"Not a directory: {os.fsdecode(path)}")
        if status.st_dev != os.lstat(self._room).st_dev:
            raise Refusal(
                "invalid_path",
                f"On another file system than the sandbox's disk: {os.fsdecode(path)}")

    def _apply(self) -> Iterator[None]:
        steps = 0
        for removal in sorted(self._early_removals(), reverse=True):
            _remove(removal)
        for arrival in sorted(self._arrivals, key=lambda arrival: arrival.path):
            if arrival.kind == _DIRECTORY:
                _make_directory(arrival)
            else:
                os.rename(arrival.staged, arrival.path)
            steps += 1
            if steps % _STEP == 0:
                yield
        for removal in sorted(self._removals, reverse=True):
            _remove(removal)
            steps += 1
            if steps % _STEP == 0:
                yield

    def _early_removals(self) -> list[bytes]:
        """Those that stand in the way of something: where a directory and anything else change
        places."""
        blocked = set()
        for arrival in self._arrivals:
            try:
                is_directory = stat.S_ISDIR(os.lstat(arrival.path).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_directory != (arrival.kind == _DIRECTORY):
                blocked.add(arrival.path)
        if not blocked:
            return []
        return [path for path in {*self._removals, *blocked} if _lies_in(path, blocked)]

    def _step(self) -> bool:
        try:
            next(self._steps)
        except StopIteration:
            self._close(b'{"ok":true,"size":%d}' % self._size)
        except OSError as error:
            why = from_os_error(error)
            self._close(refusal(why.code, f"Stopped in the middle: {why.error}"))
        return self._open

    def on_cancel(self, reason: str) -> None:
        if not self._applying:
            super().on_cancel(reason)

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        shutil.rmtree(self._room, ignore_errors=True)


def _plain(path: bytes) -> bytes:
    if (not path.startswith(b"/") or b"\0" in path or len(path) > MAX_PATH
            or path.startswith(b"//") or path == b"/" or os.path.normpath(path) != path):
        raise Refusal("invalid_path", "a path is not absolute and plain")
    return path


def _lies_in(path: bytes, directories: set[bytes]) -> bool:
    while path != b"/":
        if path in directories:
            return True
        path = os.path.dirname(path)
    return False


def _make_directory(arrival: _Arrival) -> None:
    if not os.path.isdir(arrival.path):
        os.mkdir(arrival.path, 0o700)
    os.chown(arrival.path, *arrival.owner, follow_symlinks=False)
    os.chmod(arrival.path, arrival.mode)


def _remove(path: bytes) -> None:
    """What has gone already need not go, and a directory that holds more stays for that."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise

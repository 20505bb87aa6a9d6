"""What decides between two files whose names and sizes leave it open: content, and age."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Generator
from hashlib import blake2b

from podflare_agent.exchange import Steps
from podflare_agent.holes import next_data
from podflare_agent.layers import NO_NODE, node_record

DIGEST_SIZE = 32
NO_DIGEST = bytes(DIGEST_SIZE)
_READ_SIZE = 1 << 20
_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)
# So many files a turn of the loop, or one large one's block.
_BATCH = 64

# <linux/stat.h>, <linux/fcntl.h>
_STATX_SIZE, _STATX_BTIME_AT, _STATX_BTIME = 256, 80, 0x800
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW = -100, 0x100
_time = struct.Struct("=qI")
_u32 = struct.Struct("=I")
_pack_place = struct.Struct("!Q").pack
_pack_birth = struct.Struct("!q").pack
_NO_BIRTH = _pack_birth(-1)


def nodes(paths: list[bytes]) -> Steps:
    """For each path what is there now, as the base is told in the records of `changes`."""
    for begin in range(0, len(paths), _BATCH):
        yield b"".join(map(_node, paths[begin:begin + _BATCH]))
    yield {}


def _node(path: bytes) -> bytes:
    try:
        return node_record(path, os.lstat(path))
    except OSError:
        return NO_NODE


def digests(upper: bytes, paths: list[bytes]) -> Steps:
    """For each path a digest of the regular file there, or zeros if there is none: BLAKE2b, of a
    file of more than 1 MiB without its zeros.

    Files of the upper layer are read there: through the overlay, each system call does its work
    twice.
    """
    told = []
    for path in paths:
        fd = _open(upper + path)
        if fd < 0:
            fd = _open(path)
        if fd < 0:
            told.append(NO_DIGEST)
        else:
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    told.append(NO_DIGEST)
                elif status.st_size <= _READ_SIZE:
                    content = os.read(fd, status.st_size)
                    told.append(blake2b(content, digest_size=DIGEST_SIZE).digest())
                else:
                    told.append((yield from _digest_of_large(fd)))
            finally:
                os.close(fd)
        if len(told) == _BATCH:
            yield b"".join(told)
            told.clear()
    yield b"".join(told)
    yield {}


def _open(path: bytes) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _digest_of_large(fd: int) -> Generator[None, None, bytes]:
    """Of its blocks that are not all zeros, each with its place, and of the size: so a hole is the
    same as zeros that were written, and is not read."""
    digest = blake2b(digest_size=DIGEST_SIZE)
    size = os.fstat(fd).st_size
    at = 0
    while (begin_of_data := next_data(fd, at, size)) < size:
        at = begin_of_data // _BLOCK * _BLOCK
        data = os.pread(fd, _READ_SIZE, at)
        if not data:
            break  # it has become shorter meanwhile
        for begin in range(0, len(data), _BLOCK):
            block = data[begin:begin + _BLOCK]
            if block != _ZEROS[:len(block)]:
                digest.update(_pack_place(at + begin))
                digest.update(block)
        at += len(data)
        yield None
    digest.update(_pack_place(size))
    return digest.digest()


def births(paths: list[bytes]) -> Steps:
    """For each path when its inode was made, in nanoseconds since 1970, or -1 if that is not
    known."""
    birth = _birth_by_statx()
    for begin in range(0, len(paths), _BATCH):
        yield b"".join(birth(path) for path in paths[begin:begin + _BATCH])
    yield {}


def _birth_by_statx() -> Callable[[bytes], bytes]:
    # Only here: it is rarely needed, and os.stat does not know the time of birth.
    import ctypes

    statx = ctypes.CDLL(None).statx
    buffer = ctypes.create_string_buffer(_STATX_SIZE)

    def birth(path: bytes) -> bytes:
        if statx(_AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer) != 0:
            return _NO_BIRTH
        if not _u32.unpack_from(buffer, 0)[0] & _STATX_BTIME:
            return _NO_BIRTH
        seconds, nanos = _time.unpack_from(buffer, _STATX_BTIME_AT)
        return _pack_birth(max(-1, min(seconds * 1_000_000_000 + nanos, (1 << 63) - 1)))

    return birth

"""What decides between two files whose names and sizes leave it open: content, and age."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Generator
from hashlib import blake2b

from podflare_agent.exchange import Steps
from podflare_agent.layers import NO_NODE, node_record

DIGEST_SIZE = 32
NO_DIGEST = bytes(DIGEST_SIZE)
_READ_SIZE = 1 << 20
# So many files a turn of the loop, or one large one's block.
_BATCH = 64

# <linux/stat.h>, <linux/fcntl.h>
_STATX_SIZE, _STATX_BTIME_AT, _STATX_BTIME = 256, 80, 0x800
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW = -100, 0x100
_time = struct.Struct("=qI")
_u32 = struct.Struct("=I")
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


def digests(paths: list[bytes]) -> Steps:
    """For each path the BLAKE2b digest of the regular file there, or zeros if there is none."""
    told = []
    for path in paths:
        told.append((yield from _digest(path)))
        if len(told) == _BATCH:
            yield b"".join(told)
            told.clear()
    yield b"".join(told)
    yield {}


def _digest(path: bytes) -> Generator[None, None, bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return NO_DIGEST
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return NO_DIGEST
        digest = blake2b(digest_size=DIGEST_SIZE)
        while data := os.read(fd, _READ_SIZE):
            digest.update(data)
            if len(data) == _READ_SIZE:
                yield None
        return digest.digest()
    finally:
        os.close(fd)


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

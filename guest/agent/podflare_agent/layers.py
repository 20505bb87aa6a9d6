"""What a machine's files are, beside what its image brought: the two layers under its root, read
side by side.

The overlay keeps whole files and plain directories in its upper layer, so that layer alone says
what was ever changed, and nothing has to be walked but what is in it. Three things in it speak of
the base instead: a whiteout (a character device 0:0) hides one entry of the base, an opaque
directory hides all that the base has in that directory, and so does anything else that takes the
place of a directory.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from podflare_agent.exchange import Steps
from podflare_agent.files import MAX_PATH
from podflare_agent.refusals import Refusal

MAX_ROOTS = 64
MAX_CHANGES = 200_000
# All paths together, so that what the host makes of them is bounded as well.
MAX_PATHS_SIZE = 16 * 1024 * 1024
_STEP = 250

# The records of docs/agent-protocol.md.
_DIRECTORY, _ENTRY, _ENTRY_OF_BASE = 1, 2, 3
_pack_directory = struct.Struct("!BH").pack
_pack_entry = struct.Struct("!BHQqqQHH").pack
_pack_node = struct.Struct("!HQqH").pack
NO_NODE = _pack_node(0, 0, 0, 0)

_TYPE = 0o170000
_REGULAR = stat.S_IFREG
_OPAQUE = b"trusted.overlay.opaque"
_MAX_NANOS = (1 << 63) - 1
# Where EROFS has its superblock, with the name (UUID) and the checksum of the image.
_SUPERBLOCK, _SUPERBLOCK_SIZE = 1024, 128


def base_name(device: str) -> str:
    """A name for the image on a disk, which no other image has; "" if it can't be read."""
    try:
        with open(device, "rb", buffering=0) as disk:
            disk.seek(_SUPERBLOCK)
            return blake2b(disk.read(_SUPERBLOCK_SIZE), digest_size=16).hexdigest()
    except OSError:
        return ""


def roots_of(paths: Any) -> list[bytes]:
    """The directories that a request names, without those that lie in another one."""
    if type(paths) is not list or not 0 < len(paths) <= MAX_ROOTS:
        raise Refusal("invalid_request", f"paths is not a list of 1 to {MAX_ROOTS}")
    roots: list[bytes] = []
    for path in sorted({_root_of(path) for path in paths}):
        if not roots or not (path + b"/").startswith(roots[-1].rstrip(b"/") + b"/"):
            roots.append(path)
    return roots


def _root_of(path: Any) -> bytes:
    if type(path) is not str or not path.startswith("/") or "\0" in path:
        raise Refusal("invalid_path", "a path is not absolute")
    try:
        encoded = os.fsencode(os.path.normpath("/" + path.lstrip("/")))
    except UnicodeEncodeError as unencodable:
        raise Refusal("invalid_path", "the path is not valid Unicode") from unencodable
    if len(encoded) > MAX_PATH:
        raise Refusal("invalid_path", f"the path is longer than {MAX_PATH} bytes")
    return encoded


class Layers:
    """The upper layer of the root file system over its base; without a base, all is upper."""

    def __init__(self, upper: str, base: str | None, name: Callable[[], str]) -> None:
        self.upper = os.fsencode(upper).rstrip(b"/")
        self._base = None if base is None else os.fsencode(base).rstrip(b"/")
        self._name = name

    def changes(self, roots: list[bytes]) -> Steps:
        """One record for each entry of the upper layer at and below the roots."""
        walk = _Walk(self.upper, self._base)
        for root in roots:
            yield from walk.at(root)
        yield walk.take()
        yield {"base": self._name(), "truncated": walk.full}


class _Full(Exception):
    """There is more than may be told."""


class _Walk:
    def __init__(self, upper: bytes, base: bytes | None) -> None:
        self.full = False
        self._upper = upper
        self._base = base
        self._told: list[bytes] = []
        self._directory = b""
        self._count = 0
        self._paths_size = 0

    def take(self) -> bytes:
        told = b"".join(self._told)
        self._told = []
        return told

    def at(self, root: bytes) -> Iterator[bytes | None]:
        if self.full:
            return
        try:
            yield from self._at(root)
        except _Full:
            self.full = True

    def _at(self, root: bytes) -> Iterator[bytes | None]:
        hides = self._hides(os.path.dirname(root))
        status = _lstat(self._upper + root)
        if root != b"/" and (status is not None or hides is not None):
            parent, name = os.path.split(root)
            self._enter(parent)
            base = self._base_status(root)
            if status is not None:
                self._add(name, status, base)
            if status is None or not stat.S_ISDIR(status.st_mode):
                if hides is None:
                    hides = status
                if hides is not None and base is not None:
                    if status is None:
                        self._add_hidden(name, hides, base)
                    yield from self._hide_tree(root, hides, base)
        if status is not None and stat.S_ISDIR(status.st_mode):
            pending = [(root, hides)]
            while pending:
                path, hides = pending.pop()
                yield from self._walk(path, hides, pending)

    def _walk(
        self,
        path: bytes,
        hides: os.stat_result | None,
        pending: list[tuple[bytes, os.stat_result | None]],
    ) -> Iterator[bytes | None]:
        """`hides` is the entry of the upper layer that hides the base here, if one does."""
        upper = self._upper + path
        of_base = self._names_in_base(path)
        if of_base and hides is None and _is_opaque(upper):
            hides = _lstat(upper)
        prefix = path if path == b"/" else path + b"/"
        self._enter(path)
        replaced: list[tuple[bytes, os.stat_result, os.stat_result]] = []
        try:
            # By its descriptor, an entry is found in the directory itself and not from the root.
            fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return  # it was removed while we looked
        try:
            with os.scandir(fd) as found:
                for item in found:
                    try:
                        status = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    name = item.name.encode(errors="surrogateescape")
                    base = None
                    if name in of_base:
                        of_base.remove(name)
                        base = self._base_status(prefix + name)
                    self._add(name, status, base)
                    if status.st_mode & _TYPE == stat.S_IFDIR:
                        pending.append((prefix + name, hides))
                    elif base is not None and stat.S_ISDIR(base.st_mode):
                        replaced.append((prefix + name, status, base))
                    if len(self._told) > 2 * _STEP:
                        yield self.take()
        finally:
            os.close(fd)
        if hides is not None:
            for name in of_base:
                base = self._base_status(prefix + name)
                if base is not None:
                    self._add_hidden(name, hides, base)
                    replaced.append((prefix + name, hides, base))
        for entry, by, base in replaced:
            yield from self._hide_tree(entry, by, base)

    def _hide_tree(
        self, root: bytes, by: os.stat_result, base: os.stat_result
    ) -> Iterator[bytes | None]:
        """All that the base has below a directory, as gone."""
        pending = [root] if stat.S_ISDIR(base.st_mode) else []
        while pending:
            path = pending.pop()
            self._enter(path)
            for name in self._names_in_base(path):
                entry = path + b"/" + name
                status = self._base_status(entry)
                if status is not None:
                    self._add_hidden(name, by, status)
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(entry)
                if len(self._told) > 2 * _STEP:
                    yield self.take()

    def _hides(self, path: bytes) -> os.stat_result | None:
        """What above and at a directory keeps its base from being seen."""
        hides = None
        at = b""
        for part in [b"", *path.split(b"/")]:
            at = at.rstrip(b"/") + b"/" + part
            status = _lstat(self._upper + at)
            if status is None:
                return hides
            if not stat.S_ISDIR(status.st_mode) or _is_opaque(self._upper + at):
                hides = status
        return hides

    def _names_in_base(self, path: bytes) -> set[bytes]:
        if self._base is None:
            return set()
        try:
            return set(os.listdir(self._base + path))
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def _base_status(self, path: bytes) -> os.stat_result | None:
        return None if self._base is None else _lstat(self._base + path)

    # Records

    def _enter(self, path: bytes) -> None:
        """What is added from here on lies in this directory."""
        if path != self._directory:
            self._directory = path
            self._told.append(_pack_directory(_DIRECTORY, len(path)))
            self._told.append(path)

    def _add(
        self, name: bytes, status: os.stat_result, base: os.stat_result | None
    ) -> None:
        mode = status.st_mode
        target = b""
        if mode & _TYPE != _REGULAR:
            if mode & _TYPE == stat.S_IFCHR and status.st_rdev == 0:
                if base is not None:  # else it hides nothing
                    self._add_hidden(name, status, base)
                return
            if mode & _TYPE == stat.S_IFLNK:
                target = _target(self._upper + self._directory + b"/" + name)
        self._count_in(name)
        kind = _ENTRY if base is None else _ENTRY_OF_BASE
        try:
            record = _pack_entry(
                kind, mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
                status.st_ino, len(name), len(target))
        except struct.error:  # a time after the year 2262
            record = _pack_entry(
                kind, mode, status.st_size, _nanos(status.st_mtime_ns),
                _nanos(status.st_ctime_ns), status.st_ino, len(name), len(target))
        told = self._told
        told.append(record)
        told.append(name + target if target else name)
        if base is not None:
            told.append(self._of_base(name, base))

    def _add_hidden(self, name: bytes, by: os.stat_result, base: os.stat_result) -> None:
        self._count_in(name)
        self._told += (
            _pack_entry(_ENTRY_OF_BASE, 0, 0, 0, _nanos(by.st_ctime_ns), by.st_ino, len(name), 0),
            name,
            self._of_base(name, base))

    def _of_base(self, name: bytes, base: os.stat_result) -> bytes:
        assert self._base is not None
        return node_record(self._base + self._directory + b"/" + name, base)

    def _count_in(self, name: bytes) -> None:
        self._count += 1
        self._paths_size += len(self._directory) + 1 + len(name)
        if self._count > MAX_CHANGES or self._paths_size > MAX_PATHS_SIZE:
            raise _Full


def node_record(path: bytes, status: os.stat_result) -> bytes:
    """Type, mode, size, time of modification and target of a link."""
    target = _target(path) if stat.S_ISLNK(status.st_mode) else b""
    return _pack_node(
        status.st_mode, status.st_size, _nanos(status.st_mtime_ns), len(target)) + target


def _nanos(time: int) -> int:
    return max(-_MAX_NANOS, min(time, _MAX_NANOS))


def _lstat(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_opaque(path: bytes) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False  # it has no such attribute, or its file system has none at all


def _target(path: bytes) -> bytes:
    try:
        return os.readlink(path)
    except OSError:
        return b""  # it is another thing by now

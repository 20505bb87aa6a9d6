"""Writes cpio archives in the `newc` format, the one that the kernel unpacks as initramfs.

The same content gives the same bytes: times are zero, owners are root, order is the caller's.
The kernel accepts several archives one after the other, so an archive can be extended by appending.
Format: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO


class Archive:
    """Writes entries to `out`; `close` writes the trailer and leaves `out` open."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._inode = 0

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._entry(path, stat.S_IFDIR | mode)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._entry(path, stat.S_IFREG | mode, content)

    def symlink(self, path: str, target: str) -> None:
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        self._entry(path, stat.S_IFCHR | mode, device=(major, minor))

    def tree(self, path: str, source: Path) -> None:
        """All directories and regular files below `source`, without Python's caches."""
        self.directory(path)
        for entry in sorted(source.iterdir()):
            if entry.name == "__pycache__":
                continue
            if entry.is_dir():
                self.tree(f"{path}/{entry.name}", entry)
            else:
                mode = 0o755 if entry.stat().st_mode & stat.S_IXUSR else 0o644
                self.file(f"{path}/{entry.name}", entry.read_bytes(), mode)

    def close(self) -> None:
        self._entry("TRAILER!!!", 0)

    def _entry(
        self, path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (
            self._inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0
        )  # fmt: skip
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._out.write(_padded(header + name))
        self._out.write(_padded(content))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

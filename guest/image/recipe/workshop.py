"""Where an image is built, and how it gets to its place: whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from . import tools
from .failure import BuildFailure

_AT_FDCWD = -100
_CLONE_NEWNS = 0x00020000
# What a build's trees and its downloads take, and what is to be left for everybody else.
_ROOMS_SIZE = 4 << 30
_SPARE_MEMORY = 4 << 30
_RENAME_EXCHANGE = 2


class Workshop:
    """A directory beside the image's, on the same file system, for one build at a time.

    `image` becomes the image's directory with `publish`. A build that was killed leaves the
    workshop; the next one clears it. The lock is inherited by the programs that a build starts, so
    that it stays taken while one of them outlives a killed build.

    Intermediate results are trees of a hundred thousand files, which are in memory if the host has
    enough of it: there they are made in half the time, and are gone in an instant, while a disk
    that is mounted with `discard` takes minutes to delete them.
    """

    def __init__(self, out: Path, known_names: Collection[str]) -> None:
        self.out = out
        self._known_names = known_names
        self._place = out.with_name(f".{out.name}.building")
        self._rooms = self._place / "rooms"
        self.image = self._place / "image"
        self.lock = -1

    def __enter__(self) -> Workshop:
        self._refuse_foreign_directory()
        self.out.parent.mkdir(parents=True, exist_ok=True)
        lock_file = self.out.with_name(f".{self.out.name}.lock")
        self.lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.lock)
            raise BuildFailure(
                f"another build of {self.out} is running; wait until it has ended"
            ) from None
        self._clear()
        self.image.mkdir(parents=True)
        self._rooms.mkdir()
        if _available_memory() >= _ROOMS_SIZE + _SPARE_MEMORY:
            _mount_in_memory(self._rooms)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._clear()
        finally:
            os.close(self.lock)

    def room(self, name: str) -> Path:
        """A path for an intermediate result; nothing is there yet."""
        return self._rooms / name

    def keep(self, name: str, directory: Path) -> None:
        """Takes a file of an image that stands into the new one."""
        try:
            os.link(directory / name, self.image / name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(directory / name, self.image / name)

    def publish(self) -> None:
        """Puts `image` in the place of the image that stands, in one step."""
        self.image.chmod(0o755)
        for path in self.image.iterdir():
            path.chmod(0o644)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if self.out.exists():
            _exchange(self.image, self.out)
        else:
            self.image.rename(self.out)

    def _refuse_foreign_directory(self) -> None:
        if not self.out.exists():
            return
        if not self.out.is_dir():
            raise BuildFailure(f"{self.out} is not a directory; name another one with --out")
        foreign = sorted(set(os.listdir(self.out)).difference(self._known_names))
        if foreign:
            raise BuildFailure(
                f"{self.out} has other files than an image's ({foreign[0]}), and a build replaces"
                " the whole directory; name a directory of its own with --out"
            )

    def _clear(self) -> None:
        if not self._place.exists():
            return
        if os.path.ismount(self._rooms):
            tools.run(["umount", "--lazy", self._rooms], purpose="give up the build's memory")
        # Below a mount there would be files of the host's.
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            points = [line.split()[4] for line in mounts]
        below = [point for point in points if point.startswith(f"{self._place.resolve()}/")]
        if below:
            raise BuildFailure(
                f"a killed build has left {below[0]} mounted; unmount it: umount {below[0]}"
            )
        shutil.rmtree(self._place)


def _available_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 0


def _mount_in_memory(directory: Path) -> None:
    """For this process and its programs only, so that it is gone with them."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        return  # a container may forbid it; on the disk everything works too
    tools.run(["mount", "--make-rprivate", "/"], purpose="make the build's mounts its own")
    tools.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_ROOMS_SIZE},mode=0755", "tmpfs", directory],
        purpose="have the build's files in memory",
    )


def _exchange(first: Path, second: Path) -> None:
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = os.fsencode(first), os.fsencode(second)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise BuildFailure(
            f"cannot replace {second} in one step ({reason}); remove it, or name another --out"
        )

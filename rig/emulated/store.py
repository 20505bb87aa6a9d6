"""What is built once and used until its inputs change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Store:
    """A directory with one subdirectory for each thing, `NAME-KEY`.

    The key is a digest of all inputs, so a changed input finds nothing and builds anew. What is
    built appears whole or not at all.
    """

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For looking, building and opening; an open file outlives its removal from the store."""
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._remove_leftovers()
            yield

    def _remove_leftovers(self) -> None:
        """Of builds and runs that were killed."""
        for unfinished in self.directory.glob(".new-*"):
            shutil.rmtree(unfinished)
        for room in self.directory.glob("run-*"):
            if not Path("/proc", room.name.split("-")[1]).exists():
                shutil.rmtree(room)

    def find(self, name: str, key: str) -> Path | None:
        place = self._place(name, key)
        return place if place.is_dir() else None

    def latest(self, name: str) -> Path | None:
        """What was built under this name last, whatever its key."""
        return max(self.directory.glob(f"{name}-*"), key=os.path.getmtime, default=None)

    def get(self, name: str, key: str, build: Callable[[Path], None]) -> Path:
        """The directory of a thing; `build` fills it if there is none with this key."""
        found = self.find(name, key)
        if found is not None:
            return found
        began = time.monotonic()
        unfinished = Path(tempfile.mkdtemp(prefix=f".new-{name}-", dir=self.directory))
        try:
            build(unfinished)
            predecessors = list(self.directory.glob(f"{name}-*"))
            unfinished.rename(self._place(name, key))
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        for predecessor in predecessors:
            shutil.rmtree(predecessor)
        print(f"rig: {name} built in {time.monotonic() - began:.0f} s", flush=True)
        return self._place(name, key)

    def _place(self, name: str, key: str) -> Path:
        return self.directory / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

"""The files of a sandbox."""

from __future__ import annotations

import os

from . import _calls
from ._bodies import CHUNK, body_of
from .results import FileEntry, FileList

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

    from ._bodies import Data, Path
    from ._transport import Answer
    from .sandbox import Sandbox


class Files:
    """Lists, reads, writes and removes files in a sandbox: `sandbox.files`.

    Paths are absolute, relative to `/root`, or begin with `~`. Safe for use by several threads.

    Every call raises `NotFoundError` when there is no such file or sandbox, and
    `InvalidRequestError` when the path is not one for this call.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def list(self, path: Path = ".") -> FileList:
        """The entries of a directory, at most 10,000; `.truncated` is true when there are more."""
        answer = self._sandbox._json(_calls.list_files(self._sandbox.id, path))
        return file_list(answer)

    def read(self, path: Path) -> bytes:
        """The whole file. For one that may not fit into memory see `Sandbox.download_to`."""
        with self._sandbox._open(_calls.read_file(self._sandbox.id, path)) as answer:
            return answer.read()

    def read_to(self, path: Path, target: str | os.PathLike[str] | IO[bytes]) -> int:
        """Copies the file into a local file, or into an open binary file, in constant memory.

        A local path holds the old content or the whole new one, never a part.

        Returns:
            the number of bytes.
        """
        with self._sandbox._open(_calls.read_file(self._sandbox.id, path)) as answer:
            with local_file(target) as file:
                return _copy(answer, file)

    def write(self, path: Path, data: Data, *, mode: int | str | None = None) -> int:
        """Creates or replaces a file, with the directories above it.

        The file has its old content or the whole new one, never a part.

        Args:
            data: bytes; str, which is written as UTF-8; an open file; or an iterable of bytes.
                The last two are sent chunk by chunk, in constant memory.
            mode: permissions, as 0o644 or "0644"; else those of the file before, or 0644.

        Returns:
            the number of bytes.
        """
        call = _calls.write_file(self._sandbox.id, path, body_of(data), mode)
        size: int = self._sandbox._json(call).get("size", 0)
        return size

    def remove(self, path: Path, *, recursive: bool = False) -> None:
        """Removes a file, or a directory: an empty one unless `recursive`."""
        self._sandbox._json(_calls.remove_file(self._sandbox.id, path, recursive))


def file_list(answer: dict[str, Any]) -> FileList:
    """The server's listing as entries."""
    entries = FileList(FileEntry(entry) for entry in answer.get("entries", ()))
    entries.truncated = bool(answer.get("truncated", False))
    return entries


class local_file:  # noqa: N801 - used like a function
    """Opens what a download goes to: a given file stays open, a path is replaced at the end.

    A path that names a device or a pipe is written to: replacing `/dev/null`, as root may,
    would break every program on the machine.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        self._file: Any = target
        self._path: str | None = None
        self._part: str | None = None
        if isinstance(target, (str, os.PathLike)):
            self._path = os.fspath(target)
        elif not hasattr(target, "write"):
            raise TypeError(
                f"a download goes to a path or an open binary file, not {type(target).__name__}"
            )

    def __enter__(self) -> IO[bytes]:
        if self._path is not None and os.path.exists(self._path) and not os.path.isfile(self._path):
            self._file = open(self._path, "wb")
        elif self._path is not None:
            self._part = f"{self._path}.{os.urandom(4).hex()}.part"
            self._file = open(self._part, "xb")
        file: IO[bytes] = self._file
        return file

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if self._path is None:
            return
        self._file.close()
        if self._part is None:
            return
        if failed is None:
            os.replace(self._part, self._path)
        else:
            os.unlink(self._part)


def _copy(answer: Answer, file: IO[bytes]) -> int:
    total = 0
    for piece in _pieces(answer):
        file.write(piece)
        total += len(piece)
    return total


def _pieces(answer: Answer) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK))
    while count := answer.read_into(buffer):
        yield buffer[:count]

"""The files of a sandbox, for asynchronous programs."""

from __future__ import annotations

from .. import _calls
from .._bodies import async_body_of
from ..files import file_list, local_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterable
    from typing import IO

    from .._bodies import Data, Path
    from ..results import FileList
    from .sandbox import AsyncSandbox


class AsyncFiles:
    """`AsyncSandbox.files`: the calls of `Files`, with `await`."""

    def __init__(self, sandbox: AsyncSandbox) -> None:
        self._sandbox = sandbox

    async def list(self, path: Path = ".") -> FileList:
        """The entries of a directory, at most 10,000; `.truncated` is true when there are more."""
        return file_list(await self._sandbox._json(_calls.list_files(self._sandbox.id, path)))

    async def read(self, path: Path) -> bytes:
        """The whole file."""
        call = _calls.read_file(self._sandbox.id, path)
        async with await self._sandbox._open(call) as answer:
            return await answer.read()

    async def read_to(self, path: Path, target: str | os.PathLike[str] | IO[bytes]) -> int:
        """Copies the file into a local path or an open binary file, in constant memory.

        A local path holds the old content or the whole new one, never a part. Writing to the local
        file blocks the event loop as long as the disk takes. Returns the number of bytes.
        """
        total = 0
        call = _calls.read_file(self._sandbox.id, path)
        async with await self._sandbox._open(call) as answer:
            with local_file(target) as file:
                async for piece in answer.pieces():
                    file.write(piece)
                    total += len(piece)
        return total

    async def write(
        self,
        path: Path,
        data: Data | AsyncIterable[bytes | str],
        *,
        mode: int | str | None = None,
    ) -> int:
        """Creates or replaces a file; `data` may also be an asynchronous iterable of bytes.

        Returns the number of bytes.
        """
        call = _calls.write_file(self._sandbox.id, path, async_body_of(data), mode)
        size: int = (await self._sandbox._json(call)).get("size", 0)
        return size

    async def remove(self, path: Path, *, recursive: bool = False) -> None:
        """Removes a file, or a directory: an empty one unless `recursive`."""
        await self._sandbox._json(_calls.remove_file(self._sandbox.id, path, recursive))

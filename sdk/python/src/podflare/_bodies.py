"""What a caller may upload, made into something that can be sent in constant memory."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from typing import IO, Any, TypeAlias

    # `bytes` and `memoryview` have a length and can be sent again; an iterator has neither.
    Body: TypeAlias = "bytes | memoryview | Iterator[bytes] | None"
    Data: TypeAlias = (
        "str | bytes | bytearray | memoryview | IO[bytes] | IO[str] | Iterable[bytes | str]"
    )
    Path: TypeAlias = "str | os.PathLike[str]"

CHUNK = 256 * 1024
_LONGEST_NAME = 1024


def path_and_data(first: Any, second: Any) -> tuple[Any, Any]:
    """Tells path from data in either order; two strings are path, then data.

    Raises:
        TypeError: neither of the two can be a path, or neither can be data.
    """
    if isinstance(second, os.PathLike) and _is_path(first):
        # A local file may be meant, and taking the other string for its content would be silent.
        raise TypeError(_LOCAL_PATH)
    if _is_path(first) and isinstance(second, str) and _names_a_local_file(first, second):
        raise TypeError(_LOCAL_PATH)
    if _is_path(first):
        return first, second
    if _is_path(second):
        return second, first
    raise TypeError(
        "upload needs a path and data (bytes, str, a file or an iterable of bytes), not "
        f"{type(first).__name__} and {type(second).__name__}"
    )


_LOCAL_PATH = (
    "upload takes a path in the sandbox and the data itself, and this looks like the path of a "
    "local file: sandbox.upload_from(local_path, path) copies one; to store a text that looks like "
    "a path, pass it as bytes"
)


def _names_a_local_file(path: str | os.PathLike[str], text: str) -> bool:
    """Whether the text is the path of a file here, or that of its copy, as `cp` takes the two."""
    is_path = text.startswith(("/", "~/", "./", "../"))
    return _is_local_file(text) or (is_path and _is_local_file(os.fspath(path)))


def _is_local_file(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and os.path.isfile(os.path.expanduser(name))


def local_files(local: Any, path: Any) -> Iterator[tuple[str, str, int]]:
    """What is to be uploaded for a local file or folder: source, target and mode of each file."""
    source = os.fspath(local)
    base = os.path.basename(os.path.abspath(source))
    target = base if path is None else os.fspath(path)
    if target.endswith("/"):
        target += base
    if not os.path.isdir(source):
        yield source, target, os.stat(source).st_mode & 0o777
        return
    for folder, _, names in os.walk(source):
        inside = os.path.relpath(folder, source)
        for name in sorted(names):
            file = os.path.join(folder, name)
            if os.path.isfile(file):  # Not a socket, a pipe, or a link to nothing.
                parts = (target, *(() if inside == "." else inside.split(os.sep)), name)
                yield file, "/".join(parts), os.stat(file).st_mode & 0o777


def body_of(data: Any) -> bytes | memoryview | Iterator[bytes]:
    """The data as it can be sent: text as UTF-8, files and iterables chunk by chunk.

    Raises:
        TypeError: `data` is nothing of this kind.
    """
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes):
        return data
    read = getattr(data, "read", None)
    if callable(read):
        return _chunks_of_file(read)
    try:
        return memoryview(data).cast("B")
    except TypeError:
        pass  # Not bytes-like: the last thing it can be is an iterable of chunks.
    if isinstance(data, dict) or not hasattr(data, "__iter__"):
        raise TypeError(
            "upload data is bytes, str, a file or an iterable of bytes, "
            f"not {type(data).__name__}"
        )
    return _chunks_of_iterable(data)


def async_body_of(data: Any) -> Any:
    """Like `body_of`, for an asynchronous iterable of bytes as well."""
    return _async_chunks(data) if hasattr(data, "__aiter__") else body_of(data)


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def _chunks_of_file(read: Any) -> Iterator[bytes]:
    while piece := read(CHUNK):
        yield from _chunks(piece)


def _chunks_of_iterable(items: Iterable[bytes | str]) -> Iterator[bytes]:
    for item in items:
        yield from _chunks(item)


async def _async_chunks(items: AsyncIterable[bytes | str]) -> AsyncIterator[bytes]:
    async for item in items:
        for chunk in _chunks(item):
            yield chunk


def _chunks(item: Any) -> Iterator[bytes]:
    if isinstance(item, str):
        item = item.encode()
    elif isinstance(item, int):  # bytes(5) would be five zeros, which nobody means.
        raise TypeError("upload data must be chunks of bytes or str, not single integers")
    view = memoryview(item).cast("B")
    for start in range(0, len(view), CHUNK):
        yield bytes(view[start : start + CHUNK])

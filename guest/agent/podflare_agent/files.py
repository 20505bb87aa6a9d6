"""Files in and out. Large ones in chunks, one a turn of the loop, so that nothing else has to
wait."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from podflare_agent.channel import Channel
from podflare_agent.loop import Loop
from podflare_agent.refusals import Refusal, from_os_error, refusal
from podflare_wire.frames import CHUNK, CLOSED, CREDIT, DATA, MAX_PAYLOAD, WINDOW, encode_json

MAX_PATH = 4096
MAX_ENTRIES = 10_000
# A directory of long names could fill more than one frame; the rest of the CLOSED is small.
_MAX_LISTING = MAX_PAYLOAD - 4096
_STEP = 200

Answer = dict[str, Any]


def expanded(path: str, home: str) -> str:
    """With the home directory for a `~` at its beginning, as a shell reads it. A name that begins so
    and is not that of a user is a name."""
    if not path.startswith("~"):
        return path
    user, slash, rest = path[1:].partition("/")
    if user:
        try:
            home = pwd.getpwnam(user).pw_dir
        except (KeyError, ValueError):  # the latter: a NUL character, or what is no Unicode
            return path
    return home + slash + rest


def resolve(path: Any, home: str) -> str:
    if type(path) is not str or not path or "\0" in path:
        raise Refusal("invalid_path", "the path is empty or holds a NUL character")
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError as unencodable:
        raise Refusal("invalid_path", "the path is not valid Unicode") from unencodable
    if size > MAX_PATH:
        raise Refusal("invalid_path", f"the path is longer than {MAX_PATH} bytes")
    return os.path.join(home, expanded(path, home))


def stat_entry(path: str) -> Answer:
    return {"entry": _entry(os.path.basename(path.rstrip("/")) or "/", os.lstat(path))}


def _entry(name: str, status: os.stat_result) -> Answer:
    return {
        "name": name,
        "type": _type(status.st_mode),
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "mtime": status.st_mtime_ns // 1_000_000,
    }


def _type(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def list_entries(path: str) -> Iterator[Answer | None]:
    """Yields None while it works, and the answer last."""
    entries: list[Answer] = []
    size = 0
    truncated = False
    with os.scandir(path) as found:
        for item in found:
            if len(entries) >= MAX_ENTRIES or size > _MAX_LISTING:
                truncated = True
                break
            try:
                entry = _entry(item.name, item.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # it was removed while we looked
            size += len(encode_json(entry)) + 1
            entries.append(entry)
            if len(entries) % _STEP == 0:
                yield None
    if size > _MAX_LISTING:
        entries.pop()
        truncated = True
    entries.sort(key=itemgetter("name"))
    yield {"entries": entries, "truncated": truncated}


def remove(path: str, recursive: bool) -> Iterator[Answer | None]:
    """Yields None while it works, and the answer last. Symbolic links are removed, not followed."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    elif not recursive:
        raise Refusal("is_a_directory", f"Is a directory: {path}; remove it with recursive")
    else:
        yield from _remove_tree(path)
    yield {}


def _remove_tree(root: str) -> Iterator[None]:
    # Depth first without recursion: a directory is met twice, before its content and after it.
    pending = [(root, False)]
    steps = 0
    while pending:
        path, emptied = pending.pop()
        if emptied:
            os.rmdir(path)
        else:
            pending.append((path, True))
            with os.scandir(path) as found:
                for item in found:
                    if item.is_dir(follow_symlinks=False):
                        pending.append((item.path, False))
                    else:
                        os.unlink(item.path)
                    steps += 1
                    if steps % _STEP == 0:
                        yield None


class FileStream:
    """What `get`, `put` and the two above share: a stream that ends with exactly one CLOSED."""

    def __init__(self, channel: Channel, stream: int, on_closed: Callable[[int], None]) -> None:
        self._channel = channel
        self._stream = stream
        self._on_closed = on_closed
        self._open = True

    def _close(self, payload: bytes) -> None:
        if self._open:
            self._open = False
            self._release()
            self._channel.send(CLOSED, self._stream, payload)
            self._on_closed(self._stream)

    def _fail(self, error: OSError) -> None:
        why = from_os_error(error)
        self._close(refusal(why.code, why.error))

    def _release(self) -> None:
        """Gives back what the stream holds."""

    def on_cancel(self, _reason: str) -> None:
        self._close(refusal("cancelled", "the host cancelled it"))

    def on_credit(self, size: int) -> None:
        """Only `get` sends."""

    def on_data(self, data: bytes) -> None:
        """Only `put` receives."""

    def on_end(self) -> None:
        """Only `put` receives."""


class Errand(FileStream):
    """An operation on the file system that may take many steps. One that `goes_on` is done to its
    end, whether or not anybody hears of that: half of it is no state that code should find."""

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        steps: Iterator[Answer | None],
        on_closed: Callable[[int], None],
        *,
        goes_on: bool = False,
    ) -> None:
        super().__init__(channel, stream, on_closed)
        self._steps = steps
        self._goes_on = goes_on
        loop.add_job(self._step)

    def on_cancel(self, reason: str) -> None:
        if not self._goes_on:
            super().on_cancel(reason)

    def _step(self) -> bool:
        if not self._open:
            return False
        try:
            answer = next(self._steps)
        except Refusal as no:
            self._close(refusal(no.code, no.error))
        except OSError as error:
            self._fail(error)
        else:
            if answer is not None:
                self._close(encode_json({"ok": True, **answer}).encode())
        return self._open


class Get(FileStream):
    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        path: str,
        on_closed: Callable[[int], None],
    ) -> None:
        super().__init__(channel, stream, on_closed)
        self._loop = loop
        self._credit = WINDOW
        self._size = 0
        # A pipe without a writer would block the open, a device the read.
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        mode = os.fstat(self._fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(self._fd)
            if stat.S_ISDIR(mode):
                raise Refusal("is_a_directory", f"Is a directory: {path}")
            raise Refusal("not_a_file", f"Not a regular file: {path}")
        self._working = False
        self._work()

    def _work(self) -> None:
        if self._open and not self._working:
            self._working = True
            self._loop.add_job(self._step)

    def _step(self) -> bool:
        self._working = self._send_chunk()
        return self._working

    def _send_chunk(self) -> bool:
        """False when there is nothing to do until more credit comes or the channel clears."""
        if not self._open or self._credit <= 0:
            return False
        if self._channel.congested:
            self._channel.when_clear(self._work)
            return False
        try:
            data = os.read(self._fd, CHUNK)
        except OSError as error:
            self._fail(error)
            return False
        if not data:
            self._close(b'{"ok":true,"size":%d}' % self._size)
            return False
        self._size += len(data)
        self._credit -= len(data)
        self._channel.send(DATA, self._stream, data)
        return True

    def on_credit(self, size: int) -> None:
        self._credit += size
        self._work()

    def _release(self) -> None:
        os.close(self._fd)


class Put(FileStream):
    """Writes beside the target, and takes its place at the end: the file is there whole or not at
    all."""

    def __init__(
        self,
        channel: Channel,
        stream: int,
        path: str,
        mode: int | None,
        on_closed: Callable[[int], None],
    ) -> None:
        super().__init__(channel, stream, on_closed)
        # Through a symbolic link, as any program that opens it would write.
        self._path = os.path.realpath(path)
        self._mode = self._mode_for(mode, path)
        self._size = 0
        self._consumed = 0
        parent = os.path.dirname(self._path)
        os.makedirs(parent, exist_ok=True)
        self._unfinished = os.path.join(parent, f".podflare-put-{stream}")
        self._fd = os.open(
            self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _mode_for(self, mode: int | None, path: str) -> int:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            existing = 0o644
        else:
            if stat.S_ISDIR(status.st_mode):
                raise Refusal("is_a_directory", f"Is a directory: {path}")
            if not stat.S_ISREG(status.st_mode):
                # Its name would be given to a new file, and the device, pipe or socket be gone.
                raise Refusal("not_a_file", f"Not a regular file: {path}")
            existing = stat.S_IMODE(status.st_mode)
        if path.endswith("/"):
            raise Refusal("is_a_directory", f"The path names a directory: {path}")
        return existing if mode is None else mode & 0o7777

    def on_data(self, data: bytes) -> None:
        if not self._open:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view):]
        except OSError as error:
            self._fail(error)
            return
        self._size += len(data)
        self._consumed += len(data)
        if self._consumed >= WINDOW // 2:
            self._channel.send(CREDIT, self._stream, self._consumed.to_bytes(4, "big"))
            self._consumed = 0

    def on_end(self) -> None:
        if not self._open:
            return
        try:
            os.fchmod(self._fd, self._mode)
            os.rename(self._unfinished, self._path)
        except OSError as error:
            self._fail(error)
            return
        self._unfinished = ""
        self._close(b'{"ok":true,"size":%d}' % self._size)

    def _release(self) -> None:
        os.close(self._fd)
        if self._unfinished:
            os.unlink(self._unfinished)

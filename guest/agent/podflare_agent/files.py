"""Files in and out. Large ones in chunks, one a turn of the loop, so that nothing else has to
wait."""

from __future__ import annotations

import os
import pwd
import re
import stat
import sys
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from podflare_agent.channel import Channel
from podflare_agent.holes import is_sparse, next_data
from podflare_agent.loop import Loop
from podflare_agent.refusals import Refusal, from_os_error, refusal
from podflare_wire.frames import (
    CHUNK,
    CLOSED,
    CREDIT,
    DATA,
    HOLE,
    MAX_PAYLOAD,
    WINDOW,
    encode_json,
)

MAX_PATH = 4096
MAX_ENTRIES = 10_000
# A directory of long names could fill more than one frame; the rest of the CLOSED is small.
_MAX_LISTING = MAX_PAYLOAD - 4096
_STEP = 200
_COPIED_AT_ONCE = 1024 * 1024

# What is removed as a whole by a slip only: a path that was put together wrongly.
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "opt", "sbin", "usr", "var")
_VITAL = frozenset(
    ["/", "/proc", "/run", "/sys"]
    + [f"/{name}" for name in _SYSTEM]
    + [f"/usr/{name}" for name in ("bin", "lib", "lib64", "local", "sbin", "share")]
    + [os.path.dirname(os.__file__), os.path.realpath(sys.executable), sys.executable]
    + [os.path.realpath("/bin/bash"), f"/usr/lib/{os.uname().machine}-linux-gnu"])
# These are the kernel's, but for the last.
_VITAL_TREES = ("/proc/", "/sys/", "/dev/")
_SHARED_MEMORY = "/dev/shm/"
_AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"

Answer = dict[str, Any]


def expanded(path: str, home: str) -> str:
    """With the home directory for a `~` at its beginning, as a shell reads it. A name that begins
    so and is not that of a user is a name."""
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
    path = _plain(path)
    refuse_vital(path)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    elif not recursive:
        raise Refusal("is_a_directory", f"Is a directory: {path}; remove it with recursive")
    else:
        yield from _remove_tree(path)
    yield {}


def _plain(path: str) -> str:
    """The same without symbolic links and dots, but a link at its end stays one."""
    directory, name = os.path.split(path.rstrip("/"))
    if name in ("", ".", ".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(directory), name)


def refuse_vital(path: str) -> None:
    """Raises Refusal for what the machine, or this program, can't do without. `path` is plain."""
    lost = path.rstrip("/") + "/"
    if (
        path in _VITAL
        or path.startswith(_VITAL_TREES) and not path.startswith(_SHARED_MEMORY)
        or any(file.startswith(lost) for file in (_AGENT, *_mount_points()))
        or f"{path}/".startswith(_AGENT)
    ):
        raise Refusal("permission_denied", f"The machine can't do without {path}")


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        # Blanks and the like are written in octal.
        return [
            re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4]) + "/"
            for line in file
        ]


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
    """Sends a file; with `holes`, of a sparse one what is in it, and how long each hole is."""

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        path: str,
        holes: bool,
        on_closed: Callable[[int], None],
    ) -> None:
        super().__init__(channel, stream, on_closed)
        self._loop = loop
        self._credit = WINDOW
        self._size = 0
        # A pipe without a writer would block the open, a device the read.
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self._fd)
        mode = status.st_mode
        self._holes_below = status.st_size if holes and is_sparse(status) else 0
        # Where the run of content ends that is being sent.
        self._run_end = 0
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
            hole = self._hole()
            if hole:
                self._send(HOLE, hole.to_bytes(8, "big"), hole)
                return True
            data = os.pread(self._fd, self._until_hole(), self._size)
        except OSError as error:
            self._fail(error)
            return False
        if not data:
            self._close(b'{"ok":true,"size":%d}' % self._size)
            return False
        self._send(DATA, data, len(data))
        return True

    def _send(self, kind: int, payload: bytes, size: int) -> None:
        self._size += size
        self._credit -= len(payload)
        self._channel.send(kind, self._stream, payload)

    def _hole(self) -> int:
        """How long the hole is at the place that is reached."""
        at, end = self._size, self._holes_below
        if not self._run_end <= at < end:
            return 0
        begin = next_data(self._fd, at, end)
        if begin == at:
            self._run_end = os.lseek(self._fd, at, os.SEEK_HOLE)
        return begin - at

    def _until_hole(self) -> int:
        left = self._run_end - self._size
        return min(CHUNK, left) if left > 0 else CHUNK

    def on_credit(self, size: int) -> None:
        self._credit += size
        self._work()

    def _release(self) -> None:
        os.close(self._fd)


class Put(FileStream):
    """Writes beside the target, and takes its place at the end: the file is there whole or not at
    all. The new one has the owner, group, mode and attributes of the one before.

    One that has several names is written where it is, once all has arrived: else the other names
    would keep the old content.
    """

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        path: str,
        mode: int | None,
        on_closed: Callable[[int], None],
    ) -> None:
        super().__init__(channel, stream, on_closed)
        self._loop = loop
        # Through a symbolic link, as any program that opens it would write.
        self._path = os.path.realpath(path)
        self._mode = None if mode is None else mode & 0o7777
        self._size = 0
        self._consumed = 0
        self._target = -1
        self._copied = 0
        self._check(path)
        parent = os.path.dirname(self._path)
        os.makedirs(parent, exist_ok=True)
        self._unfinished = os.path.join(parent, f".podflare-put-{stream}")
        self._fd = os.open(
            self._unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _check(self, path: str) -> None:
        status = self._before()
        if status is not None:
            if stat.S_ISDIR(status.st_mode):
                raise Refusal("is_a_directory", f"Is a directory: {path}")
            if not stat.S_ISREG(status.st_mode):
                # Its name would be given to a new file, and the device, pipe or socket be gone.
                raise Refusal("not_a_file", f"Not a regular file: {path}")
        if path.endswith("/"):
            raise Refusal("is_a_directory", f"The path names a directory: {path}")

    def _before(self) -> os.stat_result | None:
        try:
            return os.stat(self._path)
        except FileNotFoundError:
            return None

    def on_data(self, data: bytes) -> None:
        if not self._open or self._target >= 0:
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
        if not self._open or self._target >= 0:
            return
        try:
            before = self._before()
            if before is not None and before.st_nlink > 1:
                self._begin_in_place()
                return
            self._take_place(before)
        except OSError as error:
            self._fail(error)
            return
        self._unfinished = ""
        self._done()

    def _take_place(self, before: os.stat_result | None) -> None:
        mode = 0o644
        if before is not None:
            mode = stat.S_IMODE(before.st_mode)
            _copy_attributes(self._path, self._fd)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(self._fd, before.st_uid, before.st_gid)
        # Behind the owner, whose change would take bits from it.
        os.fchmod(self._fd, mode if self._mode is None else self._mode)
        os.rename(self._unfinished, self._path)

    def _begin_in_place(self) -> None:
        self._target = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if self._size:
            # Before the first byte of the old content is lost, that there is room for the new one.
            os.posix_fallocate(self._target, 0, self._size)
        self._loop.add_job(self._copy)

    def _copy(self) -> bool:
        """From here on nobody can stop it: half of either content is worse than a late one."""
        try:
            if self._copied < self._size:
                step = min(_COPIED_AT_ONCE, self._size - self._copied)
                self._copied += os.sendfile(self._target, self._fd, self._copied, step)
                return True
            os.ftruncate(self._target, self._size)
            if self._mode is not None:
                os.fchmod(self._target, self._mode)
        except OSError as error:
            self._fail(error)
        else:
            self._done()
        return False

    def _done(self) -> None:
        self._close(b'{"ok":true,"size":%d}' % self._size)

    def on_cancel(self, reason: str) -> None:
        if self._target < 0:
            super().on_cancel(reason)

    def _release(self) -> None:
        os.close(self._fd)
        if self._target >= 0:
            os.close(self._target)
        if self._unfinished:
            os.unlink(self._unfinished)


def _copy_attributes(path: str, fd: int) -> None:
    """The user's own, and its access list."""
    try:
        names = os.listxattr(path)
    except OSError:
        return  # a file system without any
    for name in names:
        if name.startswith("user.") or name == "system.posix_acl_access":
            os.setxattr(fd, name, os.getxattr(path, name))

"""Says what the user's globals are, and leaves no trace of having looked.

Numbers, text, modules, functions, and what is built of these alone are described right here: that
runs nobody's code. Any other value is described by a forked copy of this process: its repr may
raise, hang, print, change things, exit or use up all memory, and nothing of that happens here. The
copy tells one value at a time over a pipe, so when it gets stuck or dies, it is known over which;
the next copy goes on behind that one. A copy costs more than all else (emulated, some 80 ms), so
none is made when there is nothing for it.
"""

from __future__ import annotations

import builtins
import gc
import os
import re
import signal
import struct
import sys
import warnings
# Without the dressing of signal.getsignal, see interrupts.py.
from _signal import getsignal as _getsignal
from itertools import islice
from select import poll, POLLIN
from time import monotonic
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from podflare_repl.fingerprints import fingerprint, is_plain, name_of

# In all, and for one value.
_LONGEST = 2.0
_LONGEST_EACH = 0.7
_MAX_VARIABLES = 5_000
_MAX_TOLD = 1_500_000
_MAX_REPR = 120
_MAX_NAME = 256
# How much of its own words tells apart a value that has no fingerprint.
_MAX_OWN_WORDS = 100_000
_MAX_ITEMS = 40
_MAX_DEPTH = 3
_OOM_FIRST = b"1000"

# A record of docs/agent-protocol.md, and the same as the copy sends it, without the name.
_record = struct.Struct("!HHHH")
_told = struct.Struct("!HHH")

# Bound now: user code may put anything under these names.
_fork, _exit, _kill, _waitpid = os.fork, os._exit, os.kill, os.waitpid
_pipe, _read, _write, _close, _open, _dup2 = (
    os.pipe, os.read, os.write, os.close, os.open, os.dup2)
_repr = builtins.repr
_signal = signal.signal

# What is said when nothing can be.
NOTHING_TOLD = b"\x01"

_ADDRESS = re.compile(r" at 0x[0-9a-f]{4,}")


Description = tuple[bytes, bytes, bytes]


def describe(namespace: dict[str, Any]) -> bytes:
    """The payload for the agent: a byte that says whether there is more, then the records."""
    names = [
        name for name in list(namespace)
        if type(name) is str and len(name) <= _MAX_NAME
        and not (name.startswith("__") and name.endswith("__"))
    ]
    truncated = len(names) > _MAX_VARIABLES
    del names[_MAX_VARIABLES:]
    told: dict[str, bytes] = {}
    for name in names:
        description = _tell_plain(namespace[name])
        if description is not None:
            told[name] = _named(name, *description)
    _ask_copies(namespace, [name for name in names if name not in told], told)
    size = 0
    records = []
    for name in names:
        record = told.get(name, b"")
        size += len(record)
        if not record or size > _MAX_TOLD:
            truncated = True
        else:
            records.append(record)
    return b"".join([b"\x01" if truncated else b"\0", *records])


def _ask_copies(namespace: dict[str, Any], names: list[str], told: dict[str, bytes]) -> None:
    """Adds what is told of as many as can be in the time."""
    end = monotonic() + _LONGEST
    done = 0
    while done < len(names) and monotonic() < end:
        descriptions, why = _ask_copy(namespace, names[done:], end)
        for description in descriptions:
            told[names[done]] = _named(names[done], *description)
            done += 1
        if why is not None and done < len(names):
            name = names[done]
            kind = name_of(type(namespace.get(name)))
            told[name] = _named(name, kind.encode("utf-8", "replace")[:480], why, b"?")
            done += 1


def _named(name: str, kind: bytes, shown: bytes, print_: bytes) -> bytes:
    encoded = name.encode("utf-8", "replace")
    return _record.pack(
        len(encoded), len(kind), len(shown), len(print_)) + encoded + kind + shown + print_


def _ask_copy(
    namespace: dict[str, Any], names: list[str], end: float
) -> tuple[list[Description], bytes | None]:
    """What a copy told, and why it told no more if it was stopped by a value."""
    # Its end would run the code's handler of this signal, if there is one.
    handler = _getsignal(signal.SIGCHLD)
    if callable(handler):
        _signal(signal.SIGCHLD, signal.SIG_DFL)
    read_end, write_end = _pipe()
    try:
        pid = _fork_quietly()
        if pid == 0:
            _be_copy(namespace, names, write_end)
        _close(write_end)
        write_end = -1
        try:
            return _listen(read_end, len(names), end)
        finally:
            _kill(pid, signal.SIGKILL)
            _wait_for(pid)
    finally:
        _close(read_end)
        if write_end >= 0:
            _close(write_end)
        if callable(handler):
            _signal(signal.SIGCHLD, handler)


def _fork_quietly() -> int:
    # With threads about, Python warns of what the copy could meet. It is given up at a deadline.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _fork()


def _wait_for(pid: int) -> None:
    try:
        _waitpid(pid, 0)
    except ChildProcessError:
        return  # the code ignores its children, or waits for all of them itself


def _listen(read_end: int, count: int, end: float) -> tuple[list[Description], bytes | None]:
    told: list[Description] = []
    buffer = b""
    ready = poll()
    ready.register(read_end, POLLIN)
    patience = monotonic() + _LONGEST_EACH
    while len(told) < count:
        left = min(end, patience) - monotonic()
        if left <= 0 or not ready.poll(left * 1000):
            return told, b"<not shown: describing it takes too long>"
        chunk = _read(read_end, 65_536)
        if not chunk:
            return told, b"<not shown: describing it ends the process>"
        buffer += chunk
        at = 0
        while len(buffer) - at >= _told.size:
            sizes = _told.unpack_from(buffer, at)
            begin = at + _told.size
            if len(buffer) - begin < sum(sizes):
                break
            kind_end = begin + sizes[0]
            shown_end = kind_end + sizes[1]
            at = shown_end + sizes[2]
            told.append((buffer[begin:kind_end], buffer[kind_end:shown_end],
                         buffer[shown_end:at]))
            patience = monotonic() + _LONGEST_EACH
        buffer = buffer[at:]
    return told[:count], None


# Right here


def _tell_plain(value: Any) -> Description | None:
    """None for what could run code of its own, or take long."""
    if not is_plain(value):
        return None
    kind = name_of(type(value))
    return kind.encode(), _guarded(_short, value, _MAX_REPR).encode(
        "utf-8", "replace"), fingerprint(value).encode()


# In the copy


def _be_copy(namespace: dict[str, Any], names: list[str], write_end: int) -> None:
    """Never returns. No handler of exit, no buffer of the parent's and no finalizer runs."""
    try:
        gc.disable()
        nowhere = _open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            _dup2(nowhere, fd)
        _ask_to_be_killed_first()
        for name in names:
            _write_all(write_end, _tell(namespace[name]))
    finally:
        _exit(0)


def _ask_to_be_killed_first() -> None:
    try:
        fd = _open("/proc/self/oom_score_adj", os.O_WRONLY)
        _write(fd, _OOM_FIRST)
        _close(fd)
    except OSError:
        return  # then memory is not the kernel's first worry here


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[_write(fd, data):]


def _tell(value: Any) -> bytes:
    kind = name_of(type(value))
    shown = _guarded(_short, value, _MAX_REPR)
    try:
        print_ = fingerprint(value)
    except BaseException:  # Opaque, or an object that lies about its type
        print_ = _print_of_words(kind, value)
    fields = (kind[:_MAX_REPR].encode("utf-8", "replace"), shown.encode("utf-8", "replace"),
              print_.encode())
    return _told.pack(*map(len, fields)) + b"".join(fields)


def _print_of_words(kind: str, value: Any) -> str:
    return fingerprint([kind, _guarded(_own_words, value, _MAX_OWN_WORDS)])


def _guarded(describe_: Any, value: Any, longest: int) -> str:
    try:
        text = describe_(value)
        text = str.__getitem__(text, slice(0, longest + 1))
        return text if len(text) <= longest else text[:longest - 1] + "…"
    except BaseException as error:
        return f"<its repr raises {name_of(type(error))}>"


def _own_words(value: Any) -> str:
    return _repr(value)


def shown(value: Any) -> str:
    """A line for a person."""
    text = _short(value).replace("\n", " ")
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR - 1]}…"


def _short(value: Any, depth: int = 0) -> str:
    kind = type(value)
    if kind is str:
        return _repr(value[:_MAX_REPR]) if len(value) > _MAX_REPR else _repr(value)
    if kind is bytes or kind is bytearray:
        return _repr(value[:_MAX_REPR])
    if kind is int:
        return _repr(value) if value.bit_length() <= 512 else f"int of {value.bit_length()} bits"
    if kind in _BRACKETS:
        return _container(kind, value, depth)
    if kind is ModuleType:
        return f"<module {_repr(ModuleType.__getattribute__(value, '__name__'))}>"
    if kind is FunctionType or kind is BuiltinFunctionType:
        return f"<function {value.__qualname__}>"
    shape = _data_shape(kind, value)
    if shape is not None:
        return shape
    return _ADDRESS.sub("", str.__getitem__(_repr(value), slice(0, 4 * _MAX_REPR)))


_BRACKETS = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: "{}"}


def _container(kind: type, values: Any, depth: int) -> str:
    opening, closing = _BRACKETS[kind]
    if not values and kind in (set, frozenset):
        return f"{kind.__name__}()"
    if depth == _MAX_DEPTH:
        return f"{opening}…{closing}"
    parts = []
    length = 0
    items = values.items() if kind is dict else values
    for item in islice(items, _MAX_ITEMS):
        if kind is dict:
            part = f"{_short(item[0], depth + 1)}: {_short(item[1], depth + 1)}"
        else:
            part = _short(item, depth + 1)
        parts.append(part)
        length += len(part) + 2
        if length > _MAX_REPR:
            break
    if len(parts) < len(values):
        parts.append("…")
    elif kind is tuple and len(parts) == 1:
        parts[0] += ","
    text = f"{opening}{', '.join(parts)}{closing}"
    return f"frozenset({text})" if kind is frozenset else text


def _data_shape(kind: type, value: Any) -> str | None:
    """For data whose own words would take long to find."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and kind is numpy.ndarray and value.size > 30:
        return f"<{' × '.join(map(str, value.shape))} array of {value.dtype}>"
    if pandas is not None and kind is pandas.DataFrame:
        columns = ", ".join(map(str, value.columns[:20]))
        return f"<{value.shape[0]} rows × {value.shape[1]} columns: {columns}>"
    if pandas is not None and kind is pandas.Series:
        return f"<{value.shape[0]} values of {value.dtype}>"
    return None

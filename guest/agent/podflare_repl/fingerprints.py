"""A short text that is the same for equal values, made without running the values' own code.

Numbers, text and the built-in containers are hashed by their content, numpy arrays and pandas
frames by their bytes, functions by their code, and any other object by its attributes. What shows
none of these has no fingerprint but what it says of itself, which is up to the caller.

All of it is bounded: containers by elements, depth and objects in all. Up to 4 MiB of an array are
hashed as they are; beyond, the sums of its pages of 4 KiB are, so that a change is still seen,
unless it only moves values about within a page.
"""

from __future__ import annotations

import marshal
import sys
from hashlib import blake2b
from itertools import islice
from types import (
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

_MAX_OBJECTS = 20_000
_MAX_DEPTH = 16
_MAX_ELEMENTS = 1_000_000
_MAX_PLAIN = 10_000
_MAX_COLUMNS = 1_000
_WHOLE_ARRAY = 4 << 20
_PAGE_WORDS = 512

# What marshal writes with one call, the same way each time: version 2 knows no references.
_PLAIN = frozenset({int, float, complex, bool, bytes, type(None)})
_MARSHAL = 2
_SORTABLE = (int, float, str, bytes)
_BUILT_IN = (list, tuple, dict, set, frozenset, str, int, float, complex, bytes, bytearray)
_HEAP_TYPE = 1 << 9

_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_name_of = type.__dict__["__name__"].__get__
_flags_of = type.__dict__["__flags__"].__get__
_dumps = marshal.dumps


class Opaque(Exception):
    """The value shows nothing that could be hashed."""


def fingerprint(value: Any) -> str:
    """Raises Opaque, and whatever an object that lies about its type makes of this."""
    writer = _Writer()
    writer.write(value, 0)
    return writer.hash.hexdigest()


def is_plain(value: Any) -> bool:
    """Whether the value is made of nothing but built-in types, modules, plain functions and numpy
    arrays, and is so small that to describe it takes no time to speak of."""
    return _count_plain(value, _MAX_PLAIN, 0) > 0


def _count_plain(value: Any, room: int, depth: int) -> int:
    """The room that is left, or 0 if there is none or the value is not plain."""
    kind = type(value)
    if kind in _PLAIN or kind is ModuleType:
        return room - 1 if kind is not bytes else room - len(value) // 64 - 1
    if kind is str:
        return room - len(value) // 64 - 1
    if kind in (list, tuple, set, frozenset):
        return _count_all_plain(value, len(value), room, depth)
    if kind is dict:
        room = _count_all_plain(value, len(value), room, depth)
        return _count_all_plain(value.values(), len(value), room, depth)
    if kind is FunctionType:
        plain = value.__defaults__ is value.__kwdefaults__ is value.__closure__ is None
        return room - 50 if plain else 0
    if kind is _ndarray():
        plain = not value.dtype.hasobject and value.nbytes <= 2 * _WHOLE_ARRAY
        return room - value.nbytes // 1024 - 50 if plain else 0
    return 0


def _count_all_plain(values: Any, count: int, room: int, depth: int) -> int:
    if count >= room or depth == _MAX_DEPTH:
        return 0
    for value in values:
        room = _count_plain(value, room, depth + 1)
        if room <= 0:
            return 0
    return room - 1


def _ndarray() -> Any:
    """numpy's type of arrays, if numpy is what it was when it was imported."""
    numpy = sys.modules.get("numpy")
    if type(numpy) is not ModuleType:
        return None
    return ModuleType.__getattribute__(numpy, "__dict__").get("ndarray")


def name_of(kind: type) -> str:
    """The name of a type, whatever its metaclass says."""
    name: str = _name_of(kind)
    return name


class _Writer:
    def __init__(self) -> None:
        self.hash = blake2b(digest_size=16)
        self._left = _MAX_OBJECTS

    def write(self, value: Any, depth: int) -> None:
        self._left -= 1
        put = self.hash.update
        kind = type(value)
        if kind in _PLAIN:
            put(_dumps(value, _MARSHAL))
        elif kind is str:
            data = value.encode("utf-8", "surrogatepass")
            put(b"s%d:" % len(data))
            put(data)
        elif self._left < 0 or depth > _MAX_DEPTH:
            put(b"more")
        elif kind is list or kind is tuple:
            self._write_sequence(value, depth)
        elif kind is dict:
            self._write_dict(value, depth)
        elif kind is set or kind is frozenset:
            self._write_set(value, depth)
        elif kind is bytearray:
            put(b"a%d:" % len(value))
            put(value)
        else:
            put(b"<%s" % _name_of(kind).encode("utf-8", "surrogatepass"))
            self._write_object(kind, value, depth)
            put(b">")

    # Containers

    def _write_sequence(self, values: Any, depth: int) -> None:
        put = self.hash.update
        put(b"%c%d:" % (91 if type(values) is list else 40, len(values)))
        if len(values) > _MAX_ELEMENTS:
            values = values[:_MAX_ELEMENTS]
        kinds = set(map(type, values))
        if kinds <= _PLAIN:
            put(_dumps(values, _MARSHAL))
        elif kinds == {str}:
            put(_dumps(list(map(len, values)), _MARSHAL))
            put("".join(values).encode("utf-8", "surrogatepass"))
        else:
            for value in values:
                self.write(value, depth + 1)
                if self._left < 0:
                    break

    def _write_dict(self, values: dict[Any, Any], depth: int) -> None:
        """Two equal ones may differ in order."""
        self.hash.update(b"{%d:" % len(values))
        if set(map(type, values)) == {str}:
            keys = sorted(values)
            self.write(keys, depth + 1)
            self.write([values[key] for key in keys], depth + 1)
        else:
            self._write_unordered(values.items(), depth)

    def _write_set(self, values: Any, depth: int) -> None:
        self.hash.update(b"%c{%d," % (115 if type(values) is set else 102, len(values)))
        kinds = set(map(type, values))
        if len(kinds) == 1 and kinds.pop() in _SORTABLE:
            self._write_sequence(sorted(values), depth)
        else:
            self._write_unordered(values, depth)

    def _write_unordered(self, values: Any, depth: int) -> None:
        digests = []
        whole = self.hash
        for value in islice(values, _MAX_OBJECTS):
            self.hash = blake2b(digest_size=16)
            self.write(value, depth + 1)
            digests.append(self.hash.digest())
        self.hash = whole
        whole.update(b"".join(sorted(digests)))

    # Objects

    def _write_object(self, kind: type, value: Any, depth: int) -> None:
        put = self.hash.update
        if kind is FunctionType:
            cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
            self.write(
                [value.__code__, value.__defaults__, value.__kwdefaults__, cells], depth + 1)
        elif kind is CodeType:
            put(value.co_code)
            self.write([value.co_consts, value.co_names, value.co_varnames], depth + 1)
        elif kind is MethodType:
            self.write([value.__func__, value.__self__], depth + 1)
        elif kind is ModuleType:
            self.write(ModuleType.__getattribute__(value, "__name__"), depth + 1)
        elif type in _mro_of(kind):
            self._write_class(value, depth)
        elif not self._write_data(kind, value, depth):
            self._write_attributes(kind, value, depth)

    def _write_class(self, value: type, depth: int) -> None:
        self.hash.update(_name_of(value).encode("utf-8", "surrogatepass"))
        if _flags_of(value) & _HEAP_TYPE:
            self._write_dict({
                name: item for name, item in _dict_of(value).items()
                if type(item) is not GetSetDescriptorType and name not in _UNTOLD_OF_CLASSES
            }, depth)

    def _write_attributes(self, kind: type, value: Any, depth: int) -> None:
        """What a subclass of a built-in type holds, its slots, and its dictionary."""
        shown = False
        for base in _mro_of(kind):
            if base in _BUILT_IN:
                self.write(_as_built_in(base, value), depth + 1)
                shown = True
            for name, item in _dict_of(base).items():
                if type(item) is MemberDescriptorType and _flags_of(base) & _HEAP_TYPE:
                    shown = True
                    try:
                        content = item.__get__(value)
                    except AttributeError:
                        continue  # the slot is empty
                    self.write(name, depth)
                    self.write(content, depth + 1)
                elif name == "__dict__" and type(item) is GetSetDescriptorType:
                    attributes = item.__get__(value)
                    if type(attributes) is dict and (
                            attributes or _flags_of(kind) & _HEAP_TYPE):
                        shown = True
                        self._write_dict(attributes, depth)
        if not shown:
            raise Opaque

    # Data of numpy and pandas, if the code has imported them

    def _write_data(self, kind: type, value: Any, depth: int) -> bool:
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return False
        if kind is numpy.ndarray:
            self._write_array(numpy, value, depth)
            return True
        if numpy.generic in _mro_of(kind):
            self.write([value.dtype.str, value.tobytes()], depth + 1)
            return True
        pandas = sys.modules.get("pandas")
        if pandas is None:
            return False
        if kind is pandas.DataFrame:
            self.write([value.shape, value.columns, value.index], depth + 1)
            for number in range(min(value.shape[1], _MAX_COLUMNS)):
                self._write_array(numpy, numpy.asarray(value.iloc[:, number].array), depth)
            return True
        if kind is pandas.Series:
            self.write([value.name, value.index], depth + 1)
            self._write_array(numpy, numpy.asarray(value.array), depth)
            return True
        if kind is pandas.RangeIndex:
            self.write([value.start, value.stop, value.step], depth + 1)
            return True
        if pandas.Index in _mro_of(kind):
            self._write_array(numpy, numpy.asarray(value), depth)
            return True
        return False

    def _write_array(self, numpy: Any, array: Any, depth: int) -> None:
        self.write([array.dtype.str, array.shape], depth + 1)
        if array.dtype.hasobject:
            self._write_sequence(array.ravel()[:_MAX_ELEMENTS].tolist(), depth)
            return
        flat = numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8)
        if flat.nbytes <= _WHOLE_ARRAY:
            self.hash.update(flat)
            return
        paged = flat.nbytes - flat.nbytes % (8 * _PAGE_WORDS)
        pages = flat[:paged].view(numpy.uint64).reshape(-1, _PAGE_WORDS)
        self.hash.update(pages.sum(axis=1))
        self.hash.update(flat[paged:])


_UNTOLD_OF_CLASSES = frozenset({
    "__doc__", "__firstlineno__", "__static_attributes__", "__module__", "__weakref__"})


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents
    except ValueError:
        return False
    return True


def _as_built_in(base: type, value: Any) -> Any:
    """The part of an object that it has as a subclass of a built-in type."""
    if base is dict:
        return dict(dict.items(value))
    if base is list:
        return list.__getitem__(value, slice(None))
    if base is tuple:
        return tuple(tuple.__iter__(value))
    if base is set or base is frozenset:
        return frozenset(base.__iter__(value))  # type: ignore[attr-defined]
    if base is str:
        return str.__str__(value)
    if base is bytes or base is bytearray:
        return bytes(memoryview(value))
    if base is int:
        return int.__int__(value)
    if base is float:
        return float.__float__(value)
    return complex.__complex__(value)

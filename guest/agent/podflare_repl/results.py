"""Where shown values go: to the host, or to the code that captures them."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from podflare_repl import display, figures, renderers
from podflare_repl.display import Bundle
from podflare_repl.fingerprints import is_plain

Send = Callable[[bytes], None]

# How many displays a cell may change later.
_MAX_UPDATED = 100


class Results:
    """The results of the running cell.

    What has been sent can't be taken back. So what a cell changes over and over is held back until
    the cell ends, and only its last state goes out: the display of an id that is updated, and all
    that is displayed after the output was to be cleared.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._captures: list[list[Bundle]] = []
        self._held: list[Bundle] | None = None
        self._updates: dict[str, Bundle] = {}

    def show(self, value: Any, send: Send | None = None) -> None:
        """Raises nothing but KeyboardInterrupt."""
        if type(value) in display.SCALARS and not self._captures and self._held is None:
            (send or self._send)(display.payload_of(value))
        elif figures.is_figure(value):
            figures.show(value)
        else:
            bundle = self._drawn(value)
            if bundle is not None:
                self.publish(bundle, send)
            elif not display.shows_itself(value):
                self.publish(display.bundle_of(value), send)

    def _drawn(self, value: Any) -> Bundle | None:
        try:
            return renderers.bundle_of(value)
        except Exception:
            return None  # its own hooks show what they can

    def publish(self, bundle: Bundle, send: Send | None = None) -> None:
        if self._captures:
            self._captures[-1].append(bundle)
        elif self._held is not None:
            self._held.append(bundle)
        else:
            (send or self._send)(display.encode(bundle))

    def update(self, display_id: str, bundle: Bundle) -> None:
        if self._captures:
            self._captures[-1].append(bundle)
            return
        self._updates[display_id] = bundle
        if len(self._updates) > _MAX_UPDATED:
            oldest = next(iter(self._updates))
            self._send(display.encode(self._updates.pop(oldest)))

    def clear(self) -> None:
        if self._captures:
            self._captures[-1].clear()
        else:
            self._held = []
            self._updates.clear()

    def end_cell(self) -> None:
        """Sends what was held back. A capture that the cell has begun and not ended ends too."""
        self._captures.clear()
        if self._held is None and not self._updates:
            return
        held, self._held = self._held or [], None
        updates, self._updates = self._updates, {}
        for bundle in [*held, *updates.values()]:
            self._send(display.encode(bundle))

    @contextmanager
    def captured(self) -> Iterator[list[Bundle]]:
        """Within, what is shown goes into this list."""
        bundles: list[Bundle] = []
        self._captures.append(bundles)
        try:
            yield bundles
        finally:
            # By identity: one capture within another is equal to it as long as both are empty.
            self._captures[:] = [each for each in self._captures if each is not bundles]


class History:
    """`_`, `__`, `___`, `Out`, `In` and their like.

    They are built-in names, so that they are no variables of the code and its own of the same names
    go before. What a cell has shown is not kept in memory for that: the last three values are, and
    small ones; others are in `Out` as long as something else holds them.
    """

    def __init__(self) -> None:
        self.inputs = Inputs([""])
        self.outputs = Outputs()
        self._names = builtins.__dict__
        self._names.update({
            "In": self.inputs, "_ih": self.inputs, "Out": self.outputs, "_oh": self.outputs,
            "_": "", "__": "", "___": "", "_i": "", "_ii": "", "_iii": ""})
        self._last: Any = ""

    def begin(self, source: str) -> None:
        names = self._names
        names["_iii"], names["_ii"], names["_i"] = (
            names.get("_ii"), names.get("_i"), self.inputs[-1])
        self.inputs.add(source)
        if "_" in source:
            self._recall(source)

    def keep(self, value: Any) -> None:
        names = self._names
        if names.get("_") is self._last:  # else it is the code's own, as by gettext.install
            names["___"], names["__"], names["_"] = names.get("__"), self._last, value
            self._last = value
        self.outputs.add(len(self.inputs) - 1, value)

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What is kept within is kept no longer."""
        names = {name: self._names[name] for name in ("_", "__", "___") if name in self._names}
        last, known = self._last, set(self.outputs)
        try:
            yield
        finally:
            self._names.update(names)
            self._last = last
            for number in set(self.outputs) - known:
                self.outputs.remove(number)

    def forget(self) -> None:
        """All values, not the texts."""
        self.outputs.clear()
        self._names.update({"_": "", "__": "", "___": ""})
        self._last = ""

    def _recall(self, source: str) -> None:
        """`_12` and `_i12` become names when a cell uses them."""
        import re

        for kind, digits in re.findall(r"\b_(i?)(\d{1,9})\b", source):
            number = int(digits)
            if kind and 0 < number < len(self.inputs):
                self._names[f"_i{digits}"] = self.inputs[number]
            elif not kind and self.outputs.get(number) is not None:
                self._names[f"_{digits}"] = self.outputs[number]
            else:
                self._names.pop(f"_{kind}{digits}", None)


class Inputs(list[str]):
    """The cells' texts by number. The oldest are given up when all together grow too long."""

    LONGEST = 1 << 20

    def __init__(self, texts: list[str]) -> None:
        super().__init__(texts)
        self._size = 0
        self._given_up = 0

    def add(self, text: str) -> None:
        self.append(text)
        self._size += len(text)
        while self._size > self.LONGEST and self._given_up < len(self) - 1:
            self._size -= len(self[self._given_up])
            self[self._given_up] = ""
            self._given_up += 1


class Outputs(dict[int, Any]):
    """The cells' values by number, the last KEPT of them."""

    KEPT = 1000
    _LATEST = 3

    def __init__(self) -> None:
        super().__init__()
        self._large: list[int] = []

    def add(self, number: int, value: Any) -> None:
        self[number] = value
        if type(value) not in display.SCALARS:
            self._large.append(number)
            if len(self._large) > self._LATEST:
                self._let_go(self._large.pop(0))
        if len(self) > self.KEPT:
            del self[next(iter(self))]

    def remove(self, number: int) -> None:
        """As if it had not been added."""
        del self[number]
        self._large[:] = [each for each in self._large if each != number]

    def __getitem__(self, number: int) -> Any:
        value = super().__getitem__(number)
        if type(value) is _Elsewhere:
            value = value.find()
            if value is None:
                raise KeyError(
                    f"Out[{number}] was large and is gone; give a value a name to keep it")
        return value

    def get(self, number: int, default: Any = None) -> Any:
        try:
            return self[number]
        except KeyError:
            return default

    # What is gone is passed over.

    def items(self) -> Any:
        return self._there().items()

    def values(self) -> Any:
        return self._there().values()

    def copy(self) -> dict[int, Any]:
        return self._there()

    def _there(self) -> dict[int, Any]:
        there = {}
        for number in self:
            try:
                there[number] = self[number]
            except KeyError:
                continue
        return there

    def _let_go(self, number: int) -> None:
        value = super().get(number)
        if value is not None and not is_plain(value):
            self[number] = _Elsewhere(value)


class _Elsewhere:
    """A value that is there only as long as something else holds it."""

    def __init__(self, value: Any) -> None:
        import weakref

        self._find: Callable[[], Any]
        try:
            self._find = weakref.ref(value)
        except TypeError:
            self._find = lambda: None

    def find(self) -> Any:
        return self._find()

    def __repr__(self) -> str:
        return repr(self.find())

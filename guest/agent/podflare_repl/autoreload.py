"""`%autoreload`: modules whose files have changed are imported again before a cell."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import sysconfig
from types import FunctionType, ModuleType
from typing import Any

from podflare_repl.streams import write_error

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")} | {
    "/usr/lib/", "/usr/local/lib/", os.path.dirname(os.path.abspath(__file__))})


_NAMED = (FunctionType, type, type(functools.lru_cache(len)))


class Autoreload:
    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._seen: dict[str, int] | None = None

    def choose(self, mode: str) -> None:
        """`0` and `off` stop it, `now` does it once, anything else begins it."""
        if mode in ("0", "off"):
            self._seen = None
        elif mode == "now":
            was, self._seen = self._seen, self._seen or {}
            self.before_cell()
            self._seen = was
        else:
            self._seen = dict(_changes())

    def before_cell(self) -> None:
        if self._seen is None:
            return
        for name, changed in _changes():
            if self._seen.setdefault(name, changed) != changed:
                self._seen[name] = changed
                self._reload(sys.modules[name])

    def _reload(self, module: ModuleType) -> None:
        before = dict(module.__dict__)
        try:
            importlib.reload(module)
        except Exception as error:
            write_error(f"[autoreload of {module.__name__} failed: "
                        f"{type(error).__name__}: {error}]\n")
            return
        # What the code took from it by name.
        for name, value in list(self._namespace.items()):
            # Other objects may do anything when they are asked for a name.
            if issubclass(type(value), _NAMED):
                own = value.__name__
                if before.get(own) is value and own in module.__dict__:
                    self._namespace[name] = module.__dict__[own]


def _changes() -> list[tuple[str, int]]:
    """The modules that are the user's own, and when each was written last."""
    found = []
    for name, module in list(sys.modules.items()):
        if not issubclass(type(module), ModuleType):
            continue
        # Without its own ways to get an attribute, which may import what waits to be used.
        path = ModuleType.__getattribute__(module, "__dict__").get("__file__")
        if type(path) is str and path.endswith(".py") and not path.startswith(_INSTALLED):
            try:
                found.append((name, os.stat(path).st_mtime_ns))
            except OSError:
                continue  # it is gone; what was imported of it stays
    return found

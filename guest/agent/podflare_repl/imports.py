"""Acts on modules when the code imports them. Before that, they cost nothing."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from podflare_repl.streams import write_error

Action = Callable[[ModuleType], None]

# Bound now, as the code may put anything under this name.
_invalidate_caches = importlib.invalidate_caches


class _Watch(MetaPathFinder):
    def __init__(self) -> None:
        self.actions: dict[str, Action] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        action = self.actions.get(fullname)
        if action is None:
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    self._act_behind(spec, action)
                    return spec
        return None

    def _act_behind(self, spec: ModuleSpec, action: Action) -> None:
        loader = spec.loader
        if loader is None or isinstance(loader, type):
            return
        run_module = loader.exec_module

        def run_and_act(module: ModuleType) -> None:
            run_module(module)
            act(action, module)

        setattr(loader, "exec_module", run_and_act)


_watch = _Watch()


def when_imported(name: str, action: Action) -> None:
    """`action` gets the module as soon as it has run, or at once if it is there already."""
    if _watch not in sys.meta_path:
        sys.meta_path.insert(0, _watch)
    _watch.actions[name] = action
    module = sys.modules.get(name)
    if module is not None:
        act(action, module)


def look_anew() -> None:
    """What was not there a moment ago is looked for again by the next import. Never raises: the
    finders may be the code's own, and Python's needs a module that is not found where the code has
    replaced sys.path."""
    try:
        _invalidate_caches()
    except BaseException:
        return  # the next import says what is wrong with them


def act(action: Action, module: ModuleType) -> None:
    """A module of a version that we do not know must be importable all the same."""
    try:
        action(module)
    except Exception:
        write_error(
            f"podflare: {module.__name__} could not be set up for results:\n"
            f"{traceback.format_exc()}")

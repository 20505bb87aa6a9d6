"""matplotlib figures as results. Nothing here costs anything before matplotlib is imported."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from io import BytesIO
from types import ModuleType
from typing import Any

_BACKEND = "podflare_repl.podflare_inline"

Publish = Callable[[dict[str, str]], None]
_publish: Publish | None = None


def install(publish: Publish) -> None:
    """Figures go to `publish` from now on."""
    global _publish
    _publish = publish
    sys.meta_path.insert(0, _BackendChooser())


class _BackendChooser(MetaPathFinder):
    """Names our backend to matplotlib when that is imported.

    The variable MPLBACKEND would do the same, but every Python program that the code starts would
    inherit it, and not find the backend.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "matplotlib":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)  # it may be installed later
            return spec
        if "MPLBACKEND" in os.environ:
            return spec
        run_module = spec.loader.exec_module

        def run_and_choose(module: ModuleType) -> None:
            run_module(module)
            module.rcParams["backend"] = f"module://{_BACKEND}"

        setattr(spec.loader, "exec_module", run_and_choose)
        return spec


def is_figure(value: Any) -> bool:
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(value, module.Figure)


def show(figure: Any) -> None:
    """One result; and the figure is closed, so that it is not shown again at the end of the
    cell."""
    pyplot = sys.modules.get("matplotlib._pylab_helpers")
    if pyplot is not None:
        for number, manager in list(pyplot.Gcf.figs.items()):
            if manager.canvas.figure is figure:
                pyplot.Gcf.destroy(number)
    if _publish is not None:
        _publish(_bundle(figure))


def show_open() -> None:
    """Every figure that pyplot holds, in the order of their numbers."""
    pyplot = sys.modules.get("matplotlib._pylab_helpers")
    if pyplot is None:
        return
    while pyplot.Gcf.figs:
        show(pyplot.Gcf.figs[min(pyplot.Gcf.figs)].canvas.figure)


def _bundle(figure: Any) -> dict[str, str]:
    picture = BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    return {"image/png": b64encode(picture.getvalue()).decode(), "text/plain": repr(figure)}

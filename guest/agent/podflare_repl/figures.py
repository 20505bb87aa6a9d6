"""matplotlib figures as results. Nothing here costs anything before matplotlib is imported."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from types import ModuleType
from typing import Any

from podflare_repl.display import MAX_PICTURE
from podflare_repl.imports import when_imported

_BACKEND = "podflare_repl.podflare_inline"
_LEAST_DPI = 4.0

Publish = Callable[[dict[str, str]], None]
_publish: Publish | None = None


def install(publish: Publish) -> None:
    """Figures go to `publish` from now on."""
    global _publish
    _publish = publish
    when_imported("matplotlib", _choose_backend)


def _choose_backend(matplotlib: ModuleType) -> None:
    # The variable MPLBACKEND would do the same, but every Python program that the code starts would
    # inherit it, and not find the backend.
    if "MPLBACKEND" not in os.environ:
        matplotlib.rcParams["backend"] = f"module://{_BACKEND}"


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
        _publish(bundle_of(figure))


def show_open() -> None:
    """Every figure that pyplot holds, in the order of their numbers."""
    pyplot = sys.modules.get("matplotlib._pylab_helpers")
    if pyplot is None:
        return
    while pyplot.Gcf.figs:
        show(pyplot.Gcf.figs[min(pyplot.Gcf.figs)].canvas.figure)


def bundle_of(figure: Any) -> dict[str, str]:
    """At a smaller resolution than its own if it would not fit in a result."""
    setting = sys.modules["matplotlib"].rcParams["savefig.dpi"]
    dpi = wanted = float(figure.dpi if setting == "figure" else setting)
    note = ""
    while True:
        picture = _draw(figure, dpi)
        if len(picture) <= MAX_PICTURE or dpi <= _LEAST_DPI:
            return {"image/png": picture, "text/plain": f"{figure!r}{note}"}
        dpi = max(_LEAST_DPI, min(0.8, 0.95 * (MAX_PICTURE / len(picture)) ** 0.5) * dpi)
        note = f"\n[drawn at {dpi:.0f} dpi instead of {wanted:.0f}, to fit in a result]"


def _draw(figure: Any, dpi: float) -> str:
    picture = BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight", dpi=dpi)
    return b64encode(picture.getvalue()).decode()

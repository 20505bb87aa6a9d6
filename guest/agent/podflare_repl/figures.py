"""matplotlib figures as results. Nothing here costs anything before matplotlib is imported."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from types import ModuleType
from typing import Any

from podflare_repl.display import MAX_PICTURE, is_a
from podflare_repl.imports import when_imported
from podflare_repl.pictures import smaller_png

_BACKEND = "podflare_repl.podflare_inline"
_MANY_PIXELS = 4_000_000

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
    return module is not None and is_a(value, module.Figure)


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
    """Every figure that pyplot holds, in the order of their numbers. One that can't be drawn keeps
    no other from being shown."""
    pyplot = sys.modules.get("matplotlib._pylab_helpers")
    if pyplot is None:
        return
    failure = None
    while pyplot.Gcf.figs:
        try:
            show(pyplot.Gcf.figs[min(pyplot.Gcf.figs)].canvas.figure)
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure


def bundle_of(figure: Any) -> dict[str, str]:
    """At a smaller resolution than its own if it would not fit in a result."""
    setting = sys.modules["matplotlib"].rcParams["savefig.dpi"]
    dpi = float(figure.dpi if setting == "figure" else setting)
    width, height = figure.get_size_inches()
    picture = None
    if width * height * dpi * dpi <= _MANY_PIXELS:
        picture = _trimmed(figure)
    if picture is None:
        options: dict[str, Any] = {}
        if width * height * dpi * dpi > _MANY_PIXELS:
            options["pil_kwargs"] = {"compress_level": 1}  # half of the time goes into the rest
        picture = BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight", **options)
    text = repr(figure)
    encoded = b64encode(picture.getvalue()).decode()
    if len(encoded) <= MAX_PICTURE:
        return {"image/png": encoded, "text/plain": text}
    # To draw it again may take long; a smaller resolution gives the same picture, made smaller.
    encoded, scale = smaller_png(picture, len(encoded), MAX_PICTURE)
    note = f"[drawn at {dpi * scale:.0f} dpi instead of {dpi:.0f}, to fit in a result]"
    return {"image/png": encoded, "text/plain": f"{text}\n{note}"}


def _trimmed(figure: Any) -> BytesIO | None:
    """By our own backend; None if the figure is of another one."""
    trim = getattr(getattr(figure, "canvas", None), "trimmed_png", None)
    picture = None if trim is None else trim()
    return None if picture is None else BytesIO(picture)

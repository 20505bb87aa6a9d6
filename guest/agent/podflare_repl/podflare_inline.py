"""The matplotlib backend of the user's process: draws with Agg, and shows figures as results."""

from __future__ import annotations

from typing import Any

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from podflare_repl import figures


class FigureManager(FigureManagerBase):
    def show(self) -> None:
        figures.show(self.canvas.figure)


class FigureCanvas(FigureCanvasAgg):
    manager_class = FigureManager


def show(*_args: Any, **_options: Any) -> None:
    """`pyplot.show`: everything that is open."""
    figures.show_open()

"""The matplotlib backend of the user's process: draws with Agg, and shows figures as results."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy
from matplotlib import rcParams
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from podflare_repl import figures

# With other settings of these, a saved figure does not look as a drawn one.
_USUAL = {
    "savefig.facecolor": "auto", "savefig.edgecolor": "auto", "savefig.transparent": False}


class FigureManager(FigureManagerBase):
    def show(self) -> None:
        figures.show(self.canvas.figure)


class FigureCanvas(FigureCanvasAgg):
    manager_class = FigureManager

    def trimmed_png(self) -> bytes | None:
        """What `savefig(bbox_inches="tight")` makes, without drawing the figure a second time: cut
        out of what was drawn. None where that would not be the same."""
        dpi, pad = self.figure.dpi, rcParams["savefig.pad_inches"]
        if (any(rcParams[name] != usual for name, usual in _USUAL.items())
                or rcParams["savefig.dpi"] not in ("figure", dpi) or not isinstance(pad, float)):
            return None
        self.draw()
        box = self.figure.get_tightbbox(self.get_renderer()).padded(pad)
        drawn = self.buffer_rgba()
        height, width = drawn.shape[:2]
        columns, rows = int(box.width * dpi), int(box.height * dpi)
        left, top = round(box.x0 * dpi), height - round(box.y0 * dpi) - rows
        if left < 0 or top < 0 or left + columns > width or top + rows > height:
            return None  # something is beside the figure
        picture = BytesIO()
        part = numpy.asarray(drawn)[top:top + rows, left:left + columns]
        imsave(picture, part, format="png", dpi=dpi, origin="upper")
        return picture.getvalue()


def show(*_args: Any, **_options: Any) -> None:
    """`pyplot.show`: everything that is open."""
    figures.show_open()

"""Libraries that draw for a page are told to hand us what they have drawn."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable
from types import ModuleType
from typing import Any

from podflare_repl import display
from podflare_repl.display import Bundle
from podflare_repl.imports import when_imported

Publish = Callable[[Bundle], None]

_PLOTLY = "application/vnd.plotly.v1+json"


def install(publish: Publish) -> None:
    when_imported("plotly.io._renderers", lambda module: _set_up_plotly(module, publish))
    when_imported("altair", _set_up_altair)
    when_imported("tqdm.notebook", _set_up_tqdm)


def bundle_of(value: Any) -> Bundle | None:
    """What a figure of plotly is shown as. Drawing a large one takes longer than its own hook would
    be given."""
    base = sys.modules.get("plotly.basedatatypes")
    if base is None or not isinstance(value, base.BaseFigure):
        return None
    return _plotly_bundle(value.to_dict())


def _set_up_plotly(module: ModuleType, publish: Publish) -> None:
    """`figure.show()` would look for a browser, or for a page that has loaded plotly before. So do
    the renderers that code chooses by name."""
    external: Any = sys.modules["plotly.io._base_renderers"].ExternalRenderer

    class Podflare(external):  # type: ignore[misc]
        def render(self, figure: dict[str, Any]) -> None:
            publish(_plotly_bundle(figure))

    config = module.renderers
    validate = type(config)._validate_coerce_renderers

    def chosen(self: Any, text: str) -> list[str]:
        validate(self, text)
        return ["podflare"]

    type(config)._validate_coerce_renderers = chosen
    config["podflare"] = Podflare()
    config.default = "podflare"


def _plotly_bundle(figure: dict[str, Any]) -> Bundle:
    import plotly.io  # type: ignore[import-not-found]

    kinds = ", ".join(str(trace.get("type", "scatter")) for trace in figure.get("data", ())[:20])
    data: dict[str, Any] = {
        "text/plain": f"<plotly figure: {kinds}>",
        "text/html": plotly.io.to_html(
            figure, include_plotlyjs="cdn", full_html=False, validate=False),
        _PLOTLY: plotly.io.to_json(figure, validate=False)}
    picture = _plotly_picture(figure)
    if picture is not None:
        data["image/png"] = picture
    return display.bundle_of_data(data)


def _plotly_picture(figure: dict[str, Any]) -> str | None:
    """If kaleido is installed, which draws without a page."""
    from importlib.util import find_spec

    if find_spec("kaleido") is None:
        return None
    import plotly.io

    try:
        return b64encode(plotly.io.to_image(figure, format="png", validate=False)).decode()
    except Exception:
        return None  # it needs a browser as well, which is not there


def _set_up_altair(altair: ModuleType) -> None:
    """A page that knows Vega draws the data itself, any other the HTML."""
    as_html = altair.renderers.get()

    def render(spec: dict[str, Any], **options: Any) -> dict[str, Any]:
        made = as_html(spec, **options) if as_html is not None else {}
        return {"text/plain": "<altair chart>", **made, _vega_type(): spec}

    altair.renderers.register("podflare", render)
    altair.renderers.enable("podflare")


def _vega_type() -> str:
    for name, module in list(sys.modules.items()):
        if name.startswith("altair.vegalite.v") and name.endswith(".display"):
            return str(module.VEGALITE_MIME_TYPE)
    return "application/vnd.vegalite.v5+json"


def _set_up_tqdm(notebook: ModuleType) -> None:
    """Its bars are widgets, which need ipywidgets and a page."""
    if notebook.IProgress is None:
        from tqdm import std  # type: ignore[import-untyped]

        notebook.tqdm = notebook.tqdm_notebook = std.tqdm
        notebook.trange = notebook.tnrange = std.trange

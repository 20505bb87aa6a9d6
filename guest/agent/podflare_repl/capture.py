"""Output that code takes for itself: `%%capture`, IPython.utils.capture."""

from __future__ import annotations

import io
import sys
from types import TracebackType
from typing import Any

from podflare_repl import figures
from podflare_repl.display import Bundle
from podflare_repl.results import Results

_results: Results | None = None


def install(results: Results) -> None:
    global _results
    _results = results


class RichOutput:
    """One captured result."""

    def __init__(self, data: Bundle) -> None:
        self.data = data

    def display(self) -> None:
        if _results is not None:
            _results.publish(dict(self.data))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return dict(self.data)


class CapturedIO:
    """What was captured."""

    def __init__(self) -> None:
        self._stdout = io.StringIO()
        self._stderr = io.StringIO()
        self._bundles: list[Bundle] = []

    @property
    def stdout(self) -> str:
        return self._stdout.getvalue()

    @property
    def stderr(self) -> str:
        return self._stderr.getvalue()

    @property
    def outputs(self) -> list[RichOutput]:
        return [RichOutput(bundle) for bundle in self._bundles]

    def show(self) -> None:
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)
        for output in self.outputs:
            output.display()

    __call__ = show

    def __str__(self) -> str:
        return self.stdout


class capture_output:  # noqa: N801  IPython's name
    """As in IPython: `with capture_output() as captured: …`."""

    def __init__(self, stdout: bool = True, stderr: bool = True, display: bool = True) -> None:
        self._wanted = (stdout, stderr, display)
        self._before: list[tuple[str, Any]] = []
        self._capture: Any = None

    def __enter__(self) -> CapturedIO:
        captured = CapturedIO()
        for name, wanted, stream in (
                ("stdout", self._wanted[0], captured._stdout),
                ("stderr", self._wanted[1], captured._stderr)):
            if wanted:
                self._before.append((name, getattr(sys, name)))
                setattr(sys, name, stream)
        if self._wanted[2] and _results is not None:
            self._capture = _results.captured()
            captured._bundles = self._capture.__enter__()
        return captured

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None
    ) -> None:
        try:
            if self._capture is not None:
                figures.show_open()  # may raise: a title can be wrong
        finally:
            if self._capture is not None:
                self._capture.__exit__(None, None, None)
            for name, stream in self._before:
                setattr(sys, name, stream)


__all__ = ["CapturedIO", "RichOutput", "capture_output", "install"]

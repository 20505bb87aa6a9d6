"""`%run`: a file of Python, a module or a notebook, run as a program."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def run_program(
    words: list[str], namespace: dict[str, Any], run_cell: Callable[[str], Any]
) -> None:
    """Its names are the cell's after it, as in a notebook."""
    options = []
    while words and words[0].startswith("-") and len(words[0]) == 2:
        options.append(words.pop(0))
        if options[-1] == "-m":
            break
    if not words:
        raise ValueError("%run needs the name of a file: %run [-i] FILE ARGUMENTS")
    name, *arguments = words
    if "-m" in options:
        _as_program(arguments, name, lambda: namespace.update(_without_dunders(
            runpy.run_module(name, run_name="__main__", alter_sys=True))))
        return
    path = os.path.expanduser(name)
    if not os.path.exists(path) and os.path.exists(f"{path}.py"):
        path += ".py"
    if path.endswith(".ipynb"):
        for source in _cells_of(path):
            run_cell(source)
        return
    main = ModuleType("__main__")
    if "-i" in options:
        main.__dict__.update(_without_dunders(namespace))
    main.__dict__["__file__"] = os.path.abspath(path)
    if "-n" in options:
        main.__dict__["__name__"] = os.path.splitext(os.path.basename(path))[0]
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = main
    try:
        _as_program(arguments, path, lambda: exec(code, main.__dict__))
    finally:
        sys.modules["__main__"] = ours
        namespace.update(_without_dunders(main.__dict__))


def _as_program(arguments: list[str], name: str, run: Callable[[], None]) -> None:
    argv, path = sys.argv, list(sys.path)
    sys.argv = [name, *arguments]
    if os.path.exists(name):
        sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
    try:
        run()
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise
    finally:
        sys.argv = argv
        sys.path[:] = path


def _without_dunders(names: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items()
            if not (name.startswith("__") and name.endswith("__"))}


def _cells_of(path: str) -> list[str]:
    import json

    with open(path, encoding="utf-8") as file:
        notebook = json.load(file)
    return ["".join(cell["source"]) for cell in notebook["cells"]
            if cell.get("cell_type") == "code"]

"""Functions and classes of cells in processes that begin anew: multiprocessing's `spawn` and
`forkserver`.

Such a process imports the program's file to find what it is to run. Cells have no file. So they get
one with what they define: imports, functions, classes and constants, and nothing that they do.
"""

from __future__ import annotations

import ast
import os
import sys
from types import ModuleType
from typing import Any

from podflare_repl.cells import MAGIC_NAME, Compiler
from podflare_repl.imports import when_imported

_DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ASSIGNING = (ast.Assign, ast.AnnAssign)
_CONSTANT = (
    ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.unaryop,
    ast.operator, ast.expr_context)


def install(compiler: Compiler, main: ModuleType) -> None:
    definitions = _Definitions(compiler, main)
    when_imported("multiprocessing.spawn", definitions.attach)


class _Definitions:
    def __init__(self, compiler: Compiler, main: ModuleType) -> None:
        self._compiler = compiler
        self._main = main
        self._path = ""
        self._written = 0

    def attach(self, spawn: ModuleType) -> None:
        prepare = spawn.get_preparation_data

        def get_preparation_data(name):  # type: ignore[no-untyped-def]
            data = prepare(name)
            if sys.modules["__main__"] is self._main and not (
                    "init_main_from_name" in data or "init_main_from_path" in data):
                data["init_main_from_path"] = self._file()
            return data

        spawn.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]

    def _file(self) -> str:
        """A process may read it at any time later, so each version has a name of its own."""
        if self._written != self._compiler.count or not os.path.exists(self._path):
            import tempfile

            self._written = self._compiler.count
            directory = os.path.join(tempfile.gettempdir(), f"podflare-cells-{os.getpid()}")
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._path = os.path.join(directory, f"cells_{self._written}.py")
            with open(self._path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(self._text())
        return self._path

    def _text(self) -> str:
        parts = []
        for tree in self._compiler.trees():
            for statement in tree.body:
                if _defines(statement):
                    # What it stands on may have been made by what is left out here.
                    body = ast.Try([statement], [ast.ExceptHandler(
                        ast.Name("Exception", ast.Load()), None, [ast.Pass()])], [], [])
                    future = isinstance(statement, ast.ImportFrom) and (
                        statement.module == "__future__")
                    if future:
                        parts.insert(0, ast.unparse(statement))
                    else:
                        parts.append(ast.unparse(ast.fix_missing_locations(body)))
        return "\n".join(parts) + "\n"


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, _ASSIGNING):
        value: Any = statement.value
        return value is not None and all(
            isinstance(node, _CONSTANT) for node in ast.walk(value))
    # A function with a shell line in it needs the name of ours, which is not there.
    return isinstance(statement, _DEFINING) and not any(
        isinstance(node, ast.Name) and node.id == MAGIC_NAME for node in ast.walk(statement))

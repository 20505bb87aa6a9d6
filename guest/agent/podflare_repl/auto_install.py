"""Installs what a cell imports and is not there, if the sandbox was made so (`auto_install`).

What a cell imports before it does anything else is installed before it runs, so that nothing of it
runs twice. An import further down may be of a file that the cell itself writes, or be behind a
condition. So what turns out to be missing while the cell runs is installed then, and the cell is
run again from its beginning. Both are said on stderr.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterator
from time import monotonic

from podflare_repl import missing, reach
from podflare_repl.cells import Compiler
from podflare_repl.imports import look_anew
from podflare_repl.streams import write_error

VARIABLE = "PODFLARE_AUTO_INSTALL"

# In one cell. More would be the dependencies of something that does not work anyway.
_MAX_PACKAGES = 8
_MAX_ROUNDS = 3
_PATIENCE = 180.0


def run(cell: Callable[[str], None], source: str) -> None:
    """Runs a cell. Raises what it raises, the last time."""
    if os.environ.get(VARIABLE) != "1":
        cell(source)
        return
    _Installing().run(cell, source)


class _Installing:
    """What has been tried for one cell."""

    def __init__(self) -> None:
        self._ends = monotonic() + _PATIENCE
        self._tried: set[str] = set()

    def run(self, cell: Callable[[str], None], source: str) -> None:
        for name in imported_first(source):
            module = missing.looked_for(name)
            if not missing.is_there(module):
                self._install(module, "")
        for _ in range(_MAX_ROUNDS):
            try:
                cell(source)
                return
            except ModuleNotFoundError as error:
                module = missing.cause(error) if _is_of_cell(error) else None
                if module is None or not self._install(module, ", and ran the cell again"):
                    raise
        cell(source)

    def _install(self, module: str, then: str) -> bool:
        """Whether it was."""
        advice = missing.advise(module)
        distribution = None if advice is None else advice.distribution
        if (distribution is None or distribution in self._tried
                or len(self._tried) >= _MAX_PACKAGES or monotonic() >= self._ends):
            return False
        self._tried.add(distribution)
        if reach.of_host(reach.index_host(dict(os.environ))) is False:
            return False  # the hint at the exception says so
        began = monotonic()
        failure = _pip(distribution, self._ends - began)
        look_anew()
        if failure is not None:
            write_error(f"[auto_install: pip could not install {distribution}: {failure}]\n")
            return False
        write_error(
            f"[auto_install: installed {distribution} (pip, {monotonic() - began:.0f} s){then}]\n")
        return True


def _is_of_cell(error: ModuleNotFoundError) -> bool:
    """Whether it is the code of a cell that imports what is missing, and not a library, which may
    do well without."""
    last = ""
    frames = error.__traceback__
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if not file.startswith("<frozen importlib"):
            last = file
        frames = frames.tb_next
    return last.startswith("<cell")


def imported_first(source: str) -> list[str]:
    """The modules that a cell imports before it does anything else, in their order."""
    names: list[str] = []
    for name in _names(source):
        if name not in names:
            names.append(name)
    return names


def _names(source: str) -> Iterator[str]:
    try:
        body = ast.parse(Compiler().as_python(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # it will not run
    for at, statement in enumerate(body):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            if not statement.level and statement.module:
                yield statement.module
        elif at or not _is_text(statement):
            return


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _pip(distribution: str, patience: float) -> str | None:
    """None, or why it did not work."""
    import subprocess  # only here: most processes never need it

    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", distribution]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {patience:.0f} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"it ended with {done.returncode}"

"""From a cell's text to code: dedent, shell lines, and the split into statements and a last
value."""

from __future__ import annotations

import __future__

import ast
import linecache
import re
from types import CodeType
from typing import NamedTuple

MAGIC_NAME = "__podflare_magic__"
KNOWN_MAGICS = "!command, %pip, %cd, %matplotlib and, as the first line, %%bash"

# How many cells' source lines are kept for tracebacks and inspect.getsource.
_REMEMBERED_CELLS = 4096

_MAGIC_LINE = re.compile(r"^(\s*)(!|%(?:pip|cd|matplotlib)\b)(.*)$", re.DOTALL)
_UNKNOWN_MAGIC = re.compile(r"^\s*(%%?[A-Za-z_]\w*)")
_CELL_MAGIC = re.compile(r"\A\s*%%(?:bash|sh)[^\S\n]*(?:\n|\Z)(.*)\Z", re.DOTALL)

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_TREE = ast.PyCF_ONLY_AST | _AWAIT


class Cell(NamedTuple):
    statements: CodeType | None
    value: CodeType | None


class Compiler:
    """Keeps what one cell leaves to the next: its number, and `from __future__` imports."""

    def __init__(self) -> None:
        self._count = 0
        self._futures = 0

    def compile(self, source: str) -> Cell:
        """Raises what compiling raises: SyntaxError, and for odd input also others."""
        self._count += 1
        name = f"<cell {self._count}>"
        source = dedent(source)
        _remember(name, source)
        return self._compile_line(source, name) or self._compile_cell(source, name)

    def rehearse(self) -> list[Cell]:
        """The same steps in all their kinds, leaving no trace."""
        cells = [self._compile_line("1", "<cell>"), self._compile_cell("1", "<cell>")]
        return [cell for cell in cells if cell is not None]

    def _compile_line(self, source: str, name: str) -> Cell | None:
        """A single simple statement can do without the syntax tree, which is most of the work:
        compiled as at a prompt, it hands its value to sys.displayhook. None if it is anything more,
        or wrong."""
        if "\n" in source or ";" in source or ":" in source:
            return None
        try:
            code = compile(source, name, "single", _AWAIT | self._futures, True)
        except Exception:
            return None
        self._futures |= code.co_flags & _FUTURES
        return Cell(code, None)

    def _compile_cell(self, source: str, name: str) -> Cell:
        return self._compile_tree(self._parse(source, name), source, name)

    def _parse(self, source: str, name: str) -> ast.Module:
        whole_cell = _CELL_MAGIC.match(source) if source.lstrip().startswith("%%") else None
        if whole_cell is not None:
            source = f"{MAGIC_NAME}('%%bash', {whole_cell[1]!r})"
        try:
            return self._parse_python(source, name)
        except SyntaxError as error:
            if "!" not in source and "%" not in source:
                raise
            first_error = error
        return self._parse_with_magics(source, name, first_error)

    def _parse_python(self, source: str, name: str) -> ast.Module:
        tree: ast.Module = compile(source, name, "exec", _TREE | self._futures, True)
        return tree

    def _parse_with_magics(self, source: str, name: str, error: SyntaxError) -> ast.Module:
        # A shell line is never valid Python, so the parser itself says where one is, and lines that
        # only look like one, in a string or in the middle of an expression, are left alone.
        lines = source.split("\n")
        while True:
            if not self._replace_magic(lines, (error.lineno or 0) - 1, name):
                raise error
            try:
                return self._parse_python("\n".join(lines), name)
            except SyntaxError as next_error:
                error = next_error

    def _replace_magic(self, lines: list[str], at: int, name: str) -> bool:
        if not 0 <= at < len(lines):
            return False
        magic = _MAGIC_LINE.match(lines[at])
        if magic is None:
            unknown = _UNKNOWN_MAGIC.match(lines[at])
            if unknown is not None:
                raise SyntaxError(
                    f"{unknown[1]} is not known here; what is: {KNOWN_MAGICS}",
                    (name, at + 1, lines[at].index("%") + 1, lines[at]))
            return False
        indent, kind, rest = magic.groups()
        last = at
        while rest.endswith("\\") and last + 1 < len(lines):
            last += 1
            rest = rest[:-1] + lines[last]
            lines[last] = ""  # so that the lines after keep their numbers
        lines[at] = f"{indent}{MAGIC_NAME}({kind!r}, {rest.strip()!r})"
        return True

    def _compile_tree(self, tree: ast.Module, source: str, name: str) -> Cell:
        value = None
        body = tree.body
        last = body[-1] if body else None
        if isinstance(last, ast.Expr) and not _silenced(source, last):
            body.pop()
            value = ast.Expression(last.value)
        flags = _AWAIT | self._futures
        statements = None
        if body:
            statements = compile(tree, name, "exec", flags, True)
            self._futures |= statements.co_flags & _FUTURES
        if value is None:
            return Cell(statements, None)
        return Cell(statements, compile(value, name, "eval", flags | self._futures, True))


def dedent(source: str) -> str:
    """Takes the first line's indentation from all lines that have it."""
    if not source or not source[0].isspace():
        return source
    lines = source.split("\n")
    indent = ""
    for line in lines:
        text = line.lstrip()
        if text and not text.startswith("#"):
            indent = line[:len(line) - len(text)]
            break
    if not indent:
        return source
    return "\n".join(line.removeprefix(indent) for line in lines)


def _silenced(source: str, last: ast.Expr) -> bool:
    """As in a notebook, a semicolon after the last expression says that its value is not wanted."""
    if ";" not in source:
        return False
    lines = source.split("\n")
    at = (last.end_lineno or 0) - 1
    if at >= len(lines):
        return False
    # Columns are counted in bytes of UTF-8.
    return lines[at].encode()[last.end_col_offset:].lstrip().startswith(b";")


def _remember(name: str, source: str) -> None:
    # No modification time: then linecache never looks for a file of that name.
    cache = linecache.cache
    cache[name] = (len(source), None, source.splitlines(True), name)
    oldest = f"<cell {int(name[6:-1]) - _REMEMBERED_CELLS}>"
    if oldest in cache:
        del cache[oldest]

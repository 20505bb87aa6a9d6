"""From a cell's text to code: prompts and indentation off, shell lines and magics to calls, and the
split into statements and a last value."""

from __future__ import annotations

import __future__

import ast
import inspect
import linecache
import re
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

MAGIC_NAME = "__podflare_magic__"
SHOW_NAME = "__podflare_show__"

# How many cells' source lines are kept for tracebacks and inspect.getsource.
REMEMBERED_CELLS = 4096

_NAME = r"[A-Za-z_][\w.]*"
# `!command`, `!!command`, `%name …`; also behind the colon of a block on the same line.
_LINE_MAGIC = re.compile(
    rf"^(\s*(?:(?:if|elif|else|for|while|with|try|except|finally|def)\b.*?:\s+)?)"
    rf"(!!?|%%?{_NAME})(.*)$", re.DOTALL)
_ASSIGNED_MAGIC = re.compile(rf"^(\s*[^=!#%]+?\s*=\s*)(!!?|%{_NAME})(.*)$", re.DOTALL)
# Of a name, its attributes and entries, or of a magic. A question mark anywhere else is an error.
_WANTED = r"""%{0,2}(?!\d)[\w*]+(?:\.[\w*]+|\[(?:[\w.-]+|'[^'\\]*'|"[^"\\]*")\])*"""
_HELP_BEFORE = re.compile(rf"^(\s*)(\?\??)\s*({_WANTED})\s*;?\s*(?:#.*)?$")
_HELP_AFTER = re.compile(rf"^(\s*)({_WANTED})\s*(\?\??)\s*;?\s*(?:#.*)?$")
# A line that is a magic wherever a statement may begin.
_PLAIN_MAGIC = re.compile(rf"\s*(?:!|%{_NAME}(?:\s|$))")
# What belongs to the statement of several lines before it.
_CONTINUATION = re.compile(r"\s|(?:elif|else|except|finally|case)\b")
# Only as the first line, but for blank ones and comments.
_CELL_MAGIC = re.compile(rf"\A((?:[^\S\n]*(?:#[^\n]*)?\n)*)[^\S\n]*%%(!|{_NAME})([^\n]*)(?:\n|\Z)")
_PROMPTED = re.compile(r"\A\s*(?:>>>(?: |$)|In \[\d+\]: ?)", re.MULTILINE)
_PROMPT = re.compile(r"^\s*(?:>>>|\.\.\.|In \[\d+\]:|\.{3,}:)(?: |$)")
_VALUE_PROMPT = re.compile(r"^\s*Out ?\[\d+\]:(?:\s|$)")

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_TREE = ast.PyCF_ONLY_AST | _AWAIT


class Cell(NamedTuple):
    """Statements with a top-level await stand apart from those without."""

    statements: tuple[CodeType, ...]
    value: CodeType | None


class Compiler:
    """Keeps what one cell leaves to the next: its number, and `from __future__` imports."""

    def __init__(self) -> None:
        self.count = 0
        # Which values a cell shows, as IPython calls it: last_expr, all, last_expr_or_assign, none.
        self.interactivity = "last_expr"
        self._futures = 0

    @property
    def name(self) -> str:
        """Of the cell that was compiled last."""
        return f"<cell {self.count}>"

    def compile(self, source: str) -> Cell:
        """Raises what compiling raises: SyntaxError, and for odd input also others."""
        self.count += 1
        name = f"<cell {self.count}>"
        source = dedent(source)
        _remember(name, source)
        return self._compile_line(source, name) or self._compile_cell(source, name)

    def compile_part(self, source: str, lines_before: int) -> Cell:
        """A part of the last cell: what a magic was given to run."""
        return self._compile_cell("\n" * lines_before + source, self.name)

    def compile_unseen(self, source: str) -> Cell:
        """One that is not counted, nor remembered."""
        futures = self._futures
        try:
            source = dedent(source)
            return self._compile_line(source, "<cell>") or self._compile_cell(source, "<cell>")
        finally:
            self._futures = futures

    def trees(self) -> Iterator[ast.Module]:
        """The syntax of the cells that are remembered, the oldest first."""
        for number in range(max(1, self.count - REMEMBERED_CELLS), self.count + 1):
            name = f"<cell {number}>"
            lines = linecache.cache.get(name, (0, None, []))[2]  # type: ignore[misc]
            try:
                yield self._parse("".join(lines), name)
            except (SyntaxError, ValueError):
                continue  # it never ran

    def rehearse(self) -> list[Cell]:
        """The same steps in all their kinds, leaving no trace."""
        cells = [self._compile_line("1", "<cell>"), self._compile_cell("1", "<cell>")]
        return [cell for cell in cells if cell is not None]

    def _compile_line(self, source: str, name: str) -> Cell | None:
        """A single simple statement can do without the syntax tree, which is most of the work:
        compiled as at a prompt, it hands its value to sys.displayhook. None if it is anything more,
        or wrong."""
        if "\n" in source or ";" in source or ":" in source or (
                self.interactivity != "last_expr"):
            return None
        try:
            code = compile(source, name, "single", _AWAIT | self._futures, True)
        except Exception:
            return None
        self._futures |= code.co_flags & _FUTURES
        return Cell((code,), None)

    def _compile_cell(self, source: str, name: str) -> Cell:
        if _PROMPTED.match(source):
            source = without_prompts(source)
        tree = self._parse(source, name)
        if "class " in source:
            remember_classes(tree, name)
        return self._compile_tree(tree, source, name)

    def as_python(self, source: str) -> str:
        """A cell's text with calls in the place of its magics, for what takes only Python."""
        source = dedent(source)
        if _PROMPTED.match(source):
            source = without_prompts(source)
        return self._read(source, self.name)[0]

    def _parse(self, source: str, name: str) -> ast.Module:
        return self._read(source, name)[1]

    def _read(self, source: str, name: str) -> tuple[str, ast.Module]:
        whole_cell = _CELL_MAGIC.match(source) if "%%" in source else None
        if whole_cell is not None:
            before, magic, line = whole_cell.groups()
            lines_before = before.count("\n")
            body = source[whole_cell.end():]
            source = "\n" * lines_before + (
                f"{MAGIC_NAME}({'%%' + magic!r}, {line.strip()!r}, {body!r}, {lines_before + 1})")
        try:
            return source, self._parse_python(source, name)
        except SyntaxError as error:
            if not ("!" in source or "%" in source or "?" in source):
                raise
            first_error = error
        return self._read_magics(source, name, first_error)

    def _parse_python(self, source: str, name: str) -> ast.Module:
        tree: ast.Module = compile(source, name, "exec", _TREE | self._futures, True)
        return tree

    def _read_magics(self, source: str, name: str, error: SyntaxError) -> tuple[str, ast.Module]:
        # A magic is never valid Python, so the parser itself says where one is, and lines that only
        # look like one, in a string or in the middle of an expression, are left alone.
        lines = source.split("\n")
        first = error
        begin = 0
        while True:
            if _replace_magic(lines, at := begin + (error.lineno or 0) - 1):
                # To parse all anew for each of them would take long.
                begin = _replace_next(lines, at + 1) or begin
            elif begin > 0:
                begin = 0
            else:
                # As it was written, not as it is read here.
                written = source.split("\n")
                error.text = written[at] + "\n" if 0 <= at < len(written) else error.text
                raise error
            try:
                if begin > 0:
                    self._parse_python("\n".join(lines[begin:]), name)
                    begin = 0
                tree = self._parse_python("\n".join(lines), name)
            except SyntaxError as next_error:
                error = next_error
                continue
            if not _all_are_statements(tree):
                raise first
            return "\n".join(lines), tree

    def _compile_tree(self, tree: ast.Module, source: str, name: str) -> Cell:
        value = None
        body = tree.body
        if self.interactivity != "last_expr":
            self._choose_values(body, source)
        last = body[-1] if body else None
        if isinstance(last, ast.Expr) and not _silenced(source, last):
            body.pop()
            value = ast.Expression(last.value)
        statements: tuple[CodeType, ...] = ()
        if body:
            whole = self._compile_statements(tree, name)
            if whole.co_flags & inspect.CO_COROUTINE:
                # The event loop runs only while a statement awaits; one that does not may start it
                # itself, by asyncio.run.
                statements = tuple(
                    self._compile_statements(ast.Module([statement], []), name)
                    for statement in body)
            else:
                statements = (whole,)
        if value is None:
            return Cell(statements, None)
        return Cell(statements, compile(value, name, "eval", _AWAIT | self._futures, True))

    def _choose_values(self, body: list[ast.stmt], source: str) -> None:
        last = body[-1] if body else None
        if self.interactivity == "all":
            for statement in body:
                if isinstance(statement, ast.Expr) and not _silenced(source, statement):
                    # Then the cell's own value is what showing it gives: nothing.
                    statement.value = ast.copy_location(ast.Call(ast.copy_location(
                        ast.Name(SHOW_NAME, ast.Load()), statement), [statement.value], []),
                        statement)
        elif self.interactivity == "none" and isinstance(last, ast.Expr):
            body.append(ast.copy_location(ast.Pass(), last))
        elif self.interactivity == "last_expr_or_assign" and isinstance(last, ast.Assign):
            target = last.targets[0]
            if isinstance(target, ast.Name):
                body.append(ast.copy_location(ast.Expr(ast.copy_location(
                    ast.Name(target.id, ast.Load()), last)), last))

    def _compile_statements(self, tree: ast.Module, name: str) -> CodeType:
        code: CodeType = compile(tree, name, "exec", _AWAIT | self._futures, True)
        self._futures |= code.co_flags & _FUTURES
        return code


def _replace_magic(lines: list[str], at: int) -> bool:
    """Puts a call in the place of the magic on that line; False if there is none."""
    if not 0 <= at < len(lines):
        return False
    line = lines[at]
    magic = _LINE_MAGIC.match(line) or _ASSIGNED_MAGIC.match(line)
    if magic is None:
        return _replace_help(lines, at)
    before, kind, rest = magic.groups()
    if magic.re is _ASSIGNED_MAGIC and kind == "!":
        kind = "!="
    if kind.startswith("%") and rest[:1] not in ("", " ", "\t", "?", "\\"):
        return False  # %name(…) is no magic
    last = at
    while rest.endswith("\\") and last + 1 < len(lines):
        last += 1
        rest = rest[:-1] + lines[last]
        lines[last] = ""  # so that the lines after keep their numbers
    if kind.startswith("%") and rest.strip() in ("?", "??"):
        kind, rest = rest.strip(), kind
    lines[at] = f"{before}{MAGIC_NAME}({kind!r}, {rest.strip()!r}, None, {at})"
    return True


def _replace_next(lines: list[str], at: int) -> int | None:
    """Behind a magic, as it is a whole statement, another one may begin. Replaces the magics there,
    and returns where what follows them begins, if that can be parsed without what is before it."""
    for after in range(at, len(lines)):
        line = lines[after]
        if line.strip() and not (_PLAIN_MAGIC.match(line) and _replace_magic(lines, after)):
            return None if _CONTINUATION.match(line) else after
    return None


def _all_are_statements(tree: ast.Module) -> bool:
    """Whether each magic stands where a statement may begin, or is assigned, and none in the middle
    of an expression of several lines."""
    statements = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, statements)}
    return all(
        id(node) in alone for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        and node.func.id == MAGIC_NAME)


def _replace_help(lines: list[str], at: int) -> bool:
    before = _HELP_BEFORE.match(lines[at])
    if before is not None:
        indent, marks, wanted = before.groups()
    else:
        after = _HELP_AFTER.match(lines[at])
        if after is None:
            return False
        indent, wanted, marks = after.groups()
    lines[at] = f"{indent}{MAGIC_NAME}({marks!r}, {wanted!r}, None, {at})"
    return True


def without_prompts(source: str) -> str:
    """As a notebook takes it: a session of Python or IPython, copied with its prompts."""
    lines = _without_values(source.split("\n"))
    whole = "\n".join(_PROMPT.sub("", line) for line in lines)
    # What is printed between the prompts was copied too.
    prompted = "\n".join(_PROMPT.sub("", line) if _PROMPT.match(line) else "" for line in lines)
    # Python itself has a prompt before every line; a cell that was copied only before its first.
    likely, other = (prompted, whole) if ">>>" in source else (whole, prompted)
    return other if not _is_python(likely) and _is_python(other) else likely


def _without_values(lines: list[str]) -> list[str]:
    """Without `Out[1]: …` and the lines after it, up to the next prompt."""
    kept = []
    in_value = False
    for line in lines:
        in_value = bool(_VALUE_PROMPT.match(line)) or in_value and not _PROMPT.match(line)
        kept.append("" if in_value else line)
    return kept


def _is_python(text: str) -> bool:
    try:
        compile(text, "<cell>", "exec", _TREE, True)
    except (SyntaxError, ValueError):
        return False
    return True


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
    oldest = f"<cell {int(name[6:-1]) - REMEMBERED_CELLS}>"
    if oldest in cache:
        del cache[oldest]


# The source of classes

_classes: dict[tuple[str, int], str] = {}
_latest_classes: dict[str, str] = {}
_file_of = inspect.getfile


def remember_classes(tree: ast.Module, name: str) -> None:
    """A class knows its module and no file, and ours has none. So it is kept which cell wrote it,
    for inspect.getsource."""
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        node, prefix = pending.pop()
        if isinstance(node, ast.ClassDef):
            _keep(_classes, (prefix + node.name, _first_line(node)), name)
            _keep(_latest_classes, prefix + node.name, name)
            prefix += f"{node.name}."
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            prefix += f"{node.name}.<locals>."
        elif isinstance(node, ast.expr):
            continue
        pending.extend((child, prefix) for child in ast.iter_child_nodes(node))


def _first_line(node: ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _keep(cells: dict, key: object, name: str) -> None:  # type: ignore[type-arg]
    cells.pop(key, None)
    cells[key] = name
    if len(cells) > REMEMBERED_CELLS:
        del cells[next(iter(cells))]


def _getfile(object):  # type: ignore[no-untyped-def]
    """inspect.getfile, which also knows the cells."""
    if isinstance(object, type) and object.__module__ == "__main__":
        line = vars(object).get("__firstlineno__")
        name = _classes.get((object.__qualname__, line)) if type(line) is int else None
        name = name or _latest_classes.get(object.__qualname__)
        if name is not None and name in linecache.cache:
            return name
    return _file_of(object)


inspect.getfile = _getfile

"""Commands of a cell: `!command` and scripts, and what Python writes into them."""

from __future__ import annotations

import builtins
import os
import re
import shlex
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

# A single argument of a program may not be longer than 128 KiB; a longer script comes in a file.
_MAX_ARGUMENT = 100_000
_DOLLAR = re.compile(r"\$\$|\$([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_CONVERTED = re.compile(r"(.+)!([rsa])\s*", re.DOTALL)
_EXIT_CODE = "_exit_code"


class Lines(list[str]):
    """The output of `x = !command`: a list of its lines, with the forms that IPython gives it."""

    @property
    def l(self) -> list[str]:  # noqa: E743
        return list(self)

    @property
    def n(self) -> str:
        return "\n".join(self)

    @property
    def s(self) -> str:
        return " ".join(self)

    @property
    def p(self) -> list[Any]:
        from pathlib import Path

        return [Path(line) for line in self]

    list, nlstr, spstr, paths = l, n, s, p

    def grep(self, pattern: Any, prune: bool = False, field: int | None = None) -> Lines:
        """The lines that a pattern is found in, or a function says yes to."""
        def wanted(line: str) -> bool:
            text = line if field is None else (line.split()[field:field + 1] or [""])[0]
            found = pattern(text) if callable(pattern) else re.search(pattern, text, re.I)
            return bool(found) != prune

        return Lines(line for line in self if wanted(line))

    def fields(self, *numbers: int) -> Any:
        """The words of each line, or those of these numbers, joined."""
        split = [line.split() for line in self]
        if not numbers:
            return split
        return Lines(
            " ".join(words[at] for at in numbers if -len(words) <= at < len(words))
            for words in split)


def run(command: str) -> int:
    """Runs it in bash and shows what it writes at once. The exit code, which is said if it is not
    0: a cell goes on behind a command that failed."""
    return _say(_execute(_bash(command)))


def output_of(command: str) -> Lines:
    import subprocess

    arguments, script = _bash(command)
    done = subprocess.run(
        arguments, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        pass_fds=[] if script is None else [script])
    if script is not None:
        os.close(script)
    _say(_positive(done.returncode))
    return Lines(done.stdout.decode("utf-8", "backslashreplace").splitlines())


def _bash(command: str, *arguments: str) -> tuple[list[str], int | None]:
    data = command.encode("utf-8", "surrogateescape")
    if len(data) <= _MAX_ARGUMENT:
        return ["/bin/bash", "-c", command, "bash", *arguments], None
    script = os.memfd_create("script", 0)
    os.write(script, data)
    return ["/bin/bash", f"/dev/fd/{script}", *arguments], script


def _execute(program: tuple[list[str], int | None], text: str | None = None) -> int:
    import subprocess  # only here: most processes never need it

    arguments, script = program
    # Where the code has put something in the place of our streams, what the command writes goes
    # there too.
    elsewhere = [stream is not ours for stream, ours in (
        (sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__))]
    try:
        done = subprocess.run(
            arguments, check=False, input=None if text is None else text.encode(),
            stdout=subprocess.PIPE if elsewhere[0] else None,
            stderr=subprocess.PIPE if elsewhere[1] else None,
            pass_fds=[] if script is None else [script])
    finally:
        if script is not None:
            os.close(script)
    for stream, data in ((sys.stdout, done.stdout), (sys.stderr, done.stderr)):
        if data and stream is not None:
            stream.write(data.decode("utf-8", "backslashreplace"))
    return _positive(done.returncode)


def _positive(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


def _say(exit_code: int) -> int:
    setattr(builtins, _EXIT_CODE, exit_code)
    if exit_code:
        print(f"[exit code {exit_code}]", file=sys.stderr)
    return exit_code


# Scripts: a whole cell for another program

def script(line: str, body: str, namespace: dict[str, Any]) -> None:
    """`%%script PROGRAM ARGUMENTS`, `%%bash` and their like: the cell's text is the program's."""
    words, options = _script_options(line)
    if not words:
        raise ValueError("%%script needs the name of a program")
    if os.path.basename(words[0]) in ("bash", "sh") and len(words) == 1:
        program, text = _bash(body, *options["arguments"]), None
        program[0][0] = "/bin/" + os.path.basename(words[0])
    else:
        program, text = ([*words, *options["arguments"]], None), body
    if options["bg"]:
        _start(program, text, namespace, options)
        return
    if options["out"] or options["err"]:
        exit_code = _capture(program, text, namespace, options)
    else:
        exit_code = _execute(program, text)
    setattr(builtins, _EXIT_CODE, exit_code)
    if exit_code and options["raise"]:
        raise SystemExit(exit_code)
    _say(exit_code)


def _script_options(line: str) -> tuple[list[str], dict[str, Any]]:
    options: dict[str, Any] = {
        "out": None, "err": None, "proc": None, "bg": False, "raise": True, "arguments": []}
    words: list[str] = []
    given = iter(shlex.split(line))
    for word in given:
        name, _, value = word.removeprefix("--").partition("=")
        if word in ("--bg", "--no-raise-error", "--raise-error"):
            options["bg"] |= word == "--bg"
            options["raise"] &= word != "--no-raise-error"
        elif word.startswith("--") and name in ("out", "err", "proc"):
            options[name] = value or next(given, None)
        elif word == "-s" and words:
            options["arguments"] = list(given)
        else:
            words.append(word)
    return words, options


def _capture(
    program: tuple[list[str], int | None], text: str | None, namespace: dict[str, Any],
    options: dict[str, Any]
) -> int:
    import subprocess

    arguments, script_file = program
    done = subprocess.run(
        arguments, check=False, input=None if text is None else text.encode(),
        stdout=subprocess.PIPE if options["out"] else None,
        stderr=subprocess.PIPE if options["err"] else None,
        pass_fds=[] if script_file is None else [script_file])
    for name, data in ((options["out"], done.stdout), (options["err"], done.stderr)):
        if name:
            namespace[name] = data.decode("utf-8", "backslashreplace")
    return _positive(done.returncode)


def _start(
    program: tuple[list[str], int | None], text: str | None, namespace: dict[str, Any],
    options: dict[str, Any]
) -> None:
    import subprocess

    arguments, script_file = program
    process = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE if options["out"] else None,
        stderr=subprocess.PIPE if options["err"] else None,
        pass_fds=[] if script_file is None else [script_file])
    if process.stdin is not None and text is not None:
        process.stdin.write(text.encode())
        process.stdin.close()
    for name, value in (
            (options["out"], process.stdout), (options["err"], process.stderr),
            (options["proc"], process)):
        if name:
            namespace[name] = value


# Python in a command

def expand(command: str, names: Mapping[str, Any], globals_: dict[str, Any]) -> str:
    """`{expression}` and `$name` as in IPython. What is not Python, or names nothing that the code
    has, is bash's own and stays: `${HOME}`, `$1`, `{1,2}`, awk's `{print $1}`."""
    if "{" not in command and "$" not in command:
        return command
    parts = []
    at = 0
    while at < len(command):
        begin = min((place for place in (command.find("{", at), command.find("$", at))
                     if place >= 0), default=-1)
        if begin < 0:
            break
        parts.append(command[at:begin])
        text, at = (_expand_brace if command[begin] == "{" else _expand_dollar)(
            command, begin, names, globals_)
        parts.append(text)
    parts.append(command[at:])
    return "".join(parts)


def _expand_dollar(
    command: str, begin: int, names: Mapping[str, Any], globals_: dict[str, Any]
) -> tuple[str, int]:
    if command.startswith("${", begin):
        end = _matching_brace(command, begin + 1)
        return command[begin:end], end
    if command.startswith("$(", begin):
        return "$(", begin + 2
    found = _DOLLAR.match(command, begin)
    if found is None:
        return "$", begin + 1
    if found[0] == "$$":
        return "$", begin + 2
    first, *attributes = found[1].split(".")
    value = _lookup(first, names, globals_)
    if value is _NOTHING or issubclass(type(value), ModuleType):
        return found[0], found.end()
    end = begin + 1 + len(first)
    for attribute in attributes:
        try:
            value = getattr(value, attribute)
        except Exception:
            break  # `$name.txt`: what follows is text
        end += 1 + len(attribute)
    return str(value), end


def _expand_brace(
    command: str, begin: int, names: Mapping[str, Any], globals_: dict[str, Any]
) -> tuple[str, int]:
    if command.startswith("{{", begin):
        end = command.find("}}", begin)
        if end > 0:
            return command[begin + 1:end + 1], end + 2
    end = _matching_brace(command, begin)
    field = command[begin + 1:end - 1]
    value = _field_value(field, names, globals_) if command[end - 1] == "}" else None
    return ("{", begin + 1) if value is None else (value, end)


def _field_value(
    field: str, names: Mapping[str, Any], globals_: dict[str, Any]
) -> str | None:
    field = field.strip()
    if not field or not _IDENTIFIER.search(field):
        return None
    if _IDENTIFIER.fullmatch(field):
        # A built-in function by its bare name is a word of another language: `{print}`.
        value = _lookup(field, names, globals_)
        return None if value is _NOTHING else str(value)
    read = _read_field(field)
    if read is None:
        return None
    expression, conversion, form = read
    try:
        value = eval(expression, globals_, dict(names))
        if conversion is not None:
            value = {"r": repr, "s": str, "a": ascii}[conversion](value)
        return format(value, expand(form, names, globals_))
    except Exception:
        return None


def _read_field(field: str) -> tuple[str, str | None, str] | None:
    """The expression, its `!r`, and what says how to show it, as in `{value!r:>10}`. None if it is
    no field: literals alone are data of another program, `{"k": 1}`."""
    import ast

    colons = [at for at, character in enumerate(field) if character == ":"]
    for end in (len(field), *colons):
        form = field[end + 1:]
        converted = _CONVERTED.fullmatch(field[:end])
        for expression, conversion in (
                (field[:end], None), converted.groups() if converted else ("", None)):
            try:
                tree = ast.parse(expression.strip(), mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            if isinstance(tree, ast.Tuple) and not expression.startswith("("):
                return None  # bash makes words of it
            if not any(isinstance(node, (ast.Name, ast.Call)) for node in ast.walk(tree)):
                return None
            return expression.strip(), conversion, form
    return None


def _matching_brace(command: str, begin: int) -> int:
    """Behind the brace that closes the one there, or the end."""
    depth = 0
    for at in range(begin, len(command)):
        if command[at] == "{":
            depth += 1
        elif command[at] == "}":
            depth -= 1
            if depth == 0:
                return at + 1
    return len(command)


_NOTHING = object()


def _lookup(name: str, names: Mapping[str, Any], globals_: dict[str, Any]) -> Any:
    if name in names:
        return names[name]
    return globals_.get(name, _NOTHING)

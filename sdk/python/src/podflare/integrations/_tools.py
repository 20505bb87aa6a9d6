"""The tools, for whichever framework: what a call does in a sandbox, and what the model is told.

A tool is a generator. It yields what it wants of the sandbox as a function of it, and gets the
outcome back; so the same text serves `Sandbox` and `AsyncSandbox`. It returns a `Told`.
"""

from __future__ import annotations

from ..errors import InvalidRequestError, PodflareError
from ._speech import LIMIT, Misuse, Told, clean, cut, exact_outcome, explain, outcome, pictures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias

    Steps: TypeAlias = "Generator[Callable[[Any], Any], Any, Told]"
    Tool: TypeAlias = "Callable[[Any, Limits], Steps]"

_LARGEST_FILE = 1024 * 1024
_SNIPPET = 4  # Lines that are shown around a change.
_MOST_LISTED = 1000
# Where a bash session keeps itself between two calls: not under the roots that a diff compares.
_SESSION = "/var/tmp/.podflare-bash"


class Limits:
    """How long a call may run, and how much it may tell."""

    __slots__ = ("characters", "seconds")

    def __init__(self, seconds: float | None = None, characters: int = LIMIT) -> None:
        self.seconds = seconds
        self.characters = characters


def run(tool: Tool, given: Any, limits: Limits, sandbox: Any) -> Told:
    """Carries a tool out with a `Sandbox`. What goes wrong is told, never raised."""
    steps = _guarded(tool, given, limits)
    try:
        wanted = next(steps)
        while True:
            try:
                value = wanted(sandbox)
            except Exception as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(value)
    except StopIteration as end:
        told: Told = end.value
        return told


async def run_async(tool: Tool, given: Any, limits: Limits, sandbox: Any) -> Told:
    """The same with an `AsyncSandbox`; with a `Sandbox` in a thread, so that others go on."""
    if hasattr(sandbox, "__exit__"):
        import asyncio

        return await asyncio.to_thread(run, tool, given, limits, sandbox)
    steps = _guarded(tool, given, limits)
    try:
        wanted = next(steps)
        while True:
            try:
                value = await wanted(sandbox)
            except Exception as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(value)
    except StopIteration as end:
        told: Told = end.value
        return told


def _guarded(tool: Tool, given: Any, limits: Limits) -> Steps:
    try:
        return (yield from tool(given, limits))
    except Misuse as wrong:
        return Told(f"error: {wrong}", True)
    except PodflareError as error:
        return Told(explain(error), True)


def python(given: Any, limits: Limits) -> Steps:
    """`{code}`: Python in the process that stays alive."""
    code = text_of(given, "code")
    result = yield lambda sandbox: sandbox.run_code(code, timeout=limits.seconds)
    return outcome(result, limits.characters)


def bash(given: Any, limits: Limits) -> Steps:
    """`{command}`: bash in a fresh process."""
    command = text_of(given, "command")
    result = yield lambda sandbox: sandbox.run_code(command, "bash", timeout=limits.seconds)
    return outcome(result, limits.characters)


def python_or_bash(given: Any, limits: Limits) -> Steps:
    """`{code, language?}`: the one tool that frameworks with a code interpreter have."""
    code = text_of(given, "code")
    language = field(given, "language") or "python"
    if language not in ("python", "bash"):
        raise Misuse(f"language must be python or bash, not {language!r}. Call again with one")
    result = yield lambda sandbox: sandbox.run_code(code, language, timeout=limits.seconds)
    return outcome(result, limits.characters)


def exact_python(given: Any, limits: Limits) -> Steps:
    """`code_execution` `{code}`, told as the hosted service's helper does."""
    code = text_of(given, "code")
    result = yield lambda sandbox: sandbox.run_code(code, timeout=limits.seconds)
    told = exact_outcome(result, limits.characters)
    told.images, notes = pictures(result)
    told.text = "\n".join((told.text, *notes))
    return told


def exact_bash(given: Any, limits: Limits) -> Steps:
    """`bash_code_execution` `{command}`, told as the hosted service's helper does."""
    command = text_of(given, "command")
    result = yield lambda sandbox: sandbox.run_code(command, "bash", timeout=limits.seconds)
    return exact_outcome(result, limits.characters)


def bash_session(given: Any, limits: Limits) -> Steps:
    """`bash_20250124`, `{command}` or `{restart: true}`: a shell whose directory, variables and
    functions stay from call to call.

    Each call is a process of its own that takes over what the one before left, so that a call that
    hangs or dies does not take the session with it.
    """
    if field(given, "restart") is True:
        code = f"rm -rf {_SESSION}"
        yield lambda sandbox: sandbox.run_code(code, "bash")
        return Told("the shell was restarted: its directory and variables are those of a new one")
    command = text_of(given, "command")
    result = yield lambda sandbox: sandbox.run_code(
        command, "bash", timeout=limits.seconds, env=_AS_SESSION
    )
    return outcome(result, limits.characters)


# Bash reads the file that BASH_ENV names before the script, so that the lines of an error are those
# of the script. What the file does is in an own variable, since nobody else writes it.
_AS_SESSION = {
    "BASH_ENV": f"$(mkdir -p {_SESSION} && "
    f'printf %s "$PODFLARE_BASH_SESSION" >{_SESSION}/session; echo {_SESSION}/session)',
    "PODFLARE_BASH_SESSION": f"""\
unset BASH_ENV PODFLARE_BASH_SESSION
if [ -f {_SESSION}/state ]; then . {_SESSION}/state 2>/dev/null; cd "$(cat {_SESSION}/cwd)"; fi
trap '{{ __pf=$?; set +x; }} 2>/dev/null; pwd >{_SESSION}/cwd; {{ declare -p; declare -f; }} >{_SESSION}/state 2>/dev/null; exit $__pf' EXIT
""",
}


def editor(given: Any, limits: Limits) -> Steps:
    """`text_editor_20250728`: view, create, str_replace and insert on the sandbox's files."""
    return (yield from _edit(given, limits, numbered=True))


def plain_editor(given: Any, limits: Limits) -> Steps:
    """`text_editor_code_execution`: the same, and a file is shown as it is, without numbers."""
    return (yield from _edit(given, limits, numbered=False))


def _edit(given: Any, limits: Limits, numbered: bool) -> Steps:
    command = text_of(given, "command")
    if command not in _EDITS:
        raise Misuse(f"unknown command {command!r}. Use one of {', '.join(_EDITS)}")
    path = text_of(given, "path")
    if not path:
        raise Misuse("the input needs 'path', a path that is not empty. Call again with it")
    try:
        if command == "view":
            return (yield from _view(given, path, limits, numbered))
        return (yield from _EDITS[command](given, path))
    except PodflareError as error:
        if error.code in ("file_not_found", "is_a_directory", "not_a_file", "not_a_directory"):
            error.message = f"{path}: {error.message}"
        raise


def _view(given: Any, path: str, limits: Limits, numbered: bool) -> Steps:
    asked = field(given, "view_range")
    if asked is not None and not _is_range(asked):
        raise Misuse(
            "view_range must be two line numbers, [first, last], counted from 1, last -1 for the "
            "end. Call again with such a range, or without one"
        )
    try:
        text = yield from _read(path)
    except InvalidRequestError as error:
        if error.code != "is_a_directory":
            raise
        return (yield from _list(path, limits))
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    first, last = asked if asked is not None else (1, -1)
    if first > max(len(lines), 1):
        raise Misuse(f"{path} has {len(lines)} lines, none at {first}. Ask for lines that it has")
    chosen = lines[first - 1 : None if last == -1 else last]
    if numbered:
        shown = _numbered(chosen, first)
    else:
        at_end = first - 1 + len(chosen) == len(lines)
        shown = "\n".join(chosen) + ("\n" if chosen and (not at_end or text.endswith("\n")) else "")
    return Told(cut(clean(shown), limits.characters) or f"({path} is empty)")


def _list(path: str, limits: Limits) -> Steps:
    code = (
        'find . -mindepth 1 -maxdepth 2 -not -path "*/.*" '
        f"\\( -type d -printf '%P/\\n' -o -printf '%P\\n' \\) | LC_ALL=C sort | head -n {_MOST_LISTED}"
    )
    result = yield lambda sandbox: sandbox.run_code(code, "bash", cwd=path)
    if result.exit_code != 0:
        return outcome(result, limits.characters)
    return Told(
        cut(clean(f"{path}, two levels deep, without hidden files:\n{result.stdout}"), limits.characters)
    )


def _create(given: Any, path: str) -> Steps:
    text = text_of(given, "file_text")
    yield lambda sandbox: sandbox.files.write(path, text)
    return Told(f"{path} has been written ({len(text.splitlines())} lines)")


def _str_replace(given: Any, path: str) -> Steps:
    old = text_of(given, "old_str")
    new = field(given, "new_str")
    new = "" if new is None else text_of(given, "new_str")
    text = yield from _read(path)
    count = text.count(old) if old else 0
    if count == 0:
        raise Misuse(f"old_str is not in {path}. View the file, and copy the text exactly")
    if count > 1:
        raise Misuse(f"old_str is {count} times in {path}. Give more of the text around it")
    changed = text.replace(old, new)
    yield lambda sandbox: sandbox.files.write(path, changed)
    line = text[: text.index(old)].count("\n")
    return Told(f"{path} has been changed:\n" + _around(changed, line, new.count("\n") + 1))


def _insert(given: Any, path: str) -> Steps:
    # Earlier versions of the tool call the text new_str.
    name = "new_str" if field(given, "insert_text") is None and field(given, "new_str") else "insert_text"
    added = text_of(given, name)
    after = field(given, "insert_line")
    if not isinstance(after, int) or isinstance(after, bool):
        raise Misuse("the input needs 'insert_line', a number. Call again with it")
    text = yield from _read(path)
    lines = text.split("\n")
    count = len(lines) - (lines[-1] == "")
    if not 0 <= after <= count:
        raise Misuse(
            f"{path} has {count} lines, so insert_line must be from 0 to {count}, not {after}. "
            "View the file, and count again"
        )
    pieces = added.split("\n")
    if pieces[-1] == "":
        pieces.pop()
    changed = "\n".join((*lines[:after], *pieces, *lines[after:]))
    yield lambda sandbox: sandbox.files.write(path, changed)
    return Told(f"{path} has been changed:\n" + _around(changed, after, len(pieces)))


_EDITS: dict[str, Any] = {
    "view": _view,
    "create": _create,
    "str_replace": _str_replace,
    "insert": _insert,
}


def _read(path: str) -> Generator[Callable[[Any], Any], Any, str]:
    content = yield lambda sandbox: sandbox.files.read(path)
    if len(content) > _LARGEST_FILE:
        raise Misuse(
            f"{path} has {len(content):,} bytes, too many to show or edit as text. "
            "Use code to look at parts of it"
        )
    try:
        text: str = content.decode()
    except UnicodeDecodeError:
        raise Misuse(f"{path} is not UTF-8 text. Use code to work with its bytes") from None
    return text


def _around(text: str, line: int, count: int) -> str:
    lines = text.split("\n")
    first = max(line - _SNIPPET, 0)
    return cut(_numbered(lines[first : line + count + _SNIPPET], first + 1), LIMIT // 4)


def _numbered(lines: list[str], first: int) -> str:
    return "\n".join(f"{number:6d}\t{line}" for number, line in enumerate(lines, first))


def text_of(given: Any, name: str) -> str:
    """A field of a call's input that must be a text."""
    value = field(given, name)
    if not isinstance(value, str):
        raise Misuse(f"the input needs {name!r}, a string. Call again with it")
    return value


def field(thing: Any, name: str) -> Any:
    """A field of an SDK's object, or of the same thing as a dict."""
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(line, int) and not isinstance(line, bool) for line in value)
        and value[0] >= 1
        and (value[1] == -1 or value[1] >= value[0])
    )

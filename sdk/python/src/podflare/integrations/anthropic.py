"""Tools for Anthropic's Messages API that run in a sandbox.

>>> from podflare import Sandbox
>>> from podflare.integrations.anthropic import TOOLS, run_tools
>>> message = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1",
...            "name": "run_python", "input": {"code": "6 * 7"}}]}
>>> with Sandbox() as sb:
...     answer = run_tools(message, sb)
>>> answer["content"][0]["content"]
[{'type': 'text', 'text': '42'}]

No dependency: a message or block may be an object of the `anthropic` package or the same thing as a
dict, and answers are dicts.

The API's own `code_execution_2025…` tools are *server tools*: a block of type `server_tool_use` has
been run by the provider when you see it, its result is in the same message, and the API takes no
answer to it. What reaches your machine is `tool_use`, and only that is answered here.
"""

from __future__ import annotations

import mimetypes
import posixpath

from . import _tools
from ._speech import LIMIT, Misuse, Told, clean, cut, exact_outcome
from ._tools import Limits, field, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeAlias

    from ..aio import AsyncSandbox
    from ..sandbox import Sandbox
    from ._tools import Steps, Tool

    Others: TypeAlias = "Mapping[str, Callable[[Any], Any]]"

RUN_PYTHON: dict[str, Any] = {
    "name": "run_python",
    "description": "Runs Python in a sandbox of your own, in one process that stays alive: "
    "variables, imports and open files are still there in the next call. What the code prints and "
    "the value of its last expression come back, figures of matplotlib as pictures. A line that "
    "begins with ! runs in bash. numpy, pandas, scipy, scikit-learn, matplotlib, sympy, requests, "
    "openpyxl and pillow are installed; %pip brings more. Files live under /root; there is no "
    "input().",
    "input_schema": {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "Python source"}},
        "required": ["code"],
    },
}
RUN_BASH: dict[str, Any] = {
    "name": "run_bash",
    "description": "Runs a bash script in the sandbox, in a fresh process that starts in /root and "
    "sees the same files as run_python. Answers what it prints and its exit code.",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string", "description": "bash source"}},
        "required": ["command"],
    },
}
BASH: dict[str, Any] = {"type": "bash_20250124", "name": "bash"}
TEXT_EDITOR: dict[str, Any] = {
    "type": "text_editor_20250728",
    "name": "str_replace_based_edit_tool",
}
TOOLS: list[dict[str, Any]] = [RUN_PYTHON, BASH, TEXT_EDITOR]
"""The tools that complement each other best: Python with its state, a shell with its own, files."""

_HANDLERS: dict[str, Tool] = {
    "run_python": _tools.python,
    "run_bash": _tools.bash,
    "bash": _tools.bash_session,
    "str_replace_based_edit_tool": _tools.editor,
    "code_execution": _tools.exact_python,
    "bash_code_execution": _tools.exact_bash,
    "text_editor_code_execution": _tools.plain_editor,
}
_DEFAULT_SECONDS = 300.0
_CUT_OFF = (
    "error: this call was not carried out: max_tokens ended your turn in the middle of it. "
    "Call again with less, in several steps"
)


def run_tools(
    message: Any,
    sandbox: Sandbox,
    *,
    timeout: float | None = _DEFAULT_SECONDS,
    limit: int = LIMIT,
    others: Others | None = None,
) -> dict[str, Any] | None:
    """Does what an assistant's turn asks for, and answers the user's turn with all its results.

    Each `tool_use` block of the message has its `tool_result` in the answer, in the same order. The
    names are `run_python`, `run_bash`, `bash`, `str_replace_based_edit_tool`, and those of the
    provider's own tools, `code_execution`, `bash_code_execution`, `text_editor_code_execution`.
    What goes wrong, in the code or with the sandbox, is a result with `is_error` true that says
    what happened, why, and what to try; it is never raised. All other blocks are left alone.

    Args:
        message: what `messages.create` answered, streamed or not, as an object or a dict.
        sandbox: pass the same one through a conversation, and variables and files stay.
        timeout: seconds that one call may run.
        limit: characters that one result may have; what is above it is left out in the middle, and
            that is said.
        others: your own tools, by name: functions of the input that answer a string or a list of
            content blocks. An exception is told to the model.

    Returns:
        the next message to append, `{"role": "user", "content": […]}`, or None if the turn asks
        for nothing: it has ended, or has to be continued as it is (`pause_turn`).
    """
    limits = Limits(timeout, limit)
    results = []
    for block, cut_off in _calls(message):
        name = field(block, "name")
        other = (others or {}).get(name) if isinstance(name, str) else None
        if cut_off:
            results.append(_result(block, Told(_CUT_OFF, True)))
        elif other is not None:
            results.append(_own(block, other, limit))
        else:
            told = _tools.run(_handler(name, others), field(block, "input"), limits, sandbox)
            results.append(_result(block, told))
    return {"role": "user", "content": results} if results else None


async def run_tools_async(
    message: Any,
    sandbox: AsyncSandbox | Sandbox,
    *,
    timeout: float | None = _DEFAULT_SECONDS,
    limit: int = LIMIT,
    others: Others | None = None,
) -> dict[str, Any] | None:
    """`run_tools` for an `AsyncSandbox`; the functions in `others` may be coroutine functions."""
    limits = Limits(timeout, limit)
    results = []
    for block, cut_off in _calls(message):
        name = field(block, "name")
        other = (others or {}).get(name) if isinstance(name, str) else None
        if cut_off:
            results.append(_result(block, Told(_CUT_OFF, True)))
        elif other is not None:
            results.append(await _own_async(block, other, limit))
        else:
            handler = _handler(name, others)
            told = await _tools.run_async(handler, field(block, "input"), limits, sandbox)
            results.append(_result(block, told))
    return {"role": "user", "content": results} if results else None


def handle_code_execution_tool_use(
    block: Any, sandbox: Sandbox, *, timeout: float | None = _DEFAULT_SECONDS
) -> dict[str, Any]:
    """Does what one `tool_use` block asks for and answers the matching `tool_result`.

    The tools, by the block's name and input: `code_execution` `{code}`, `bash_code_execution`
    `{command}`, and `text_editor_code_execution` `{command: view | create | str_replace, path, …}`.
    What goes wrong with them, in the code or with the sandbox, is a result with `is_error` true, so
    that the model can react; it is never raised.

    >>> from podflare import Sandbox
    >>> block = {"type": "tool_use", "id": "toolu_1", "name": "code_execution",
    ...          "input": {"code": "print(6 * 7)"}}
    >>> with Sandbox() as sb:
    ...     answer = handle_code_execution_tool_use(block, sb)
    >>> answer["content"][0]["text"]
    'stdout:\\n42\\n\\nstderr:\\n\\nexit_code: 0'

    Args:
        block: a `tool_use` block, as an object of the SDK or a dict.
        sandbox: where it runs. Pass the same one each time, and variables stay between calls.
        timeout: seconds that the call may take; None for no limit.

    Raises:
        ValueError: the block is no `tool_use`, so the API would refuse an answer to it.
    """
    kind = field(block, "type")
    if kind != "tool_use":
        why = (
            "the provider has run it already and its result is in the same message"
            if kind == "server_tool_use"
            else "it is no tool call"
        )
        raise ValueError(f"a block of type {kind!r} can't be answered: {why}")
    name = field(block, "name")
    tool = _EXACT.get(name) if isinstance(name, str) else None
    limits = Limits(timeout)
    told = _tools.run(tool or _unknown(name, _EXACT), field(block, "input"), limits, sandbox)
    return _result(block, Told(told.text, told.failed))


def _exact_python(given: Any, limits: Limits) -> Steps:
    code = text_of(given, "code")
    result = yield lambda sandbox: sandbox.run_code(code, timeout=limits.seconds)
    return exact_outcome(result)


def _exact_bash(given: Any, limits: Limits) -> Steps:
    command = text_of(given, "command")
    result = yield lambda sandbox: sandbox.run_code(command, "bash", timeout=limits.seconds)
    return exact_outcome(result)


_EXACT: dict[str, Tool] = {
    "code_execution": _exact_python,
    "bash_code_execution": _exact_bash,
    "text_editor_code_execution": _tools.plain_editor,
}


def file_ids(messages: Any) -> list[str]:
    """The ids of the Files API in messages: of `container_upload`, `document` and `image` blocks,
    and of the results of the provider's own tools."""
    found: list[str] = []
    _gather_ids(messages, found, 0)
    return list(dict.fromkeys(found))


def put_files(client: Any, sandbox: Sandbox, ids: Iterable[str], folder: str = "/root") -> list[str]:
    """Copies files of the Files API into the sandbox, and answers their paths there.

    The API gives back files that its own tools made; of one that you uploaded yourself it refuses
    the content, so use `sandbox.upload` for those.

    Args:
        client: an `anthropic.Anthropic`.
        ids: file ids, for example `file_ids(message)`.
        folder: where they go, each under its own name.
    """
    paths = []
    for id in ids:
        name = field(client.beta.files.retrieve_metadata(id), "filename")
        path = _path_for(folder, name, id)
        sandbox.upload(path, client.beta.files.download(id).read())
        paths.append(path)
    return paths


async def put_files_async(
    client: Any, sandbox: AsyncSandbox, ids: Iterable[str], folder: str = "/root"
) -> list[str]:
    """`put_files` for an `anthropic.AsyncAnthropic` and an `AsyncSandbox`."""
    paths = []
    for id in ids:
        name = field(await client.beta.files.retrieve_metadata(id), "filename")
        path = _path_for(folder, name, id)
        content = await client.beta.files.download(id)
        await sandbox.upload(path, await content.read())
        paths.append(path)
    return paths


def take_files(client: Any, sandbox: Sandbox, paths: Iterable[str]) -> list[str]:
    """Copies files of the sandbox to the Files API, and answers their ids, for the next message."""
    ids = []
    for path in paths:
        uploaded = client.beta.files.upload(file=_upload(path, sandbox.download(path)))
        ids.append(field(uploaded, "id"))
    return ids


async def take_files_async(client: Any, sandbox: AsyncSandbox, paths: Iterable[str]) -> list[str]:
    """`take_files` for an `anthropic.AsyncAnthropic` and an `AsyncSandbox`."""
    ids = []
    for path in paths:
        content = await sandbox.download(path)
        uploaded = await client.beta.files.upload(file=_upload(path, content))
        ids.append(field(uploaded, "id"))
    return ids


def _calls(message: Any) -> list[tuple[Any, bool]]:
    """The calls of a turn, and of each whether it was cut off."""
    content = message if isinstance(message, (list, tuple)) else field(message, "content")
    blocks = content if isinstance(content, (list, tuple)) else []
    cut_off = field(message, "stop_reason") == "max_tokens"
    return [
        (block, cut_off and block is blocks[-1])
        for block in blocks
        if field(block, "type") == "tool_use"
    ]


def _handler(name: Any, others: Others | None) -> Tool:
    tool = _HANDLERS.get(name) if isinstance(name, str) else None
    return tool or _unknown(name, [*_HANDLERS, *(others or ())])


def _unknown(name: Any, known: Iterable[str]) -> Tool:
    def tool(given: Any, limits: Limits) -> Steps:
        raise Misuse(f"unknown tool {name!r}. The tools here are {', '.join(known)}")
        yield  # A generator, like every tool.

    return tool


def _result(block: Any, told: Told) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": told.text}]
    for media_type, data in told.images:
        source = {"type": "base64", "media_type": media_type, "data": data}
        content.append({"type": "image", "source": source})
    return _tool_result(block, content, told.failed)


def _tool_result(block: Any, content: Any, failed: bool) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": field(block, "id"),
        "content": content,
        "is_error": failed,
    }


def _own(block: Any, tool: Callable[[Any], Any], limit: int) -> dict[str, Any]:
    try:
        return _answered(block, tool(field(block, "input")), limit)
    except Exception as error:  # Somebody else's code: whatever it is, the model is to hear it.
        return _failed(block, error, limit)


async def _own_async(block: Any, tool: Callable[[Any], Any], limit: int) -> dict[str, Any]:
    try:
        answer = tool(field(block, "input"))
        if hasattr(answer, "__await__"):
            answer = await answer
        return _answered(block, answer, limit)
    except Exception as error:  # Somebody else's code: whatever it is, the model is to hear it.
        return _failed(block, error, limit)


def _answered(block: Any, answer: Any, limit: int) -> dict[str, Any]:
    if isinstance(answer, (list, tuple)):
        return _tool_result(block, list(answer), False)
    return _result(block, Told(cut(clean(str(answer)), limit) or "(nothing)"))


def _failed(block: Any, error: Exception, limit: int) -> dict[str, Any]:
    return _result(block, Told(cut(clean(f"error: {type(error).__name__}: {error}"), limit), True))


_DEEPEST = 16


def _gather_ids(thing: Any, found: list[str], depth: int) -> None:
    if depth > _DEEPEST:
        return
    if isinstance(thing, (list, tuple)):
        for one in thing:
            _gather_ids(one, found, depth + 1)
    elif thing is not None and not isinstance(thing, (str, int, float, bool)):
        id = field(thing, "file_id")
        if isinstance(id, str):
            found.append(id)
        for name in ("content", "source"):
            _gather_ids(field(thing, name), found, depth + 1)


def _path_for(folder: str, name: Any, id: str) -> str:
    """A path that the file's name, which anybody may have chosen, can't lead out of the folder."""
    base = posixpath.basename(name) if isinstance(name, str) else ""
    return posixpath.join(folder, base if base not in ("", ".", "..") else id)


def _upload(path: str, content: bytes) -> tuple[str, bytes, str]:
    kind, _ = mimetypes.guess_type(path)
    return posixpath.basename(path), content, kind or "application/octet-stream"

"""A function for Google's Gemini models that runs code in a sandbox. No dependency."""

from __future__ import annotations

from . import _tools
from ._interpreter import DESCRIPTION, NAME, PARAMETERS
from ._speech import LIMIT, Told
from ._tools import Limits, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..aio import AsyncSandbox
    from ..sandbox import Sandbox


def podflare_function_declaration(name: str = NAME) -> dict[str, Any]:
    """The declaration, as `types.FunctionDeclaration` of `google-genai` and REST take it."""
    return {"name": name, "description": DESCRIPTION, "parameters": PARAMETERS}


def run_function_call(
    call: Any,
    sandbox: Sandbox,
    *,
    timeout: float | None = 300.0,
    limit: int = LIMIT,
) -> dict[str, Any]:
    """Does what a function call asks for, and answers the fields of its function response.

    `{"name", "response": {"output": …}}`, or `{"error": …}` in place of it, so that
    `types.Part.from_function_response(**run_function_call(call, sandbox))` is what the model gets.

    Args:
        call: a `function_call` of a part, as an object or a dict: its `name` and `args`.
    """
    told = _tools.run(_tools.python_or_bash, field(call, "args"), Limits(timeout, limit), sandbox)
    return _response(call, told)


async def run_function_call_async(
    call: Any,
    sandbox: AsyncSandbox | Sandbox,
    *,
    timeout: float | None = 300.0,
    limit: int = LIMIT,
) -> dict[str, Any]:
    """`run_function_call` for an `AsyncSandbox`."""
    limits = Limits(timeout, limit)
    told = await _tools.run_async(_tools.python_or_bash, field(call, "args"), limits, sandbox)
    return _response(call, told)


def _response(call: Any, told: Told) -> dict[str, Any]:
    text = told.without_pictures()
    name = field(call, "name")
    return {"name": name, "response": {"error" if told.failed else "output": text}}

"""A code interpreter for agents of the OpenAI Agents SDK, in a sandbox of one's own."""

from __future__ import annotations

import json

from . import _tools
from ._interpreter import DESCRIPTION, NAME, PARAMETERS, sandbox_for
from ._speech import LIMIT, Told
from ._tools import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..aio import AsyncSandbox
    from ..sandbox import Sandbox


def podflare_code_interpreter(
    sandbox: Sandbox | AsyncSandbox | None = None,
    *,
    name: str = NAME,
    timeout: float | None = 300.0,
    limit: int = LIMIT,
    **options: Any,
) -> Any:
    """A `FunctionTool` that runs Python or bash: `Agent(tools=[podflare_code_interpreter()])`.

    Args:
        sandbox: where it runs; without one, it creates its own at the first call, with `options`
            as of `Sandbox`, and closes it when the program ends.
        name: what the model calls it.
        timeout: seconds that one call may run.
        limit: characters of one answer; more is left out in the middle, and that is said.

    Raises:
        ImportError: the package `openai-agents` is not installed.
    """
    try:
        import agents
    except ImportError as error:
        raise ImportError(
            "podflare_code_interpreter needs the OpenAI Agents SDK: pip install openai-agents"
        ) from error
    pictures = hasattr(agents, "ToolOutputImage")
    limits = Limits(timeout, limit)
    used = sandbox_for(sandbox, options)

    async def on_invoke_tool(context: Any, arguments: str) -> Any:
        try:
            given = json.loads(arguments or "{}")
        except ValueError as error:
            return f"error: the arguments are no JSON: {error}. Call again with JSON"
        told = await _tools.run_async(_tools.python_or_bash, given, limits, used)
        return _output(told, pictures)

    return agents.FunctionTool(
        name=name,
        description=DESCRIPTION,
        # Strict schemas, which this SDK recommends, name every field as required.
        params_json_schema={
            **PARAMETERS,
            "required": ["code", "language"],
            "additionalProperties": False,
        },
        on_invoke_tool=on_invoke_tool,
    )


def _output(told: Told, pictures: bool) -> Any:
    if not told.images or not pictures:
        return told.without_pictures()
    images = [
        {"type": "image", "image_url": f"data:{media_type};base64,{data}"}
        for media_type, data in told.images
    ]
    return [{"type": "text", "text": told.text}, *images]

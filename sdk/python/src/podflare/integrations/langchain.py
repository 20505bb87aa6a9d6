"""A tool for LangChain and LangGraph that runs code in a sandbox.

Needs `langchain-core`.
"""

from __future__ import annotations

from typing import Any, Optional

try:
    from langchain_core.tools import BaseTool
except ImportError as error:
    raise ImportError("PodflareTool needs LangChain: pip install langchain-core") from error

from . import _tools
from ._interpreter import DESCRIPTION, NAME, PARAMETERS, sandbox_for
from ._speech import LIMIT, Told
from ._tools import Limits


class PodflareTool(BaseTool):  # type: ignore[misc]
    """Runs Python or bash: `create_react_agent(model, [PodflareTool(sandbox=sb)])`.

    Without a sandbox it creates its own at the first call, with `options` as of `Sandbox`, and
    closes it when the program ends. Pictures are in the tool message's `artifact`, as a list of
    `{"media_type", "data"}`, since not every model takes them in a tool's answer.
    """

    name: str = NAME
    description: str = DESCRIPTION
    args_schema: Any = PARAMETERS
    response_format: str = "content_and_artifact"
    sandbox: Any = None
    options: Optional[dict[str, Any]] = None
    timeout: Optional[float] = 300.0
    limit: int = LIMIT

    def _run(
        self, code: str = "", language: str = "python", run_manager: Any = None
    ) -> tuple[str, list[dict[str, str]]]:
        given = {"code": code, "language": language}
        limits = Limits(self.timeout, self.limit)
        return _answer(_tools.run(_tools.python_or_bash, given, limits, self._used()))

    async def _arun(
        self, code: str = "", language: str = "python", run_manager: Any = None
    ) -> tuple[str, list[dict[str, str]]]:
        given = {"code": code, "language": language}
        limits = Limits(self.timeout, self.limit)
        return _answer(
            await _tools.run_async(_tools.python_or_bash, given, limits, self._used())
        )

    def _used(self) -> Any:
        if self.sandbox is None:
            self.sandbox = sandbox_for(None, self.options or {})
        return self.sandbox


def _answer(told: Told) -> tuple[str, list[dict[str, str]]]:
    pictures = [{"media_type": kind, "data": data} for kind, data in told.images]
    return told.without_pictures(), pictures

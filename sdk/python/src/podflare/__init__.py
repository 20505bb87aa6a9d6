"""Podflare runs code in a microVM of its own, in a Python process that stays alive.

>>> from podflare import Sandbox
>>> with Sandbox() as sb:
...     _ = sb.run_code("x = 41")
...     print(sb.run_code("print(x + 1)").stdout, end="")
42

`Sandbox` needs nothing but the standard library. `AsyncSandbox` has the same calls with `await`,
and needs `httpx` (`pip install 'podflare[async]'`), which is imported when the first one is made.
"""

from __future__ import annotations

from ._calls import VERSION as __version__
from .client import Client
from .errors import (
    AuthenticationError,
    CapacityError,
    ConflictError,
    ConnectionError,
    InvalidRequestError,
    MergeConflictError,
    NotFoundError,
    PodflareError,
    QuotaError,
    ServerError,
    TemplateBuildError,
    TimeoutError,
)
from .execs import Exec
from .results import (
    Difference,
    Event,
    ExecError,
    ExecInfo,
    ExecResult,
    FileEntry,
    MergeReport,
    PtyInfo,
    Relative,
    SandboxInfo,
    SpaceInfo,
)
from .sandbox import Sandbox
from .space import Space
from .stream import EventStream
from .template import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .pty import Terminal
    from .aio import (
        AsyncClient,
        AsyncExec,
        AsyncSandbox,
        AsyncSpace,
        AsyncTemplate,
        AsyncTerminal,
    )

_ASYNCHRONOUS = (
    "AsyncClient",
    "AsyncExec",
    "AsyncSandbox",
    "AsyncSpace",
    "AsyncTemplate",
    "AsyncTerminal",
)

__all__ = [
    "AsyncClient",
    "AsyncExec",
    "AsyncSandbox",
    "AsyncSpace",
    "AsyncTemplate",
    "AsyncTerminal",
    "AuthenticationError",
    "CapacityError",
    "Client",
    "ConflictError",
    "ConnectionError",
    "Difference",
    "Event",
    "EventStream",
    "Exec",
    "ExecError",
    "ExecInfo",
    "ExecResult",
    "FileEntry",
    "InvalidRequestError",
    "MergeConflictError",
    "MergeReport",
    "NotFoundError",
    "PodflareError",
    "PtyInfo",
    "QuotaError",
    "Relative",
    "Sandbox",
    "SandboxInfo",
    "ServerError",
    "Space",
    "SpaceInfo",
    "Template",
    "TemplateBuildError",
    "Terminal",
    "TimeoutError",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name in _ASYNCHRONOUS:
        from . import aio

        return getattr(aio, name)
    if name == "Terminal":
        from .pty import Terminal

        return Terminal
    raise AttributeError(f"module 'podflare' has no attribute {name!r}")

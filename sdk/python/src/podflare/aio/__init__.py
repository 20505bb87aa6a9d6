"""The same calls with `await`, on `httpx`, for asyncio.

Import from `podflare`, not from here. `httpx` is imported when the first client is made, so that
programs without it can name `AsyncSandbox` all the same.
"""

from __future__ import annotations

from .client import AsyncClient
from .execs import AsyncExec
from .files import AsyncFiles
from .pty import AsyncPtys, AsyncTerminal
from .sandbox import AsyncSandbox
from .space import AsyncSpace
from .template import AsyncTemplate

__all__ = [
    "AsyncClient",
    "AsyncExec",
    "AsyncFiles",
    "AsyncPtys",
    "AsyncSandbox",
    "AsyncSpace",
    "AsyncTemplate",
    "AsyncTerminal",
]

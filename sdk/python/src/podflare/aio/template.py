"""Templates, for asynchronous programs."""

from __future__ import annotations

from .. import _calls
from ..template import Template, built
from .client import AsyncClient
from .execs import follow, gather

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from typing import Any

    from .._events import OnText
    from ..results import Event, ExecResult


class AsyncTemplate:
    """`Template` with `await`: what the calls mean and raise is said there."""

    def __init__(self) -> None:
        raise TypeError("AsyncTemplate has class methods only; it lists `Template` records")

    @classmethod
    async def list(
        cls,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> list[Template]:
        """The templates that are built in and those that this key has built."""
        answer = await _json(_calls.list_templates(), host, api_key, client)
        return [Template(one) for one in answer.get("templates", ())]

    @classmethod
    async def build(
        cls,
        name: str,
        script: str | None = None,
        packages: Sequence[str] | None = None,
        warm: str | None = None,
        base: str = "default",
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> ExecResult:
        """Builds a template, or the next version of it, and waits until it is ready."""
        events = cls.build_stream(
            name, script, packages, warm, base, timeout, host, api_key, client
        )
        return built(name, await gather(events, on_stdout, on_stderr, None))

    @classmethod
    async def build_stream(
        cls,
        name: str,
        script: str | None = None,
        packages: Sequence[str] | None = None,
        warm: str | None = None,
        base: str = "default",
        timeout: float | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Builds like `build`, and yields its events; the template is ready after an exit of 0."""
        call = _calls.build_template(name, base, script, packages, warm, timeout)
        used = client or AsyncClient(host, api_key)
        try:
            async for event in follow(await used._open(call), None, None):
                yield event
        finally:
            if client is None:
                await used.close()

    @classmethod
    async def delete(
        cls,
        name: str,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> None:
        """Deletes a template. Sandboxes that were created from it live on."""
        await _json(_calls.delete_template(name), host, api_key, client)


async def _json(
    call: _calls.Call, host: str | None, api_key: str | None, client: AsyncClient | None
) -> dict[str, Any]:
    if client is not None:
        return await client._json(call)
    async with AsyncClient(host, api_key) as own:
        return await own._json(call)

"""A Space, for asynchronous programs."""

from __future__ import annotations

from .. import _calls
from ..results import SpaceInfo
from ..sandbox import created_id
from . import sandbox as _sandbox
from .client import AsyncClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from .sandbox import AsyncSandbox

    # Inside the class `list` is its method.
    Spaces: TypeAlias = list["AsyncSpace"]


class AsyncSpace:
    """`Space` with `await`: what the calls mean and raise is said there.

    One that was not given a client to share opens a connection for each call, so that there is
    nothing to close.
    """

    id: str
    _shared: AsyncClient | None
    _host: str | None
    _api_key: str | None

    def __init__(self) -> None:
        raise TypeError("an AsyncSpace is made by AsyncSandbox.freeze() and found by get(id)")

    @classmethod
    async def get(
        cls,
        id: str,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> AsyncSpace:
        """The Space with this id."""
        space = cls._of(id, client, host, api_key)
        await space.info()
        return space

    @classmethod
    async def list(
        cls,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> Spaces:
        """All Spaces of this key, oldest first."""
        answer = await _answer(_calls.list_spaces(), client, host, api_key)
        return [cls._of(item["id"], client, host, api_key) for item in answer.get("spaces", ())]

    @classmethod
    def _of(
        cls, id: str, shared: AsyncClient | None, host: str | None, api_key: str | None
    ) -> AsyncSpace:
        space = cls.__new__(cls)
        space.id = id
        space._shared = shared
        space._host = host
        space._api_key = api_key
        return space

    async def info(self) -> SpaceInfo:
        """What the server knows about it: whose it was, its size on disk, when it was frozen."""
        return SpaceInfo(await self._json(_calls.space_info(self.id)))

    async def resume(
        self, traceparent: str | None = None, *, idempotency_key: str | None = None
    ) -> AsyncSandbox:
        """Wakes a sandbox from it, which goes on where the frozen one stopped. The Space stays."""
        client = self._shared or AsyncClient(self._host, self._api_key)
        try:
            call = _calls.resume_space(self.id, idempotency_key)
            id = created_id(await client._json(call, traceparent))
        except BaseException:
            if self._shared is None:
                await client.close()
            raise
        return _sandbox.AsyncSandbox._of(id, self._shared, client, traceparent)

    async def delete(self) -> None:
        """Frees its disk. Sandboxes that were resumed from it live on; again does nothing."""
        await self._json(_calls.delete_space(self.id))

    def __repr__(self) -> str:
        return f"AsyncSpace({self.id!r})"

    async def _json(self, call: _calls.Call) -> dict[str, Any]:
        return await _answer(call, self._shared, self._host, self._api_key)


async def _answer(
    call: _calls.Call, shared: AsyncClient | None, host: str | None, api_key: str | None
) -> dict[str, Any]:
    if shared is not None:
        return await shared._json(call)
    async with AsyncClient(host, api_key) as client:
        return await client._json(call)

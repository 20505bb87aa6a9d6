"""A Space: a sandbox that was frozen to the server's disk."""

from __future__ import annotations

from . import _calls, client as _client, sandbox as _sandbox
from .results import SpaceInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from .client import Client
    from .sandbox import Sandbox

    # Inside the class `list` is its method.
    Spaces: TypeAlias = list["Space"]


class Space:
    """A frozen sandbox: its memory, disk and processes, kept on disk until it is deleted.

    Made by `Sandbox.freeze`. It can be resumed any number of times; each time gives a sandbox of
    its own. Safe for use by several threads.

    >>> from podflare import Sandbox
    >>> sb = Sandbox()
    >>> _ = sb.run_code("x = 42")
    >>> space = sb.freeze()
    >>> with space.resume() as again:
    ...     print(again.run_code("print(x)").stdout, end="")
    42
    >>> space.delete()

    Attributes:
        id: the Space's id, `spc_` and 32 hexadecimal digits.
    """

    id: str
    _client: Client

    def __init__(self) -> None:
        raise TypeError("a Space is made by Sandbox.freeze() and found by Space.get(id)")

    @classmethod
    def get(
        cls,
        id: str,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
    ) -> Space:
        """The Space with this id.

        Raises:
            NotFoundError: there is none, or it belongs to another key.
        """
        space = cls._of(id, client or _client.shared_client(host, api_key))
        space.info()
        return space

    @classmethod
    def list(
        cls,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
    ) -> Spaces:
        """All Spaces of this key, oldest first."""
        client = client or _client.shared_client(host, api_key)
        spaces = client._json(_calls.list_spaces()).get("spaces", ())
        return [cls._of(item["id"], client) for item in spaces]

    @classmethod
    def _of(cls, id: str, client: Client) -> Space:
        space = cls.__new__(cls)
        space.id = id
        space._client = client
        return space

    def info(self) -> SpaceInfo:
        """What the server knows about it: whose it was, its size on disk, when it was frozen."""
        return SpaceInfo(self._json(_calls.space_info(self.id)))

    def resume(
        self, traceparent: str | None = None, *, idempotency_key: str | None = None
    ) -> Sandbox:
        """Wakes a sandbox from it, which goes on where the frozen one stopped. The Space stays.

        A resume with the same `idempotency_key` answers the same sandbox, see `Sandbox`.

        Raises:
            ConflictError: it is damaged, or does not fit this host any more; the text says how.
            CapacityError: the host has no room.
            NotFoundError: it was deleted.
        """
        answer = self._client._json(_calls.resume_space(self.id, idempotency_key), traceparent)
        return _sandbox.Sandbox._of(_sandbox.created_id(answer), self._client, traceparent)

    def delete(self) -> None:
        """Frees its disk. Sandboxes that were resumed from it live on; again does nothing.

        Raises:
            ConflictError: a persistent sandbox sleeps in it.
        """
        self._json(_calls.delete_space(self.id))

    def __repr__(self) -> str:
        return f"Space({self.id!r})"

    def _json(self, call: _calls.Call) -> dict[str, Any]:
        return self._client._json(call)

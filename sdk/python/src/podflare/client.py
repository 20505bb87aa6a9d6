"""A configured connection to one server, shared by any number of sandboxes."""

from __future__ import annotations

import atexit
import json
import sys
import time

from . import _config
from ._calls import VERSION
from ._transport import Transport
from .errors import (
    AuthenticationError,
    ConnectionError,
    PodflareError,
    ServerError,
    error_from_answer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._calls import Call
    from ._config import Settings
    from ._transport import Answer

_DEFAULT_TIMEOUT = 120.0
LONGEST_ERROR = 64 * 1024
LONGEST_JSON = 64 * 1024 * 1024
# How long to wait before each further try of a call that has an idempotency key, and of a stream
# that lost its connection: a server that is restarted is back within seconds.
RETRY_PAUSES = (0.05, 0.25, 1.0, 3.0)
# A server sends a blank line after 15 s in which an exec's stream was silent. After three of them
# that did not come the peer is dead, whatever the connection looks like.
SILENCE_SECONDS = 45.0
# How long the interrupt of code that nobody waits for any more may keep its caller.
INTERRUPT_SECONDS = 5.0


class Client:
    """Where the server is, the key, and the kept-alive connections.

    Sandboxes with the same configuration share a client without being told; make one to set
    something for all its sandboxes. Safe for use by several threads.

    >>> from podflare import Client, Sandbox
    >>> with Client() as client, Sandbox(client=client) as sb:
    ...     print(sb.run_code("print('hello')").stdout, end="")
    hello
    """

    def __init__(
        self,
        host: str | None = None,
        api_key: str | None = None,
        traceparent: str | None = None,
        *,
        timeout: float | None = _DEFAULT_TIMEOUT,
    ) -> None:
        """Looks up the configuration; connects at the first call.

        Args:
            host: the server's address, like `http://127.0.0.1:7070`; else `PODFLARE_HOSTD_URL`,
                else the credentials file, else port 7070 of this machine.
            api_key: else `PODFLARE_API_KEY`, else the credentials file.
            traceparent: a W3C trace context sent with each call; else `PODFLARE_TRACEPARENT`.
            timeout: how many seconds the server may stay silent before `TimeoutError`; None for
                ever. Running code may always be silent: `run_code` has a time-out of its own.

        Raises:
            AuthenticationError: nothing is configured; the text says how to get a key.
        """
        self._configure(_config.resolve(host, api_key, traceparent), timeout)

    def _configure(self, settings: Settings, timeout: float | None) -> None:
        self._settings = settings
        self._transport = Transport(settings.host, request_headers(settings), timeout)

    @property
    def host(self) -> str:
        """The server's address."""
        return self._settings.host

    def close(self) -> None:
        """Closes the idle connections. Sandboxes are not closed, and may even go on."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(host={self.host!r})"

    def _open(self, call: Call, traceparent: str | None = None) -> Answer:
        """Sends a call whose answer's body the caller reads; raises what the server refuses."""
        extra = {} if traceparent is None else {"traceparent": traceparent}
        answer = self._transport.send(call, extra)
        if 200 <= answer.status < 300:
            return answer
        with answer:
            body = answer.read(LONGEST_ERROR)
        raise refusal(self._settings, answer.status, answer.headers, body)

    def _json(self, call: Call, traceparent: str | None = None) -> dict[str, Any]:
        """Sends a call and answers its JSON object; empty for an answer without a body.

        One with an idempotency key is sent again when its connection breaks: the server does it
        once, whatever the number of tries.
        """
        try:
            return self._json_once(call, traceparent)
        except ConnectionError as lost:
            if not worth_another_try(call, lost):
                raise
            first = lost
        for pause in RETRY_PAUSES:
            time.sleep(pause)
            try:
                return self._json_once(call, traceparent)
            except ConnectionError:
                continue  # The first one says what happened; this one may only say "refused".
        raise first

    def _json_once(self, call: Call, traceparent: str | None) -> dict[str, Any]:
        with self._open(call, traceparent) as answer:
            return json_object(answer.read(LONGEST_JSON))


_MOST_SHARED = 32
_shared: dict[tuple[str | None, ...], Client] = {}


def shared_client(host: str | None, api_key: str | None) -> Client:
    """The client for this configuration that all sandboxes of the process use.

    The environment and the credentials file are read anew each time, so a changed one counts.
    """
    settings = _config.resolve(host, api_key)
    key = (settings.host, settings.api_key, settings.traceparent)
    client = _shared.get(key)
    if client is None:
        if len(_shared) >= _MOST_SHARED:  # A program that changes its configuration all the time.
            _close_shared()
            _shared.clear()
        client = Client.__new__(Client)
        client._configure(settings, _DEFAULT_TIMEOUT)
        # Of two threads that come here at once, both go on with the same one.
        client = _shared.setdefault(key, client)
    return client


@atexit.register
def _close_shared() -> None:
    for client in list(_shared.values()):
        client.close()


def worth_another_try(call: Call, lost: ConnectionError) -> bool:
    """Whether a call that broke off is sent again: it has a key, and the server was there."""
    return call.key is not None and lost.code != "unreachable"


def request_headers(settings: Settings) -> dict[str, str]:
    """The headers of every request."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    headers = {
        "Accept-Encoding": "identity",
        "User-Agent": f"podflare-python/{VERSION} python/{python}",
    }
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    if settings.traceparent is not None:
        headers["traceparent"] = settings.traceparent
    return headers


def refusal(
    settings: Settings, status: int, headers: Mapping[str, str], body: bytes
) -> PodflareError:
    """The exception for an answer that is no success."""
    error = error_from_answer(status, headers, body)
    if status == 401 and isinstance(error, AuthenticationError):
        if settings.api_key is None:
            error.hint = _config.how_to_get_a_key()
        else:
            sent = f"the key that was sent comes from {settings.key_source}"
            error.hint = f"{error.hint}; {sent}" if error.hint else sent
    return error


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object."""
    if not body:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServerError(f"the answer is not JSON: {body[:200]!r}", code="bad_answer") from error
    if not isinstance(value, dict):
        raise ServerError(f"the answer is no JSON object: {body[:200]!r}", code="bad_answer")
    return value

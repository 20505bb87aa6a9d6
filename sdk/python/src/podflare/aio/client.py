"""A configured connection to one server, for asynchronous programs."""

from __future__ import annotations

import asyncio

from .. import _config
from .._bodies import CHUNK
from .._failures import closed_meanwhile, cut_off, silent, unanswered, unreachable
from .._keepalive import keepalive
from ..client import (
    LONGEST_ERROR,
    LONGEST_JSON,
    RETRY_PAUSES,
    json_object,
    refusal,
    request_headers,
    worth_another_try,
)
from ..errors import ConnectionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from typing import Any

    from .._calls import Call
    from .._config import Settings

_CONNECT_SECONDS = 10.0
_DEFAULT_TIMEOUT = 120.0


class AsyncClient:
    """Where the server is, the key, and the kept-alive connections, for one event loop.

    An `AsyncSandbox` makes its own unless it is given one to share. A call that may be repeated
    harmlessly is sent a second time when its connection dies before an answer; running code never.

    Raises:
        ImportError: `httpx` is not installed.
    """

    def __init__(
        self,
        host: str | None = None,
        api_key: str | None = None,
        traceparent: str | None = None,
        *,
        timeout: float | None = _DEFAULT_TIMEOUT,
    ) -> None:
        """Looks up the configuration; the arguments and errors are those of `Client`."""
        self._configure(_config.resolve(host, api_key, traceparent), timeout)

    def _configure(self, settings: Settings, timeout: float | None) -> None:
        httpx = _httpx()
        self._settings = settings
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            headers=request_headers(self._settings),
            timeout=httpx.Timeout(timeout, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            # Without TLS there is nothing to verify, and loading the authorities takes 20 ms.
            verify=self._settings.host.startswith("https:"),
            trust_env=False,  # Like the synchronous client: no proxy, no .netrc.
        )

    @property
    def host(self) -> str:
        """The server's address."""
        return self._settings.host

    def another(self) -> AsyncClient:
        """A client with the same configuration and connections of its own."""
        client = AsyncClient.__new__(AsyncClient)
        client._configure(self._settings, self._timeout)
        return client

    async def close(self) -> None:
        """Closes the connections. Sandboxes are not closed."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient(host={self.host!r})"

    async def _open(self, call: Call, traceparent: str | None = None) -> AsyncAnswer:
        """Sends a call whose answer's body the caller reads; raises what the server refuses."""
        answer = await self._send(call, traceparent)
        if 200 <= answer.status < 300:
            return answer
        async with answer:
            body = await answer.read(LONGEST_ERROR)
        raise refusal(self._settings, answer.status, answer.headers, body)

    async def _json(self, call: Call, traceparent: str | None = None) -> dict[str, Any]:
        """Sends a call and answers its JSON object; empty for an answer without a body.

        One with an idempotency key is sent again when its connection breaks, as by `Client`.
        """
        try:
            return await self._json_once(call, traceparent)
        except ConnectionError as lost:
            if not worth_another_try(call, lost):
                raise
            first = lost
        for pause in RETRY_PAUSES:
            await asyncio.sleep(pause)
            try:
                return await self._json_once(call, traceparent)
            except ConnectionError:
                continue  # The first one says what happened; this one may only say "refused".
        raise first

    async def _json_once(self, call: Call, traceparent: str | None) -> dict[str, Any]:
        async with await self._open(call, traceparent) as answer:
            return json_object(await answer.read(LONGEST_JSON))

    async def _send(self, call: Call, traceparent: str | None) -> AsyncAnswer:
        httpx = _httpx()
        headers = call.headers()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        timeout = httpx.Timeout(self._timeout, connect=_CONNECT_SECONDS, pool=None)
        if call.patient:
            timeout.read = None
        attempts = 2 if call.repeatable else 1
        while True:
            if self._http.is_closed:
                raise closed_meanwhile("the client")
            attempts -= 1
            request = self._http.build_request(
                call.method,
                self.host + call.target,
                headers=headers,
                content=_content(call.body),
                timeout=timeout,
            )
            try:
                response = await self._http.send(request, stream=True, follow_redirects=False)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise unreachable(self.host, str(error) or "timed out") from error
            except httpx.TimeoutException as error:
                raise silent(self.host, self._timeout) from error
            except httpx.TransportError as error:
                if attempts == 0:
                    raise unanswered(self.host, _cause(error)) from error
            else:
                return AsyncAnswer(response, self._http, self.host, timeout.read)


class AsyncAnswer:
    """An answer whose body is still to be read. Whoever has it closes it."""

    def __init__(self, response: Any, http: Any, host: str, timeout: float | None) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._http = http
        self._host = host
        self._timeout = timeout

    async def __aenter__(self) -> AsyncAnswer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def expect_within(self, seconds: float) -> None:
        """From now on a longer silence of the body is a `TimeoutError`, and the kernel watches the
        connection too."""
        self._timeout = seconds
        stream = self._response.extensions.get("network_stream")
        connection = None if stream is None else stream.get_extra_info("socket")
        if connection is not None:
            for option in keepalive():
                connection.setsockopt(*option)
        # The transport reads this when it begins with the body.
        self._response.request.extensions["timeout"]["read"] = seconds

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        httpx = _httpx()
        try:
            async for piece in self._response.aiter_raw():
                yield piece
        except httpx.TimeoutException as error:
            raise silent(self._host, self._timeout) from error
        except httpx.TransportError as error:
            if self._http.is_closed:
                raise closed_meanwhile("the client") from error
            raise cut_off(self._host, _cause(error)) from error

    async def read(self, limit: int | None = None) -> bytes:
        """The rest of the body, or its first `limit` bytes and some more."""
        pieces = []
        size = 0
        async for piece in self.pieces():
            pieces.append(piece)
            size += len(piece)
            if limit is not None and size >= limit:
                break
        return b"".join(pieces)

    async def close(self) -> None:
        await self._response.aclose()


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise ImportError("AsyncSandbox needs httpx: pip install 'podflare[async]'") from error
    return httpx


def _content(body: Any) -> Any:
    if body is None or isinstance(body, bytes) or hasattr(body, "__aiter__"):
        return body
    if isinstance(body, memoryview):
        return _pieces_of(body) if len(body) > CHUNK else bytes(body)
    return _awaitable(body)


async def _awaitable(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _pieces_of(body: memoryview) -> AsyncIterator[bytes]:
    return _awaitable(bytes(body[i : i + CHUNK]) for i in range(0, len(body), CHUNK))


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__



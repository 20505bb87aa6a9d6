"""Terminals in a sandbox, for programs on asyncio."""

from __future__ import annotations

import asyncio
import ssl
import weakref

from .. import _calls
from .._failures import unreachable
from .._terminal import BEGIN_SECONDS, Conversation, input_bytes, terminal_fields, wait_timed_out
from ..errors import ConnectionError, InvalidRequestError, PodflareError
from ..results import PtyInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any, TypeAlias

    from .client import AsyncClient
    from .sandbox import AsyncSandbox

    OnData: TypeAlias = "Callable[[bytes], Any]"
    Infos: TypeAlias = "list[PtyInfo]"

_CONNECT_SECONDS = 10.0
_PIECE = 64 * 1024


class AsyncPtys:
    """`AsyncSandbox.pty`: the calls of `Ptys`, with `await`."""

    def __init__(self, sandbox: AsyncSandbox) -> None:
        self._sandbox = sandbox
        self._open: weakref.WeakValueDictionary[str, AsyncTerminal] = weakref.WeakValueDictionary()

    async def create(
        self,
        cmd: str = "bash -l",
        cols: int = 80,
        rows: int = 24,
        on_data: OnData | None = None,
        timeout_ms: int | None = None,
        cwd: str | None = None,
    ) -> AsyncTerminal:
        """Starts a command in a terminal of its own; `on_data` may be a coroutine function."""
        return await self._begin(terminal_fields(cmd, cols, rows, cwd), on_data, timeout_ms)

    async def attach(
        self,
        pty: str | AsyncTerminal,
        on_data: OnData | None = None,
        timeout_ms: int | None = None,
    ) -> AsyncTerminal:
        """Attaches to a terminal that runs: first comes the last 1 MiB that it wrote."""
        return await self._begin({"pty": _id_of(pty)}, on_data, timeout_ms)

    async def list(self) -> Infos:
        """The terminals of the sandbox, those that have ended lately too."""
        answer = await self._sandbox._json(_calls.list_ptys(self._sandbox.id))
        return [PtyInfo(one) for one in answer.get("ptys", ())]

    async def kill(self, pty: str | AsyncTerminal) -> None:
        """Kills a terminal with all that runs in it, attached or not."""
        await self._sandbox._json(_calls.kill_pty(self._sandbox.id, _id_of(pty)))

    async def send_input(self, pty: str | AsyncTerminal, data: str | bytes) -> None:
        """Types into a terminal that this object has opened."""
        await self._attached(pty).send_input(data)

    async def resize(self, pty: str | AsyncTerminal, cols: int, rows: int) -> None:
        """Gives a terminal that this object has opened another size."""
        await self._attached(pty).resize(cols, rows)

    async def wait(self, pty: str | AsyncTerminal, timeout: float | None = None) -> int:
        """Waits for the end of a terminal that this object has opened; answers its exit code."""
        return await self._attached(pty).wait(timeout)

    def _attached(self, pty: str | AsyncTerminal) -> AsyncTerminal:
        if isinstance(pty, AsyncTerminal):
            return pty
        terminal = self._open.get(pty)
        if terminal is None:
            raise InvalidRequestError(
                f"this program is not attached to the terminal {pty!r}",
                code="pty_not_attached",
                hint="sandbox.pty.attach(id) attaches to it",
            )
        return terminal

    async def _begin(
        self, fields: dict[str, Any], on_data: OnData | None, timeout_ms: int | None
    ) -> AsyncTerminal:
        call = _calls.open_pty(self._sandbox.id, fields)
        extra = {}
        if self._sandbox._traceparent is not None:
            extra["traceparent"] = self._sandbox._traceparent
        terminal = await AsyncTerminal._open(
            self._sandbox._client, call.target, extra, on_data, timeout_ms
        )
        self._open[terminal.id] = terminal
        return terminal


class AsyncTerminal:
    """`Terminal` with `await`: what the calls mean and raise is said there.

    `async for data in terminal` yields what it writes, unless `on_data` gets it.
    """

    id: str
    pid: int | None
    _talk: Conversation
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _task: asyncio.Task[None] | None
    _timer: asyncio.Task[None] | None

    def __init__(self) -> None:
        raise TypeError("an AsyncTerminal is made by sandbox.pty.create(…) or .attach(id)")

    @classmethod
    async def _open(
        cls,
        client: AsyncClient,
        target: str,
        headers: dict[str, str],
        on_data: OnData | None,
        timeout_ms: int | None,
    ) -> AsyncTerminal:
        terminal = cls.__new__(cls)
        terminal._closed = False
        terminal._task = None
        terminal._timer = None
        talk = terminal._talk = Conversation(client._settings, target, headers)
        try:
            terminal._reader, terminal._writer = await asyncio.wait_for(
                asyncio.open_connection(
                    *talk.address, ssl=ssl.create_default_context() if talk.secure else None
                ),
                _CONNECT_SECONDS,
            )
        except (OSError, asyncio.TimeoutError) as cause:
            reason = getattr(cause, "strerror", None) or str(cause) or "timed out"
            raise unreachable(client.host, reason) from cause
        try:
            await asyncio.wait_for(terminal._begin(), BEGIN_SECONDS)
        except asyncio.TimeoutError:
            await terminal.close()
            raise talk.silent(BEGIN_SECONDS) from None
        except BaseException:
            await terminal.close()
            raise
        terminal.id, terminal.pid = talk.id, talk.pid
        if timeout_ms is not None:
            terminal._timer = asyncio.ensure_future(terminal._expire(timeout_ms / 1000))
        if on_data is not None:
            terminal._task = asyncio.ensure_future(terminal._pump(on_data))
        return terminal

    @property
    def exit_code(self) -> int | None:
        return self._talk.exit_code

    @property
    def reason(self) -> str | None:
        return self._talk.reason

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def read(self) -> bytes:
        """What it wrote, waiting for at least one byte; empty when it has ended."""
        if self._task is not None:
            raise InvalidRequestError(
                "the output of this terminal goes to on_data", code="invalid_argument"
            )
        return await self._read()

    async def send_input(self, data: str | bytes) -> None:
        """Types: text as UTF-8, or bytes."""
        for piece in input_bytes(data):
            await self._send(self._talk.typed(piece))

    async def resize(self, cols: int, rows: int) -> None:
        """Gives it another size."""
        await self._send(self._talk.said({"resize": {"cols": cols, "rows": rows}}))

    async def signal(self, name: str) -> None:
        """Sends its processes a signal, like `SIGINT`."""
        await self._send(self._talk.said({"signal": name}))

    async def kill(self) -> None:
        """Kills it, with all that runs in it. Harmless when it has ended."""
        if self.exit_code is None:
            await self._send(self._talk.said({"kill": True}))

    async def wait(self, timeout: float | None = None) -> int:
        """Waits for its end and answers its exit code, 128 and the signal's number after a signal.

        Without `on_data`, what it still writes is thrown away.
        """
        # Shielded: that the caller does not wait any longer does not stop the output.
        waiting = self._drain() if self._task is None else asyncio.shield(self._task)
        try:
            await asyncio.wait_for(waiting, timeout)
        except asyncio.TimeoutError:
            raise wait_timed_out(timeout) from None
        return self._talk.ended()

    async def close(self) -> None:
        """Detaches. The terminal goes on, and can be attached to again."""
        already, self._closed = self._closed, True
        if already:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._talk.begun:
            self._writer.write(self._talk.farewell())
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass  # It was closed by the other end: there is nobody to take leave of.

    async def __aenter__(self) -> AsyncTerminal:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncTerminal({self.id!r}, pid={self.pid})"

    async def _begin(self) -> None:
        self._writer.write(self._talk.upgrade.request)
        while not self._talk.begun:
            await self._receive()

    async def _pump(self, on_data: OnData) -> None:
        while data := await self._read():
            waiting = on_data(data)
            if hasattr(waiting, "__await__"):
                await waiting

    async def _drain(self) -> None:
        while await self._read():
            pass

    async def _read(self) -> bytes:
        while True:
            data = await self._take()
            if data:
                return data
            if self.exit_code is not None:
                await self.close()
                return b""
            if self._closed:
                return b""
            try:
                await self._receive()
            except PodflareError as failure:
                self._talk.failed(failure)
                await self.close()
                raise

    async def _take(self) -> bytes:
        try:
            return self._talk.take()
        except PodflareError:
            await self.close()
            raise

    async def _receive(self) -> None:
        try:
            data = await self._reader.read(_PIECE)
        except OSError as broken:
            if self._closed:
                return
            raise self._talk.broken(broken.strerror or str(broken)) from broken
        if not data and self._closed:
            return
        reply = self._talk.received(data)
        if reply:
            await self._send(reply)

    async def _send(self, data: bytes) -> None:
        if self._closed:
            raise self._talk.detached()
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as broken:
            if self.exit_code is None:
                raise self._talk.broken(broken.strerror or str(broken)) from broken

    async def _expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await self.kill()
        except ConnectionError:
            return  # Whoever reads or waits is told the same.


def _id_of(pty: str | AsyncTerminal) -> str:
    return pty if isinstance(pty, str) else pty.id

"""One exec by its id, for asynchronous programs."""

from __future__ import annotations

import asyncio

from .. import _calls
from .._events import EventDecoder, Transcript, listener
from .._failures import outcome_unknown
from ..client import RETRY_PAUSES
from ..errors import CapacityError, ConnectionError, PodflareError
from ..results import ExecInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import TypeAlias

    from .._events import OnResult, OnText
    from ..results import Event, ExecResult
    from .client import AsyncAnswer
    from .sandbox import AsyncSandbox

    OpenAt: TypeAlias = "Callable[[str, int], Awaitable[AsyncAnswer]]"


class AsyncExec:
    """`Exec` with `await`: what the calls mean and raise is said there."""

    def __init__(self, sandbox: AsyncSandbox, id: str) -> None:
        self._sandbox = sandbox
        self.id = id

    async def info(self) -> ExecInfo:
        """What the server knows about it now."""
        return ExecInfo(await self._sandbox._json(_calls.exec_info(self._sandbox.id, self.id)))

    async def stream(self, from_seq: int = 0) -> AsyncGenerator[Event, None]:
        """Its events from this number on as they were first told, then live, up to the `exit`."""
        answer = await self._sandbox._open_exec(self.id, from_seq)
        async for event in follow(answer, self.id, self._sandbox._open_exec, from_seq):
            yield event

    async def wait(
        self,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        on_result: OnResult | None = None,
    ) -> ExecResult:
        """Waits for its end and answers what `run_code` would have, from its first event on."""
        return await gather(self.stream(), on_stdout, on_stderr, on_result)

    async def interrupt(self) -> None:
        """Stops it like Ctrl-C, or takes it out of the queue. Harmless when it has ended."""
        await self._sandbox._json(_calls.interrupt_exec(self._sandbox.id, self.id))

    def __repr__(self) -> str:
        return f"AsyncExec({self.id!r})"


async def follow(
    answer: AsyncAnswer, exec_id: str | None, open_at: OpenAt | None, from_seq: int = 0
) -> AsyncGenerator[Event, None]:
    """The events of an exec, over as many connections as it takes, see `EventStream`."""
    decoder = EventDecoder()
    decoder.next_seq = from_seq
    fruitless = 0
    while True:
        broken: ConnectionError | None = None
        async with answer:
            try:
                async for piece in answer.pieces():
                    for event in decoder.feed(piece):
                        fruitless = 0
                        yield event
            except ConnectionError as lost:
                broken = lost
        if decoder.finished:
            return
        cause = "the answer ended before the exit event" if broken is None else broken.message
        if exec_id is None or open_at is None:
            raise outcome_unknown(cause) from broken
        while True:
            if fruitless >= len(RETRY_PAUSES):
                raise outcome_unknown(cause) from broken
            await asyncio.sleep(RETRY_PAUSES[fruitless])
            fruitless += 1
            try:
                answer = await open_at(exec_id, decoder.next_seq)
            except (ConnectionError, CapacityError):
                continue  # The server is not back yet.
            except PodflareError as refused:
                raise outcome_unknown(cause) from refused
            decoder.restart()
            break


async def gather(
    events: AsyncGenerator[Event, None],
    on_stdout: OnText | None,
    on_stderr: OnText | None,
    on_result: OnResult | None,
) -> ExecResult:
    """All events as one result; the callbacks may be coroutine functions."""
    transcript = Transcript()
    try:
        async for event in events:
            transcript.add(event)
            listen = listener(event, on_stdout, on_stderr, on_result)
            if listen is not None:
                waiting = listen(event.data)
                if hasattr(waiting, "__await__"):
                    await waiting
    finally:
        await events.aclose()
    return transcript.result()

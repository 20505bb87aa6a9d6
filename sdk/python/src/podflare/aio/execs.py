"""One exec by its id, for asynchronous programs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from .. import _calls
from .._events import EventDecoder, Transcript, listener
from .._failures import outcome_unknown
from ..client import INTERRUPT_SECONDS, RETRY_PAUSES, SILENCE_SECONDS
from ..errors import CapacityError, ConnectionError, PodflareError, TimeoutError
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
        events = follow(
            answer, self.id, self._sandbox._open_exec, from_seq, runs=self._sandbox._runs
        )
        async with aclosing(events):
            async for event in events:
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


class AsyncExecs:
    """The execs of a sandbox: `sandbox.execs`, and `await sandbox.execs()` for the list of all."""

    def __init__(self, sandbox: AsyncSandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self) -> list[ExecInfo]:
        """What runs, waits for its turn, or has ended lately, oldest first."""
        answer = await self._sandbox._json(_calls.list_execs(self._sandbox.id))
        return [ExecInfo(one) for one in answer.get("execs", ())]

    def get(self, id: str) -> AsyncExec:
        """The exec with this id, to be asked, followed, or stopped. Asks the server nothing."""
        return AsyncExec(self._sandbox, _calls.exec_id(id))


async def interrupt_quietly(interrupting: Awaitable[object]) -> None:
    """Stops code that nobody waits for any more. Who left has a reason, which matters more."""
    task = asyncio.ensure_future(interrupting)
    try:
        await asyncio.wait_for(asyncio.shield(task), INTERRUPT_SECONDS)
    except (PodflareError, asyncio.TimeoutError):
        task.cancel()


async def follow(
    answer: AsyncAnswer,
    exec_id: str | None,
    open_at: OpenAt | None,
    from_seq: int = 0,
    *,
    runs: Callable[[str], Awaitable[bool]] | None = None,
) -> AsyncGenerator[Event, None]:
    """The events of an exec, over as many connections as it takes, see `EventStream`."""
    decoder = EventDecoder()
    decoder.next_seq = from_seq
    fruitless = 0
    while True:
        broken: PodflareError | None = None
        if exec_id is not None:  # A server with ids also has a heartbeat.
            answer.expect_within(SILENCE_SECONDS)
        async with answer:
            try:
                async for piece in answer.pieces():
                    if b"\n" in piece:  # An event, or the heartbeat of code that is silent.
                        fruitless = 0
                    for event in decoder.feed(piece):
                        yield event
            except (ConnectionError, TimeoutError) as lost:
                if lost.code == "closed":
                    raise
                broken = lost
        if decoder.finished:
            return
        cause = "the answer ended before the exit event" if broken is None else broken.message
        if exec_id is None or open_at is None:
            raise outcome_unknown(cause) from broken
        while True:
            if fruitless >= len(RETRY_PAUSES):
                # A relay may cut every silence: as long as the server says that it runs, go on.
                if runs is None or not await _confirms(runs, exec_id):
                    raise outcome_unknown(cause) from broken
                fruitless = len(RETRY_PAUSES) - 1
            await asyncio.sleep(RETRY_PAUSES[fruitless])
            fruitless += 1
            try:
                answer = await open_at(exec_id, decoder.next_seq)
            except (ConnectionError, CapacityError) as refused:
                if refused.code == "closed":
                    raise
                continue  # The server is not back yet.
            except PodflareError as refused:
                raise outcome_unknown(cause) from refused
            decoder.restart()
            break


async def _confirms(runs: Callable[[str], Awaitable[bool]], exec_id: str) -> bool:
    try:
        return await runs(exec_id)
    except PodflareError:
        return False


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

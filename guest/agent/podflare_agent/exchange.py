"""Streams on which the agent answers with bytes: what the host asks about, and all that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from podflare_agent.channel import Channel
from podflare_agent.files import Answer, FileStream
from podflare_agent.loop import Loop
from podflare_agent.refusals import Refusal, refusal
from podflare_wire.frames import CHUNK, CREDIT, DATA, WINDOW, encode_json

# What the host may ask about at once: some hundred thousand paths.
MAX_QUESTION = 32 * 1024 * 1024

# An answer in steps: bytes to send, None when there was only work, and at the end what CLOSED says.
Steps = Iterator[bytes | Answer | None]


class Reply(FileStream):
    """Sends what its steps yield, no faster than the host takes it, and then CLOSED with the number
    of bytes as `size`."""

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        steps: Steps,
        on_closed: Callable[[int], None],
    ) -> None:
        super().__init__(channel, stream, on_closed)
        self._loop = loop
        self._steps = steps
        self._unsent = memoryview(b"")
        self._credit = WINDOW
        self._size = 0
        self._working = False
        self._work()

    def _work(self) -> None:
        if self._open and not self._working:
            self._working = True
            self._loop.add_job(self._step)

    def _step(self) -> bool:
        self._working = self._go_on()
        return self._working

    def _go_on(self) -> bool:
        """False when there is nothing to do until more credit comes or the channel clears."""
        if not self._open or self._credit <= 0:
            return False
        if self._channel.congested:
            self._channel.when_clear(self._work)
            return False
        try:
            if not self._unsent:
                self._take(next(self._steps))
            else:
                self._send_chunk()
        except Refusal as no:
            self._close(refusal(no.code, no.error))
        except OSError as error:
            self._fail(error)
        return self._open

    def _take(self, step: bytes | Answer | None) -> None:
        if type(step) is dict:
            answer = {"ok": True, "size": self._size, **step}
            self._close(encode_json(answer).encode())
        elif step:
            self._unsent = memoryview(step)  # type: ignore[arg-type]
            self._send_chunk()

    def _send_chunk(self) -> None:
        chunk, self._unsent = self._unsent[:CHUNK], self._unsent[CHUNK:]
        self._size += len(chunk)
        self._credit -= len(chunk)
        self._channel.send(DATA, self._stream, bytes(chunk))

    def on_credit(self, size: int) -> None:
        self._credit += size
        self._work()

    def _release(self) -> None:
        self._unsent = memoryview(b"")
        close = getattr(self._steps, "close", None)
        if close is not None:
            close()


class Consultation(Reply):
    """A reply to what the host sends first: paths, each ended by a NUL."""

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        answer: Callable[[list[bytes]], Steps],
        on_closed: Callable[[int], None],
    ) -> None:
        self._answer: Callable[[list[bytes]], Steps] | None = answer
        self._question: list[bytes] = []
        self._asked = 0
        self._consumed = 0
        super().__init__(loop, channel, stream, iter(()), on_closed)

    def _work(self) -> None:
        if self._answer is None:
            super()._work()

    def on_data(self, data: bytes) -> None:
        if not self._open or self._answer is None:
            return
        self._asked += len(data)
        if self._asked > MAX_QUESTION:
            self._close(refusal("too_large", f"more than {MAX_QUESTION} bytes of paths"))
            return
        self._question.append(data)
        self._consumed += len(data)
        if self._consumed >= WINDOW // 2:
            self._channel.send(CREDIT, self._stream, self._consumed.to_bytes(4, "big"))
            self._consumed = 0

    def on_end(self) -> None:
        if not self._open or self._answer is None:
            return
        paths = b"".join(self._question).split(b"\0")
        self._question.clear()
        last = paths.pop()
        if last:
            self._close(refusal("invalid_request", "the last path is not ended"))
            return
        self._steps = self._answer(paths)
        self._answer = None
        self._work()

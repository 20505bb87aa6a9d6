"""The events of an exec as they happen, over as many connections as it takes."""

from __future__ import annotations

import time

from ._events import EventDecoder
from ._failures import outcome_unknown
from .client import RETRY_PAUSES
from .errors import CapacityError, ConnectionError, PodflareError, ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._transport import Answer
    from .results import Event


class EventStream:
    """The events of a running exec, as an iterator that can be closed. For one thread at a time.

    When the connection breaks, it goes on where it was on a new one: the server keeps the events,
    so none is lost and none is told twice. As a context manager it closes itself.

    Attributes:
        exec_id: the exec's id, with which `Sandbox.exec` finds it again; None from a server that
            does not tell it, whose streams can't go on after a break.
    """

    def __init__(
        self,
        answer: Answer,
        exec_id: str | None,
        open_at: Callable[[str, int], Answer] | None,
        from_seq: int = 0,
    ) -> None:
        """`open_at` opens the stream of an exec anew, from the event of that number on."""
        self._answer = answer
        self.exec_id = exec_id
        self._open_at = open_at
        self._decoder = EventDecoder()
        self._decoder.next_seq = from_seq
        self._ready: list[Event] = []  # In reverse: the next one is the last.
        self._closed = False
        self._fruitless = 0

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._decoder.finished:
                self.close()
            if self._closed:
                raise StopIteration
            self._receive()
        return self._ready.pop()

    def close(self) -> None:
        """Stops listening. The code runs on unless it has ended."""
        self._closed = True
        self._ready.clear()
        if self._decoder.finished:
            self._answer.finish()
        else:
            self._answer.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A loop that was left by `break`: nobody will read on, and waiting here would be wrong.
        self._answer.close()

    def _receive(self) -> None:
        try:
            data = self._answer.read_some()
        except ConnectionError as broken:
            self._go_on(broken.message, broken)
            return
        if not data:
            self._go_on("the answer ended before the exit event", None)
            return
        try:
            self._ready = self._decoder.feed(data)
        except ServerError:
            self.close()
            raise
        if self._ready:
            self._fruitless = 0
        self._ready.reverse()

    def _go_on(self, cause: str, broken: ConnectionError | None) -> None:
        """Listens again on a new connection, or raises that the outcome is unknown."""
        self._answer.close()
        if self.exec_id is None or self._open_at is None:
            self.close()
            raise outcome_unknown(cause) from broken
        while self._fruitless < len(RETRY_PAUSES):
            time.sleep(RETRY_PAUSES[self._fruitless])
            self._fruitless += 1
            try:
                self._answer = self._open_at(self.exec_id, self._decoder.next_seq)
            except (ConnectionError, CapacityError):
                continue  # The server is not back yet.
            except PodflareError as refused:
                self.close()
                raise outcome_unknown(cause) from refused
            self._decoder.restart()
            return
        self.close()
        raise outcome_unknown(cause) from broken

"""The events of an exec as they happen, over as many connections as it takes."""

from __future__ import annotations

import threading
import time

from ._events import EventDecoder
from ._failures import closed_meanwhile, outcome_unknown
from .client import INTERRUPT_SECONDS, RETRY_PAUSES, SILENCE_SECONDS
from .errors import CapacityError, ConnectionError, PodflareError, ServerError, TimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._transport import Answer
    from .results import Event


class EventStream:
    """The events of a running exec, as an iterator that can be closed. For one thread at a time.

    When the connection breaks, or is silent for longer than the server ever leaves it, it goes on
    where it was on a new one: the server keeps the events, so none is lost and none is told twice.
    As a context manager it closes itself. Another thread may close it too; its reader then gets
    a `ConnectionError` with the code `closed`.

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
        *,
        runs: Callable[[str], bool] | None = None,
        interrupt: Callable[[str], object] | None = None,
    ) -> None:
        """`open_at` opens the stream of an exec anew, from the event of that number on; `runs` asks
        whether it has not ended; `interrupt` stops it, for a stream that takes its code along."""
        self._answer = answer
        self.exec_id = exec_id
        self._open_at = open_at
        self._decoder = EventDecoder()
        self._decoder.next_seq = from_seq
        self._ready: list[Event] = []  # In reverse: the next one is the last.
        self._closed = False
        self._fruitless = 0
        self._runs = runs
        self._interrupt = interrupt
        self._listen()

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
        """Stops listening.

        Code of `run_code_stream` that has not ended is interrupted, unless it was started with
        `detach=True`; its variables stay. A server that does not answer is waited for 5 s. A stream
        of `attach` or `Exec.stream` lets it run.
        """
        was_open, self._closed = not self._closed, True
        self._ready.clear()
        if self._decoder.finished:
            self._answer.finish()
            return
        self._answer.close()
        if was_open and self._interrupt is not None:
            self._stop_in_time()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A loop that was left by `break`: nobody will read on, and waiting here would be wrong.
        self._answer.close()
        if not self._answer.is_of_this_process():
            return
        if not (self._closed or self._decoder.finished or self._interrupt is None):
            self._closed = True
            try:
                threading.Thread(target=self._stop, daemon=True).start()
            except RuntimeError:
                pass  # The interpreter is ending: no thread can be started any more.

    def _stop_in_time(self) -> None:
        """Stops the code, and keeps its caller, who may have pressed Ctrl-C, for seconds only."""
        stopping = threading.Thread(target=self._stop, daemon=True)
        try:
            stopping.start()
        except RuntimeError:  # The interpreter is ending: no thread can be started any more.
            self._stop()
        else:
            stopping.join(INTERRUPT_SECONDS)

    def _stop(self) -> None:
        if self._interrupt is not None and self.exec_id is not None:
            try:
                self._interrupt(self.exec_id)
            except PodflareError:
                pass  # Whoever stops listening has a reason of its own, which matters more.

    def _listen(self) -> None:
        if self.exec_id is not None:  # A server with ids also has a heartbeat.
            self._answer.expect_within(SILENCE_SECONDS)

    def _receive(self) -> None:
        try:
            data = self._answer.read_some()
        except (ConnectionError, TimeoutError) as broken:
            self._go_on(broken.message, broken)
            return
        except Exception as torn:  # What `http.client` says when it loses its socket meanwhile.
            if self._closed:
                raise closed_meanwhile("the stream") from torn
            raise
        if not data:
            self._go_on("the answer ended before the exit event", None)
            return
        if b"\n" in data:  # An event, or the heartbeat of code that is silent.
            self._fruitless = 0
        try:
            self._ready = self._decoder.feed(data)
        except ServerError:
            self.close()
            raise
        self._ready.reverse()

    def _go_on(self, cause: str, broken: PodflareError | None) -> None:
        """Listens again on a new connection, or raises that the outcome is unknown."""
        self._answer.close()
        if self._closed:
            raise closed_meanwhile("the stream") from broken
        if self.exec_id is None or self._open_at is None:
            self._closed = True
            raise outcome_unknown(cause) from broken
        while self._fruitless < len(RETRY_PAUSES) or self._still_runs(self.exec_id):
            time.sleep(RETRY_PAUSES[self._fruitless])
            self._fruitless += 1
            try:
                self._answer = self._open_at(self.exec_id, self._decoder.next_seq)
            except (ConnectionError, CapacityError):
                continue  # The server is not back yet.
            except PodflareError as refused:
                self._closed = True
                raise outcome_unknown(cause) from refused
            self._decoder.restart()
            self._listen()
            return
        self._closed = True
        raise outcome_unknown(cause) from broken

    def _still_runs(self, exec_id: str) -> bool:
        """Whether the server says so, for a relay that cuts every silence; then all tries count
        anew."""
        try:
            runs = self._runs is not None and self._runs(exec_id)
        except PodflareError:
            return False
        if runs:
            self._fruitless = len(RETRY_PAUSES) - 1
        return runs

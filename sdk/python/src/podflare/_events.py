"""From the bytes of an exec's answer to its events, and from the events to one result.

Neither class reads or waits: the synchronous and the asynchronous client feed them.
"""

from __future__ import annotations

import json

from ._failures import outcome_unknown
from .errors import ServerError
from .results import Event, ExecError, ExecResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    OnText = Callable[[str], Any]
    OnResult = Callable[[dict[str, str]], Any]

# A line is one event, of at most 2 MiB from a sound server; this bounds what a broken one can do.
_LONGEST_LINE = 64 * 1024 * 1024


class EventDecoder:
    """Cuts NDJSON into events, whatever the pieces are that it arrives in.

    Lines are decoded whole, so a multi-byte character is never split. Types that this version does
    not know are left out.
    """

    __slots__ = ("_partial", "_partial_size", "finished", "next_seq")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_size = 0
        self.finished = False  # The exit event has been seen: nothing of interest follows.
        self.next_seq = 0  # Where a replay has to begin, so that nothing is told twice or lost.

    def restart(self) -> None:
        """The stream goes on from `next_seq` in another answer: forgets the half line."""
        self._partial.clear()
        self._partial_size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes.

        Raises:
            ServerError: the stream is not what a Podflare server sends.
        """
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial.clear()
            self._partial_size = 0
        self._partial.append(rest)
        self._partial_size += len(rest)
        if self._partial_size > _LONGEST_LINE:
            raise ServerError("the server sent an event of more than 64 MiB")
        events = []
        for line in lines:
            if self.finished or not line.strip():
                continue
            event, seq = _event(line)
            self.next_seq = max(self.next_seq, seq + 1)
            if event is not None:
                self.finished = event.type == "exit"
                events.append(event)
        return events


class Transcript:
    """Gathers the events of one exec into its `ExecResult`."""

    __slots__ = ("_error", "_exit", "_results", "_stderr", "_stdout")

    def __init__(self) -> None:
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._results: list[dict[str, str]] = []
        self._error: ExecError | None = None
        self._exit: Event | None = None

    def add(self, event: Event) -> None:
        kind = event.type
        if kind == "stdout":
            self._stdout.append(event.data)
        elif kind == "stderr":
            self._stderr.append(event.data)
        elif kind == "result":
            self._results.append(event.data)
        elif kind == "error":
            self._error = event.data
        elif kind == "gap":
            lost = event.data["to"] - event.data["from"] + 1
            self._stderr.append(f"[podflare: {lost} events of the output are no longer kept]\n")
        elif kind == "exit":
            self._exit = event

    def result(self) -> ExecResult:
        end = self._exit
        if end is None:
            raise outcome_unknown("the answer has no exit event")
        return ExecResult(
            "".join(self._stdout),
            "".join(self._stderr),
            end.data,
            self._results[-1] if self._results else None,
            self._results,
            self._error,
            end.state_kept is not False,  # A server that says nothing about it keeps the state.
            end.reason,
            end.duration_ms,
        )


def listener(
    event: Event,
    on_stdout: OnText | None,
    on_stderr: OnText | None,
    on_result: OnResult | None,
) -> Callable[[Any], Any] | None:
    """The callback that wants this event's data, if any does."""
    kind = event.type
    if kind == "stdout":
        return on_stdout
    if kind == "stderr":
        return on_stderr
    return on_result if kind == "result" else None


def _event(line: bytes) -> tuple[Event | None, int]:
    """The event, None for a type that is not known, and where it ends: the last `seq` it covers."""
    try:
        fields = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ServerError(f"the server sent an event that is not JSON: {line[:200]!r}") from error
    if not isinstance(fields, dict):
        raise ServerError(f"the server sent an event that is no JSON object: {line[:200]!r}")
    kind, data, seq = fields.get("type"), fields.get("data"), fields.get("seq", 0)
    if not isinstance(seq, int):
        raise ServerError(f"the server sent an event without a number: {line[:200]!r}")
    last = seq
    if kind == "stdout" or kind == "stderr":
        well_formed = isinstance(data, str)
    elif kind == "exit":
        well_formed = isinstance(data, int)
    elif kind == "result":
        well_formed = isinstance(data, dict)
    elif kind == "error":
        well_formed = isinstance(data, dict)
        data = ExecError(data if isinstance(data, dict) else {})
    elif kind == "waiting":
        well_formed = isinstance(data, dict)
    elif kind == "gap":
        well_formed = isinstance(data, dict) and all(
            isinstance(data.get(end), int) for end in ("from", "to")
        )
        last = data["to"] if well_formed else seq
    else:
        return None, seq
    if not well_formed:
        raise ServerError(f"the server sent a malformed {kind} event: {line[:200]!r}")
    event = Event(
        kind,
        data,
        seq,
        fields.get("ts", 0),
        fields.get("reason"),
        fields.get("state_kept"),
        fields.get("duration_ms"),
    )
    return event, last

"""One exec by its id: for code that nobody waits for, or that somebody else waits for."""

from __future__ import annotations

from . import _calls
from ._events import Transcript, listener
from .errors import ServerError
from .results import ExecInfo
from .stream import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._events import OnResult, OnText
    from ._transport import Answer
    from .results import ExecResult
    from .sandbox import Sandbox


class Exec:
    """One run of code, from `Sandbox.detach`, or found again by `Sandbox.exec`.

    Any number of readers may follow it, at once and after its end: the server keeps the output of
    the newest 32 that have ended. Safe for use by several threads.

    >>> from podflare import Sandbox
    >>> with Sandbox() as sb:
    ...     job = sb.detach("print(6 * 7)")
    ...     job.wait().stdout
    '42\\n'

    Attributes:
        id: the exec's id, `exe_` and 32 hexadecimal digits.
    """

    def __init__(self, sandbox: Sandbox, id: str) -> None:
        self._sandbox = sandbox
        self.id = id

    def info(self) -> ExecInfo:
        """What the server knows about it now: its state, when it began and ended, its exit code.

        Raises:
            NotFoundError: there is none, or it ended so long ago that it is forgotten.
        """
        return ExecInfo(self._sandbox._json(_calls.exec_info(self._sandbox.id, self.id)))

    def stream(self, from_seq: int = 0) -> EventStream:
        """Its events from this number on as they were first told, then live, up to the `exit`.

        If so much was written that the oldest is no longer kept, the first event is a `gap`, whose
        data say `from` which number `to` which one, with it, events are missing.
        """
        return EventStream(
            self._open(self.id, from_seq), self.id, self._open, from_seq, runs=self._sandbox._runs
        )

    def wait(
        self,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        on_result: OnResult | None = None,
    ) -> ExecResult:
        """Waits for its end and answers what `run_code` would have, from its first event on."""
        with self.stream() as events:
            return gather(events, on_stdout, on_stderr, on_result)

    def interrupt(self) -> None:
        """Stops it like Ctrl-C, or takes it out of the queue. Harmless when it has ended."""
        self._sandbox._json(_calls.interrupt_exec(self._sandbox.id, self.id))

    def __repr__(self) -> str:
        return f"Exec({self.id!r})"

    def _open(self, id: str, from_seq: int) -> Answer:
        return self._sandbox._open(_calls.exec_stream(self._sandbox.id, id, from_seq))


class Execs:
    """The execs of a sandbox: `sandbox.execs`, and `sandbox.execs()` for the list of all."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __call__(self) -> list[ExecInfo]:
        """What runs, waits for its turn, or has ended lately, oldest first."""
        answer = self._sandbox._json(_calls.list_execs(self._sandbox.id))
        return [ExecInfo(one) for one in answer.get("execs", ())]

    def get(self, id: str) -> Exec:
        """The exec with this id, to be asked, followed, or stopped. Asks the server nothing.

        Raises:
            InvalidRequestError: this is no id of an exec.
        """
        return Exec(self._sandbox, _calls.exec_id(id))


def gather(
    events: EventStream,
    on_stdout: OnText | None,
    on_stderr: OnText | None,
    on_result: OnResult | None,
) -> ExecResult:
    """All events as one result; each goes to its callback on the way."""
    transcript = Transcript()
    for event in events:
        transcript.add(event)
        listen = listener(event, on_stdout, on_stderr, on_result)
        if listen is not None:
            listen(event.data)
    return transcript.result()


def detached_id(answer: dict[str, object]) -> str:
    """The id in the answer to a detached exec."""
    id = answer.get("exec")
    if not isinstance(id, str) or not id:
        raise ServerError("the answer to the detached exec has no id", code="bad_answer")
    return id

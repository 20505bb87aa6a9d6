"""What the calls answer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Record(dict[str, "Any"]):
    """A JSON object from the server: each field by key and by attribute.

    Fields that this version does not know are kept, so a newer server loses nothing.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"


class SandboxInfo(Record):
    """What the server knows about one sandbox. Times are milliseconds since 1970."""

    id: str
    state: str  # ready, running, frozen or lost
    template: str
    isolation: str  # kvm or emulated
    created_at: int
    last_used_at: int
    idle_timeout_seconds: float | None
    max_lifetime_seconds: float | None
    cpus: int
    memory_mb: int
    disk_mb: int
    memory_used_bytes: int
    cpu_time_ms: int
    egress: bool
    persistent: bool
    parent: str | None  # the sandbox that it was forked from
    family: str  # the id of the first of its family, which may be itself
    generation: int  # how many forks it is away from the first
    metadata: dict[str, str]


class Relative(Record):
    """One sandbox of a family, alive or not. Times are milliseconds since 1970."""

    id: str
    parent: str | None
    generation: int
    created_at: int
    closed_at: int | None
    end: str | None  # why it ended
    metadata: dict[str, str]


class Difference(Record):
    """What differs between two sandboxes, seen from the first to the second.

    Attributes:
        added, removed, modified: the paths of files, sorted.
        details: for each of these paths `changed` (`type`, `content`, `mode`, `target`), the file
            in both sandboxes (`from`, `to`), and `text`, the unified diff, if asked for.
        variables: the Python globals in the same three groups, `{name: {"type", "repr"}}`, and
            for modified ones that under `from` and `to`; None if not asked for.
        truncated: whether there was more than is told.
    """

    added: list[str]
    removed: list[str]
    modified: list[str]
    details: dict[str, dict[str, Any]]
    variables: dict[str, dict[str, dict[str, Any]]] | None
    truncated: bool


class MergeReport(Record):
    """What a merge of files did to the parent, or what a merge would do.

    Attributes:
        applied: whether it was done; false after a dry run.
        added, modified, removed: the paths.
        conflicts: the files that were changed on both sides: `path`, `parent`, `winner`.
    """

    mode: str
    applied: bool
    added: list[str]
    modified: list[str]
    removed: list[str]
    conflicts: list[dict[str, str]]


class SpaceInfo(Record):
    """What the server knows about a Space. Times are milliseconds since 1970."""

    id: str
    sandbox: str  # the sandbox that it was
    held_by: str | None  # the persistent sandbox that sleeps in it
    family: str
    generation: int
    template: str
    cpus: int
    memory_mb: int
    disk_mb: int
    disk_bytes: int  # what it takes on the server's disk
    created_at: int
    metadata: dict[str, str]


class FileEntry(Record):
    """One entry of a directory in a sandbox."""

    name: str
    type: str
    size: int  # bytes
    mode: str  # octal, like "0644"
    mtime: int  # milliseconds since 1970


class FileList(list[FileEntry]):
    """The entries of a directory; `truncated` is true when there are more than the server lists."""

    truncated: bool = False


class ExecError(Record):
    """An uncaught exception of the executed code."""

    name: str
    value: str
    traceback: str


class ExecInfo(Record):
    """What the server knows about one exec. Times are milliseconds since 1970."""

    id: str
    language: str
    background: bool
    state: str  # queued, running or ended
    code: str  # its first 200 characters
    created_at: int
    started_at: int | None
    ended_at: int | None
    exit_code: int | None
    reason: str | None
    events: int  # how many there are so far
    first_seq: int  # the oldest one that is kept


class PtyInfo(Record):
    """What the server knows about one terminal."""

    id: str
    cmd: str
    pid: int
    cols: int
    rows: int
    created_at: int  # milliseconds since 1970
    attached: bool
    exit_code: int | None


class Event:
    """One event of a running exec.

    Attributes:
        type: `stdout`, `stderr`, `result`, `error` or `exit`; the first is `waiting` if the code
            does not run yet; in a replay the first may be `gap`, see `Exec.stream`. A newer version
            may know more types: pass over what you don't know.
        data: the text; for `result` a dict of MIME type to text; for `error` an `ExecError`;
            for `exit` the exit code; for `waiting` a dict whose `behind` is the id of the exec that
            runs, or None.
        seq: counts from 0 in each exec.
        ts: the host's time in milliseconds since 1970.
        code: the exit code of an `exit` event, else None.
        reason: of an `exit` event: `ok`, `error`, `timeout`, `interrupted`, `killed` or `oom`.
        state_kept: of an `exit` event: whether the Python process, and so its variables, survived.
        duration_ms: of an `exit` event: how long the code ran.
    """

    __slots__ = ("code", "data", "duration_ms", "reason", "seq", "state_kept", "ts", "type")

    def __init__(
        self,
        type: str,
        data: Any,
        seq: int = 0,
        ts: int = 0,
        reason: str | None = None,
        state_kept: bool | None = None,
        duration_ms: float | None = None,
    ) -> None:
        self.type = type
        self.data = data
        self.seq = seq
        self.ts = ts
        self.code: int | None = data if type == "exit" else None
        self.reason = reason
        self.state_kept = state_kept
        self.duration_ms = duration_ms

    def __repr__(self) -> str:
        return f"Event(type={self.type!r}, data={self.data!r}, seq={self.seq}, ts={self.ts})"


class ExecResult:
    """What one `run_code` call left.

    Attributes:
        stdout, stderr: all the text, as it was written.
        exit_code: 0 when the code ran to its end; 1 after an uncaught exception; the code of a
            `SystemExit`; 124 after a timeout.
        result: the last of `results`, or None: the value of the last expression, as a dict of MIME
            type to text that always has `text/plain`.
        results: every value that was shown, in order: `display(…)`, figures, the last expression.
        error: the uncaught exception, or None.
        state_kept: whether the Python process, and so its variables, survived.
        reason: `ok`, `error`, `timeout`, `interrupted`, `killed` or `oom`; None from a server that
            does not say.
        duration_ms: how long the code ran, or None from a server that does not say.
        text: `result` as plain text, or None: what a notebook would print for the last expression.
    """

    __slots__ = (
        "duration_ms",
        "error",
        "exit_code",
        "reason",
        "result",
        "results",
        "state_kept",
        "stderr",
        "stdout",
    )

    def __init__(
        self,
        stdout: str = "",
        stderr: str = "",
        exit_code: int = 0,
        result: dict[str, str] | None = None,
        results: list[dict[str, str]] | None = None,
        error: ExecError | None = None,
        state_kept: bool = True,
        reason: str | None = None,
        duration_ms: float | None = None,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.exit_code = exit_code
        self.result = result
        self.results = [] if results is None else results
        self.error = error
        self.state_kept = state_kept
        self.reason = reason
        self.duration_ms = duration_ms

    @property
    def text(self) -> str | None:
        return None if self.result is None else self.result.get("text/plain")

    @classmethod
    def of(cls, events: Iterable[Event]) -> ExecResult:
        """What `run_code` would have answered for these events, the `exit` among them.

        Raises:
            ConnectionError: there is no `exit`, so the outcome is unknown.
        """
        from ._events import Transcript

        transcript = Transcript()
        for event in events:
            transcript.add(event)
        return transcript.result()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExecResult):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ExecResult(stdout={self.stdout!r}, stderr={self.stderr!r}, "
            f"exit_code={self.exit_code}, result={self.result!r}, error={self.error!r}, "
            f"reason={self.reason!r}, state_kept={self.state_kept})"
        )

"""A sandbox: one microVM with a Python process that stays alive between calls."""

from __future__ import annotations

from . import _calls, client as _client, space as _space
from ._bodies import local_files, path_and_data
from ._config import valid_traceparent
from .errors import InvalidRequestError, PodflareError, ServerError
from .execs import Exec, Execs, detached_id, gather
from .files import Files
from .results import Difference, MergeReport, Relative, SandboxInfo
from .stream import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import IO, Any, Literal, TypeAlias

    from ._bodies import Data, Path
    from ._calls import Call
    from ._events import OnResult, OnText
    from ._transport import Answer
    from .client import Client
    from .pty import Ptys
    from .results import ExecResult
    from .space import Space

    Language: TypeAlias = Literal["python", "bash"]
    MergeMode: TypeAlias = Literal["swap", "files"]
    OnConflict: TypeAlias = Literal["fail", "winner", "parent"]
    # Inside the class `list` is its method.
    Sandboxes: TypeAlias = list["Sandbox"]
    Relatives: TypeAlias = list[Relative]

DIFF_PATHS = ("/root", "/tmp")


class Sandbox:
    """A microVM of its own for code that nobody vouches for.

    The constructor creates it, `close()` or the end of a `with` block destroys it. Safe for use by
    several threads; the code of several calls runs one after the other.

    >>> from podflare import Sandbox
    >>> with Sandbox() as sb:
    ...     _ = sb.run_code("x = 41")
    ...     print(sb.run_code("print(x + 1)").stdout, end="")
    42

    Attributes:
        id: the sandbox's id, `sbx_` and 32 hexadecimal digits.
        files: lists, reads, writes and removes its files.
        execs: `execs()` lists what runs, waits or has ended lately; `execs.get(id)` finds one.
        pty: opens terminals in it.
    """

    def __init__(
        self,
        template: str = "default",
        egress: bool | Mapping[str, Sequence[str]] = True,
        persistent: bool = False,
        idle_timeout_seconds: float | None = None,
        max_lifetime_seconds: float | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
        region: str | None = None,
        traceparent: str | None = None,
        cpus: float | None = None,
        memory_mb: int | None = None,
        env: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        disk_mb: int | None = None,
        idempotency_key: str | None = None,
        auto_install: bool = False,
    ) -> None:
        """Creates a sandbox and waits until it is ready.

        If the connection breaks meanwhile, the call is sent again; the server makes one sandbox all
        the same.

        Args:
            template: what it is cloned from: `default`, `python-datasci`, or one of your own.
            egress: True for the internet, never the host or private networks; False for none;
                `{"allow": ["*.example.org", …]}` for these only.
            persistent: freeze it when it is idle in place of destroying it; the next call wakes it.
            idle_timeout_seconds: how long after its last call it lives; the server's default is
                300.
            max_lifetime_seconds: how long after its creation it lives at most; no limit by default.
            host, api_key: the server, see `Client`.
            client: a client to share, in place of host and api_key; it is not closed with this
                sandbox.
            region: accepted for the hosted service's programs; one server is one host.
            traceparent: a W3C trace context that goes with each call of this sandbox.
            cpus, memory_mb, disk_mb: its size; the template's by default.
            env: environment variables of all its processes.
            metadata: your own labels, to find it again with `Sandbox.list`.
            idempotency_key: a name for this creation, 1 to 255 visible ASCII characters: another
                one under the same name within 24 hours, say by this program started again, answers
                the same sandbox. Each creation has one of its own by default.
            auto_install: whether pip installs what a cell imports and is not there; stderr says so.
                A cell whose import fails only while it runs is run again from its beginning.

        Raises:
            AuthenticationError: no key, or a wrong one.
            CapacityError: the host has no room.
            QuotaError: this key may have no more.
            InvalidRequestError: an argument is wrong; the text names it.
            ConnectionError: the server can't be reached.
        """
        self._client = client or _client.shared_client(host, api_key)
        self._traceparent = valid_traceparent(traceparent)
        call = _calls.create_sandbox(
            template,
            egress,
            persistent,
            idle_timeout_seconds,
            max_lifetime_seconds,
            cpus,
            memory_mb,
            disk_mb,
            env,
            metadata,
            auto_install,
            idempotency_key,
        )
        self._attach(created_id(self._json(call)))

    @classmethod
    def connect(
        cls,
        id: str,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
        traceparent: str | None = None,
    ) -> Sandbox:
        """The sandbox with this id, which may have been created by another program.

        Raises:
            NotFoundError: there is none, or it belongs to another key.
        """
        client = client or _client.shared_client(host, api_key)
        client._json(_calls.sandbox_info(id), valid_traceparent(traceparent))
        return cls._of(id, client, traceparent)

    @classmethod
    def list(
        cls,
        template: str | None = None,
        state: str | None = None,
        metadata: Mapping[str, str] | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
    ) -> Sandboxes:
        """All sandboxes of this key, or those that match every filter given."""
        client = client or _client.shared_client(host, api_key)
        found: list[Sandbox] = []
        cursor: str | None = None
        while True:
            page = client._json(_calls.list_sandboxes(template, state, metadata, cursor))
            found += (cls._of(item["id"], client, None) for item in page.get("sandboxes", ()))
            cursor = next_cursor(page, cursor)
            if cursor is None:
                return found

    @classmethod
    def _of(cls, id: str, client: Client, traceparent: str | None) -> Sandbox:
        sandbox = cls.__new__(cls)
        sandbox._client = client
        sandbox._traceparent = traceparent
        sandbox._attach(id)
        return sandbox

    def _attach(self, id: str) -> None:
        self.id = id
        self.files = Files(self)
        self.execs = Execs(self)
        self._pty: Ptys | None = None
        self._closed = False

    def run_code(
        self,
        code: str,
        language: Language = "python",
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        on_result: OnResult | None = None,
        timeout: float | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        detach: bool = False,
    ) -> ExecResult:
        """Runs code and waits for its end. Errors of the code are in the result, not raised.

        Leaving the call early, by Ctrl-C or by an exception of a callback, interrupts the code like
        Ctrl-C in the sandbox: its variables stay, and the next call need not wait for it.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb:
        ...     result = sb.run_code("print('so far'); 1/0")
        >>> result.stdout, result.exit_code, result.error.name
        ('so far\\n', 1, 'ZeroDivisionError')

        Args:
            code: Python for the process that stays alive, or a bash script.
            language: `python`, or `bash` for a fresh process in the same file system.
            on_stdout, on_stderr: called with each piece of text as it is written.
            on_result: called with each shown value, a dict of MIME type to text.
                An exception of a callback is raised here, and interrupts the code.
            timeout: seconds for the whole call, waiting behind other calls included. Then the code
                is interrupted, which keeps its variables, or never begins; the result has
                `exit_code` 124 and `reason` `timeout`, and in the second case the `error` name
                `QueuedTooLong`. None for no limit.
            env, cwd: environment variables and working directory for this call only.
            detach: let the code run on when the call is left early.

        Raises:
            NotFoundError: the sandbox is gone.
            ConnectionError: the connection broke and could not be made again; with the code
                `outcome_unknown` the code may have run, run now, or never run.
        """
        with self.run_code_stream(
            code, language, timeout, env=env, cwd=cwd, detach=detach
        ) as events:
            return gather(events, on_stdout, on_stderr, on_result)

    def run_code_stream(
        self,
        code: str,
        language: Language = "python",
        timeout: float | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        detach: bool = False,
    ) -> EventStream:
        """Runs code and answers an iterator of its events as they happen; the last is `exit`.

        The code is started by this call. Closing the iterator early interrupts the code, unless
        `detach` is true. Arguments and errors are those of `run_code`.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb:
        ...     [(event.type, event.data) for event in sb.run_code_stream("print(1)")]
        [('stdout', '1\\n'), ('exit', 0)]
        """
        call = _calls.run_code(self.id, code, language, timeout, env, cwd)
        answer = self._open(call)
        return EventStream(
            answer,
            answer.headers.get("X-Exec-Id"),
            self._open_exec,
            runs=self._runs,
            interrupt=None if detach else self._interrupt_exec,
        )

    def detach(
        self,
        code: str,
        language: Language = "python",
        timeout: float | None = None,
        *,
        background: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Exec:
        """Has code run without waiting for it. Its output is kept, see `Exec`.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb:
        ...     job = sb.detach("import time; time.sleep(0.1); print('done')")
        ...     job.wait().stdout
        'done\n'

        Args:
            background: with `language="bash"`: run beside everything else, at most 32 at once. Else
                it takes its turn like any other call.
        """
        call = _calls.run_code(
            self.id, code, language, timeout, env, cwd, detach=True, background=background
        )
        return Exec(self, detached_id(self._json(call)))

    def run_background(
        self,
        command: str,
        timeout: float | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Exec:
        """Starts a bash command that runs beside everything else: a server, a watcher.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb:
        ...     server = sb.run_background("echo up; sleep 60")
        ...     _ = sb.run_code("print('beside it')")
        ...     server.interrupt()
        ...     server.wait().stdout
        'up\n'
        """
        return self.detach(command, "bash", timeout, background=True, env=env, cwd=cwd)

    def exec(self, id: str) -> Exec:
        """The exec of this sandbox with this id, like `execs.get`. Runs nothing: see `run_code`."""
        return self.execs.get(id)

    def attach(self, id: str, from_seq: int = 0) -> EventStream:
        """The events of an exec from this number on, see `Exec.stream`."""
        return self.exec(id).stream(from_seq)

    @property
    def pty(self) -> Ptys:
        """Opens terminals in it, see `Ptys`."""
        if self._pty is None:
            from .pty import Ptys  # Not every program needs it, and it imports much.

            self._pty = Ptys(self)
        return self._pty

    def interrupt(self) -> None:
        """Stops the running code like Ctrl-C: its variables stay. Harmless when none runs."""
        self._json(_calls.interrupt(self.id))

    def upload(self, path: Path | Data, data: Data | Path, *, mode: int | str | None = None) -> int:
        """Creates or replaces a file, like `files.write`; path and data in either order.

        Of two strings the first is the path, then comes the text. A text that names a file of this
        machine, or a path next to the name of one, is refused, since the file is likely meant: see
        `upload_from`; as bytes it is stored. Returns the number of bytes.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb:
        ...     _ = sb.upload("data.csv", "a,b\\n1,2\\n")
        ...     sb.download("data.csv")
        b'a,b\\n1,2\\n'
        """
        where, what = path_and_data(path, data)
        return self.files.write(where, what, mode=mode)

    def upload_from(
        self,
        local: str | os.PathLike[str],
        path: Path | None = None,
        *,
        mode: int | str | None = None,
    ) -> int:
        """Copies a local file, or a folder with all that is in it, into the sandbox.

        Args:
            local: the file or folder on this machine.
            path: where it goes; under its own name in `/root` by default. A path that ends with
                `/` is a directory that it goes into.
            mode: permissions of a file; its own by default.

        Returns:
            the number of bytes.

        Raises:
            FileNotFoundError: there is no such file or folder on this machine.
        """
        total = 0
        for source, target, own_mode in local_files(local, path):
            with open(source, "rb") as file:
                total += self.files.write(target, file, mode=own_mode if mode is None else mode)
        return total

    def download(self, path: Path) -> bytes:
        """The whole file, like `files.read`."""
        return self.files.read(path)

    def download_to(self, path: Path, target: str | os.PathLike[str] | IO[bytes]) -> int:
        """Copies a file of the sandbox into a local path or open binary file, like `files.read_to`.

        Uses constant memory, and returns the number of bytes.
        """
        return self.files.read_to(path, target)

    def info(self) -> SandboxInfo:
        """What the server knows about it now: state, template, limits, memory, cpu time."""
        return SandboxInfo(self._json(_calls.sandbox_info(self.id)))

    def fork(self, n: int = 1, *, idempotency_key: str | None = None) -> Sandboxes:
        """Makes n live copies: each has every variable, file, thread and process of this one.

        This sandbox stands still for milliseconds and goes on; code that runs in it does not
        notice, and its output stays with it. Each copy lives on its own, and is closed on its own.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb:
        ...     _ = sb.run_code("x = 41")
        ...     [child] = sb.fork()
        ...     with child:
        ...         _ = child.run_code("x += 1")
        ...         print(child.run_code("print(x)").stdout, end="")
        42

        Args:
            n: how many, 1 to 100. All of them are made, or none.
            idempotency_key: as of a creation: the same one answers the same children.

        Raises:
            CapacityError: the host can't hold all of them.
            QuotaError: this key may not have so many.
            ConflictError: the sandbox was lost.
        """
        ids = forked_ids(self._json(_calls.fork(self.id, n, idempotency_key)))
        return [self._of(id, self._client, self._traceparent) for id in ids]

    def diff(
        self,
        other: Sandbox | str,
        paths: Sequence[str] | str = DIFF_PATHS,
        text: bool = False,
        variables: bool = True,
    ) -> Difference:
        """What differs between this sandbox and another one, seen from here to there.

        >>> from podflare import Sandbox
        >>> with Sandbox() as sb, sb.fork()[0] as child:
        ...     _ = child.upload("plan.txt", "b")
        ...     sb.diff(child)["added"]
        ['/root/plan.txt']

        Args:
            other: a sandbox, or its id.
            paths: the directories to compare.
            text: tell changes of small text files as unified diffs.
            variables: compare the Python globals too.

        Raises:
            NotFoundError: one of the two is gone.
            InvalidRequestError: a path is not absolute.
        """
        call = _calls.diff(self.id, id_of(other), paths, text, variables)
        return Difference(self._json(call))

    def merge_into(
        self,
        winner: Sandbox | str,
        mode: MergeMode = "swap",
        dry_run: bool = False,
        paths: Sequence[str] | str | None = None,
        on_conflict: OnConflict = "fail",
    ) -> MergeReport | None:
        """Makes a fork's outcome this sandbox's own.

        `swap`: this sandbox becomes the winner, whole: its id and this object drive the winner's
        machine, what it was before is gone, the winner's id too; `winner.close()` then does
        nothing. Other forks stay as they are.

        `files`: the files that the winner changed since the fork are changed here, in the running
        sandbox; the winner stays.

        Args:
            winner: a fork of this sandbox, or its id.
            dry_run: change nothing, and tell what would be changed.
            paths: for `files`, the directories to merge; `/root` and `/tmp` by default.
            on_conflict: for a file that both sides changed: `fail` changes nothing at all,
                `winner` and `parent` take the file of that side.

        Returns:
            None for a swap, else what was changed, or would be.

        Raises:
            MergeConflictError: both sides changed a file; `.conflicts` has which.
            ConflictError: the two are of different families, or one is lost.
            InvalidRequestError: they are the same.
            NotFoundError: one of the two is gone.
        """
        call = _calls.merge_into(self.id, id_of(winner), mode, dry_run, paths, on_conflict)
        report = self._json(call)
        if mode == "swap" and not dry_run:
            if isinstance(winner, Sandbox):
                winner._closed = True
            return None
        return MergeReport(report)

    def freeze(self) -> Space:
        """Writes memory, disk and processes to the server's disk, and ends the sandbox.

        Waits for code that runs. The sandbox's id is gone then: `close()` does nothing any more,
        and `Space.resume` wakes it under a new one. A sandbox that can't be frozen goes on.
        """
        id = frozen_id(self._json(_calls.freeze(self.id)))
        self._closed = True
        return _space.Space._of(id, self._client)

    def family(self) -> Relatives:
        """This sandbox and all that it shares an ancestor with, the dead too, oldest first."""
        family = self._json(_calls.family(self.id))
        return [Relative(member) for member in family.get("sandboxes", ())]

    def close(self) -> None:
        """Destroys the sandbox, with all that runs in it. Closing it again does nothing."""
        if not self._closed:
            self._json(_calls.close_sandbox(self.id))
            self._closed = True

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except PodflareError as unclosed:
            if error is None:
                raise
            note_unclosed(error, self.id, unclosed)

    def __repr__(self) -> str:
        return f"Sandbox({self.id!r})"

    def _open(self, call: Call) -> Answer:
        return self._client._open(call, self._traceparent)

    def _open_exec(self, id: str, from_seq: int) -> Answer:
        return self._open(_calls.exec_stream(self.id, id, from_seq))

    def _runs(self, exec_id: str) -> bool:
        return self._json(_calls.exec_info(self.id, exec_id)).get("state") in ("queued", "running")

    def _interrupt_exec(self, exec_id: str) -> None:
        self._json(_calls.interrupt_exec(self.id, exec_id))

    def _json(self, call: Call) -> dict[str, Any]:
        return self._client._json(call, self._traceparent)


def created_id(answer: dict[str, Any]) -> str:
    """The id in the answer to a create call."""
    id = answer.get("id")
    if not isinstance(id, str) or not id:
        raise ServerError(
            "the answer to the create call has no id",
            code="bad_answer",
            hint="is this the address of a Podflare server?",
        )
    return id


def forked_ids(answer: dict[str, Any]) -> list[str]:
    """The ids in the answer to a fork."""
    ids = answer.get("children")
    if not isinstance(ids, list) or not all(isinstance(id, str) and id for id in ids):
        raise ServerError("the answer to the fork has no ids of children", code="bad_answer")
    return ids


def frozen_id(answer: dict[str, Any]) -> str:
    """The Space's id in the answer to a freeze."""
    id = answer.get("space")
    if not isinstance(id, str) or not id:
        raise ServerError("the answer to the freeze has no id of a Space", code="bad_answer")
    return id


def id_of(sandbox: Any) -> str:
    """The id of a sandbox that is given as an object, synchronous or not, or by its id."""
    id = getattr(sandbox, "id", sandbox)
    if not isinstance(id, str) or not id:
        raise InvalidRequestError(
            f"a sandbox or its id is needed here, not {sandbox!r}", code="invalid_argument"
        )
    return id


def next_cursor(page: dict[str, Any], cursor: str | None) -> str | None:
    """Where the next page starts; None after the last."""
    following = page.get("next_cursor")
    if following is not None and (not isinstance(following, str) or following == cursor):
        raise ServerError("the list of sandboxes does not end", code="bad_answer")
    return following


def note_unclosed(error: BaseException, id: str, unclosed: PodflareError) -> None:
    """Says beside the exception of a `with` block that its sandbox could not be closed either.

    That exception matters more, so it is the one that is raised.
    """
    if hasattr(error, "add_note"):  # Python 3.11 and newer.
        error.add_note(f"sandbox {id} could not be closed: {unclosed}")

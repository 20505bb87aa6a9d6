"""A sandbox, for asynchronous programs."""

from __future__ import annotations

import asyncio

from .. import _calls
from .._bodies import local_files, path_and_data
from .._config import valid_traceparent
from ..errors import PodflareError
from ..execs import detached_id
from ..results import Difference, MergeReport, Relative, SandboxInfo
from ..sandbox import (
    DIFF_PATHS,
    created_id,
    forked_ids,
    frozen_id,
    id_of,
    next_cursor,
    note_unclosed,
)
from . import space as _space
from .client import AsyncClient
from .execs import AsyncExec, AsyncExecs, follow, gather, interrupt_quietly
from .files import AsyncFiles
from .pty import AsyncPtys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
    from types import TracebackType
    from typing import IO, Any, TypeAlias

    from .._calls import Call
    from .._events import OnResult, OnText
    from ..results import Event, ExecResult
    from ..sandbox import Language, MergeMode, OnConflict, Relatives
    from .client import AsyncAnswer
    from .space import AsyncSpace

    # Inside the class `list` is its method.
    Sandboxes: TypeAlias = list["AsyncSandbox"]


class AsyncSandbox:
    """`Sandbox` with `await`: what the calls mean, take and raise is said there.

    Created by `async with`, by `await AsyncSandbox.create(…)`, or by `await AsyncSandbox(…)`. For
    the tasks of one event loop.

    >>> import asyncio
    >>> from podflare import AsyncSandbox
    >>> async def main():
    ...     async with AsyncSandbox() as sb:
    ...         result = await sb.run_code("print(42)")
    ...         print(result.stdout, end="")
    >>> asyncio.run(main())
    42
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
        client: AsyncClient | None = None,
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
        """Says what to create; nothing is sent yet. The arguments are those of `Sandbox`."""
        self._creation: Call | None = _calls.create_sandbox(
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
        self._attach(None, client, client or AsyncClient(host, api_key), traceparent)

    @classmethod
    async def create(cls, template: str = "default", **options: Any) -> AsyncSandbox:
        """Creates a sandbox; the options are the arguments of the constructor."""
        return await cls(template, **options)

    @classmethod
    async def connect(
        cls,
        id: str,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
        traceparent: str | None = None,
    ) -> AsyncSandbox:
        """The sandbox with this id, which may have been created by another program."""
        sandbox = cls._of(id, client, client or AsyncClient(host, api_key), traceparent)
        try:
            await sandbox.info()
        except BaseException:
            await sandbox._release()
            raise
        return sandbox

    @classmethod
    async def list(
        cls,
        template: str | None = None,
        state: str | None = None,
        metadata: Mapping[str, str] | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: AsyncClient | None = None,
    ) -> Sandboxes:
        """All sandboxes of this key, or those that match every filter given."""
        asking = client or AsyncClient(host, api_key)
        found: list[AsyncSandbox] = []
        cursor: str | None = None
        try:
            while True:
                call = _calls.list_sandboxes(template, state, metadata, cursor)
                page = await asking._json(call)
                for item in page.get("sandboxes", ()):
                    used = client or AsyncClient(host, api_key)
                    found.append(cls._of(item["id"], client, used, None))
                cursor = next_cursor(page, cursor)
                if cursor is None:
                    return found
        finally:
            if client is None:
                await asking.close()

    @classmethod
    def _of(
        cls,
        id: str,
        shared: AsyncClient | None,
        client: AsyncClient,
        traceparent: str | None,
    ) -> AsyncSandbox:
        sandbox = cls.__new__(cls)
        sandbox._attach(id, shared, client, traceparent)
        return sandbox

    def _attach(
        self,
        id: str | None,
        shared: AsyncClient | None,
        client: AsyncClient,
        traceparent: str | None,
    ) -> None:
        self._id = id
        self._client = client
        self._owns_client = shared is None
        self._traceparent = valid_traceparent(traceparent)
        self._closed = False
        self.files = AsyncFiles(self)
        self.execs = AsyncExecs(self)
        self.pty = AsyncPtys(self)

    @property
    def id(self) -> str:
        """The sandbox's id.

        Raises:
            PodflareError: it has not been created yet.
        """
        if self._id is None:
            raise PodflareError(
                "this AsyncSandbox has not been created yet",
                code="not_created",
                hint="use `async with AsyncSandbox(…)` or `await AsyncSandbox.create(…)`",
            )
        return self._id

    async def open(self) -> AsyncSandbox:
        """Creates the sandbox, unless that was done before, and answers itself."""
        if self._id is None:
            assert self._creation is not None
            try:
                self._id = created_id(await self._json(self._creation))
            except BaseException:
                await self._release()
                raise
        return self

    def __await__(self) -> Generator[Any, None, AsyncSandbox]:
        return self.open().__await__()

    async def run_code(
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
        """Runs code and waits for its end. The callbacks may be functions or coroutine functions.

        When the task is cancelled, or a callback raises, the code is interrupted: its variables
        stay, and the next call need not wait for it. With `detach` it runs on.
        """
        events = self.run_code_stream(code, language, timeout, env=env, cwd=cwd, detach=detach)
        return await gather(events, on_stdout, on_stderr, on_result)

    async def run_code_stream(
        self,
        code: str,
        language: Language = "python",
        timeout: float | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        detach: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """Runs code and yields its events as they happen; the last is `exit`.

        The code is started when the first event is asked for. `aclose()`, and the end of the task
        that reads, interrupt the code unless `detach` is true.
        """
        call = _calls.run_code(self.id, code, language, timeout, env, cwd)
        # A call that is cancelled before its answer began must learn its id from the answer still.
        opening = asyncio.ensure_future(self._open(call))
        try:
            answer = await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled() or (opening.done() and opening.exception() is not None):
                raise
            await interrupt_quietly(self._take_back(opening, detach))
            opening.cancel()
            raise
        exec_id = answer.headers.get("X-Exec-Id")
        ended = False
        events = follow(answer, exec_id, self._open_exec, runs=self._runs)
        try:
            async for event in events:
                ended = event.type == "exit"
                yield event
            ended = True
        except PodflareError:
            ended = True  # Nobody left: the outcome is unknown, and that is said.
            raise
        finally:
            await events.aclose()
            if not (ended or detach or exec_id is None):
                await interrupt_quietly(self._interrupt_exec(exec_id))

    async def _take_back(self, opening: asyncio.Future[AsyncAnswer], detach: bool) -> None:
        async with await opening as answer:
            exec_id = answer.headers.get("X-Exec-Id")
            if exec_id is not None and not detach:
                await self._interrupt_exec(exec_id)

    async def detach(
        self,
        code: str,
        language: Language = "python",
        timeout: float | None = None,
        *,
        background: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> AsyncExec:
        """Has code run without waiting for it. Its output is kept, see `Exec`."""
        call = _calls.run_code(
            self.id, code, language, timeout, env, cwd, detach=True, background=background
        )
        return AsyncExec(self, detached_id(await self._json(call)))

    async def run_background(
        self,
        command: str,
        timeout: float | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> AsyncExec:
        """Starts a bash command that runs beside everything else: a server, a watcher."""
        return await self.detach(command, "bash", timeout, background=True, env=env, cwd=cwd)

    def exec(self, id: str) -> AsyncExec:
        """The exec of this sandbox with this id, like `execs.get`. Runs nothing: see `run_code`."""
        return self.execs.get(id)

    def attach(self, id: str, from_seq: int = 0) -> AsyncGenerator[Event, None]:
        """The events of an exec from this number on, see `Exec.stream`."""
        return self.exec(id).stream(from_seq)

    async def interrupt(self) -> None:
        """Stops the running code like Ctrl-C: its variables stay. Harmless when none runs."""
        await self._json(_calls.interrupt(self.id))

    async def upload(self, path: Any, data: Any, *, mode: int | str | None = None) -> int:
        """Creates or replaces a file, like `files.write`; path and data in either order."""
        where, what = path_and_data(path, data)
        return await self.files.write(where, what, mode=mode)

    async def upload_from(
        self,
        local: str | os.PathLike[str],
        path: str | os.PathLike[str] | None = None,
        *,
        mode: int | str | None = None,
    ) -> int:
        """Copies a local file, or a folder with all that is in it, see `Sandbox.upload_from`.

        Reading the local file blocks the event loop as long as the disk takes.
        """
        total = 0
        for source, target, own_mode in local_files(local, path):
            with open(source, "rb") as file:
                total += await self.files.write(
                    target, file, mode=own_mode if mode is None else mode
                )
        return total

    async def download(self, path: str | os.PathLike[str]) -> bytes:
        """The whole file, like `files.read`."""
        return await self.files.read(path)

    async def download_to(
        self, path: str | os.PathLike[str], target: str | os.PathLike[str] | IO[bytes]
    ) -> int:
        """Copies a file into a local path or an open binary file, like `files.read_to`."""
        return await self.files.read_to(path, target)

    async def info(self) -> SandboxInfo:
        """What the server knows about it now: state, template, limits, memory, cpu time."""
        return SandboxInfo(await self._json(_calls.sandbox_info(self.id)))

    async def fork(self, n: int = 1, *, idempotency_key: str | None = None) -> Sandboxes:
        """Makes n live copies: each has every variable, file, thread and process of this one."""
        ids = forked_ids(await self._json(_calls.fork(self.id, n, idempotency_key)))
        return [self._of(id, *self._clients(), self._traceparent) for id in ids]

    async def diff(
        self,
        other: AsyncSandbox | str,
        paths: Sequence[str] | str = DIFF_PATHS,
        text: bool = False,
        variables: bool = True,
    ) -> Difference:
        """What differs between this sandbox and another one, seen from here to there."""
        call = _calls.diff(self.id, id_of(other), paths, text, variables)
        return Difference(await self._json(call))

    async def merge_into(
        self,
        winner: AsyncSandbox | str,
        mode: MergeMode = "swap",
        dry_run: bool = False,
        paths: Sequence[str] | str | None = None,
        on_conflict: OnConflict = "fail",
    ) -> MergeReport | None:
        """Makes a fork's outcome this sandbox's own: whole by `swap`, or by its `files`."""
        call = _calls.merge_into(self.id, id_of(winner), mode, dry_run, paths, on_conflict)
        report = await self._json(call)
        if mode == "swap" and not dry_run:
            if isinstance(winner, AsyncSandbox):
                await winner._end()
            return None
        return MergeReport(report)

    async def freeze(self) -> AsyncSpace:
        """Writes memory, disk and processes to the server's disk, and ends the sandbox."""
        id = frozen_id(await self._json(_calls.freeze(self.id)))
        settings = self._client._settings
        shared = None if self._owns_client else self._client
        space = _space.AsyncSpace._of(id, shared, settings.host, settings.api_key)
        await self._end()
        return space

    async def family(self) -> Relatives:
        """This sandbox and all that it shares an ancestor with, the dead too, oldest first."""
        family = await self._json(_calls.family(self.id))
        return [Relative(member) for member in family.get("sandboxes", ())]

    async def close(self) -> None:
        """Destroys the sandbox, with all that runs in it. Closing it again does nothing."""
        if self._closed:
            return
        try:
            if self._id is not None:
                await self._json(_calls.close_sandbox(self._id))
            self._closed = True
        finally:
            await self._release()

    async def __aenter__(self) -> AsyncSandbox:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except PodflareError as unclosed:
            if error is None:
                raise
            note_unclosed(error, self.id, unclosed)

    def __repr__(self) -> str:
        return f"AsyncSandbox({self._id!r})"

    def _clients(self) -> tuple[AsyncClient | None, AsyncClient]:
        """What a relative of this sandbox is to use: the shared client, or one of its own."""
        if self._owns_client:
            return None, self._client.another()
        return self._client, self._client

    async def _end(self) -> None:
        """The server closed the sandbox by another call."""
        self._closed = True
        await self._release()

    async def _release(self) -> None:
        if self._owns_client:
            await self._client.close()

    async def _open(self, call: Call) -> AsyncAnswer:
        return await self._client._open(call, self._traceparent)

    async def _open_exec(self, id: str, from_seq: int) -> AsyncAnswer:
        return await self._open(_calls.exec_stream(self.id, id, from_seq))

    async def _runs(self, exec_id: str) -> bool:
        info = await self._json(_calls.exec_info(self.id, exec_id))
        return info.get("state") in ("queued", "running")

    async def _interrupt_exec(self, exec_id: str) -> None:
        await self._json(_calls.interrupt_exec(self.id, exec_id))

    async def _json(self, call: Call) -> dict[str, Any]:
        return await self._client._json(call, self._traceparent)

"""The operations of the conformance suite by the Python SDK: `Sandbox`, and `AsyncSandbox` on a loop of its own."""

from __future__ import annotations

import asyncio
import base64
import queue
import re
import threading
from collections.abc import Callable
from typing import Any

import podflare
from podflare import Sandbox, Space, Template

Outcome = tuple[Any, Any]
"""What was made, to be bound and closed at the end, or None; and the fields that were answered."""

PTY_DEADLINE = 60.0


class Operations:
    """Each operation is the method of its name with an underscore behind."""

    def __enter__(self) -> Operations:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def carry_out(self, name: str, on: Any, arguments: dict[str, Any]) -> Outcome:
        return getattr(self, name + "_")(on, **arguments)

    def end(self, made: Any) -> None:
        """Closes a sandbox, deletes a Space."""
        try:
            if isinstance(made, Sandbox):
                made.close()
            elif isinstance(made, Space):
                made.delete()
        except podflare.NotFoundError:
            return  # Its id is gone, by a merge or another client.

    def create_(self, _: Any, **options: Any) -> Outcome:
        return _bound(Sandbox(**options))

    def connect_(self, _: Any, id: str, **client: Any) -> Outcome:
        return _bound(Sandbox.connect(id, **client))

    def list_sandboxes_(self, _: Any, **filters: Any) -> Outcome:
        return None, {"ids": [one.id for one in Sandbox.list(**filters)]}

    def close_(self, on: Sandbox) -> Outcome:
        on.close()
        return None, {}

    def info_(self, on: Any) -> Outcome:
        return None, dict(on.info())

    def run_(self, on: Sandbox, **arguments: Any) -> Outcome:
        return None, ran(on.run_code(**arguments))

    def run_stream_(self, on: Sandbox, **arguments: Any) -> Outcome:
        return None, streamed(list(on.run_code_stream(**arguments)))

    def detach_(self, on: Sandbox, background: bool = False, **arguments: Any) -> Outcome:
        if background:
            arguments["background"] = True
        made = on.detach(**arguments)
        return made, {"id": made.id}

    def attach_(self, on: Any, exec: str | None = None, **arguments: Any) -> Outcome:
        job = on.exec(exec) if exec is not None else on
        events = list(job.stream(arguments.get("from", 0)))
        return None, {**gathered(events), **streamed(events)}

    def execs_(self, on: Sandbox) -> Outcome:
        execs = on.execs()
        return None, {"ids": [one.id for one in execs], "execs": [dict(one) for one in execs]}

    def interrupt_(self, on: Any) -> Outcome:
        on.interrupt()
        return None, {}

    def fork_(self, on: Sandbox, **arguments: Any) -> Outcome:
        return _bound_list(on.fork(**arguments))

    def diff_(self, on: Sandbox, other: str, **arguments: Any) -> Outcome:
        return None, dict(on.diff(other, **arguments))

    def merge_(self, on: Sandbox, winner: str, **arguments: Any) -> Outcome:
        return None, dict(on.merge_into(winner, **arguments) or {})

    def family_(self, on: Sandbox) -> Outcome:
        return None, {"ids": [one.id for one in on.family()]}

    def upload_(self, on: Sandbox, path: str, **content: Any) -> Outcome:
        data, mode = content_of(content)
        return None, {"size": on.upload(path, data, mode=mode)}

    def files_write_(self, on: Sandbox, path: str, **content: Any) -> Outcome:
        data, mode = content_of(content)
        return None, {"size": on.files.write(path, data, mode=mode)}

    def download_(self, on: Sandbox, path: str) -> Outcome:
        return None, content(on.download(path))

    def files_read_(self, on: Sandbox, path: str) -> Outcome:
        return None, content(on.files.read(path))

    def files_list_(self, on: Sandbox, path: str) -> Outcome:
        return None, listed(on.files.list(path))

    def files_remove_(self, on: Sandbox, path: str, recursive: bool = False) -> Outcome:
        on.files.remove(path, recursive=recursive)
        return None, {}

    def freeze_(self, on: Sandbox) -> Outcome:
        return _bound(on.freeze())

    def spaces_(self, _: Any, **client: Any) -> Outcome:
        return None, {"ids": [one.id for one in Space.list(**client)]}

    def connect_space_(self, _: Any, id: str, **client: Any) -> Outcome:
        return _bound(Space.get(id, **client))

    def resume_(self, on: Space, **arguments: Any) -> Outcome:
        return _bound(on.resume(**arguments))

    def delete_space_(self, on: Space) -> Outcome:
        on.delete()
        return None, {}

    def pty_run_(
        self,
        on: Sandbox,
        cmd: str,
        send: list[str] | None = None,
        until: str = "",
        resize: dict[str, int] | None = None,
        **size: int,
    ) -> Outcome:
        output = Awaited(until)
        terminal = on.pty.create(cmd, on_data=output.add, **size)
        try:
            for number, text in enumerate(send or [], 1):
                output.await_match(number)
                if resize is not None:
                    terminal.resize(**resize)
                    resize = None
                terminal.send_input(text)
            code = terminal.wait(PTY_DEADLINE)
        finally:
            terminal.close()
        return None, {"output": output.text(), "exit_code": code}

    def templates_(self, _: Any) -> Outcome:
        found = Template.list()
        return None, {"names": [one.name for one in found], "templates": [dict(one) for one in found]}

    def build_template_(self, _: Any, name: str, **arguments: Any) -> Outcome:
        arguments["base"] = arguments.pop("from", "default")
        return None, streamed(list(Template.build_stream(name, **arguments)))

    def delete_template_(self, _: Any, name: str) -> Outcome:
        Template.delete(name)
        return None, {}


class Awaited:
    """The output of a terminal, and a way to wait for what it says."""

    def __init__(self, until: str) -> None:
        self._until = re.compile(until) if until else None
        self._pieces: queue.Queue[bytes] = queue.Queue()
        self._seen = b""
        self._from = 0

    def add(self, data: bytes) -> None:
        self._pieces.put(data)

    def await_match(self, number: int) -> None:
        while self._until is not None:
            found = self._until.search(self._text(), self._from)
            if found:
                self._from = max(found.end(), self._from + 1)
                return
            try:
                self._seen += self._pieces.get(timeout=PTY_DEADLINE)
            except queue.Empty:
                raise AssertionError(
                    f"{self._until.pattern!r} did not come before input {number}; so far: {self._text()!r}"
                ) from None

    def text(self) -> str:
        while not self._pieces.empty():
            self._seen += self._pieces.get()
        return self._text()

    def _text(self) -> str:
        return self._seen.decode("utf-8", "replace")


class AsyncOperations(Operations):
    """The same through `AsyncSandbox`, on an event loop in a thread of its own."""

    def __enter__(self) -> AsyncOperations:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = self._await(_made(podflare.AsyncClient))
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, waiting: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(waiting, self._loop).result()

    def _with(self, options: dict[str, Any]) -> dict[str, Any]:
        own = "host" in options or "api_key" in options
        return options if own else {**options, "client": self._client}

    def end(self, made: Any) -> None:
        try:
            if isinstance(made, podflare.AsyncSandbox):
                self._await(made.close())
            elif isinstance(made, podflare.AsyncSpace):
                self._await(made.delete())
        except podflare.NotFoundError:
            return

    def create_(self, _: Any, **options: Any) -> Outcome:
        return _bound(self._await(podflare.AsyncSandbox.create(**self._with(options))))

    def connect_(self, _: Any, id: str, **client: Any) -> Outcome:
        return _bound(self._await(podflare.AsyncSandbox.connect(id, **self._with(client))))

    def list_sandboxes_(self, _: Any, **filters: Any) -> Outcome:
        found = self._await(podflare.AsyncSandbox.list(**self._with(filters)))
        return None, {"ids": [one.id for one in found]}

    def close_(self, on: Any) -> Outcome:
        self._await(on.close())
        return None, {}

    def info_(self, on: Any) -> Outcome:
        return None, dict(self._await(on.info()))

    def run_(self, on: Any, **arguments: Any) -> Outcome:
        return None, ran(self._await(on.run_code(**arguments)))

    def run_stream_(self, on: Any, **arguments: Any) -> Outcome:
        return None, streamed(self._await(_events(on.run_code_stream(**arguments))))

    def detach_(self, on: Any, background: bool = False, **arguments: Any) -> Outcome:
        if background:
            arguments["background"] = True
        made = self._await(on.detach(**arguments))
        return made, {"id": made.id}

    def attach_(self, on: Any, exec: str | None = None, **arguments: Any) -> Outcome:
        job = on.exec(exec) if exec is not None else on
        events = self._await(_events(job.stream(arguments.get("from", 0))))
        return None, {**gathered(events), **streamed(events)}

    def execs_(self, on: Any) -> Outcome:
        execs = self._await(on.execs())
        return None, {"ids": [one.id for one in execs], "execs": [dict(one) for one in execs]}

    def interrupt_(self, on: Any) -> Outcome:
        self._await(on.interrupt())
        return None, {}

    def fork_(self, on: Any, **arguments: Any) -> Outcome:
        return _bound_list(self._await(on.fork(**arguments)))

    def diff_(self, on: Any, other: str, **arguments: Any) -> Outcome:
        return None, dict(self._await(on.diff(other, **arguments)))

    def merge_(self, on: Any, winner: str, **arguments: Any) -> Outcome:
        return None, dict(self._await(on.merge_into(winner, **arguments)) or {})

    def family_(self, on: Any) -> Outcome:
        return None, {"ids": [one.id for one in self._await(on.family())]}

    def upload_(self, on: Any, path: str, **content: Any) -> Outcome:
        data, mode = content_of(content)
        return None, {"size": self._await(on.upload(path, data, mode=mode))}

    def files_write_(self, on: Any, path: str, **content: Any) -> Outcome:
        data, mode = content_of(content)
        return None, {"size": self._await(on.files.write(path, data, mode=mode))}

    def download_(self, on: Any, path: str) -> Outcome:
        return None, content(self._await(on.download(path)))

    def files_read_(self, on: Any, path: str) -> Outcome:
        return None, content(self._await(on.files.read(path)))

    def files_list_(self, on: Any, path: str) -> Outcome:
        return None, listed(self._await(on.files.list(path)))

    def files_remove_(self, on: Any, path: str, recursive: bool = False) -> Outcome:
        self._await(on.files.remove(path, recursive=recursive))
        return None, {}

    def freeze_(self, on: Any) -> Outcome:
        return _bound(self._await(on.freeze()))

    def spaces_(self, _: Any, **client: Any) -> Outcome:
        return None, {"ids": [one.id for one in self._await(podflare.AsyncSpace.list(**self._with(client)))]}

    def connect_space_(self, _: Any, id: str, **client: Any) -> Outcome:
        return _bound(self._await(podflare.AsyncSpace.get(id, **self._with(client))))

    def resume_(self, on: Any, **arguments: Any) -> Outcome:
        return _bound(self._await(on.resume(**arguments)))

    def delete_space_(self, on: Any) -> Outcome:
        self._await(on.delete())
        return None, {}

    def pty_run_(
        self,
        on: Any,
        cmd: str,
        send: list[str] | None = None,
        until: str = "",
        resize: dict[str, int] | None = None,
        **size: int,
    ) -> Outcome:
        output = Awaited(until)
        terminal = self._await(on.pty.create(cmd, on_data=output.add, **size))
        try:
            for number, text in enumerate(send or [], 1):
                output.await_match(number)
                if resize is not None:
                    self._await(terminal.resize(**resize))
                    resize = None
                self._await(terminal.send_input(text))
            code = self._await(terminal.wait(PTY_DEADLINE))
        finally:
            self._await(terminal.close())
        return None, {"output": output.text(), "exit_code": code}

    def templates_(self, _: Any) -> Outcome:
        found = self._await(podflare.AsyncTemplate.list(client=self._client))
        return None, {"names": [one.name for one in found], "templates": [dict(one) for one in found]}

    def build_template_(self, _: Any, name: str, **arguments: Any) -> Outcome:
        arguments["base"] = arguments.pop("from", "default")
        stream = podflare.AsyncTemplate.build_stream(name, client=self._client, **arguments)
        return None, streamed(self._await(_events(stream)))

    def delete_template_(self, _: Any, name: str) -> Outcome:
        self._await(podflare.AsyncTemplate.delete(name, client=self._client))
        return None, {}


async def _made(make: Callable[[], Any]) -> Any:
    return make()


async def _events(stream: Any) -> list[podflare.Event]:
    return [event async for event in stream]


def _bound(made: Any) -> Outcome:
    return made, {"id": made.id}


def _bound_list(made: list[Any]) -> Outcome:
    ids = [one.id for one in made]
    fields = {str(place): {"id": id} for place, id in enumerate(ids)}
    return made, {"count": len(ids), "ids": ids, **fields}


def ran(result: podflare.ExecResult) -> dict[str, Any]:
    return {
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exit_code": result.exit_code,
        "result": result.result,
        "results": result.results,
        "error": None if result.error is None else dict(result.error),
        "reason": result.reason,
        "state_kept": result.state_kept,
    }


def gathered(events: list[podflare.Event]) -> dict[str, Any]:
    return ran(podflare.ExecResult.of(events))


def streamed(events: list[podflare.Event]) -> dict[str, Any]:
    types: list[str] = []
    for event in events:
        if not types or types[-1] != event.type:
            types.append(event.type)
    seqs = [event.seq for event in events]
    last = events[-1] if events else None
    return {
        "types": types,
        "text": "".join(event.data for event in events if event.type == "stdout"),
        "exit": last.code if last is not None else None,
        "in_order": bool(seqs) and seqs == list(range(seqs[0], seqs[0] + len(seqs))),
        "first_seq": seqs[0] if seqs else None,
    }


def content_of(content: dict[str, Any]) -> tuple[bytes | str, str | None]:
    if "text" in content:
        return content["text"], content.get("mode")
    return base64.b64decode(content["base64"]), content.get("mode")


def content(data: bytes) -> dict[str, str]:
    return {"text": data.decode("utf-8", "replace"), "base64": base64.b64encode(data).decode()}


def listed(entries: Any) -> dict[str, Any]:
    return {
        "names": [entry.name for entry in entries],
        "entries": [dict(entry) for entry in entries],
        "truncated": entries.truncated,
    }

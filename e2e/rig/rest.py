"""The REST API on a socket: nothing of the SDK is between a test and the server."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from rig.websocket import Terminal, WebSocket

#: Long enough for a pool miss on an emulated host; every call ends by then or fails.
CALL_DEADLINE = 90.0


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.text[:500]}"


@dataclass(frozen=True)
class Arrived:
    """An event and the moment (monotonic seconds) at which it was read."""

    event: dict[str, Any]
    at: float

    @property
    def type(self) -> str:
        return self.event["type"]

    @property
    def data(self) -> Any:
        return self.event["data"]


@dataclass
class Exec:
    """All that one exec said."""

    arrived: list[Arrived] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one.event for one in self.arrived]

    def text(self, kind: str) -> str:
        return "".join(one.data for one in self.arrived if one.type == kind)

    @property
    def stdout(self) -> str:
        return self.text("stdout")

    @property
    def stderr(self) -> str:
        return self.text("stderr")

    @property
    def results(self) -> list[dict[str, str]]:
        return [one.data for one in self.arrived if one.type == "result"]

    @property
    def error(self) -> dict[str, str] | None:
        errors = [one.data for one in self.arrived if one.type == "error"]
        return errors[0] if errors else None

    @property
    def exit(self) -> dict[str, Any]:
        if not self.arrived or self.arrived[-1].type != "exit":
            raise AssertionError(f"the stream has no exit event at its end: {self.events[-3:]}")
        return self.arrived[-1].event

    @property
    def code(self) -> int:
        return self.exit["data"]

    @property
    def reason(self) -> str:
        return self.exit["reason"]

    @property
    def state_kept(self) -> bool:
        return self.exit["state_kept"]


class ExecStream:
    """The events of a running exec, as they arrive. Closing it is a client that goes away."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse):
        self._connection = connection
        self._answer = answer
        self.content_type = answer.getheader("Content-Type", "")
        self.exec_id = answer.getheader("X-Exec-Id", "")

    def __iter__(self) -> Iterator[Arrived]:
        while True:
            line = self._answer.readline()
            at = time.monotonic()
            if not line:
                return
            if line.strip():  # Else the heartbeat of a silent stream.
                yield Arrived(json.loads(line), at)

    def first(self, kind: str) -> Arrived:
        """Reads up to the first event of this type."""
        for arrived in self:
            if arrived.type == kind:
                return arrived
        raise AssertionError(f"the exec ended without a {kind} event")

    def rest(self) -> Exec:
        """Reads to the end."""
        return Exec(list(self))

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.close()
        self._answer.close()
        self._connection.close()

    def __enter__(self) -> ExecStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Refused(AssertionError):
    """The server answered something else than the test took for granted."""

    def __init__(self, what: str, answer: Answer):
        super().__init__(f"{what}: {answer}")
        self.answer = answer


class Rest:
    """Calls one server with one key. Safe for use by many threads: each call has its connection."""

    def __init__(self, host: str, port: int, key: str | None):
        self.host = host
        self.port = port
        self.key = key

    def connect(self, deadline: float = CALL_DEADLINE) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=deadline)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def headers(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return {**headers, **(extra or {})}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        deadline: float = CALL_DEADLINE,
    ) -> Answer:
        """One request. A `dict` is sent as JSON, bytes and iterators of bytes as they are."""
        sent = dict(self.headers(headers))
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self.connect(deadline)
        try:
            # A server may refuse before it has read everything; its answer is there all the same.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def raw(self, request: bytes, deadline: float = 60.0) -> bytes:
        """Sends bytes that need not be HTTP, and reads until the server closes or says nothing."""
        with socket.create_connection((self.host, self.port), deadline) as connection:
            # A server may close before it has read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                try:
                    piece = connection.recv(65536)
                except ConnectionResetError:
                    return answer
                if not piece:
                    return answer
                answer += piece

    # -- sandboxes

    def create(self, deadline: float = CALL_DEADLINE, **request: Any) -> str:
        answer = self.call("POST", "/v1/sandboxes", request, deadline=deadline)
        if answer.status != 200:
            raise Refused("create", answer)
        return answer.json["id"]

    def info(self, sandbox: str) -> Answer:
        return self.call("GET", f"/v1/sandboxes/{sandbox}")

    def list(self, **query: Any) -> Answer:
        return self.call("GET", "/v1/sandboxes?" + urlencode(query))

    def ids(self) -> set[str]:
        """The ids of all sandboxes, over all pages."""
        found: set[str] = set()
        cursor = None
        while True:
            query = {"limit": 100} if cursor is None else {"limit": 100, "cursor": cursor}
            page = self.list(**query).json
            found.update(one["id"] for one in page["sandboxes"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return found

    def close(self, sandbox: str) -> Answer:
        return self.call("DELETE", f"/v1/sandboxes/{sandbox}")

    def interrupt(self, sandbox: str) -> Answer:
        return self.call("POST", f"/v1/sandboxes/{sandbox}/interrupt")

    # -- branching

    def post(self, path: str, body: Any = None, deadline: float = CALL_DEADLINE) -> Answer:
        return self.call("POST", path, {} if body is None else body, deadline=deadline)

    def fork(self, sandbox: str, deadline: float = CALL_DEADLINE, **request: Any) -> Answer:
        return self.post(f"/v1/sandboxes/{sandbox}/fork", request, deadline)

    def children(self, sandbox: str, n: int = 1, deadline: float = CALL_DEADLINE) -> list[str]:
        """The ids of n new copies of a sandbox."""
        answer = self.fork(sandbox, deadline, n=n)
        if answer.status != 200:
            raise Refused(f"fork({n})", answer)
        return answer.json["children"]

    def family(self, sandbox: str) -> Answer:
        return self.call("GET", f"/v1/sandboxes/{sandbox}/family")

    def diff(self, one: str, other: str, *paths: str, **query: Any) -> Answer:
        """What differs; booleans of the query are sent as `true` and `false`."""
        told = {name: str(value).lower() for name, value in query.items()}
        asked = urlencode([*(("path", path) for path in paths), *told.items()], quote_via=quote)
        return self.call("GET", f"/v1/sandboxes/{one}/diff/{other}" + (asked and f"?{asked}"))

    def merge(self, parent: str, winner: str, **request: Any) -> Answer:
        return self.post(f"/v1/sandboxes/{parent}/merge_into/{winner}", request)

    def freeze(self, sandbox: str, deadline: float = CALL_DEADLINE) -> Answer:
        return self.post(f"/v1/sandboxes/{sandbox}/freeze", deadline=deadline)

    def spaces(self) -> dict[str, dict[str, Any]]:
        """This key's Spaces by id."""
        answer = self.call("GET", "/v1/spaces")
        if answer.status != 200:
            raise Refused("list Spaces", answer)
        return {one["id"]: one for one in answer.json["spaces"]}

    def space(self, space: str) -> Answer:
        return self.call("GET", f"/v1/spaces/{space}")

    def resume(self, space: str, deadline: float = CALL_DEADLINE) -> Answer:
        return self.post(f"/v1/spaces/{space}/resume", deadline=deadline)

    def delete_space(self, space: str) -> Answer:
        return self.call("DELETE", f"/v1/spaces/{space}")

    # -- templates

    def templates(self) -> dict[str, dict[str, Any]]:
        """What this key can create from, by name."""
        answer = self.call("GET", "/v1/templates")
        if answer.status != 200:
            raise Refused("list templates", answer)
        return {one["name"]: one for one in answer.json["templates"]}

    def build_stream(self, name: str, deadline: float = 180.0, **request: Any) -> ExecStream:
        body = json.dumps({"name": name, **{key.rstrip("_"): v for key, v in request.items()}})
        return self._events("/v1/templates", body.encode(), deadline)

    def build(self, name: str, deadline: float = 180.0, **request: Any) -> Exec:
        """All that a build said; `from_` is sent as `from`."""
        with self.build_stream(name, deadline, **request) as stream:
            return stream.rest()

    def delete_template(self, name: str) -> Answer:
        return self.call("DELETE", f"/v1/templates/{name}")

    # -- execs

    def stream(
        self, sandbox: str, code: str, deadline: float = CALL_DEADLINE, **request: Any
    ) -> ExecStream:
        body = json.dumps({"code": code, **request}).encode()
        return self._events(f"/v1/sandboxes/{sandbox}/exec", body, deadline)

    def _events(self, path: str, body: bytes, deadline: float) -> ExecStream:
        connection = self.connect(deadline)
        connection.request("POST", path, body, self.headers({"Content-Type": "application/json"}))
        answer = connection.getresponse()
        if answer.status != 200:
            refusal = Answer(answer.status, dict(answer.getheaders()), answer.read())
            connection.close()
            raise Refused(path, refusal)
        return ExecStream(connection, answer)

    def exec(
        self, sandbox: str, code: str, deadline: float = CALL_DEADLINE, **request: Any
    ) -> Exec:
        with self.stream(sandbox, code, deadline, **request) as stream:
            return stream.rest()

    def bash(self, sandbox: str, code: str, **request: Any) -> Exec:
        return self.exec(sandbox, code, language="bash", **request)

    def detach(self, sandbox: str, code: str, **request: Any) -> str:
        """The id of an exec that nobody waits with; `background=True` makes it bash."""
        wanted = {"detach": True} | request
        if wanted.get("background"):
            wanted |= {"language": "bash"}
        answer = self.post(f"/v1/sandboxes/{sandbox}/exec", {"code": code, **wanted})
        if answer.status != 202:
            raise Refused("detach", answer)
        return answer.json["exec"]

    def execs(self, sandbox: str) -> list[dict[str, Any]]:
        answer = self.call("GET", f"/v1/sandboxes/{sandbox}/execs")
        if answer.status != 200:
            raise Refused("list execs", answer)
        return answer.json["execs"]

    def exec_info(self, sandbox: str, exec_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"/v1/sandboxes/{sandbox}/execs/{exec_id}")
        if answer.status != 200:
            raise Refused("look an exec up", answer)
        return answer.json

    def attach(self, sandbox: str, exec_id: str, seq: int = 0) -> ExecStream:
        connection = self.connect()
        path = f"/v1/sandboxes/{sandbox}/execs/{exec_id}/stream?from={seq}"
        connection.request("GET", path, headers=self.headers())
        answer = connection.getresponse()
        if answer.status != 200:
            refusal = Answer(answer.status, dict(answer.getheaders()), answer.read())
            connection.close()
            raise Refused("attach", refusal)
        return ExecStream(connection, answer)

    def replay(self, sandbox: str, exec_id: str, seq: int = 0) -> Exec:
        """All that an exec has said, and says, up to its end."""
        with self.attach(sandbox, exec_id, seq) as stream:
            return stream.rest()

    def interrupt_exec(self, sandbox: str, exec_id: str) -> Answer:
        return self.call("POST", f"/v1/sandboxes/{sandbox}/execs/{exec_id}/interrupt")

    # -- terminals

    def terminal(self, sandbox: str, headers: Mapping[str, str] | None = None, **query: Any) -> Terminal:
        """A client of a terminal, a new one or with `pty` one that is there."""
        asked = urlencode(query, quote_via=quote)
        path = f"/v1/sandboxes/{sandbox}/pty" + (asked and f"?{asked}")
        sent = self.headers() if headers is None else headers
        return Terminal(WebSocket(self.host, self.port, path, sent))

    def terminals(self, sandbox: str) -> dict[str, dict[str, Any]]:
        """A sandbox's terminals by id."""
        answer = self.call("GET", f"/v1/sandboxes/{sandbox}/ptys")
        if answer.status != 200:
            raise Refused("list terminals", answer)
        return {one["id"]: one for one in answer.json["ptys"]}

    def kill_terminal(self, sandbox: str, terminal: str) -> Answer:
        return self.call("DELETE", f"/v1/sandboxes/{sandbox}/ptys/{terminal}")

    # -- files

    @staticmethod
    def file_path(sandbox: str, path: str, **query: Any) -> str:
        return f"/v1/sandboxes/{sandbox}/files?" + urlencode(
            {"path": path, **query}, quote_via=quote
        )

    def put(
        self, sandbox: str, path: str, content: bytes | Iterable[bytes], **query: Any
    ) -> Answer:
        return self.call("PUT", self.file_path(sandbox, path, **query), content)

    def get(self, sandbox: str, path: str) -> Answer:
        return self.call("GET", self.file_path(sandbox, path))

    def files(self, sandbox: str, path: str) -> Answer:
        return self.call("GET", f"/v1/sandboxes/{sandbox}/files/list?" + urlencode({"path": path}))

    def remove(self, sandbox: str, path: str, **query: Any) -> Answer:
        return self.call("DELETE", self.file_path(sandbox, path, **query))

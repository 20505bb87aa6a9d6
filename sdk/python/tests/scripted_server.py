"""A small HTTP server whose answers a test scripts, down to the pieces they are sent in.

It stands where a Podflare server would, for what a real one can't be made to do on demand: to
break off in the middle, to close an idle connection, to answer nonsense. The real thing is the
subject of the e2e suite.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SANDBOX_ID = "sbx_" + "0123456789abcdef" * 2


class Request:
    """A request as it came: its connection counts from 0, its body is dechunked."""

    def __init__(
        self, method: str, target: str, headers: dict[str, str], body: bytes, connection: int
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.connection = connection
        self.incoming: Any = None  # What the client sends after it, for a WebSocket.

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Request], Iterable[Any]]

CLOSE = object()
"""A piece of an answer: the connection is closed here."""


def answer(
    status: int, body: bytes = b"", kind: str = "application/json", **headers: str
) -> list[bytes]:
    """A whole answer in one piece."""
    head = f"HTTP/1.1 {status} Something\r\nContent-Type: {kind}\r\n"
    if status != 204:
        head += f"Content-Length: {len(body)}\r\n"
    for name, value in headers.items():
        head += f"{name.replace('_', '-')}: {value}\r\n"
    return [head.encode() + b"\r\n" + body]


def json_answer(value: object, status: int = 200, **headers: str) -> list[bytes]:
    return answer(status, json.dumps(value).encode(), **headers)


CREATED = json_answer({"id": SANDBOX_ID, "state": "ready"})
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def line(type: str, data: object, seq: int = 0, **more: object) -> bytes:
    event = {"type": type, "data": data, "seq": seq, "ts": 1776510028036, **more}
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def exit_line(code: int = 0, **more: object) -> bytes:
    fields = {"reason": "ok" if code == 0 else "error", "state_kept": True, "duration_ms": 1}
    return line("exit", code, **{"seq": 9, **fields, **more})


def events(*lines: bytes) -> list[bytes]:
    """A stream with each line in a chunk and a packet of its own."""
    return [STREAM_HEAD, *(chunk(each) for each in lines), STREAM_END]


def stream_head(**headers: str) -> bytes:
    """The head of a stream, with more headers."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return STREAM_HEAD[:-2] + more.encode() + b"\r\n"


def upgraded(request: Request, key: str | None = None) -> bytes:
    """The answer that makes a WebSocket of the connection."""
    digest = hashlib.sha1((key or request.headers["sec-websocket-key"]).encode() + _GUID).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def ws_frame(code: int, payload: bytes, final: bool = True) -> bytes:
    """A frame as a server sends it: not masked."""
    head = bytes(((0x80 if final else 0) | code,))
    if len(payload) < 126:
        return head + bytes((len(payload),)) + payload
    if len(payload) < 1 << 16:
        return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return head + b"\x7f" + len(payload).to_bytes(8, "big") + payload


def ws_text(**fields: object) -> bytes:
    return ws_frame(1, json.dumps(fields).encode())


def ws_read(incoming: Any) -> tuple[int, bytes]:
    """The next frame of the client, which must be masked: its kind and its payload."""
    head = incoming.read(2)
    if len(head) < 2:
        raise OSError("the client went away")
    assert head[1] & 0x80, "a client masks its frames"
    size = head[1] & 0x7F
    if size >= 126:
        size = int.from_bytes(incoming.read(2 if size == 126 else 8), "big")
    mask = incoming.read(4)
    payload = incoming.read(size)
    return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class ScriptedServer:
    """Answers each request with the pieces that `script` yields for it. A context manager."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> ScriptedServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the scripted server did not end"

    def drop_connections(self) -> None:
        """Closes every open connection, as a server does with idle ones."""
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # The client was first.

    def targets(self) -> list[str]:
        return [f"{request.method} {request.target}" for request in self.requests]

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            self.connections += 1
            self._start(self._serve, connection, self.connections - 1)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as incoming:
            try:
                while request := self._read(incoming, number):
                    request.incoming = incoming
                    self.requests.append(request)
                    for piece in self.script(request):
                        if piece is CLOSE:
                            connection.shutdown(socket.SHUT_RDWR)
                            return
                        connection.sendall(piece)
                    if "upgrade" in request.headers:
                        incoming.read()  # No request follows, only what a client says at its end.
                        return
            except OSError:
                return  # The client went away, as some tests want it to.

    def _read(self, incoming: Any, number: int) -> Request | None:
        first = incoming.readline()
        if not first:
            return None
        method, target, _ = first.decode().split(" ", 2)
        headers = {}
        while (header := incoming.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while size := int(incoming.readline() or b"-1", 16):
                if size < 0:
                    return None  # The client broke off in the middle of an upload.
                pieces.append(incoming.read(size))
                incoming.readline()
            incoming.readline()
            body = b"".join(pieces)
        else:
            body = incoming.read(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body, number)

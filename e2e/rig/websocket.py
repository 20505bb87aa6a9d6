"""A client of RFC 6455 on a socket, small and strict, and a terminal on it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Long enough for a program that starts in an emulated guest on a busy host.
DEADLINE = 60.0


class NotUpgraded(AssertionError):
    """The server answered the handshake with something else."""

    def __init__(self, status: int, body: bytes):
        super().__init__(f"{status} {body[:500]!r}")
        self.status = status
        self.text = body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Closed(Exception):
    """The server has closed, with this code."""

    def __init__(self, code: int, reason: str):
        super().__init__(f"{code} {reason}")
        self.code = code


class WebSocket:
    def __init__(
        self, host: str, port: int, path: str, headers: Mapping[str, str], deadline: float = DEADLINE
    ):
        self._socket = socket.create_connection((host, port), deadline)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key.decode()}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            self.headers = self._read_head(key)
        except BaseException:
            self._socket.close()
            raise

    def _read_head(self, key: bytes) -> dict[str, str]:
        while b"\r\n\r\n" not in self._received:
            self._fill()
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received[:] = rest
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        status = int(first.split()[1])
        if status != 101:
            length = int(headers.get("content-length", 0))
            raise NotUpgraded(status, self._take(length))
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()
        assert headers["sec-websocket-accept"] == accept, headers
        return headers

    def _fill(self) -> None:
        chunk = self._socket.recv(1 << 16)
        if not chunk:
            raise EOFError("the server ended the connection without closing it")
        self._received += chunk

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._fill()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def send(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([opcode | (0x80 if fin else 0)])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        # By words, as a loop over bytes takes seconds for megabytes.
        padded = payload + bytes(-size % 4)
        words = int.from_bytes(padded, "big") ^ int.from_bytes(mask * (len(padded) // 4), "big")
        masked = words.to_bytes(len(padded), "big")[:size]
        self._socket.sendall(head + mask + masked)

    def receive(self, deadline: float = DEADLINE) -> tuple[int, bytes]:
        """The next message, which is never a ping: those are answered."""
        self._socket.settimeout(max(0.001, deadline))
        while True:
            first, second = self._take(2)
            assert first & 0x70 == 0, "a reserved bit is set"
            assert second & 0x80 == 0, "the server masks"
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(self._take(2), "big")
            elif size == 127:
                size = int.from_bytes(self._take(8), "big")
            payload = self._take(size)
            opcode = first & 0x0F
            assert first & 0x80 and opcode != CONTINUATION, "the server sends whole messages"
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                self.send(CLOSE, payload[:2])
                raise Closed(code, payload[2:].decode())
            elif opcode != PONG:
                return opcode, payload

    def close(self) -> None:
        self._socket.close()


class Terminal:
    """A client of `GET /v1/sandboxes/:id/pty`."""

    def __init__(self, socket: WebSocket):
        self.socket = socket
        opcode, payload = socket.receive()
        assert opcode == TEXT, "the first frame is text"
        self.hello: dict[str, Any] = json.loads(payload)
        self.output = b""
        self.exit: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return self.hello["pty"]

    def type(self, keys: str | bytes) -> None:
        self.socket.send(BINARY, keys.encode() if isinstance(keys, str) else keys)

    def tell(self, **what: Any) -> None:
        self.socket.send(TEXT, json.dumps(what).encode())

    def expect(self, text: str, deadline: float = DEADLINE) -> str:
        """Reads until the terminal has said this; answers with all up to and with it, and forgets
        that."""
        wanted = text.encode()
        until = time.monotonic() + deadline
        while wanted not in self.output:
            try:
                opcode, payload = self.socket.receive(until - time.monotonic())
            except (TimeoutError, Closed) as none:
                raise AssertionError(f"no {text!r}, but {self.output[-500:]!r}: {none!r}") from none
            self._take(opcode, payload)
        said, _, self.output = self.output.partition(wanted)
        return (said + wanted).decode("utf-8", "replace")

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == BINARY:
            self.output += payload
        else:
            assert self.exit is None, "two ends"
            self.exit = json.loads(payload)["exit"]

    def rest(self) -> int:
        """Reads to the end of the connection; answers with the code of its close."""
        while True:
            try:
                self._take(*self.socket.receive())
            except Closed as closed:
                return closed.code

    def close(self) -> None:
        """As a client that loses its connection."""
        self.socket.close()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

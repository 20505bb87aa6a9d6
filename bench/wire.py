"""HTTP over one kept-alive connection with as little client as possible."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any


class Wire:
    """One connection to the server. For one thread."""

    def __init__(self, host: str, port: int, key: str):
        self._socket = socket.create_connection((host, port), timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._common = f"Host: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: str = "",
    ) -> bytes:
        """Sends one request in one piece and reads the whole answer; refusals raise."""
        answer = self._send(method, path, body, headers)
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def mcp_session(self) -> str:
        """Begins a session of the server's MCP side; returns the headers of its calls."""
        accept = "Accept: application/json, text/event-stream\r\n"
        client = {"name": "bench", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = self._send("POST", "/mcp", message, accept)
        answer.read()
        return accept + f"Mcp-Session-Id: {answer.getheader('Mcp-Session-Id')}\r\n"

    def events(
        self, path: str, body: Mapping[str, Any]
    ) -> Iterator[tuple[float, dict[str, Any]]]:
        """The events of an exec, each with the moment (`perf_counter`) at which it came."""
        answer = self._send("POST", path, body)
        while line := answer.readline():
            if line.strip():  # Else the heartbeat of a silent stream.
                yield time.perf_counter(), json.loads(line)

    def first_event(self, path: str, body: Mapping[str, Any], kind: str) -> float:
        """When (`perf_counter`) the first event of this type came. Reads the stream to its end."""
        seen = 0.0
        for at, event in self.events(path, body):
            if not seen and event["type"] == kind:
                seen = at
        if not seen:
            raise RuntimeError(f"no {kind} event")
        return seen

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: str = ""
    ) -> http.client.HTTPResponse:
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._common}{headers}"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + content)
        answer = http.client.HTTPResponse(self._socket, method=method)
        answer.begin()
        return answer

    def close(self) -> None:
        self._socket.close()

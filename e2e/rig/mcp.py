"""An MCP client in plain JSON-RPC: no library is between a test and the server."""

from __future__ import annotations

import http.client
import http.server
import json
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from rig.server import PODFLARE, Server

VERSION = "2025-11-25"
#: The version without sessions.
STATELESS_VERSION = "2026-07-28"
CLIENT = {"name": "e2e", "version": "1"}


def text(result: Mapping[str, Any]) -> str:
    """The text of a tool's answer."""
    return result["content"][0]["text"]


class McpClient:
    """What both transports have in common."""

    def __init__(self) -> None:
        self.ids = 0
        #: Notifications that came before answers.
        self.notes: list[dict[str, Any]] = []

    def send(self, message: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        raise NotImplementedError

    def notify(self, method: str, **params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def new_request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.ids += 1
        return {"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params}

    def initialize(self) -> dict[str, Any]:
        answer = self.request(
            "initialize", protocolVersion=VERSION, capabilities={}, clientInfo=CLIENT
        )
        self.notify("notifications/initialized")
        return answer["result"]

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's answer. Asks for progress, so that `notes` has it."""
        answer = self.request(
            "tools/call", name=tool, arguments=arguments, _meta={"progressToken": f"t{self.ids}"}
        )
        if "result" not in answer:
            raise AssertionError(f"{tool}: {answer}")
        return answer["result"]

    def json(self, tool: str, **arguments: Any) -> Any:
        result = self.call(tool, **arguments)
        if result["isError"]:
            raise AssertionError(f"{tool}: {text(result)}")
        return json.loads(text(result))


class StdioClient(McpClient):
    """`podflare mcp` in a process of its own, as a client's user configures it."""

    def __init__(self, server: Server, *options: str):
        super().__init__()
        self.process = subprocess.Popen(
            [str(PODFLARE), "mcp", *options],
            env=server.client_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def send(self, message: Mapping[str, Any]) -> None:
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("podflare mcp ended its stream")
        return json.loads(line)

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        request = self.new_request(method, params)
        self.send(request)
        while True:
            message = self.receive()
            if message.get("id") == request["id"]:
                return message
            self.notes.append(message)

    def end(self, deadline: float = 60.0) -> tuple[int, str]:
        """Ends its input, and returns its exit code and what it said on stderr."""
        _, error = self.process.communicate(timeout=deadline)
        return self.process.returncode, error.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=60)


class HttpMcpClient(McpClient):
    """`/mcp` of a server."""

    def __init__(self, server: Server, key: str | None = None):
        super().__init__()
        self.server = server
        self.key = key or server.keys[0]
        self.session: str | None = None
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def post(
        self, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        given = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({"Mcp-Session-Id": self.session} if self.session else {}),
            **(headers or {}),
        }
        self.connection.request("POST", "/mcp", body, given)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def send(self, message: Mapping[str, Any]) -> int:
        return self.post(json.dumps(message).encode())[0].status

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        answer, body = self.post(json.dumps(self.new_request(method, params)).encode())
        if answer.status != 200:
            raise AssertionError(f"{method}: {answer.status} {body.decode()}")
        self.session = answer.getheader("Mcp-Session-Id", self.session)
        if answer.getheader("Content-Type") == "application/json":
            return json.loads(body)
        messages = [
            json.loads(line.removeprefix("data: "))
            for line in body.decode().splitlines()
            if line.startswith("data: ")
        ]
        self.notes += messages[:-1]
        return messages[-1]

    def end(self) -> int:
        """Ends the session."""
        self.connection.request(
            "DELETE",
            "/mcp",
            headers={"Authorization": f"Bearer {self.key}", "Mcp-Session-Id": self.session or ""},
        )
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        if self.session:
            self.end()
        self.connection.close()


def stateless(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request that belongs to no session."""
    meta = {
        **params.get("_meta", {}),
        "io.modelcontextprotocol/protocolVersion": STATELESS_VERSION,
        "io.modelcontextprotocol/clientInfo": CLIENT,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {**params, "_meta": meta}


class StatelessStdioClient(StdioClient):
    """`podflare mcp`, spoken to without a session."""

    def new_request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return super().new_request(method, stateless(params))


class StatelessHttpClient(HttpMcpClient):
    """`/mcp` of a server, spoken to without a session."""

    def new_request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return super().new_request(method, stateless(params))

    def post(
        self, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        message = json.loads(body)
        params = message.get("params", {})
        name = params.get("name") or params.get("uri")
        repeated = {
            "MCP-Protocol-Version": STATELESS_VERSION,
            "Mcp-Method": message["method"],
            **({"Mcp-Name": name} if name else {}),
        }
        return super().post(body, {**repeated, **(headers or {})})


class KeyedRelay:
    """Passes requests on to a server with its key, for programs that can't send one."""

    def __init__(self, server: Server):
        key = server.keys[0]

        class Passing(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                kept = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in ("connection", "content-length")
                }
                there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
                try:
                    there.request(
                        self.command, self.path, body, {**kept, "Authorization": f"Bearer {key}"}
                    )
                    answer = there.getresponse()
                    content = answer.read()
                finally:
                    there.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_DELETE = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.relay = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Passing)
        self.relay.daemon_threads = True
        threading.Thread(target=self.relay.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.relay.server_port}/mcp"

    def close(self) -> None:
        self.relay.shutdown()
        self.relay.server_close()

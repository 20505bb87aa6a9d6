#!/usr/bin/python3
"""A small fake of Anthropic's Messages API and Files API that replays whole conversations over HTTP.

    sdk/conformance/messages_api.py [--port PORT] [FOLDER]    # prints its address, serves until it is ended

A client takes `http://127.0.0.1:PORT/NAME` as its base address, and NAME.json in the folder is the conversation that it has.
Which turn it is follows from the request alone: the number of assistant messages in it. So any number of clients may have the
same conversation at once.

    {"about": "…", "turns": [Turn], "files": {"file_1": {"filename": "a.csv", "text": "…"}}}

Turn = {"content": [Block], "stop_reason": "…", "expect"?: Expect, "errors"?: [Error]}. `errors` come first, one to a request, as
the API's own do: {"status": 529, "type": "overloaded_error", "retry_after"?: 0}. `expect` is about the last message of the
request: {"results": [Result]}, one for each `tool_result` in order: {"is_error"?, "contains"?, "lacks"?, "equals"?, "images"?};
{"asks": "text in the user's words"}.

It is as strict as the API: every `tool_use` must be answered in the next message, nothing else may be, texts must not be empty,
pictures must be pictures. What is not so is a 400 that says it. `GET /NAME/failures` answers all of these as a JSON list.
With `"stream": true` a turn comes as server-sent events, in small pieces.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "conversations"
LARGEST_REQUEST = 32 * 1024 * 1024
SERVER_BLOCKS = re.compile(r"^(server_tool_use|.+_tool_result|thinking|redacted_thinking)$")


class Refused(Exception):
    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error"):
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.retry_after: float | None = None


class MessagesApi(ThreadingHTTPServer):
    """The fake. A context manager that serves from a thread of its own."""

    daemon_threads = True

    def __init__(self, folder: Path = FOLDER, port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.folder = folder
        self.lock = threading.Lock()
        self.tries: dict[tuple[str, int], int] = {}
        self.failures: dict[str, list[str]] = {}
        self.files: dict[str, tuple[str, bytes]] = {}

    def base(self, name: str) -> str:
        """The base address for a conversation."""
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def __enter__(self) -> MessagesApi:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def conversation(self, name: str) -> dict[str, Any]:
        path = self.folder / f"{name}.json"
        if not re.fullmatch(r"[a-z_]+", name) or not path.exists():
            raise Refused(f"there is no conversation {name!r}", 404, "not_found_error")
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return said

    def answer(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        conversation = self.conversation(name)
        check_request(request)
        number = sum(message["role"] == "assistant" for message in request["messages"])
        if number >= len(conversation["turns"]):
            raise Refused(f"the conversation {name!r} has only {len(conversation['turns'])} turns")
        turn = conversation["turns"][number]
        check_expected(request["messages"][-1], turn.get("expect", {}))
        with self.lock:
            tried = self.tries.get((name, number), 0)
            self.tries[name, number] = tried + 1
        errors = turn.get("errors", [])
        if tried < len(errors):
            refused = Refused(f"a scripted {errors[tried]['type']}", errors[tried]["status"], errors[tried]["type"])
            refused.retry_after = errors[tried].get("retry_after")
            raise refused
        return {
            "id": f"msg_{name}_{number}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": turn["content"],
            "stop_reason": turn["stop_reason"],
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 10},
        }


def check_request(request: dict[str, Any]) -> None:
    for field, kind in (("model", str), ("max_tokens", int), ("messages", list)):
        if not isinstance(request.get(field), kind):
            raise Refused(f"{field}: Field required")
    messages = request["messages"]
    if not messages or messages[0].get("role") != "user":
        raise Refused("messages: the first message must use the user role")
    for tool in request.get("tools", []):
        if not isinstance(tool.get("name"), str) or not ("input_schema" in tool or "type" in tool):
            raise Refused(f"tools: {tool} is no tool")
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            raise Refused(f"messages.{number}.role: {message.get('role')!r}")
        blocks = content_of(message, number)
        if message["role"] == "user":
            answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
            for id in answered:
                if id not in open_calls:
                    raise Refused(
                        f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {id}"
                    )
            if missing := [id for id in open_calls if id not in answered]:
                raise Refused(
                    f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                    + ", ".join(missing)
                )
            open_calls = []
        else:
            if open_calls:
                raise Refused(f"messages.{number}: `tool_use` ids without `tool_result`: {open_calls}")
            open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if open_calls:
        raise Refused(f"messages: `tool_use` ids without `tool_result` at the end: {open_calls}")


def content_of(message: dict[str, Any], number: int) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise Refused(f"messages.{number}.content: must be a text or a list that is not empty")
    for place, block in enumerate(content):
        where = f"messages.{number}.content.{place}"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Refused(f"{where}: is no block")
        kind = block["type"]
        if kind == "tool_result":
            parts = block.get("content")
            if isinstance(parts, str):
                parts = [{"type": "text", "text": parts}] if parts else []
            for part in parts or []:
                check_part(part, where)
        elif message["role"] == "user" or kind == "text":
            check_part(block, where)
        elif kind == "tool_use":
            if not isinstance(block.get("input"), dict):
                raise Refused(f"{where}.input: must be an object")
        elif not SERVER_BLOCKS.match(kind):
            raise Refused(f"{where}: unknown type {kind!r}")
    return content


def check_part(part: dict[str, Any], where: str) -> None:
    kind = part.get("type")
    if kind == "text":
        if not isinstance(part.get("text"), str) or not part["text"]:
            raise Refused(f"{where}: text content blocks must be non-empty")
    elif kind == "image":
        source = part.get("source", {})
        if source.get("type") == "base64":
            try:
                data = base64.b64decode(source["data"], validate=True)
            except (ValueError, KeyError) as error:
                raise Refused(f"{where}: invalid base64 data") from error
            if source.get("media_type") == "image/png" and not data.startswith(b"\x89PNG\r\n\x1a\n"):
                raise Refused(f"{where}: Could not process image")
        elif source.get("type") != "file":
            raise Refused(f"{where}: no source")
    elif kind not in ("document", "container_upload"):
        raise Refused(f"{where}: unknown type {kind!r}")


def check_expected(message: dict[str, Any], expected: dict[str, Any]) -> None:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if "asks" in expected and expected["asks"] not in texts(blocks):
        raise Refused(f"the user does not ask {expected['asks']!r}, but {texts(blocks)!r}")
    if "results" not in expected:
        return
    results = [block for block in blocks if block["type"] == "tool_result"]
    if len(results) != len(expected["results"]):
        raise Refused(f"{len(expected['results'])} results are expected, not {len(results)}")
    for place, (result, wanted) in enumerate(zip(results, expected["results"])):
        parts = result.get("content") or []
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
        said = texts(parts)
        problem = None
        if "is_error" in wanted and bool(result.get("is_error")) != wanted["is_error"]:
            problem = f"is_error is {result.get('is_error')}"
        elif "contains" in wanted and wanted["contains"] not in said:
            problem = f"{wanted['contains']!r} is not in it"
        elif "lacks" in wanted and wanted["lacks"] in said:
            problem = f"{wanted['lacks']!r} is in it"
        elif "equals" in wanted and wanted["equals"] != said:
            problem = f"it is not {wanted['equals']!r}"
        elif sum(part["type"] == "image" for part in parts) != wanted.get("images", 0):
            problem = f"it has not {wanted.get('images', 0)} pictures"
        if problem:
            raise Refused(f"result {place}: {problem}; it says {said[:2000]!r}")


def texts(blocks: list[dict[str, Any]]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def as_events(message: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A message as the events that it is streamed in."""
    events = [("message_start", {"message": {**message, "content": [], "stop_reason": None}}), ("ping", {})]
    for index, block in enumerate(message["content"]):
        begun, deltas = dict(block), []
        if block["type"] == "text":
            begun["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        elif block["type"] in ("tool_use", "server_tool_use"):
            begun["input"] = {}
            written = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(written)]]
        events.append(("content_block_start", {"index": index, "content_block": begun}))
        events += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
        events.append(("content_block_stop", {"index": index}))
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append(("message_delta", {"delta": ending, "usage": {"output_tokens": 10}}))
    events.append(("message_stop", {}))
    return events


def pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MessagesApi

    def do_POST(self) -> None:
        self._handle(self._post)

    def do_GET(self) -> None:
        self._handle(self._get)

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def _handle(self, serve: Any) -> None:
        name, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        try:
            if path != "failures":
                self._check_headers()
            serve(name, path)
        except Refused as refused:
            if refused.status in (400, 401):
                with self.server.lock:
                    self.server.failures.setdefault(name, []).append(str(refused))
            more = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
            error = {"type": refused.kind, "message": str(refused)}
            self._json({"type": "error", "error": error, "request_id": "req_fake"}, refused.status, more)

    def _check_headers(self) -> None:
        if not (self.headers.get("x-api-key") or self.headers.get("authorization")):
            raise Refused("x-api-key header is required", 401, "authentication_error")
        if not self.headers.get("anthropic-version"):
            raise Refused("anthropic-version: header is required")

    def _body(self) -> bytes:
        length = int(self.headers.get("content-length") or 0)
        if length > LARGEST_REQUEST:
            self.close_connection = True
            raise Refused("Request exceeds the maximum size", 413, "request_too_large")
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(length)

    def _post(self, name: str, path: str) -> None:
        body = self._body()
        if path == "v1/files":
            self._json(self._store(body))
            return
        if path != "v1/messages":
            raise Refused(f"there is no {path}", 404, "not_found_error")
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Refused(f"the body is no JSON: {error}") from error
        message = self.server.answer(name, request)
        if request.get("stream"):
            self._stream(message)
        else:
            self._json(message)

    def _get(self, name: str, path: str) -> None:
        if path == "failures":
            self._json(self.server.failures.get(name, []))
            return
        found = re.fullmatch(r"v1/files/([\w-]+)(/content)?", path)
        if not found:
            raise Refused(f"there is no {path}", 404, "not_found_error")
        filename, content = self._file(name, found[1])
        if found[2]:
            self._send(200, content, "application/octet-stream")
        else:
            self._json(metadata(found[1], filename, content))

    def _file(self, name: str, id: str) -> tuple[str, bytes]:
        if id in self.server.files:
            return self.server.files[id]
        seeded = self.server.conversation(name).get("files", {}).get(id)
        if seeded is None:
            raise Refused(f"File not found: {id}", 404, "not_found_error")
        return seeded["filename"], seeded["text"].encode()

    def _store(self, body: bytes) -> dict[str, Any]:
        boundary = re.search(r'boundary="?([^";]+)', self.headers.get("content-type", ""))
        if not boundary:
            raise Refused("a file comes as multipart/form-data")
        for part in body.split(b"--" + boundary[1].encode()):
            head, _, content = part.partition(b"\r\n\r\n")
            filename = re.search(rb'name="file"; *filename="([^"]*)"', head)
            if filename:
                with self.server.lock:
                    id = f"file_up{len(self.server.files) + 1}"
                    self.server.files[id] = (filename[1].decode(), content[:-2])
                return metadata(id, *self.server.files[id])
        raise Refused("file: Field required")

    def _stream(self, message: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for kind, fields in as_events(message):
            event = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, value: Any, status: int = 200, more: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", more)

    def _send(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("request-id", "req_fake")
        for header, value in (more or {}).items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)


def metadata(id: str, filename: str, content: bytes) -> dict[str, Any]:
    return {
        "id": id,
        "type": "file",
        "filename": filename,
        "mime_type": "text/plain",
        "size_bytes": len(content),
        "created_at": "2026-01-01T00:00:00Z",
        "downloadable": True,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    options = parser.parse_args()
    server = MessagesApi(options.folder, options.port)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # How it is ended by hand.
    return 0


if __name__ == "__main__":
    sys.exit(main())

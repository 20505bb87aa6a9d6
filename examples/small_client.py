"""As much of the `anthropic` package as the examples need, for machines that do not have it.

    try:
        from anthropic import Anthropic, APIError
    except ImportError:
        from small_client import Anthropic, APIError

The same calls with the same arguments; answers are objects with the same attributes. ANTHROPIC_API_KEY and
ANTHROPIC_BASE_URL mean what they mean there.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

TRIES = 4
TIMEOUT_SECONDS = 600
WORTH_ANOTHER_TRY = (408, 409, 429, 500, 502, 503, 529)
LONGEST_PAUSE_SECONDS = 8.0


class APIError(Exception):
    """The API refused a request, or can't be reached."""


class APIStatusError(APIError):
    def __init__(self, status: int, message: str):
        super().__init__(f"{status}: {message}")
        self.status_code = status


class Thing:
    """A JSON object of an answer, by attributes. `input` stays a dict, as in the package."""

    def __init__(self, fields: dict[str, Any]):
        for name, value in fields.items():
            setattr(self, name, value if name == "input" else thing(value))

    def __repr__(self) -> str:
        return f"Thing({vars(self)!r})"


def thing(value: Any) -> Any:
    if isinstance(value, dict):
        return Thing(value)
    return [thing(one) for one in value] if isinstance(value, list) else value


class Anthropic:
    def __init__(self, api_key: str | None = None, base_url: str | None = None):
        self._key = api_key or os.environ.get("ANTHROPIC_API_KEY")
        if not self._key:
            raise SystemExit("set ANTHROPIC_API_KEY to a key of Anthropic's API")
        base = base_url or os.environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
        self._base = base.rstrip("/")
        self.messages = Messages(self)
        self.beta = Beta(self)

    def send(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        headers = {"x-api-key": self._key, "anthropic-version": "2023-06-01", "Content-Type": kind}
        if path.startswith("/v1/files"):
            headers["anthropic-beta"] = "files-api-2025-04-14"
        for left in reversed(range(TRIES)):
            request = urllib.request.Request(self._base + path, body, headers, method=method)
            try:
                return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
            except urllib.error.HTTPError as refused:
                said = refused.read().decode("utf-8", "replace")
                if refused.code not in WORTH_ANOTHER_TRY or left == 0:
                    raise APIStatusError(refused.code, said) from None
                pause = refused.headers.get("Retry-After") or 2.0 ** (TRIES - left) / 2
            except urllib.error.URLError as failed:
                if left == 0:
                    raise APIError(f"{self._base} can't be reached: {failed.reason}") from None
                pause = 2.0 ** (TRIES - left) / 2
            time.sleep(min(float(pause), LONGEST_PAUSE_SECONDS))
        raise AssertionError("unreachable")


class Messages:
    def __init__(self, client: Anthropic):
        self._client = client

    def create(self, **request: Any) -> Any:
        with self._client.send("POST", "/v1/messages", encoded(request)) as answer:
            return thing(json.load(answer))

    def stream(self, **request: Any) -> Stream:
        return Stream(self._client.send("POST", "/v1/messages", encoded({**request, "stream": True})))


class Stream:
    """`with client.messages.stream(…) as stream`: `text_stream`, then `get_final_message()`."""

    def __init__(self, answer: Any):
        self._answer = answer
        self._message: dict[str, Any] = {}

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()

    @property
    def text_stream(self) -> Iterator[str]:
        for event in self._events():
            if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
                yield event["delta"]["text"]

    def get_final_message(self) -> Any:
        for _ in self._events():
            pass
        return thing(self._message)

    def _events(self) -> Iterator[dict[str, Any]]:
        for line in self._answer:
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line[5:])
            self._take(event)
            yield event

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "message_start":
            self._message = {**event["message"], "content": []}
        elif kind == "content_block_start":
            self._message["content"].append({**event["content_block"], "written": ""})
        elif kind == "content_block_delta":
            block, delta = self._message["content"][event["index"]], event["delta"]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "input_json_delta":
                block["written"] += delta["partial_json"]
        elif kind == "content_block_stop":
            block = self._message["content"][event["index"]]
            written = block.pop("written")
            if written:
                block["input"] = json.loads(written)
        elif kind == "message_delta":
            self._message.update(event["delta"])
        elif kind == "error":
            raise APIStatusError(500, json.dumps(event["error"]))


class Beta:
    def __init__(self, client: Anthropic):
        self.files = Files(client)


class Files:
    def __init__(self, client: Anthropic):
        self._client = client

    def retrieve_metadata(self, id: str) -> Any:
        with self._client.send("GET", f"/v1/files/{id}") as answer:
            return thing(json.load(answer))

    def download(self, id: str) -> Any:
        return self._client.send("GET", f"/v1/files/{id}/content")

    def upload(self, *, file: tuple[str, bytes, str]) -> Any:
        name, content, kind = file
        boundary = uuid.uuid4().hex
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n"
            f"Content-Type: {kind}\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        with self._client.send("POST", "/v1/files", body, f"multipart/form-data; boundary={boundary}") as answer:
            return thing(json.load(answer))


def encoded(request: dict[str, Any]) -> bytes:
    return json.dumps(request, default=vars).encode()

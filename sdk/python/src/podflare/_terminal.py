"""What is said on the connection to a terminal, without the connection.

`Terminal` and `AsyncTerminal` read and write for it.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from ._websocket import BINARY, CLOSE, PONG, TEXT, Frames, Upgrade, close_code, frame
from .errors import (
    ConflictError,
    ConnectionError,
    PodflareError,
    ServerError,
    TimeoutError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ._config import Settings

# From the request to the server's first word: the shell has begun by then.
BEGIN_SECONDS = 60.0
_TAKEN_OVER = 4001
_LONGEST_INPUT = 64 * 1024
_REATTACH = "the terminal goes on: sandbox.pty.attach(id) attaches to it again"


class Conversation:
    """Takes bytes from the server, and makes the bytes that are sent to it."""

    def __init__(self, settings: Settings, target: str, headers: Mapping[str, str]) -> None:
        from .client import request_headers  # Which imports much that a test of this does not need.

        parts = urlsplit(settings.host)
        self.secure = parts.scheme == "https"
        self.address = (parts.hostname or "", parts.port or (443 if self.secure else 80))
        self.upgrade = Upgrade(
            parts.netloc, parts.path + target, {**request_headers(settings), **headers}
        )
        self.begun = False
        self.id = ""
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.reason: str | None = None
        self._settings = settings
        self._refusal: bytes | None = None
        self._frames: Frames | None = None
        self._output: list[bytes] = []
        self._failure: PodflareError | None = None

    def received(self, data: bytes) -> bytes:
        """Takes what arrived, empty for the end, and answers what has to be sent at once.

        Raises:
            PodflareError: the server refused, or the connection is at its end before the terminal.
        """
        if self._frames is None:
            return self._head(data)
        if not data:
            if self.exit_code is None:
                raise self._failure or self.broken("the server closed it")
            return b""
        return self._messages(data)

    def take(self) -> bytes:
        """What the terminal wrote since it was last asked.

        Raises:
            PodflareError: there is nothing any more, and this is why.
        """
        if self._output:
            output = b"".join(self._output)
            self._output.clear()
            return output
        if self._failure is not None and self.exit_code is None:
            raise self._failure
        return b""

    def typed(self, data: bytes) -> bytes:
        return frame(BINARY, data)

    def said(self, fields: Mapping[str, Any]) -> bytes:
        return frame(TEXT, json.dumps(fields).encode())

    def farewell(self) -> bytes:
        return frame(CLOSE, (1000).to_bytes(2, "big"))

    def ended(self) -> int:
        """The exit code of a terminal that has ended."""
        if self.exit_code is None:
            raise self._failure or self.detached()
        return self.exit_code

    def failed(self, failure: PodflareError) -> None:
        """The connection is of no use any more, and every later call is to be told why."""
        self._failure = self._failure or failure

    def broken(self, cause: str) -> ConnectionError:
        return ConnectionError(
            f"the connection to the terminal broke: {cause}", code="pty_broken", hint=_REATTACH
        )

    def detached(self) -> ConnectionError:
        return ConnectionError(
            "this program has detached from the terminal", code="pty_detached", hint=_REATTACH
        )

    def silent(self, seconds: float) -> TimeoutError:
        return TimeoutError(
            f"{self._settings.host} did not open the terminal for {seconds:g} s",
            code="no_answer",
            hint="see whether the server is overloaded, then try again",
        )

    def _head(self, data: bytes) -> bytes:
        if self._refusal is None:
            rest = self.upgrade.feed(data)
            if rest is None:
                if not data:
                    raise self._unanswered()
                return b""
            if self.upgrade.status == 101:
                self._frames = Frames()
                return self._messages(rest) if rest else b""
            self._refusal = rest
        else:
            self._refusal += data
        if data and self.upgrade.lacks(self._refusal):
            return b""
        raise self._refused(self.upgrade.body(self._refusal))

    def _messages(self, data: bytes) -> bytes:
        assert self._frames is not None
        replies = []
        for kind, payload in self._frames.feed(data):
            if kind == "binary":
                self._output.append(payload)
            elif kind == "text":
                self._told(payload)
            elif kind == "ping":
                replies.append(frame(PONG, payload))
            else:
                self._failure = self._failure or self._why(close_code(payload), payload[2:])
                if not self.begun:
                    raise self._failure
        return b"".join(replies)

    def _told(self, payload: bytes) -> None:
        try:
            fields = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise ServerError("the terminal's server sent what is no JSON") from error
        if not isinstance(fields, dict):
            raise ServerError("the terminal's server sent what is no JSON object")
        if isinstance(fields.get("pty"), str):
            self.id, self.pid, self.begun = fields["pty"], fields.get("pid"), True
        end = fields.get("exit")
        if isinstance(end, dict) and isinstance(end.get("code"), int):
            self.exit_code, self.reason = end["code"], end.get("reason")
            self.begun = self.begun or bool(self.id)

    def _why(self, code: int, text: bytes) -> PodflareError:
        if code == _TAKEN_OVER:
            return ConflictError(
                "another program has attached to this terminal",
                code="pty_taken_over",
                hint="attach again to take it back",
            )
        said = text.decode("utf-8", "replace")
        return self.broken(f"the server closed it with {code}" + (f", {said}" if said else ""))

    def _refused(self, body: bytes) -> PodflareError:
        from .client import refusal

        status = self.upgrade.status or 0
        if 200 <= status < 300:
            return ServerError(
                f"the server answered HTTP {status} in place of a terminal", code="bad_answer"
            )
        headers = {name.title(): value for name, value in self.upgrade.headers.items()}
        return refusal(self._settings, status, headers, body)

    def _unanswered(self) -> ConnectionError:
        return ConnectionError(
            f"the connection to {self._settings.host} broke before a terminal was there",
            code="outcome_unknown",
            hint="sandbox.pty.list() tells whether one was opened",
        )


def terminal_fields(cmd: str, cols: int, rows: int, cwd: str | None) -> dict[str, Any]:
    """The query of a terminal that is to be opened."""
    return {"cmd": cmd, "cols": cols, "rows": rows, "cwd": cwd}


def input_bytes(data: str | bytes) -> Iterator[bytes]:
    """What is typed, in pieces that fit into a frame that any server takes."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    view = memoryview(data)
    for start in range(0, len(view), _LONGEST_INPUT):
        yield bytes(view[start : start + _LONGEST_INPUT])


def wait_timed_out(timeout: float | None) -> TimeoutError:
    return TimeoutError(
        f"the terminal did not end within {timeout:g} s",
        code="pty_runs",
        hint="wait again, or kill it",
    )

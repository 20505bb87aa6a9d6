"""The client's side of RFC 6455 as bytes in and bytes out: neither class reads, writes or waits.

The synchronous and the asynchronous terminal feed them. Only what a terminal needs is here: no
extensions, and messages of at most 4 MiB (a server of ours sends 1 MiB at most).
"""

from __future__ import annotations

import base64
import hashlib
import os

from .errors import ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    # Its kind (`text`, `binary`, `ping`, `close`) and its payload.
    Message: TypeAlias = "tuple[str, bytes]"

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_CONTINUATION = 0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST_HEAD = 64 * 1024
_LONGEST_REFUSAL = 64 * 1024
_LONGEST_MESSAGE = 4 * 1024 * 1024


class Upgrade:
    """The HTTP request that asks for a WebSocket, and the answer to it."""

    def __init__(self, host: str, target: str, headers: Mapping[str, str]) -> None:
        self._key = base64.b64encode(os.urandom(16))
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {self._key.decode()}",
        ]
        self.request = "\r\n".join((*lines, "", "")).encode("latin-1")
        self._received = b""
        self.status: int | None = None
        self.headers: dict[str, str] = {}

    def feed(self, data: bytes) -> bytes | None:
        """Takes what arrived; None as long as the answer's head is not complete.

        Then it answers what came behind the head: frames if `status` is 101, else the beginning of
        the refusal's body.

        Raises:
            ServerError: what came is no answer to such a request.
        """
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            if len(self._received) > _LONGEST_HEAD:
                raise _nonsense("the head of the answer does not end")
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise _nonsense(f"the answer begins with {first[:100]!r}")
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().title()] = value.strip()
        self.status = int(words[1])
        if self.status == 101:
            expected = base64.b64encode(hashlib.sha1(self._key + _GUID).digest()).decode()
            if self.headers.get("Sec-Websocket-Accept") != expected:
                raise _nonsense("it does not prove that it understood the request")
        return rest

    def lacks(self, body: bytes) -> bool:
        """Whether more of a refusal's body is to come, as far as its headers tell."""
        if len(body) >= _LONGEST_REFUSAL:
            return False
        if self._is_chunked():
            return not body.endswith(b"0\r\n\r\n")
        length = self.headers.get("Content-Length", "")
        return not length.isdigit() or len(body) < int(length)

    def body(self, received: bytes) -> bytes:
        """The refusal's body, without what the transfer put around it."""
        if not self._is_chunked():
            return received
        pieces = []
        while received:
            size, _, received = received.partition(b"\r\n")
            try:
                count = int(size.split(b";")[0], 16)
            except ValueError:
                break
            if count <= 0:
                break
            pieces.append(received[:count])
            received = received[count + 2 :]
        return b"".join(pieces)

    def _is_chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"


class Frames:
    """Cuts what the server sends into messages, whatever the pieces are that it arrives in."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._kind: int | None = None  # Of the message whose fragments come now.
        self._fragments: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes.

        Raises:
            ServerError: this is not what a WebSocket server sends.
        """
        self._data += data
        messages = []
        while (frame := self._take()) is not None:
            message = self._message(*frame)
            if message is not None:
                messages.append(message)
        return messages

    def _take(self) -> tuple[bool, int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        if data[0] & 0x70:
            raise _nonsense("a frame uses an extension that nobody asked for")
        if data[1] & 0x80:
            raise _nonsense("a frame of the server is masked")
        start, size = 2, data[1] & 0x7F
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if size > _LONGEST_MESSAGE:
            raise _nonsense(f"a frame has {size} bytes")
        if len(data) < start + size:
            return None
        payload = bytes(data[start : start + size])
        final, code = bool(data[0] & 0x80), data[0] & 0x0F
        del data[: start + size]
        return final, code, payload

    def _message(self, final: bool, code: int, payload: bytes) -> Message | None:
        if code >= CLOSE:
            if not final or len(payload) > 125:
                raise _nonsense("a control frame is too long")
            return {CLOSE: ("close", payload), PING: ("ping", payload)}.get(code)
        if code in (TEXT, BINARY):
            if self._kind is not None:
                raise _nonsense("a message begins within another one")
            self._kind = code
        elif code != _CONTINUATION or self._kind is None:
            raise _nonsense(f"a frame is of kind {code}")
        self._fragments.append(payload)
        self._size += len(payload)
        if self._size > _LONGEST_MESSAGE:
            raise _nonsense("a message has more than 4 MiB")
        if not final:
            return None
        message = ("text" if self._kind == TEXT else "binary", b"".join(self._fragments))
        self._kind, self._size = None, 0
        self._fragments.clear()
        return message


def frame(code: int, payload: bytes) -> bytes:
    """A frame as a client sends it: whole, and masked."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | code, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | code, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | code, 0x80 | 127)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    stream = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return head + mask + masked.to_bytes(size, "big")


def close_code(payload: bytes) -> int:
    """Why the server closes; 1005 if it does not say."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005


def _nonsense(what: str) -> ServerError:
    return ServerError(
        f"this is no WebSocket of a Podflare server: {what}",
        code="bad_answer",
        hint="is there a proxy between that does not pass WebSockets on?",
    )

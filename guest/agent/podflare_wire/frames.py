"""The frames of docs/agent-protocol.md: `length:u32 kind:u8 stream:u32 payload[length]`,
big-endian.

The agent speaks them with the host, and again, over a socket pair, with the user's Python process.
"""

from __future__ import annotations

import json
import struct
from typing import Any

OPEN = 1
DATA = 2
END = 3
CREDIT = 4
CANCEL = 5
CONTROL = 6
HELLO = 16
STDOUT = 17
STDERR = 18
RESULT = 19
ERROR = 20
CLOSED = 21
STARTED = 22
HOLE = 23

MAX_PAYLOAD = 2 * 1024 * 1024
WINDOW = 262_144
CHUNK = 65_536

# How much is asked for in one read. For a buffer much larger than a usual message the allocator
# goes to the kernel and back each time, which costs more than the message.
READ_SIZE = 16_384

HEADER_SIZE = 9
_header = struct.Struct("!IBI")
_pack_header = _header.pack
_unpack_header = _header.unpack_from

_scan_json = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
encode_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class ProtocolViolation(Exception):
    """The other side sent what the protocol does not allow; nothing after it can be trusted."""


def frame(kind: int, stream: int, payload: bytes = b"") -> bytes:
    return _pack_header(len(payload), kind, stream) + payload


def decode_json(payload: bytes) -> Any:
    """The value that a JSON payload holds; ProtocolViolation if it holds none."""
    try:
        # scan_once is the parser without the wrapping of json.loads, which costs more than the
        # parse.
        text = payload.decode()
        value, end = _scan_json(text, 0)
        if end == len(text):
            return value
    except (StopIteration, ValueError, RecursionError) as malformed:
        raise ProtocolViolation(f"payload is not JSON: {malformed!r}") from malformed
    raise ProtocolViolation("payload goes on after its JSON")


def decode_object(payload: bytes) -> dict[str, Any]:
    value = decode_json(payload)
    if type(value) is not dict:
        raise ProtocolViolation("payload is not a JSON object")
    return value


class Decoder:
    """Cuts a byte stream into frames. Holds at most one unfinished frame."""

    __slots__ = ("_needed", "_unfinished")

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._needed = HEADER_SIZE

    def feed(self, chunk: bytes) -> list[tuple[int, int, bytes]]:
        """The frames, as (kind, stream, payload), that are complete now that `chunk` has come."""
        data: bytes | bytearray = chunk
        if self._unfinished:
            self._unfinished += chunk
            data = self._unfinished
            if len(data) < self._needed:
                return []
        frames = []
        size = len(data)
        begin = 0
        while size - begin >= HEADER_SIZE:
            length, kind, stream = _unpack_header(data, begin)
            if length > MAX_PAYLOAD:
                raise ProtocolViolation(f"frame of {length} bytes")
            end = begin + HEADER_SIZE + length
            if end > size:
                self._needed = end - begin
                break
            frames.append((kind, stream, bytes(data[begin + HEADER_SIZE:end])))
            begin = end
        else:
            self._needed = HEADER_SIZE
        if begin < size or self._unfinished:
            self._unfinished = bytearray(data[begin:])
        return frames

"""How the host begins anew on a channel that was cut anywhere, maybe in the middle of a frame.

It sends the token that this agent made when it booted, and a nonce. Three rules keep the token
apart from everything else that a host sends, so it is found wherever the channel was cut:

- its first byte is FF and the others are 80 to FE, so it is no part of JSON, and no header that
  follows other bytes can complete it (a frame's length begins with a byte that is nearly 0);
- the host cuts a DATA payload in two where it would hold the token's end;
- the host ends no other frame with a byte FF, so what may be the beginning of a token can wait for
  more without that any answer has to wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

TOKEN_SIZE = 32
# Below 80, so that a token that cuts a nonce short can be seen.
NONCE_SIZE = 16
_FIRST = 0xFF
_LEAST = 0x80


class TokenFinder:
    """Passes on what has come, and finds the token in it, however the bytes are cut."""

    __slots__ = ("_held", "_on_token", "token")

    def __init__(self, on_token: Callable[[bytes], None]) -> None:
        """`on_token` gets the nonce. What was passed on before it is to be forgotten."""
        self.token = bytes([_FIRST, *(_LEAST + byte % 127 for byte in os.urandom(TOKEN_SIZE - 1))])
        self._on_token = on_token
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the bytes that have come is for the decoder of frames; `chunk` is not empty."""
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        if self.token in chunk:
            chunk = self._begin_anew(chunk)
        if chunk and chunk[-1] >= _LEAST:
            return self._hold_back(chunk)
        return chunk

    def _begin_anew(self, chunk: bytes) -> bytes:
        # The last word counts: whoever said it before has gone.
        rest = chunk.rpartition(self.token)[2]
        nonce = rest[:NONCE_SIZE]
        other = nonce.find(_FIRST)
        if other >= 0:
            # A token that was not spoken to its end cuts this nonce short.
            self._held = rest[other:]
            return b""
        if len(nonce) < NONCE_SIZE:
            self._held = self.token + rest
            return b""
        self._on_token(nonce)
        return rest[NONCE_SIZE:]

    def _hold_back(self, chunk: bytes) -> bytes:
        # Also of several, none of which was spoken to its end.
        begin = end = len(chunk)
        while begin >= 0 and self.token.startswith(chunk[begin:end]):
            end = begin
            begin = chunk.rfind(_FIRST, max(0, end - TOKEN_SIZE + 1), end)
        self._held = chunk[end:]
        return chunk[:end]

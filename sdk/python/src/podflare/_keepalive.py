"""How both clients notice that the host at the other end has lost its power or its network."""

from __future__ import annotations

import socket

# The kernel asks after 15 s of silence, and gives up after three answers that did not come; bytes
# that nobody acknowledges may wait as long. The values are seconds, but the last, in milliseconds.
_OPTIONS = (
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 45_000),
)


def keepalive() -> list[tuple[int, int, int]]:
    """The socket options, as far as this system knows them."""
    return [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *(
            (socket.IPPROTO_TCP, getattr(socket, name), value)
            for name, value in _OPTIONS
            if hasattr(socket, name)
        ),
    ]

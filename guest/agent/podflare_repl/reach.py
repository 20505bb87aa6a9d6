"""Whether pip could get a package from here, found out in milliseconds.

Nothing is told to the guest of what its sandbox may reach, which can change while it lives. What is
not allowed is refused at once by the host, so one question to the name server tells it.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable

_PIP_SETTINGS = ("/root/.config/pip/pip.conf", "/root/.pip/pip.conf", "/etc/pip.conf")
_RESOLVERS = "/etc/resolv.conf"
_DEFAULT_INDEX = "pypi.org"
# A name server that has to ask others first takes longer, and that it does means that it is there.
_PATIENCE = 0.4
_MAX_SETTINGS = 65_536

# Bound now, and used by nothing that the code replaces.
_socket, _open, _urandom = socket.socket, open, os.urandom


def index_host(environment: dict[str, str], settings: Iterable[str] = _PIP_SETTINGS) -> str:
    """The host of the index that pip asks."""
    addresses = [environment.get("PIP_INDEX_URL", "")]
    for path in settings:
        addresses += re.findall(r"(?m)^\s*index[-_]url\s*[=:]\s*(\S+)", _read(path))
    for address in addresses:
        match = re.match(r"https?://(?:[^/@\s]*@)?(\[[^]]+\]|[^/:\s]+)", address)
        if match:
            return match[1].strip("[]")
    return _DEFAULT_INDEX


def of_host(name: str, resolvers: str = _RESOLVERS, port: int = 53) -> bool | None:
    """Whether a name resolves; None if nobody said so in time."""
    server = re.search(r"(?m)^\s*nameserver\s+(\S+)", _read(resolvers))
    if server is None:
        return False
    try:
        with _socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_PATIENCE)
            asking.connect((server[1], port))
            question = _question(name)
            asking.send(question)
            answer = asking.recv(4096)
    except TimeoutError:
        return None
    except (OSError, ValueError):
        return False  # refused, as everything is in a sandbox without a network
    if answer[:2] != question[:2] or len(answer) < 12:
        return None
    return answer[3] & 15 == 0


def _question(name: str) -> bytes:
    labels = b"".join(bytes((len(label),)) + label for label in name.encode("idna").split(b"."))
    # identity, a recursive query, one question: address records of the internet's class
    head = _urandom(2) + bytes.fromhex("01000001000000000000")
    return head + labels + bytes.fromhex("0000010001")


def _read(path: str) -> str:
    try:
        with _open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_SETTINGS)
    except OSError:
        return ""

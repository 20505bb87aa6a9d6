"""A clone's network: a hardware address of its own, and an end to the connections that belong to
the machine that it was cut from."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

DEVICE = "eth0"

# <linux/sockios.h>, <linux/if_arp.h>
_SIOCSIFHWADDR = 0x8924
_ARPHRD_ETHER = 1

# <linux/netlink.h>, <linux/sock_diag.h>, <linux/inet_diag.h>
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_SOCK_DESTROY = 21
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_REQUEST = 1
_ACK = 4
_DUMP = 0x300
_header = struct.Struct("=IHHII")
_query = struct.Struct("=BBBxI48s")
_NO_ID = bytes(48)
# Of an answer: family, state, timer, retransmissions, then the identity of the socket: ports,
# addresses, device and cookie.
_ID = slice(_header.size + 4, _header.size + 52)
_SOURCE = slice(4, 20)
_PEER = slice(20, 36)

_PROTOCOLS = (("TCP", socket.IPPROTO_TCP), ("UDP", socket.IPPROTO_UDP))
_COUNTS = ((socket.AF_INET, "", "/proc/net/sockstat"), (socket.AF_INET6, "6", "/proc/net/sockstat6"))
_PATIENCE_SECONDS = 5

# <net/tcp_states.h>, without TIME_WAIT, CLOSE and LISTEN: what has a peer.
_WITH_PEER = sum(1 << state for state in (1, 2, 3, 4, 5, 8, 9, 11, 12))


class Network:
    """The device and the sockets of this machine. What it takes to ask the kernel is opened once,
    when the machine boots."""

    def __init__(self) -> None:
        self._any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._counts = [
            (family, suffix, os.open(name, os.O_RDONLY | os.O_CLOEXEC))
            for family, suffix, name in _COUNTS]

    def take_hardware_address(self, address: bytes) -> None:
        """The kernel forgets what it has learned about neighbours by that; addresses and routes
        stay."""
        request = struct.pack("=16sH6s8x", DEVICE.encode(), _ARPHRD_ETHER, address)
        try:
            fcntl.ioctl(self._any_socket, _SIOCSIFHWADDR, request)
        except OSError as error:
            if error.errno != errno.ENODEV:  # it was booted without a network
                raise

    def sever(self) -> None:
        """Ends every TCP connection and every connected UDP socket whose peer is another machine.

        The processes that have them find an error (ECONNABORTED) at their next use. What processes
        of this machine have with each other, and sockets that listen, stay as they are.
        """
        kinds = self._kinds_in_use()
        if not kinds:
            return
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as diagnosis:
            diagnosis.settimeout(_PATIENCE_SECONDS)
            for family, protocol in kinds:
                for identity in list(_sockets(diagnosis, family, protocol)):
                    if _is_outward(family, identity):
                        _destroy(diagnosis, family, protocol, identity)

    def _kinds_in_use(self) -> list[tuple[int, int]]:
        """Family and protocol of which there are any sockets. Most clones have none, and find that
        out quicker by these counts than by asking for lists."""
        kinds = []
        for family, suffix, fd in self._counts:
            counts = os.pread(fd, 4096, 0)
            for name, protocol in _PROTOCOLS:
                if f"{name}{suffix}: inuse 0".encode() not in counts:
                    kinds.append((family, protocol))
        return kinds


def _sockets(diagnosis: socket.socket, family: int, protocol: int) -> Iterator[bytes]:
    _ask(diagnosis, _SOCK_DIAG_BY_FAMILY, _DUMP, family, protocol, _NO_ID)
    while True:
        answers = diagnosis.recv(65_536)
        at = 0
        while at < len(answers):
            length, kind = _header.unpack_from(answers, at)[:2]
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                _raise_error(answers, at, f"list sockets of protocol {protocol}")
            yield answers[at:at + length][_ID]
            at += length + 3 & ~3


def _is_outward(family: int, identity: bytes) -> bool:
    size = 4 if family == socket.AF_INET else 16
    source, peer = identity[_SOURCE][:size], identity[_PEER][:size]
    if source == peer:
        return False  # to an address of its own
    address = ip_address(peer)
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_loopback


def _destroy(diagnosis: socket.socket, family: int, protocol: int, identity: bytes) -> None:
    _ask(diagnosis, _SOCK_DESTROY, _ACK, family, protocol, identity)
    answer = diagnosis.recv(65_536)
    if _header.unpack_from(answer)[1] == _NLMSG_ERROR:
        _raise_error(answer, 0, "end a connection")


def _ask(
    diagnosis: socket.socket, kind: int, flags: int, family: int, protocol: int, identity: bytes
) -> None:
    query = _query.pack(family, protocol, 0, _WITH_PEER, identity)
    diagnosis.send(_header.pack(_header.size + len(query), kind, _REQUEST | flags, 0, 0) + query)


def _raise_error(answers: bytes, at: int, what: str) -> None:
    number = -struct.unpack_from("=i", answers, at + _header.size)[0]
    # 0 is a plain yes; and a connection may have ended by itself in between.
    if number not in (0, errno.ENOENT):
        raise OSError(number, f"can't {what}: {os.strerror(number)}")

"""What answers in the small internet of `outside.py`: names, the web, datagrams. A program of its own,
which runs in the namespace: `services.py DIRECTORY PORT RESOLVER...`.

DIRECTORY is what the web servers show, with `key.pem` and `certificate.pem` for TLS beside it. At `/` they
say who asks. Each RESOLVER is an address at which questions for names are answered:

    resolver.example   the address of the resolver that was asked
    long.example       more addresses than a datagram has room for, so over TCP
    nowhere.example    no such name
    *.example          the address of the web servers
"""

from __future__ import annotations

import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading
from functools import partial
from pathlib import Path

WEB = "203.0.113.10"
LONG = [f"203.0.113.{number}" for number in range(100, 180)]
ECHO_PORT = 7

_NO_SUCH_NAME = 3
_A, _IN = 1, 1


def answer(question: bytes, resolver: str, room: int) -> bytes:
    """The answer to one question, as RFC 1035 has it. Empty, and marked so, if it is too long."""
    labels, end = [], 12
    while question[end]:
        labels.append(question[end + 1 : end + 1 + question[end]].decode().lower())
        end += 1 + question[end]
    asked = question[12 : end + 5]
    kind = struct.unpack("!H", asked[-4:-2])[0]
    addresses, code = [], 0
    if labels[-1:] != ["example"] or labels[0] == "nowhere":
        code = _NO_SUCH_NAME
    elif kind == _A:
        addresses = {"resolver": [resolver], "long": LONG}.get(labels[0], [WEB])
    records = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", _A, _IN, 1, 4) + socket.inet_aton(address)
        for address in addresses
    )
    truncated = 12 + len(asked) + len(records) > room
    if truncated:
        addresses, records = [], b""
    flags = 0x8580 | (0x0200 if truncated else 0) | code
    header = question[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
    return header + asked + records


class Names(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        question, sender = self.request
        sender.sendto(answer(question, self.server.server_address[0], 512), self.client_address)


class NamesByStream(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while length := self.rfile.read(2):
            question = self.rfile.read(struct.unpack("!H", length)[0])
            said = answer(question, self.server.server_address[0], 65_535)
            self.wfile.write(struct.pack("!H", len(said)) + said)


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        text, sender = self.request
        sender.sendto(text, self.client_address)


class Web(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        body = f"you are {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the suite's output is for results."""


class Tcp(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Udp(socketserver.ThreadingMixIn, socketserver.UDPServer):
    daemon_threads = True


def main() -> None:
    directory, port, resolvers = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    web = partial(Web, directory=str(directory / "web"))
    secure = Tcp(("0.0.0.0", 443), web)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    servers = [secure, Udp(("0.0.0.0", ECHO_PORT), Echo)]
    servers += [Tcp(("0.0.0.0", number), web) for number in (80, port)]
    for resolver in resolvers:
        servers += [Udp((resolver, 53), Names), Tcp((resolver, 53), NamesByStream)]
    for server in servers:
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()

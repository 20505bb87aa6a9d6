"""A small internet on this host.

A network namespace with web servers at addresses that stand for the outside, for private networks
and for the metadata service of a cloud.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rig.deadline import eventually
from rig.host import as_root

#: TEST-NET-3 (RFC 5737): no real network has these addresses, so nothing real can answer for them.
GATEWAY = "203.0.113.1"
OUTSIDE = "203.0.113.10"

#: Addresses that no sandbox may reach, though this host can.
FORBIDDEN = {
    "private 10/8": "10.203.113.10",
    "private 172.16/12": "172.31.113.10",
    "private 192.168/16": "192.168.213.10",
    "carrier-grade 100.64/10": "100.64.113.10",
    "link-local metadata": "169.254.169.254",
}

PORT = 8099

_NAMESPACE = "pf-e2e-outside"
_HOST_LINK = "pf-e2e-host"
_FAR_LINK = "pf-e2e-far"

_WEB_SERVER = f"""
import http.server, socketserver
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("you are " + self.client_address[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        return
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
Server(("0.0.0.0", {PORT}), Answer).serve_forever()
"""


@contextlib.contextmanager
def internet() -> Iterator[None]:
    """Builds it, checks that this host reaches every address of it, and takes it down again."""
    _remove()
    with contextlib.ExitStack() as stack:
        stack.callback(_remove)
        as_root("ip", "netns", "add", _NAMESPACE)
        as_root(
            "ip", "link", "add", _HOST_LINK, "type", "veth",
            "peer", "name", _FAR_LINK, "netns", _NAMESPACE,
        )  # fmt: skip
        as_root("ip", "addr", "add", f"{GATEWAY}/24", "dev", _HOST_LINK)
        as_root("ip", "link", "set", _HOST_LINK, "up")
        _inside("ip", "addr", "add", f"{OUTSIDE}/24", "dev", _FAR_LINK)
        _inside("ip", "link", "set", _FAR_LINK, "up")
        _inside("ip", "link", "set", "lo", "up")
        _inside("ip", "route", "add", "default", "via", GATEWAY)
        for address in FORBIDDEN.values():
            _inside("ip", "addr", "add", f"{address}/32", "dev", "lo")
            as_root("ip", "route", "add", f"{address}/32", "via", OUTSIDE)
        server = subprocess.Popen(
            ["ip", "netns", "exec", _NAMESPACE, sys.executable, "-c", _WEB_SERVER],
            stdin=subprocess.DEVNULL,
        )
        stack.callback(server.wait, 10)
        stack.callback(server.kill)
        for address in (OUTSIDE, *FORBIDDEN.values()):
            eventually(f"this host reaches {address}", lambda at=address: _answers(at), 10)
        yield


def _inside(*command: str) -> None:
    as_root("ip", "netns", "exec", _NAMESPACE, *command)


def _remove() -> None:
    """Also what a killed run has left. Routes go with the link that they point to."""
    as_root("ip", "link", "del", _HOST_LINK, check=False)
    as_root("ip", "netns", "del", _NAMESPACE, check=False)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class _Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the suite's output is for results."""


@contextlib.contextmanager
def host_service(address: str) -> Iterator[int]:
    """A web server of the host itself at this address; gives its port."""
    with ThreadingHTTPServer((address, 0), _Ok) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)

"""A small internet on this host.

A network namespace with the servers of `services.py` at addresses that stand for the outside, for private
networks and for the metadata service of a cloud.
"""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

from rig.deadline import eventually
from rig.host import as_root

#: TEST-NET-3 (RFC 5737): no real network has these addresses, so nothing real can answer for them.
GATEWAY = "203.0.113.1"
OUTSIDE = "203.0.113.10"

#: Where names are looked up; the third is an address at which nobody is.
RESOLVER = "203.0.113.53"
OTHER_RESOLVER = "203.0.113.54"
DEAD_RESOLVER = "203.0.113.55"

#: A name of OUTSIDE. It has a package index at /simple/, with a package, and a git repository.
NAME = "shop.example"
PACKAGE = "pf-outside"
REPOSITORY = "goods.git"

#: Addresses that no sandbox may reach, though this host can.
FORBIDDEN = {
    "private 10/8": "10.203.113.10",
    "private 172.16/12": "172.31.113.10",
    "private 192.168/16": "192.168.213.10",
    "carrier-grade 100.64/10": "100.64.113.10",
    "link-local metadata": "169.254.169.254",
}

PORT = 8099
#: Says what it is sent, by datagrams.
ECHO_PORT = 7

_NAMESPACE = "pf-e2e-outside"
_HOST_LINK = "pf-e2e-host"
_FAR_LINK = "pf-e2e-far"
_WALL = "pf_e2e_wall"
_SERVICES = Path(__file__).with_name("services.py")

@contextlib.contextmanager
def internet(pages: Mapping[str, bytes] | None = None) -> Iterator[str]:
    """Builds it, checks that this host reaches every address of it, and takes it down again. Gives the
    certificate that its names are served with, which no system trusts.

    `pages` are what its web servers show besides, by path."""
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
        for address in (OUTSIDE, RESOLVER, OTHER_RESOLVER):
            _inside("ip", "addr", "add", f"{address}/24", "dev", _FAR_LINK)
        _inside("ip", "link", "set", _FAR_LINK, "up")
        _inside("ip", "link", "set", "lo", "up")
        _inside("ip", "route", "add", "default", "via", GATEWAY)
        for address in FORBIDDEN.values():
            _inside("ip", "addr", "add", f"{address}/32", "dev", "lo")
            as_root("ip", "route", "add", f"{address}/32", "via", OUTSIDE)
        shown = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pf-outside-")))
        _publish(shown)
        for path, content in (pages or {}).items():
            page = shown / "web" / path
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_bytes(content)
        server = subprocess.Popen(
            [
                "ip", "netns", "exec", _NAMESPACE, sys.executable, str(_SERVICES),
                str(shown), str(PORT), RESOLVER, OTHER_RESOLVER,
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(server.wait, 10)
        stack.callback(server.kill)
        for address in (OUTSIDE, *FORBIDDEN.values()):
            eventually(f"this host reaches {address}", lambda at=address: _answers(at), 10)
        yield (shown / "certificate.pem").read_text()


def _publish(directory: Path) -> None:
    """What the web servers show: a certificate, a package index, a git repository."""
    web = directory / "web"
    (web / "simple" / PACKAGE).mkdir(parents=True)
    _run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
        "-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem"),
    )  # fmt: skip
    module = PACKAGE.replace("-", "_")
    wheel = f"{module}-1.0-py3-none-any.whl"
    about = f"{module}-1.0.dist-info"
    with ZipFile(web / "simple" / PACKAGE / wheel, "w") as archive:
        archive.writestr(f"{module}.py", "ORIGIN = 'outside'\n")
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        names = (f"{module}.py", f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD")
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in names))
    content = (web / "simple" / PACKAGE / wheel).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    page = f'<!DOCTYPE html><html><body><a href="{wheel}#sha256={digest}">{wheel}</a></body></html>'
    (web / "simple" / PACKAGE / "index.html").write_text(page)

    work = directory / "work"
    _run("git", "init", "--quiet", "--initial-branch=main", str(work))
    (work / "goods.txt").write_text("one of each\n")
    _run("git", "-C", str(work), "add", ".")
    _run(
        "git", "-C", str(work), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org",
        "commit", "--quiet", "--message", "goods",
    )  # fmt: skip
    _run("git", "clone", "--quiet", "--bare", str(work), str(web / REPOSITORY))
    _run("git", "-C", str(web / REPOSITORY), "update-server-info")


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, capture_output=True, timeout=60)


def _inside(*command: str) -> None:
    as_root("ip", "netns", "exec", _NAMESPACE, *command)


def _remove() -> None:
    """Also what a killed run has left. Routes go with the link that they point to."""
    as_root("nft", "delete", "table", "inet", _WALL, check=False)
    as_root("ip", "link", "del", _HOST_LINK, check=False)
    as_root("ip", "netns", "del", _NAMESPACE, check=False)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def closed_firewall() -> Iterator[None]:
    """A firewall of the host as Docker and ufw leave it: what no rule names is not forwarded."""
    as_root(
        "nft",
        f"table inet {_WALL} {{ chain forward {{ type filter hook forward priority filter; policy drop;\n"
        'iifname != "pfv*" oifname != "pfv*" accept\n}\n}\n',
    )
    try:
        yield
    finally:
        as_root("nft", "delete", "table", "inet", _WALL)


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

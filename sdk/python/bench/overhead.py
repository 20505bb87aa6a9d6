#!/usr/bin/env python3
"""What a call of this SDK adds to a plain call of `http.client`, on loopback.

    sdk/python/bench/overhead.py [CALLS]

Prints the difference of each pair of calls in milliseconds, a line each. Both calls go to a server
in a process of its own that answers at once, so that what is measured is the client and not a
sandbox. The two take turns, so that a busy machine is as bad for the one as for the other.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from podflare import Client, Sandbox  # noqa: E402

ID = "sbx_" + "0" * 32
INFO = json.dumps({"id": ID, "state": "ready"}).encode()
EVENTS = (
    b'{"type":"stdout","data":"1\\n","seq":0,"ts":1}\n'
    b'{"type":"exit","data":0,"seq":1,"ts":2,"reason":"ok","state_kept":true,"duration_ms":1}\n'
)
WARM_UP = 200


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            measure(int(server.stdout.readline()), calls)
        finally:
            server.kill()


def measure(port: int, calls: int) -> None:
    body = json.dumps({"code": "1", "language": "python"})
    headers = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with Client(host=f"http://127.0.0.1:{port}", api_key="bench") as client:
        sandbox = Sandbox.connect(ID, client=client)
        for i in range(-WARM_UP, calls):
            began = time.perf_counter()
            plain.request("POST", f"/v1/sandboxes/{ID}/exec", body, headers)
            plain.getresponse().read()
            between = time.perf_counter()
            sandbox.run_code("1")
            ended = time.perf_counter()
            if i >= 0:
                print((ended - between - (between - began)) * 1000)


def serve() -> None:
    """Answers one connection after the other in a thread of its own, until it is killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer_all, args=(connection,), daemon=True).start()


def answer_all(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as requests:
        while request := requests.readline():
            length = 0
            while (header := requests.readline().strip()):
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            requests.read(length)
            body = EVENTS if b"/exec " in request else INFO
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


if __name__ == "__main__":
    main()

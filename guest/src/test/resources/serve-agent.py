"""Gives the real agent to one connection of a Unix socket after the other, as a microVM's port
does: what is on its way when a connection ends is lost. serve-agent.py AGENT SOCKET HOME."""

import os
import select
import socket
import subprocess
import sys


def forward(host: socket.socket, guest: socket.socket) -> bool:
    """False when the guest has gone."""
    while True:
        for side in select.select([host, guest], [], [])[0]:
            try:
                data = side.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                return side is host
            try:
                (guest if side is host else host).sendall(data)
            except OSError:
                return side is guest


agent, path, home = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(1)
ours, theirs = socket.socketpair()
subprocess.Popen(
    [sys.executable, agent, "--socket-fd", str(theirs.fileno())],
    pass_fds=[theirs.fileno()], env={**os.environ, "HOME": home})
theirs.close()
print("listening", flush=True)
while True:
    connection = server.accept()[0]
    with connection:
        if not forward(connection, ours):
            sys.exit()

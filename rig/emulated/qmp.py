"""QEMU's control socket."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any


class Qmp:
    """One connection; every command has a deadline."""

    def __init__(self, path: Path, seconds: float = 60.0):
        self._socket = connect(path, seconds)
        self._socket.settimeout(seconds)
        self._lines = self._socket.makefile("rw", encoding="utf-8")
        self._next("QMP")
        self.run("qmp_capabilities")

    def run(self, command: str, **arguments: Any) -> Any:
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._lines.write(json.dumps({"execute": command, "arguments": named}) + "\n")
        self._lines.flush()
        return self._next("return")

    def leave_memory_out(self) -> None:
        """Of what `migrate` saves and loads: it is a file that the machine maps."""
        shared = {"capability": "x-ignore-shared", "state": True}
        self.run("migrate-set-capabilities", capabilities=[shared])

    def migrate(self, direction: str, uri: str, seconds: float = 120.0) -> None:
        """Saves (`migrate`) or loads (`migrate-incoming`) the machine, and waits for the end."""
        self.run(direction, uri=uri)
        end = time.monotonic() + seconds
        while True:
            status = self.run("query-migrate").get("status")
            if status == "completed":
                return
            if status in ("failed", "cancelled") or time.monotonic() > end:
                raise RuntimeError(f"{direction} of the emulated machine: {status}")
            time.sleep(0.02)

    def _next(self, wanted: str) -> Any:
        while True:
            line = self._lines.readline()
            if not line:
                raise RuntimeError("the emulated machine has ended")
            said = json.loads(line)
            if "error" in said:
                raise RuntimeError(f"the emulated machine refused: {said['error']['desc']}")
            if wanted in said:
                return said[wanted]


def connect(path: Path, seconds: float) -> socket.socket:
    """Waits for the socket to appear."""
    end = time.monotonic() + seconds
    while True:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(str(path))
            return one
        except (FileNotFoundError, ConnectionRefusedError):
            one.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)

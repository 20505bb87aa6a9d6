"""The host's end of the agent protocol, small and strict, for tests."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AGENT = Path(__file__).resolve().parent.parent / "agent"

OPEN, DATA, END, CREDIT, CANCEL, CONTROL = 1, 2, 3, 4, 5, 6
HELLO, STDOUT, STDERR, RESULT, ERROR, CLOSED, STARTED, HOLE = 16, 17, 18, 19, 20, 21, 22, 23
COUNTED = {DATA, STDOUT, STDERR, RESULT, ERROR, HOLE}
WINDOW = 262_144
MAX_PAYLOAD = 2 * 1024 * 1024
PATIENCE = 90.0

_header = struct.Struct("!IBI")


class Outcome:
    """What came on one stream."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.started: dict[str, Any] | None = None
        self.closed: dict[str, Any] | None = None

    def bytes_of(self, kind: int) -> bytes:
        return b"".join(payload for frame_kind, payload in self.frames if frame_kind == kind)

    @property
    def stdout(self) -> str:
        return self.bytes_of(STDOUT).decode()

    @property
    def stderr(self) -> str:
        return self.bytes_of(STDERR).decode()

    @property
    def results(self) -> list[dict[str, str]]:
        return [json.loads(payload) for kind, payload in self.frames if kind == RESULT]

    @property
    def error(self) -> dict[str, str] | None:
        errors = [json.loads(payload) for kind, payload in self.frames if kind == ERROR]
        return errors[0] if errors else None

    @property
    def value(self) -> str | None:
        """text/plain of the last result."""
        return self.results[-1]["text/plain"] if self.results else None

    def __getitem__(self, key: str) -> Any:
        assert self.closed is not None
        return self.closed[key]


class Host:
    """Starts an agent outside of a microVM and speaks with it. It fails on every breach of the
    protocol: an overdrawn credit, a frame too long, anything after CLOSED."""

    def __init__(self, agent: Path = AGENT) -> None:
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.home = Path(tempfile.mkdtemp(prefix="podflare-agent-", dir=memory))
        ours, theirs = socket.socketpair()
        self.console = tempfile.TemporaryFile()
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(agent / "agent.py"), "--socket-fd", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self.console,
            stderr=self.console, cwd="/", env=env)
        theirs.close()
        self._socket = ours
        self._received = bytearray()
        self._last_stream = 0
        self._credit: defaultdict[int, int] = defaultdict(lambda: WINDOW)
        self.streams: defaultdict[int, Outcome] = defaultdict(Outcome)
        self.put_credit: defaultdict[int, int] = defaultdict(lambda: WINDOW)
        self.hello: dict[str, Any] | None = None
        self.gives_credit = True
        self.wait_until(lambda: self.hello is not None, "HELLO")

    def close(self) -> None:
        self._socket.close()
        self.process.wait(PATIENCE)
        self.console.close()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def console_text(self) -> str:
        self.console.seek(0)
        return self.console.read().decode(errors="replace")

    # Frames

    def send(self, kind: int, stream: int, payload: bytes = b"") -> None:
        self._socket.settimeout(PATIENCE)
        self._socket.sendall(_header.pack(len(payload), kind, stream) + payload)

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    @property
    def next_stream(self) -> int:
        return self._last_stream + 1

    def take_stream(self) -> int:
        self._last_stream += 1
        return self._last_stream

    def open(self, **request: Any) -> int:
        stream = self.take_stream()
        self.send(OPEN, stream, json.dumps(request).encode())
        return stream

    def cancel(self, stream: int, reason: str) -> None:
        self.send(CANCEL, stream, json.dumps({"reason": reason}).encode())

    def grant(self, stream: int, size: int) -> None:
        self._credit[stream] += size
        self.send(CREDIT, stream, size.to_bytes(4, "big"))

    def pump(self, patience: float) -> bool:
        """Takes in what has come; False if nothing comes for so long."""
        self._socket.settimeout(max(0.001, patience))
        try:
            chunk = self._socket.recv(1 << 20)
        except TimeoutError:
            return False
        if not chunk:
            raise EOFError(f"the agent has gone; its console:\n{self.console_text}")
        self._received += chunk
        self._take_frames()
        return True

    def _take_frames(self) -> None:
        while len(self._received) >= _header.size:
            length, kind, stream = _header.unpack_from(self._received)
            assert length <= MAX_PAYLOAD, f"frame of {length} bytes"
            end = _header.size + length
            if len(self._received) < end:
                break
            payload = bytes(self._received[_header.size:end])
            del self._received[:end]
            self._on_frame(kind, stream, payload)

    def _on_frame(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == HELLO:
            assert self.hello is None and stream == 0
            self.hello = json.loads(payload)
            return
        assert 0 < stream <= self._last_stream, f"frame on stream {stream}"
        outcome = self.streams[stream]
        assert outcome.closed is None, f"frame of kind {kind} after CLOSED"
        if kind == CREDIT:
            self.put_credit[stream] += int.from_bytes(payload, "big")
            return
        if kind == STARTED:
            assert outcome.started is None and not outcome.frames
            outcome.started = json.loads(payload)
            return
        if kind == CLOSED:
            outcome.closed = json.loads(payload)
            assert type(outcome.closed["ok"]) is bool
            return
        assert kind in COUNTED, f"frame of kind {kind}"
        if kind in (DATA, STDOUT, STDERR):
            assert len(payload) <= 65_536
        assert self._credit[stream] > 0, "overdrawn credit"
        self._credit[stream] -= len(payload)
        outcome.frames.append((kind, payload))
        if self.gives_credit:
            self.grant(stream, len(payload))

    def wait_until(
        self, condition: Callable[[], bool], what: str, patience: float = PATIENCE
    ) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not self.pump(left):
                if condition():
                    return
                raise AssertionError(f"no {what} in {patience} s; console:\n{self.console_text}")

    def wait_closed(self, stream: int, patience: float = PATIENCE) -> Outcome:
        outcome = self.streams[stream]
        self.wait_until(lambda: outcome.closed is not None, f"CLOSED on {stream}", patience)
        return outcome

    def settle(self, quiet: float) -> None:
        """Until nothing has come for so long: for tests of what must not come."""
        while self.pump(quiet):
            continue

    def quiet(self, seconds: float) -> bool:
        self.settle(seconds)
        return True

    # Beginning anew

    def resync_words(self) -> bytes:
        """The token and a nonce, as they are on the wire."""
        assert self.hello is not None
        return bytes.fromhex(self.hello["resync"]) + secrets.token_hex(8).encode()

    def resume(self, words: bytes | None = None) -> None:
        """Takes the channel over, whatever either side was in the middle of. `words` are those of
        one that have been sent already."""
        if words is None:
            words = self.resync_words()
            self.send_bytes(words)
        deadline = time.monotonic() + PATIENCE
        while True:
            begin = self._received.find(words)
            if begin >= 0 and len(self._received) >= begin + len(words) + 4:
                break
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = self._socket.recv(1 << 20)
            if not chunk:
                raise EOFError(f"the agent has gone; its console:\n{self.console_text}")
            self._received += chunk
        end = begin + len(words) + 4
        self._last_stream = int.from_bytes(self._received[end - 4:end], "big")
        del self._received[:end]
        # What was open is not heard of any more.
        self.streams.clear()
        self._take_frames()

    # Operations

    def start(self, code: str, language: str = "python", **options: Any) -> int:
        return self.open(**{
            "op": "exec", "language": language, "code": code, "env": {}, "cwd": None, **options})

    def run(self, code: str, language: str = "python", **options: Any) -> Outcome:
        return self.wait_closed(self.start(code, language, **options))

    def bash(self, code: str, **options: Any) -> Outcome:
        return self.run(code, "bash", **options)

    def start_and_hear(self, code: str, said: str, language: str = "python", **options: Any) -> int:
        """Starts code and waits until it has written `said`: then it surely runs."""
        stream = self.start(code, language, **options)
        outcome = self.streams[stream]
        self.wait_until(lambda: said.encode() in outcome.bytes_of(STDOUT), repr(said))
        return stream

    def wake(self, **changes: Any) -> Outcome:
        return self.wait_closed(self.open_wake(**changes))

    def open_wake(self, **changes: Any) -> int:
        return self.open(**{
            "op": "wake", "entropy": base64.b64encode(os.urandom(64)).decode(),
            "time_ns": time.time_ns(), "hostname": "sandbox", "env": {}, "generation": 1,
            "mac": "", "severed": False, "rehearsed": True,
            **changes})

    def put(self, path: str, data: bytes, size: int = 65_536, mode: int | None = None) -> Outcome:
        stream = self.open(op="put", path=path, mode=mode)
        outcome = self.streams[stream]
        for at in range(0, len(data), size):
            self.wait_until(
                lambda: self.put_credit[stream] > 0 or outcome.closed is not None, "credit")
            if outcome.closed is not None:
                return outcome
            self.put_credit[stream] -= len(data[at:at + size])
            self.send(DATA, stream, data[at:at + size])
        self.send(END, stream)
        return self.wait_closed(stream)

    def get(self, path: str, **options: Any) -> Outcome:
        return self.wait_closed(self.open(op="get", path=path, **options))

    def ask(self, op: str, **arguments: Any) -> Outcome:
        return self.wait_closed(self.open(op=op, **arguments))


class AgentTest(unittest.TestCase):
    """One agent for all tests of a class."""

    host: Host

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = Host()
        cls.addClassCleanup(cls.host.close)

    def setUp(self) -> None:
        self.host.gives_credit = True

    @contextmanager
    def own_agent(self) -> Iterator[Host]:
        host = Host()
        try:
            yield host
        finally:
            host.close()

    def pid(self) -> int:
        value = self.host.run("__import__('os').getpid()").value
        assert value is not None
        return int(value)

    def assert_ends(
        self, outcome: Outcome, reason: str, exit_code: int, state_kept: bool = True
    ) -> None:
        self.assertEqual(
            (outcome["reason"], outcome["exit_code"], outcome["state_kept"]),
            (reason, exit_code, state_kept), outcome.stderr)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """For what happens outside of the channel: no event tells of it, so it is looked for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        signal.sigtimedwait([], 0.01)

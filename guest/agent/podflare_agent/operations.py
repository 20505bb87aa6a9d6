"""From a frame of the host to the operation that it belongs to."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any, Protocol

from podflare_agent import files
from podflare_agent.bash import open_bash
from podflare_agent.calls import Call
from podflare_agent.channel import Channel
from podflare_agent.exchange import Consultation, Reply
from podflare_agent.facts import births, digests, nodes
from podflare_agent.layers import roots_of
from podflare_agent.loop import Loop
from podflare_agent.machine import Machine
from podflare_agent.python import Python
from podflare_agent.rejoining import rejoin
from podflare_agent.refusals import Refusal, from_os_error, refusal
from podflare_agent.terminals import Terminal
from podflare_agent.transfer import Unpack, pack
from podflare_agent.variables import Variables
from podflare_agent.wake import wake
from podflare_wire.frames import (
    CANCEL,
    CLOSED,
    CONTROL,
    CREDIT,
    DATA,
    END,
    HELLO,
    OPEN,
    ProtocolViolation,
    decode_object,
    encode_json,
)

PROTOCOL = 2


class Stream(Protocol):
    def on_credit(self, size: int) -> None: ...

    def on_cancel(self, reason: str) -> None: ...


class Operations:
    def __init__(self, loop: Loop, channel: Channel, machine: Machine) -> None:
        self._loop = loop
        self._channel = channel
        self._machine = machine
        self._python = Python(loop, channel, machine, self._say_hello)
        self._streams: dict[int, Stream] = {}
        self._last_stream = 0

    def start(self) -> None:
        self._python.start()
        self._channel.serve(self._on_frame, self._on_cut)

    def _say_hello(self) -> None:
        version = ".".join(map(str, sys.version_info[:3]))
        hello = encode_json({
            "protocol": PROTOCOL, "python": version, "resync": self._channel.token.hex()})
        self._channel.send(HELLO, 0, hello.encode())

    def _on_cut(self) -> int:
        """The host begins anew. Code runs on, unheard, and terminals wait to be rejoined; files
        that were on their way are not."""
        for stream in list(self._streams.values()):
            if isinstance(stream, Terminal):
                stream.lose_host()
            else:
                stream.on_cancel("gone")
        return self._last_stream

    def _calls_of_before(self, exec_number: int | None = None) -> list[Call]:
        """That one, or all that are not in the background."""
        return [call for stream, call in self._streams.items()
                if isinstance(call, Call) and self._channel.is_of_before(stream)
                and (not call.background if exec_number is None else stream == exec_number)]

    def _terminals_of_before(self) -> dict[int, Terminal]:
        return {stream: terminal for stream, terminal in self._streams.items()
                if isinstance(terminal, Terminal) and self._channel.is_of_before(stream)}

    def _on_frame(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == OPEN:
            self._open(stream, payload)
            return
        # A stream that we have closed is unknown here, while the host may not have read CLOSED yet.
        target = self._streams.get(stream)
        if kind == CREDIT:
            if len(payload) != 4:
                raise ProtocolViolation("CREDIT without its number")
            if target is not None:
                target.on_credit(int.from_bytes(payload, "big"))
        elif kind == DATA:
            if isinstance(target, files.FileStream | Terminal):
                target.on_data(payload)
        elif kind == END:
            if isinstance(target, files.FileStream):
                target.on_end()
        elif kind == CONTROL:
            if isinstance(target, Terminal):
                target.on_control(payload)
        elif kind == CANCEL:
            reason = decode_object(payload).get("reason")
            if target is not None and type(reason) is str:
                target.on_cancel(reason)
        else:
            raise ProtocolViolation(f"frame of kind {kind} from the host")

    def _open(self, stream: int, payload: bytes) -> None:
        self._last_stream = stream
        request = decode_object(payload)
        try:
            opened = self._begin(stream, request, payload)
        except Refusal as no:
            self._close(stream, refusal(no.code, no.error))
        except OSError as error:
            failure = from_os_error(error)
            self._close(stream, refusal(failure.code, failure.error))
        except (KeyError, TypeError, ValueError, AttributeError) as malformed:
            why = f"{type(malformed).__name__}: {malformed}"
            self._close(stream, refusal("invalid_request", why))
        else:
            if opened is not None:
                self._streams[stream] = opened

    def _begin(self, stream: int, request: dict[str, Any], payload: bytes) -> Stream | None:
        op = request.get("op")
        if op == "exec":
            return self._exec(stream, request, payload)
        if op == "ping":
            self._close(stream, b'{"ok":true}')
            return None
        if op == "wake":
            wake(self._machine, self._python, request,
                 bool(self._calls_of_before()), bool(self._terminals_of_before()),
                 lambda closed: self._close(stream, closed),
                 lambda code, error: self._close(stream, refusal(code, error)))
            return None
        if op == "rejoin":
            calls = self._calls_of_before(request.get("exec"))
            return rejoin(self._channel, stream, calls, self._forget)
        if op == "pty":
            return self._terminal(stream, request)
        if op == "ptys":
            told = [terminal.about() for terminal in self._terminals_of_before().values()]
            self._close(stream, encode_json({"ok": True, "terminals": told}).encode())
            return None
        if op == "foreground":
            busy = sum(isinstance(one, Terminal) and one.is_busy() for one in self._streams.values())
            self._close(stream, b'{"ok":true,"busy":%d}' % busy)
            return None
        if op in ("changes", "nodes", "digests", "births", "pack", "unpack", "variables"):
            return self._branching(op, stream, request)
        if op not in ("put", "get", "list", "stat", "remove"):
            raise Refusal("unsupported", f"this agent has no operation {op!r}")
        path = files.resolve(request.get("path"), self._machine.home)
        if op == "put":
            return files.Put(
                self._loop, self._channel, stream, path, request.get("mode"), self._forget)
        if op == "get":
            return files.Get(
                self._loop, self._channel, stream, path, request.get("holes") is True, self._forget)
        if op == "stat":
            self._close(stream, encode_json({"ok": True, **files.stat_entry(path)}).encode())
            return None
        steps = (files.list_entries(path) if op == "list"
                 else files.remove(path, request.get("recursive") is True))
        return files.Errand(
            self._loop, self._channel, stream, steps, self._forget, goes_on=op == "remove")

    def _branching(self, op: str, stream: int, request: dict[str, Any]) -> Stream:
        """What comparing and merging machines asks of each."""
        if op == "changes":
            steps = self._machine.layers.changes(roots_of(request.get("paths")))
            return Reply(self._loop, self._channel, stream, steps, self._forget)
        if op == "variables":
            return Variables(self._loop, self._channel, stream, self._python, self._forget)
        if op == "unpack":
            return Unpack(
                self._loop, self._channel, stream, self._machine.merge_room, self._forget)
        read = partial(digests, self._machine.layers.upper)
        answer = {"nodes": nodes, "digests": read, "births": births, "pack": pack}[op]
        return Consultation(self._loop, self._channel, stream, answer, self._forget)

    def _exec(self, stream: int, request: dict[str, Any], payload: bytes) -> Stream | None:
        code, env, cwd = request["code"], request.get("env") or {}, request.get("cwd")
        if "time_ns" in request:
            self._machine.follow_clock(request["time_ns"])
        if type(code) is not str or not (cwd is None or type(cwd) is str):
            raise Refusal("invalid_request", "code and cwd are text")
        for name, value in env.items():
            if not name or "=" in name or "\0" in os.fsdecode(os.fsencode(name + value)):
                raise Refusal("invalid_request", f"{name!r} can't be an environment variable")
        if request["language"] == "python":
            if self._python.busy:
                raise Refusal("busy", "a Python call runs already")
            return self._python.open(stream, payload, self._forget)
        if request["language"] != "bash":
            raise Refusal("invalid_request", f"no language {request['language']!r}")
        call = open_bash(
            self._loop, self._channel, self._machine, stream, code, env, self._directory(cwd),
            self._forget)
        call.background = request.get("background") is True
        return call

    def _terminal(self, stream: int, request: dict[str, Any]) -> Terminal:
        """A new one, or one of before that the host takes over."""
        before = request.get("rejoin")
        if before is not None:
            terminal = self._terminals_of_before().get(before)
            if terminal is None:
                raise Refusal("not_running", "no terminal of before has this stream")
            self._forget(before)
            terminal.rejoin(stream)
            return terminal
        cwd = request.get("cwd")
        for text in (request["name"], request["cmd"], cwd or ""):
            if type(text) is not str or "\0" in text:
                raise Refusal("invalid_request", "name, cmd and cwd are text without NUL")
        env = {**self._machine.env, "TERM": "xterm-256color"}
        return Terminal(
            self._loop, self._channel, stream, request, env, self._directory(cwd), self._forget)

    def _directory(self, cwd: str | None) -> str:
        directory = os.path.join(
            self._machine.start_directory, files.expanded(cwd or "", self._machine.home))
        if not os.path.isdir(directory):
            raise Refusal("bad_cwd", f"not a directory: {directory}")
        return directory

    def _close(self, stream: int, payload: bytes) -> None:
        self._channel.send(CLOSED, stream, payload)

    def _forget(self, stream: int) -> None:
        self._streams.pop(stream, None)

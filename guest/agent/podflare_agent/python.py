"""Python calls: one at a time, in a process that is replaced when it dies."""

from __future__ import annotations

import signal
import sys
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from podflare_agent.calls import Call
from podflare_agent.channel import Channel
from podflare_agent.loop import Loop
from podflare_agent.machine import Machine
from podflare_agent.output import Leftovers, Outputs
from podflare_agent.processes import above_child_numbers, group_members_since, signal_quietly
from podflare_agent.refusals import Refusal
from podflare_agent.repl_process import ReplProcess
from podflare_wire.frames import (
    CLOSED,
    DATA,
    ERROR,
    HELLO,
    OPEN,
    RESULT,
    ProtocolViolation,
    decode_object,
    encode_json,
)
from podflare_wire.mailbox import Mailbox

# Streams that the host never opens: our own errands to the Python process.
REHEARSAL = 0
ERRAND = 0xFFFF_FFFF
VARIABLES = 0xFFFF_FFFE

# A process that dies before it is ready is not started again in a tight circle.
_RESTART_SECONDS = 1.0
# In a shorter call the kernel had no time to run out of memory; after a longer one its counter is
# read.
_OOM_CHECK_SECONDS = 0.05
# How often it is looked whether running code has taken new entropy: often at first.
_FIRST_LOOK_SECONDS = 0.001
_LAST_LOOK_SECONDS = 0.05

_CALL_OK = b'{"exit_code":0,"reason":"ok"}'

Done = Callable[[str | None], None]
# Gets what the process told of its variables, or None if it died over it.
Told = Callable[[bytes | None], None]


class _Unheard:
    """Stands in for the channel where no one is to hear."""

    congested = False

    def send(self, kind: int, stream: int, payload: bytes = b"") -> None:
        """Nowhere."""

    def when_clear(self, resume: Callable[[], None]) -> None:
        """It is never congested."""


class Python:
    """Supervises the process and owns the pipes and the mailbox, which outlive it."""

    def __init__(
        self, loop: Loop, channel: Channel, machine: Machine, on_first_ready: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._machine = machine
        self._on_first_ready: Callable[[], None] | None = on_first_ready
        self._leftovers = Leftovers()
        self._outputs = Outputs(loop, self._leftovers)
        self._mailbox_fd = above_child_numbers(Mailbox.create_file())
        self._mailbox = Mailbox(self._mailbox_fd)
        self._process: ReplProcess | None = None
        self._ready = False
        self._call: Call | None = None
        self._errands: deque[Done] = deque()
        self._variables: Told | None = None
        self._unsent: list[tuple[int, bytes]] = []
        # A process that died between two calls took the state with it; the next call says so.
        self._state_lost = False
        # Whether a call took so long that the kernel may have killed something meanwhile.
        self._oom_kills_unknown = False

    def start(self) -> None:
        # What is imported ahead of time is for the template. In a later process it would only keep
        # the next call waiting, and what that call needs it imports itself.
        warm_script = self._machine.warm_script if self._on_first_ready else None
        self._ready = False
        self._outputs.let_children_write()
        self._process = ReplProcess(
            self._loop, self._machine, self,
            mailbox_fd=self._mailbox_fd,
            stdout=self._outputs.stdout.write_end,
            stderr=self._outputs.stderr.write_end,
            warm_script=warm_script)

    # Calls

    @property
    def busy(self) -> bool:
        return self._call is not None

    def open(self, stream: int, request: bytes, on_closed: Callable[[int], None]) -> Call:
        """Begins a call; `request` is the payload of the host's OPEN, which the process reads
        itself."""

        def end(stream: int) -> None:
            self._call = None
            on_closed(stream)

        call = Call(self._loop, self._channel, stream, self._outputs, end)
        self._leftovers.hand_to(call)
        self._begin(call, request)
        return call

    def rehearse(self, done: Callable[[], None]) -> None:
        """Goes the whole way of a call once, unseen: after a clone or a restart nothing of it is
        warm."""

        def end(_stream: int) -> None:
            self._call = None
            done()

        call = Call(self._loop, _Unheard(), REHEARSAL, self._outputs, end)
        self._begin(call, b'{"op":"exec","code":"1","env":{},"cwd":null}')

    def _begin(self, call: Call, request: bytes) -> None:
        if self._oom_kills_unknown and self._process is not None:
            self._process.note_oom_kills()
        self._oom_kills_unknown = False
        self._call = call
        call.interrupt = self._interrupt
        call.kill = self._kill
        self._tell(call.stream, request)

    def _tell(self, stream: int, request: bytes) -> None:
        if self._process is None:
            self._unsent.append((stream, request))
        else:
            self._process.send(OPEN, stream, request)

    def _interrupt(self) -> None:
        call, process = self._call, self._process
        if call is None:
            return
        self._mailbox.interrupt(call.stream)
        if self._ready and process is not None:
            process.look_in_mailbox()
            # As a terminal would, also what this call has started: a `system` in C waits for its
            # child with signals off, and only the end of the child gives control back to Python.
            for pid in group_members_since(process.pid, call.started):
                signal_quietly(pid, signal.SIGINT)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()  # its exit ends the call
        elif self._call is not None:
            # It still waits for a process, and there may never be one.
            self._unsent.clear()
            self._call.finish(
                self._call.stop_exit_code, self._call.stop_reason or "killed", state_kept=False)

    # The entropy of a clone

    def wake(self, entropy: bytes, env: dict[str, str], done: Done) -> None:
        """Gives the process new entropy and environment; `done` gets None, or why it did not take
        it."""
        if self._process is None:
            done(None)  # the next one begins with both
        elif self._call is None:
            self._errands.append(done)
            self._tell(ERRAND, encode_json(
                {"op": "wake", "entropy": b64encode(entropy).decode(), "env": env}).encode())
        else:
            # In the middle of a call: the environment can wait for its end, the entropy can't.
            self._tell(ERRAND, encode_json({"op": "env", "env": env}).encode())
            self._reseed_now(entropy, done)

    def _reseed_now(self, entropy: bytes, done: Done) -> None:
        process = self._process
        self._mailbox.ask_reseed(entropy)
        self._look_in_mailbox()
        patience = _FIRST_LOOK_SECONDS

        def look() -> None:
            nonlocal patience
            # A process that began since has entropy of its own, and an empty page.
            if self._process is not process or not self._mailbox.awaits_reseed:
                done(None)
            elif self._call is None:
                self.wake(entropy, {}, done)  # the code had the signal for itself
            else:
                # As long as it sits in C it draws nothing from these generators either; but what
                # it does next must not come before.
                self._loop.call_later(patience, look)
                patience = min(2 * patience, _LAST_LOOK_SECONDS)

        look()

    def _look_in_mailbox(self) -> None:
        if self._ready and self._process is not None:
            self._process.look_in_mailbox()

    # The user's variables

    def describe_variables(self, done: Told) -> None:
        """Only between two calls, and not twice at once."""
        if self._call is not None or self._variables is not None:
            raise Refusal("busy", "Python is at work")
        self._variables = done
        self._tell(VARIABLES, b'{"op":"variables"}')

    # What the process says

    def on_repl_frames(self, frames: list[tuple[int, int, bytes]]) -> None:
        # What was written before these were sent is in the pipes by now, and goes out before them.
        self._outputs.read_all()
        for kind, stream, payload in frames:
            self._on_repl_frame(kind, stream, payload)

    def _on_repl_frame(self, kind: int, stream: int, payload: bytes) -> None:
        call = self._call
        if call is not None and stream == call.stream:
            if kind == CLOSED:
                self._on_call_ended(call, payload)
                return
            if kind == RESULT:
                for part in decode_object(payload).values():
                    if type(part) is not str:
                        raise ProtocolViolation("RESULT is not {mime: text}")
                call.write(RESULT, payload)
                return
            if kind == ERROR:
                error = decode_object(payload)
                if not all(type(error.get(key)) is str for key in ("name", "value", "traceback")):
                    raise ProtocolViolation("ERROR is not {name, value, traceback}")
                call.write(ERROR, payload)
                return
        elif kind == CLOSED and stream == ERRAND:
            if not self._errands:
                raise ProtocolViolation("an errand is done that was not given")
            self._errands.popleft()(decode_object(payload).get("error"))
            return
        elif kind == DATA and stream == VARIABLES:
            told, self._variables = self._variables, None
            if told is not None:
                told(payload)
            return
        elif kind == HELLO and not self._ready:
            self._on_ready()
            return
        elif kind == RESULT:
            return  # a thread's display() between two calls
        raise ProtocolViolation(f"frame of kind {kind} on stream {stream}")

    def _on_ready(self) -> None:
        self._ready = True
        if self._mailbox.awaits_reseed:
            self._look_in_mailbox()
        if self._on_first_ready is not None:
            first_ready, self._on_first_ready = self._on_first_ready, None
            first_ready()

    def _on_call_ended(self, call: Call, payload: bytes) -> None:
        # Looked up when it is needed, since the host waits for the end of this call.
        self._oom_kills_unknown = monotonic() - call.started > _OOM_CHECK_SECONDS
        if payload == _CALL_OK and (not self._state_lost or call.stream == REHEARSAL):
            call.finish(0, "ok")
            return
        verdict = decode_object(payload)
        exit_code, reason = verdict.get("exit_code"), verdict.get("reason")
        if reason == "bad_cwd":
            call.refuse("bad_cwd", str(verdict.get("error")))
            return
        if type(exit_code) is not int or not 0 <= exit_code <= 255:
            raise ProtocolViolation("no exit code")
        state_kept, self._state_lost = not self._state_lost, False
        if reason == "stopped" and call.stop_reason is not None:
            call.finish(call.stop_exit_code, call.stop_reason, state_kept=state_kept)
        else:
            call.finish(exit_code, "ok" if exit_code == 0 else "error", state_kept=state_kept)

    def on_repl_death(self, exit_code: int, out_of_memory: bool) -> None:
        self._outputs.read_all()
        was_ready = self._ready
        self._process = None
        self._ready = False
        self._mailbox.forget_requests()
        call = self._call
        errands, self._errands = self._errands, deque()
        for done in errands:
            done(None)  # the next process begins with what it was to be given
        told, self._variables = self._variables, None
        if told is not None:
            told(None)
        if call is None:
            self._state_lost = True
        elif out_of_memory:
            call.finish(exit_code, "oom", state_kept=False)
        elif call.stop_reason is not None:
            call.finish(call.stop_exit_code, call.stop_reason, state_kept=False)
        else:
            call.finish(exit_code, "killed", state_kept=False)
        self._loop.call_later(0.0 if was_ready else _RESTART_SECONDS, self._restart)

    def _restart(self) -> None:
        try:
            self.start()
        except OSError as error:
            # No memory, no descriptors, no interpreter: what the code did, it can undo by bash.
            print(f"podflare: can't start Python: {error}", file=sys.stderr)
            self._loop.call_later(_RESTART_SECONDS, self._restart)
            return
        unsent, self._unsent = self._unsent, []
        for stream, request in unsent:
            self._tell(stream, request)

"""The main loop: a request in, a cell run, frames out.

User code runs in this very process and may break anything in it. Three things keep that from
reaching the host: the agent checks every frame; what is used here was bound before user code ran;
and when the loop itself fails, the process ends, and the agent starts another and says that the
state is gone.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import traceback
from base64 import b64decode
from collections.abc import Callable
from types import ModuleType
from typing import Any

import builtins

from podflare_repl import (
    auto_install,
    capture,
    figures,
    forms,
    ipython,
    missing,
    renderers,
    spawning,
    streams,
    variables,
)
from podflare_repl.cells import MAGIC_NAME, SHOW_NAME, Compiler
from podflare_repl.environment import Environment
from podflare_repl.event_loop import EventLoop
from podflare_repl.imports import look_anew
from podflare_repl.interrupts import Interrupts, Overdue
from podflare_repl.magics import Magics
from podflare_repl.reseed import reseed
from podflare_repl.results import History, Results
from podflare_repl.run import Runner, exit_code_of, failure_line, failure_of
from podflare_repl.surroundings import Surroundings
from podflare_wire.frames import (
    CLOSED,
    DATA,
    ERROR,
    HELLO,
    READ_SIZE,
    RESULT,
    Decoder,
    decode_object,
    encode_json,
    frame,
)
from podflare_wire.mailbox import Mailbox

CONTROL_FD = 3
MAILBOX_FD = 4
REHEARSAL = 0

# Bound now: user code may put anything under these names.
_exit, _chdir = os._exit, os.chdir

_CALL_OK = b'{"exit_code":0,"reason":"ok"}'
# How often what goes on between two calls may fail, before it rests until the next call: what fails
# at once each time would do so for ever.
_MOST_FAILURES = 8
# Under memory pressure the kernel should rather take this process than anything else.
_OOM_SCORE = 500


class Repl:
    def __init__(self, control: socket.socket, mailbox: Mailbox) -> None:
        self._control = control
        self._decoder = Decoder()
        self._interrupts = Interrupts(mailbox)
        self._lock = threading.Lock()
        self._forked = False
        self._call = REHEARSAL
        # Frames that may wait for the end of the cell, which then go out in one piece.
        self._tail: list[bytes] | None = None
        module = ModuleType("__main__")
        module.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = module
        self._namespace = module.__dict__
        self._results = Results(self._publish)
        self._loop = EventLoop()
        history = History()
        compiler = Compiler()
        self._runner = Runner(
            self._namespace, self._show_last, compiler, self._loop, history)
        spawning.install(compiler, module)
        self._environment = Environment()
        self._surroundings = Surroundings(module)
        magics = Magics(
            self._namespace, self._runner.run_part, compiler.as_python, self._results, history)
        self._magics = magics
        ipython.install(ipython.Shell(
            self._namespace, self._results, history, magics, self._runner.run_part, compiler))
        capture.install(self._results)
        for name, value in (
                ("display", ipython.display), ("get_ipython", ipython.get_ipython),
                ("HTML", forms.HTML), ("Markdown", forms.Markdown), (MAGIC_NAME, magics.call),
                (SHOW_NAME, self._runner.show_value)):
            setattr(builtins, name, value)
        figures.install(self._results.publish)
        renderers.install(self._results.publish)
        self._loop.install()
        os.register_at_fork(after_in_child=self._become_child)

    def say_ready(self) -> None:
        self._send(frame(HELLO, 0))

    def serve(self) -> None:
        failures = 0
        while True:
            try:
                if failures < _MOST_FAILURES:
                    with self._interrupts.between_calls():
                        self._loop.wait(self._control)
                chunk = self._control.recv(READ_SIZE)
            except MemoryError:
                raise  # the code has left itself no room, by RLIMIT_AS: not even to be asked
            except Overdue:
                continue
            except BaseException:
                # A signal handler of the user's code, or a Ctrl-C of its children, between two
                # calls.
                streams.write_error(traceback.format_exc())
                failures += 1
                continue
            failures = 0
            if not chunk:
                return  # the agent is gone
            for _kind, stream, payload in self._decoder.feed(chunk):
                self._answer(stream, decode_object(payload))

    def _answer(self, stream: int, request: dict[str, Any]) -> None:
        op = request["op"]
        if op == "exec":
            self._exec(stream, request)
        elif op == "env":
            self._environment.change(request["env"])
        elif op == "wake":
            self._environment.change(request["env"])
            reseed(b64decode(request["entropy"]))
            self._send(frame(CLOSED, stream, b"{}"))
        elif op == "variables":
            self._send(frame(DATA, stream, self._describe_variables()))

    def _describe_variables(self) -> bytes:
        try:
            return variables.describe(self._namespace)
        except BaseException:
            # No memory for a copy of this process, or a signal handler of the user's code.
            return variables.NOTHING_TOLD

    # One call

    def _exec(self, stream: int, request: dict[str, Any]) -> None:
        env, cwd = request.get("env"), request.get("cwd")
        self._call = stream
        tail: list[bytes] = []
        self._tail = tail
        if request.get("unseen"):
            closed = self._run(stream, request["code"], self._runner.run_unseen)
        elif not env and not cwd:
            closed = self._run(stream, request["code"])
        else:
            closed = self._run_elsewhere(stream, request["code"], env or {}, cwd)
        self._results.end_cell()
        self._tail = None
        tail.append(frame(CLOSED, stream, closed))
        self._send(b"".join(tail))

    def _run_elsewhere(
        self, stream: int, code: str, env: dict[str, str], cwd: str | None
    ) -> bytes:
        """With an environment and a directory that are this call's only."""
        left = self._surroundings.directory() if cwd else None
        if cwd:
            try:
                _chdir(_directory(cwd))
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                return encode_json({"reason": "bad_cwd", "error": f"{why}: {cwd}"}).encode()
        before = self._environment.change(env)
        try:
            return self._run(stream, code)
        finally:
            self._environment.change(before)
            if cwd:
                self._surroundings.return_to(left)

    def _run(
        self, stream: int, code: str, run: Callable[[str], None] | None = None
    ) -> bytes:
        error: BaseException | None = None
        try:
            self._surroundings.prepare(code)
            try:
                self._interrupts.begin(stream)
                if stream == REHEARSAL:
                    self._runner.rehearse()
                elif run is not None:
                    run(code)
                else:
                    if self._magics.before_cell is not None:
                        self._magics.before_cell()
                    auto_install.run(self._runner.run, code)
            finally:
                self._surroundings.pause_tracing()
                self._interrupts.end()
        except BaseException as raised:
            error = raised
        self._interrupts.end()  # should an interrupt have come in the middle of the first
        try:
            self._surroundings.settle(code, error is not None)
        except BaseException as raised:
            error = error or raised
        if error is None:
            exit_code, failed = 0, False
        else:
            exit_code, failed = self._report(error)
        if self._forked:
            # The code called os.fork() and the child came to the end of the cell. It is not the
            # REPL.
            _exit(exit_code)
        if self._interrupts.delivered:
            return b'{"exit_code":130,"reason":"stopped"}'
        if exit_code == 0:
            return _CALL_OK
        return b'{"exit_code":%d,"reason":"%s"}' % (exit_code, b"error" if failed else b"exit")

    def _report(self, error: BaseException) -> tuple[int, bool]:
        """The exit code, and whether it is an uncaught exception, which is then shown."""
        if isinstance(error, SystemExit):
            return exit_code_of(error), False
        if isinstance(error, ImportError):
            # What is missing may be there by the next cell, and has been looked for just now.
            look_anew()
        hint = missing.explain(error)
        failure = failure_of(error)
        if hint is not None:
            failure = failure._replace(value=f"{failure.value}\n{hint}")
        streams.write_error(failure.traceback)
        if not self._forked and self._tail is not None:
            self._tail.append(frame(
                ERROR, self._call, encode_json(failure._asdict()).encode()))
        return 1, True

    # Values

    def _show_last(self, value: Any) -> None:
        self._results.show(value, self._append)

    def _append(self, payload: bytes) -> None:
        if self._tail is not None and not self._forked:
            self._tail.append(frame(RESULT, self._call, payload))

    def _publish(self, payload: bytes) -> None:
        if not self._forked:
            self._send(frame(RESULT, self._call, payload))

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._interrupts.defer()
            try:
                self._control.sendall(data)
            except BaseException:
                # Half a frame may have gone, after which no other would be understood.
                _exit(1)
        self._interrupts.undefer()

    def _become_child(self) -> None:
        self._forked = True
        self._control.close()


def _directory(cwd: str) -> str:
    """From the home directory, which, and that of a user, may also be called by its `~`."""
    return os.path.join(os.path.expanduser("~"), os.path.expanduser(cwd))


def main(warm_script: str | None) -> None:
    for fd in (CONTROL_FD, MAILBOX_FD):
        os.set_inheritable(fd, False)
    mailbox = Mailbox(MAILBOX_FD)
    os.close(MAILBOX_FD)
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write(str(_OOM_SCORE))
    streams.install()
    # The interpreter's own first entry is the directory of our script. Code imports from its own.
    sys.path[0] = ""
    sys.argv = [""]
    # Bytecode is told from that of another source by the second and the size only, and a module
    # that is uploaded, imported, uploaded again and reloaded may have both alike.
    sys.dont_write_bytecode = True
    repl = Repl(socket.socket(fileno=CONTROL_FD), mailbox)
    if warm_script is not None:
        _warm(warm_script)
    # Keeps collections from touching, and so copying, what clones of a template share.
    gc.collect()
    gc.freeze()
    repl.say_ready()
    try:
        repl.serve()
    except BaseException as defect:
        # At once: to leave in order would mean to wait for the threads that the code has started.
        streams.write_error(f"[The Python process can't go on: {failure_line(defect)}]\n")
        _exit(1)


def _warm(script: str) -> None:
    """Runs the template's imports. They are left in sys.modules, not in the user's namespace."""
    try:
        with open(script, encoding="utf-8") as file:
            exec(compile(file.read(), script, "exec"), {"__name__": "warm"})
    except Exception:
        traceback.print_exc()

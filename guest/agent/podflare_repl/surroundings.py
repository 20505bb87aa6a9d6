"""What a cell finds around it, beside its variables: streams, directory, signals, tracing. A cell
may leave each in a state in which the next one could not run, or would be hit by what was meant for
the one before. What works is left as it is, as in a notebook.

A cell that calls nothing can't have touched anything of the system. So nothing there is looked at,
and such a cell costs no system call.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys

# Without the dressing of their namesakes in `signal`, see interrupts.py.
from _signal import SIG_DFL, SIG_IGN, getsignal, pthread_sigmask
from types import ModuleType
from typing import Any

from podflare_repl import streams

# Bound now: user code may put anything under these names.
_getcwd, _chdir = os.getcwd, os.chdir
_alarm, _setitimer, _set_signal = signal.alarm, signal.setitimer, signal.signal
_get_recursion_limit, _set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit
_get_trace, _set_trace = sys.gettrace, sys.settrace
_get_profile, _set_profile = sys.getprofile, sys.setprofile

_RECURSION_LIMIT = sys.getrecursionlimit()
# What it takes to run a cell, show a value and print a traceback.
_FEWEST_FRAMES = 200
_modules, _importers = sys.modules, sys.path_importer_cache
_callable = callable
_BUILTINS = dict(vars(builtins))
_TIMERS = ((signal.SIGVTALRM, signal.ITIMER_VIRTUAL), (signal.SIGPROF, signal.ITIMER_PROF))


class Surroundings:
    def __init__(self, main: ModuleType) -> None:
        self._main = main
        self._display_hook = sys.displayhook
        self._home = os.path.expanduser("~")
        self._reaches_out = False
        self._trace: Any = None
        self._profile: Any = None

    def prepare(self, code: str) -> None:
        """Before a cell."""
        if _modules.get("__main__") is not self._main:
            _modules["__main__"] = self._main
        if sys.__dict__.get("displayhook") is not self._display_hook:
            sys.displayhook = self._display_hook
        streams.put_back()
        self._reaches_out = _calls(code)
        if self._reaches_out:
            self._leave_lost_directory()
            if "import" in code:
                _look_again_for_directories()
        if self._trace is not None:
            _set_trace(self._trace)
        if self._profile is not None:
            _set_profile(self._profile)

    def pause_tracing(self) -> None:
        """What the cell has set traces our own functions too. It goes on with the next cell."""
        self._trace, self._profile = _get_trace(), _get_profile()
        if self._trace is not None:
            _set_trace(None)
        if self._profile is not None:
            _set_profile(None)

    def settle(self, code: str, failed: bool) -> None:
        """After a cell, before anything is told of it."""
        if _get_recursion_limit() < _FEWEST_FRAMES:
            _set_recursion_limit(_RECURSION_LIMIT)
        streams.settle(failed)
        if "builtins" in code:
            _mend_builtins()
        if self._reaches_out:
            _settle_signals()
            streams.put_back_descriptors()

    def directory(self) -> str | None:
        """Where the process stands, if that is still there."""
        try:
            return _getcwd()
        except OSError:
            return None

    def return_to(self, directory: str | None) -> None:
        """From the directory that was one call's only."""
        if directory is not None:
            try:
                _chdir(directory)
            except OSError:
                self._go_home(f"The working directory {directory}")
        else:
            self._go_home("The working directory")

    def _leave_lost_directory(self) -> None:
        try:
            _getcwd()
        except FileNotFoundError:
            self._go_home("The working directory")

    def _go_home(self, lost: str) -> None:
        for directory in (self._home, "/"):
            try:
                _chdir(directory)
            except OSError:
                continue
            streams.write_error(f"[{lost} is gone; it is {directory} now]\n")
            return


def _calls(code: str) -> bool:
    """Whether a cell may reach for anything outside of the interpreter, as its text tells."""
    return "(" in code or "import" in code or "\n" in code or "!" in code or "%" in code


def _settle_signals() -> None:
    # What is still armed was meant for this cell. Unhandled, it would end the process.
    _alarm(0)
    for number, timer in _TIMERS:
        if getsignal(number) is not SIG_DFL:
            _setitimer(timer, 0)
    # A call is stopped by a signal, and what is blocked here is blocked in every child.
    pthread_sigmask(signal.SIG_SETMASK, ())
    # Else no child's exit code would be told, and a peer that hangs up would end the process.
    if getsignal(signal.SIGCHLD) is SIG_IGN:
        _set_signal(signal.SIGCHLD, SIG_DFL)
    if getsignal(signal.SIGPIPE) is SIG_DFL:
        _set_signal(signal.SIGPIPE, SIG_IGN)


def _mend_builtins() -> None:
    """Those that are gone, or can't be called any more. Others in their place stay."""
    now = builtins.__dict__
    for name, value in _BUILTINS.items():
        if _callable(value) and not _callable(now.get(name)):
            now[name] = value


def _look_again_for_directories() -> None:
    """What is on sys.path, but was not there when it was looked for last, is remembered as not
    there: a directory of PYTHONPATH, into which files were uploaded later."""
    for entry in [entry for entry, finder in [*_importers.items()] if finder is None]:
        _importers.pop(entry, None)

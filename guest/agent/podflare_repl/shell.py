"""What shell lines in a cell become: calls of `magic`."""

from __future__ import annotations

import os
import shlex
import sys


def magic(kind: str, rest: str) -> None:
    if kind == "%cd":
        os.chdir(os.path.expanduser(rest.strip("'\"") or "~"))
        print(os.getcwd())
    elif kind == "%pip":
        _bash(f"{shlex.quote(sys.executable)} -m pip {rest}")
        _look_for_new_modules()
    elif kind == "%%bash":
        exit_code = _bash(rest)
        if exit_code:
            raise SystemExit(exit_code if exit_code > 0 else 128 - exit_code)
    elif kind == "!":
        _bash(rest)
        if "pip" in rest:
            _look_for_new_modules()


def _bash(command: str) -> int:
    import subprocess  # only here: most processes never need it

    return subprocess.run(["/bin/bash", "-c", command], check=False).returncode


def _look_for_new_modules() -> None:
    import importlib

    importlib.invalidate_caches()

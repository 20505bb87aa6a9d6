"""Environment variables of the living process, also those that a Python process reads only when it
starts or first needs them: TZ, PYTHONPATH, TMPDIR."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

# Bound now: user code may put anything under these names.
_environ = os.environ
_tzset = time.tzset


class Environment:
    def __init__(self) -> None:
        # What the variable has put on sys.path. The interpreter has read it once itself.
        self._on_path = _entries(_environ.get("PYTHONPATH"))

    def change(self, changes: Mapping[str, str | None]) -> dict[str, str | None]:
        """Sets variables, or with None takes them out; the answer undoes it."""
        before = {name: _environ.get(name) for name in changes}
        for name, value in changes.items():
            if value is not None:
                _environ[name] = value
            elif name in _environ:
                del _environ[name]
        if "TZ" in changes:
            _tzset()
        if "PYTHONPATH" in changes:
            self._put_on_path(_entries(changes["PYTHONPATH"]))
        if "TMPDIR" in changes:
            tempfile = sys.modules.get("tempfile")
            if tempfile is not None:
                setattr(tempfile, "tempdir", None)  # is looked for again
        return before

    def _put_on_path(self, entries: list[str]) -> None:
        path = sys.path
        if type(path) is not list:
            return
        for entry in self._on_path:
            if entry in path:
                path.remove(entry)
        # As the interpreter does at its start: behind the first, which is the current directory.
        entries = [entry for entry in entries if entry not in path]
        path[1:1] = entries
        self._on_path = entries
        # A directory that was not there when it was first looked for is remembered as none.
        for entry in entries:
            sys.path_importer_cache.pop(entry, None)


def _entries(value: str | None) -> list[str]:
    if not value:
        return []
    return [os.path.abspath(entry) for entry in value.split(os.pathsep)]

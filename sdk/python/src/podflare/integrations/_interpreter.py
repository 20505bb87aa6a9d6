"""What the code interpreters of the several frameworks share."""

from __future__ import annotations

import atexit
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..sandbox import Sandbox

NAME = "podflare_code_interpreter"
DESCRIPTION = (
    "Runs Python in a sandbox of your own, in one process that stays alive: variables, imports and "
    "open files are still there in the next call. Answers what the code prints and the value of its "
    "last expression. With language bash it runs a shell script in the same file system. numpy, "
    "pandas, scipy, scikit-learn, matplotlib, sympy, requests, openpyxl and pillow are installed; "
    "%pip brings more. Files live under /root; there is no input()."
)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "Python source, or a bash script"},
        "language": {
            "type": "string",
            "enum": ["python", "bash"],
            "description": "python unless you need a shell",
        },
    },
    "required": ["code"],
}


def sandbox_for(given: Any, options: Mapping[str, Any]) -> Any:
    """The sandbox that was given, or one that comes into being with the first call to it."""
    if given is not None:
        if options:
            raise TypeError(f"a sandbox is given, so {', '.join(options)} can't be chosen any more")
        return given
    return OwnSandbox(options)


class OwnSandbox:
    """Stands for a sandbox that is created at its first use and closed when the program ends."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._used(), name)

    def _used(self) -> Sandbox:
        from ..sandbox import Sandbox

        with self._lock:
            if self._sandbox is None:
                self._sandbox = Sandbox(**self._options)
                atexit.register(self.close)
            return self._sandbox

    def close(self) -> None:
        """Closes it, if it was ever created; the next use creates another one."""
        with self._lock:
            sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            atexit.unregister(self.close)
            sandbox.close()

    def __enter__(self) -> OwnSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

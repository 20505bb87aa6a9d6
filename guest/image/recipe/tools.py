"""Runs the host's programs: says which are missing, keeps their chatter for the case of failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .failure import BuildFailure

_PACKAGE_OF = {"mmdebstrap": "mmdebstrap", "mkfs.erofs": "erofs-utils", "zstd": "zstd"}
_LINES_OF_FAILURE = 25

# Of the caller's environment only what says how to reach a mirror: the rest, PYTHONPATH or
# SOURCE_DATE_EPOCH (it makes .pyc files that are checked by hashing their source at every import),
# would reach the Python that compiles the guest's files.
_KEPT = ("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "TMPDIR")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def require(*programs: str) -> None:
    """Fails when one of `programs` is not installed, and says how to install it."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = " ".join(_PACKAGE_OF[program] for program in missing)
        raise BuildFailure(
            f"{', '.join(missing)} not found on this host; install: apt-get install {packages}"
        )


def run(
    command: Sequence[str | Path],
    *,
    purpose: str,
    advice: str = "",
    stdin: bytes = b"",
    inherited_descriptors: Sequence[int] = (),
) -> bytes:
    """Runs a program to its end and returns what it wrote to standard output.

    When it fails, `purpose` completes "cannot …", and the last lines that it wrote and `advice`
    stand in the message. However this call ends, the program has ended too.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as diagnostics:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            # so that a killed build does not leave programs that work on
            ["setpriv", "--pdeathsig", "TERM", *(str(word) for word in command)],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=diagnostics,
            env=_ENVIRONMENT | {name: os.environ[name] for name in _KEPT if name in os.environ},
            pass_fds=inherited_descriptors,
        )
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode != 0:
            diagnostics.seek(0)
            said = diagnostics.read().decode(errors="replace").splitlines()
            lines = [f"cannot {purpose}: {command[0]} ended with status {process.returncode}:"]
            lines += [f"  {line}" for line in said[-_LINES_OF_FAILURE:]]
            lines += [advice] if advice else []
            raise BuildFailure("\n".join(lines))
        return output

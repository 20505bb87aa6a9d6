"""How an operation says no: a code for programs, and a sentence for people."""

from __future__ import annotations

import errno
import os

from podflare_wire.frames import encode_json

_CODES = {
    errno.ENOENT: "not_found",
    errno.EISDIR: "is_a_directory",
    errno.ENOTDIR: "not_a_directory",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EROFS: "permission_denied",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "too_large",
    errno.ENAMETOOLONG: "invalid_path",
    errno.ELOOP: "invalid_path",
    errno.EINVAL: "invalid_path",
    # A parent that exists and is a file.
    errno.EEXIST: "not_a_directory",
}


class Refusal(Exception):
    def __init__(self, code: str, error: str) -> None:
        super().__init__(error)
        self.code = code
        self.error = error


def refusal(code: str, error: str) -> bytes:
    """The payload of a CLOSED that says no."""
    return encode_json({"ok": False, "code": code, "error": error}).encode()


def from_os_error(error: OSError) -> Refusal:
    code = _CODES.get(error.errno or 0, "io_error")
    where = f": {os.fsdecode(error.filename)}" if error.filename else ""
    return Refusal(code, f"{error.strerror or error}{where}")

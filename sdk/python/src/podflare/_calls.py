"""The REST calls as values: what to send, not how.

The synchronous and the asynchronous client share them, so the two can't drift apart.
"""

from __future__ import annotations

import json
import os
import re
from urllib.parse import quote, urlencode

from .errors import InvalidRequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ._bodies import Body

VERSION = "0.1.0"
_PAGE = 100
_LONGEST_KEY = 255


class Call:
    """One HTTP request.

    Attributes:
        method, target: `target` is path and query, percent-encoded.
        body: bytes, or a stream of chunks whose length is not known, or None.
        content_type: of the body.
        repeatable: whether sending it twice is the same as sending it once. Only such a call is
            sent again when a kept-alive connection dies before a byte of the answer came.
        patient: whether the answer may rightly stay silent for as long as it likes.
        key: an idempotency key: the server does it once, however often it is sent. Such a call is
            sent again when a connection breaks, see `client`.
    """

    __slots__ = ("body", "content_type", "key", "method", "patient", "repeatable", "target")

    def __init__(
        self,
        method: str,
        target: str,
        body: Body = None,
        content_type: str | None = None,
        repeatable: bool = False,
        patient: bool = False,
        key: str | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.body = body
        self.content_type = content_type
        self.repeatable = repeatable or key is not None
        self.patient = patient
        self.key = key

    def headers(self) -> dict[str, str]:
        """The headers that this call has beside those of every call."""
        headers = {}
        if self.content_type is not None:
            headers["Content-Type"] = self.content_type
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        return headers


def create_sandbox(
    template: str,
    egress: bool | Mapping[str, Sequence[str]],
    persistent: bool,
    idle_timeout_seconds: float | None,
    max_lifetime_seconds: float | None,
    cpus: float | None,
    memory_mb: int | None,
    disk_mb: int | None,
    env: Mapping[str, str] | None,
    metadata: Mapping[str, str] | None,
    auto_install: bool,
    key: str | None,
) -> Call:
    asked = {
        "template": template,
        "egress": _egress(egress),
        "persistent": persistent or None,
        "idle_timeout_seconds": idle_timeout_seconds,
        "max_lifetime_seconds": max_lifetime_seconds,
        "cpus": cpus,
        "memory_mb": memory_mb,
        "disk_mb": disk_mb,
        "env": None if env is None else dict(env),
        "metadata": None if metadata is None else dict(metadata),
        "auto_install": auto_install or None,
    }
    return _post("/v1/sandboxes", asked, key=_key(key))


def _egress(egress: Any) -> object:
    if isinstance(egress, bool):
        return egress
    if not hasattr(egress, "keys"):
        raise InvalidRequestError(
            f"egress is True, False or a dict, not {type(egress).__name__}",
            code="invalid_argument",
            hint='for some hosts only: egress={"allow": ["*.example.org"]}',
        )
    allowed: dict[str, object] = dict(egress)
    return allowed


def sandbox_info(sandbox_id: str) -> Call:
    return Call("GET", _sandbox(sandbox_id), repeatable=True)


def list_sandboxes(
    template: str | None, state: str | None, metadata: Mapping[str, str] | None, cursor: str | None
) -> Call:
    query: dict[str, str] = {"limit": str(_PAGE)}
    if cursor is not None:
        query["cursor"] = cursor
    if template is not None:
        query["template"] = template
    if state is not None:
        query["state"] = state
    for key, value in (metadata or {}).items():
        query[f"metadata.{key}"] = value
    return Call("GET", "/v1/sandboxes" + _query(query), repeatable=True)


def close_sandbox(sandbox_id: str) -> Call:
    return Call("DELETE", _sandbox(sandbox_id), repeatable=True)


def run_code(
    sandbox_id: str,
    code: str,
    language: str,
    timeout: float | None,
    env: Mapping[str, str] | None,
    cwd: str | None,
    detach: bool = False,
    background: bool = False,
) -> Call:
    asked = {
        "code": code,
        "language": language,
        "timeout_seconds": timeout,
        "env": None if env is None else dict(env),
        "cwd": cwd,
        "detach": detach or None,
        "background": background or None,
    }
    return _post(_sandbox(sandbox_id, "/exec"), asked, patient=not detach)


_EXEC_ID = re.compile("exe_[0-9a-f]{32}")


def exec_id(given: object) -> str:
    """An id of an exec; a command or code is refused, which would otherwise look as if it ran."""
    if not isinstance(given, str) or not _EXEC_ID.fullmatch(given):
        raise InvalidRequestError(
            f"{given!r:.80} is no id of an exec (exe_ and 32 hexadecimal digits)",
            code="invalid_argument",
            hint="exec finds an exec again; to run code call run_code(code), to run a command "
            'run_code(command, language="bash")',
        )
    return given


def list_execs(sandbox_id: str) -> Call:
    return Call("GET", _sandbox(sandbox_id, "/execs"), repeatable=True)


def exec_info(sandbox_id: str, exec_id: str) -> Call:
    return Call("GET", _sandbox(sandbox_id, f"/execs/{_part(exec_id)}"), repeatable=True)


def exec_stream(sandbox_id: str, exec_id: str, from_seq: int) -> Call:
    target = _sandbox(sandbox_id, f"/execs/{_part(exec_id)}/stream")
    if from_seq:
        target += _query({"from": str(from_seq)})
    return Call("GET", target, repeatable=True, patient=True)


def interrupt_exec(sandbox_id: str, exec_id: str) -> Call:
    # Repeatable, unlike the interrupt of a sandbox: its id says which exec is meant.
    target = _sandbox(sandbox_id, f"/execs/{_part(exec_id)}/interrupt")
    return Call("POST", target, repeatable=True)


def open_pty(sandbox_id: str, fields: Mapping[str, Any]) -> Call:
    query = {name: str(value) for name, value in fields.items() if value is not None}
    return Call("GET", _sandbox(sandbox_id, "/pty") + _query(query))


def list_ptys(sandbox_id: str) -> Call:
    return Call("GET", _sandbox(sandbox_id, "/ptys"), repeatable=True)


def kill_pty(sandbox_id: str, pty_id: str) -> Call:
    return Call("DELETE", _sandbox(sandbox_id, f"/ptys/{_part(pty_id)}"))


def list_templates() -> Call:
    return Call("GET", "/v1/templates", repeatable=True)


def build_template(
    name: str,
    base: str,
    script: str | None,
    packages: Sequence[str] | None,
    warm: str | None,
    timeout: float | None,
) -> Call:
    asked = {
        "name": name,
        "from": base,
        "script": script,
        "packages": None if packages is None else list(packages),
        "warm": warm,
        "timeout_seconds": timeout,
    }
    return _post("/v1/templates", asked, patient=True)


def delete_template(name: str) -> Call:
    # Not repeatable: the second answer would be 404 for what the first one deleted.
    return Call("DELETE", f"/v1/templates/{_part(name)}")


def fork(sandbox_id: str, n: int, key: str | None) -> Call:
    return _post(_sandbox(sandbox_id, "/fork"), {"n": n}, key=_key(key))


def family(sandbox_id: str) -> Call:
    return Call("GET", _sandbox(sandbox_id, "/family"), repeatable=True)


def diff(
    sandbox_id: str, other_id: str, paths: Sequence[str] | str, text: bool, variables: bool
) -> Call:
    roots = [paths] if isinstance(paths, str) else paths
    query = [("path", _path(root)) for root in roots]
    query += [("text", _boolean(text)), ("variables", _boolean(variables))]
    target = _sandbox(sandbox_id, f"/diff/{_part(other_id)}") + _query(query)
    return Call("GET", target, repeatable=True)


def merge_into(
    sandbox_id: str,
    winner_id: str,
    mode: str,
    dry_run: bool,
    paths: Sequence[str] | str | None,
    on_conflict: str,
) -> Call:
    # Not repeatable: after a swap that was carried out, the winner's id is gone. Patient: it waits
    # for code that runs.
    target = _sandbox(sandbox_id, f"/merge_into/{_part(winner_id)}")
    if mode == "swap" and not dry_run and paths is None and on_conflict == "fail":
        return Call("POST", target, patient=True)  # As the hosted service knows it.
    asked = {
        "mode": mode,
        "dry_run": dry_run,
        "paths": [paths] if isinstance(paths, str) else paths and list(paths),
        "on_conflict": on_conflict,
    }
    return _post(target, asked, patient=True)


def freeze(sandbox_id: str) -> Call:
    return Call("POST", _sandbox(sandbox_id, "/freeze"), patient=True)  # For code that runs.


def list_spaces() -> Call:
    return Call("GET", "/v1/spaces", repeatable=True)


def space_info(space_id: str) -> Call:
    return Call("GET", _space(space_id), repeatable=True)


def resume_space(space_id: str, key: str | None) -> Call:
    return _post(_space(space_id, "/resume"), {}, key=_key(key))


def delete_space(space_id: str) -> Call:
    return Call("DELETE", _space(space_id), repeatable=True)


def interrupt(sandbox_id: str) -> Call:
    # Not repeatable: a second interrupt could hit the exec after the one that was meant.
    return Call("POST", _sandbox(sandbox_id, "/interrupt"))


def write_file(
    sandbox_id: str, path: str | os.PathLike[str], body: Body, mode: int | str | None
) -> Call:
    query = {"path": _path(path)}
    if mode is not None:
        query["mode"] = f"{mode:04o}" if isinstance(mode, int) else mode
    return Call(
        "PUT",
        _sandbox(sandbox_id, "/files") + _query(query),
        body,
        "application/octet-stream",
        repeatable=isinstance(body, (bytes, memoryview)),
    )


def read_file(sandbox_id: str, path: str | os.PathLike[str]) -> Call:
    target = _sandbox(sandbox_id, "/files") + _query({"path": _path(path)})
    return Call("GET", target, repeatable=True)


def list_files(sandbox_id: str, path: str | os.PathLike[str]) -> Call:
    target = _sandbox(sandbox_id, "/files/list") + _query({"path": _path(path)})
    return Call("GET", target, repeatable=True)


def remove_file(sandbox_id: str, path: str | os.PathLike[str], recursive: bool) -> Call:
    # Not repeatable: the second answer would be 404 for a file that the first one removed.
    query = {"path": _path(path)}
    if recursive:
        query["recursive"] = "true"
    return Call("DELETE", _sandbox(sandbox_id, "/files") + _query(query))


def _post(
    target: str, fields: Mapping[str, Any], patient: bool = False, key: str | None = None
) -> Call:
    asked = {name: value for name, value in fields.items() if value is not None}
    try:
        body = json.dumps(asked, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"an argument can't be sent as JSON: {error}", code="invalid_argument"
        ) from error
    return Call("POST", target, body, "application/json", patient=patient, key=key)


def _key(given: str | None) -> str:
    """The caller's idempotency key, or a new one, so that sending it again is always safe."""
    if given is None:
        return os.urandom(16).hex()
    if not 1 <= len(given) <= _LONGEST_KEY or not all("!" <= sign <= "~" for sign in given):
        raise InvalidRequestError(
            f"{given!r} is no idempotency key", code="invalid_idempotency_key",
            hint="1 to 255 visible ASCII characters, no blank",
        )
    return given


def _sandbox(sandbox_id: str, rest: str = "") -> str:
    return f"/v1/sandboxes/{_part(sandbox_id)}{rest}"


def _space(space_id: str, rest: str = "") -> str:
    return f"/v1/spaces/{_part(space_id)}{rest}"


def _part(id: str) -> str:
    return quote(id, safe="")


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _query(fields: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    # surrogateescape: a file name in the sandbox need not be UTF-8, and is listed that way.
    try:
        return "?" + urlencode(fields, quote_via=quote, safe="/", errors="surrogateescape")
    except (UnicodeError, TypeError) as error:
        raise InvalidRequestError(
            f"an argument can't be part of a URL: {error}", code="invalid_argument"
        ) from error


def _path(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    if not isinstance(text, str) or not text:
        raise InvalidRequestError(
            f"a path in the sandbox is a non-empty string, not {path!r}", code="invalid_path"
        )
    return text

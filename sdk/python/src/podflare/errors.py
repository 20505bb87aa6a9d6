"""What can go wrong, as exceptions.

All of them are a `PodflareError`. An error that the server sent carries its HTTP `status`, its
`code` (snake_case, stable, for programs), its `hint` (what to do next, for people) and the
`request_id` under which the server's log has it.
"""

from __future__ import annotations

import builtins
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LONGEST_FOREIGN_TEXT = 500


class PodflareError(Exception):
    """Everything that this package raises on purpose.

    Attributes:
        message: the sentence that says what happened.
        status: the HTTP status, or None when the server did not answer.
        code: a stable snake_case word for programs, or None.
        hint: what to do next, or None.
        request_id: the server's id of this request, or None.
        retry_after: seconds to wait before trying again, or None when the server named none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        hint: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.hint = hint
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = self.message
        if self.hint:
            text += f" ({self.hint})"
        facts = []
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.request_id:
            facts.append(f"request {self.request_id}")
        return f"{text} [{', '.join(facts)}]" if facts else text


class AuthenticationError(PodflareError):
    """No key, a wrong key (401), or a key that may not do this (403)."""


class NotFoundError(PodflareError):
    """No such sandbox or file, or it belongs to another key (404)."""


class InvalidRequestError(PodflareError):
    """The request makes no sense: a bad argument, a file too large (400, 413, 422 and the like)."""


class ConflictError(PodflareError):
    """The sandbox is in a state that does not allow this (409)."""


class MergeConflictError(ConflictError):
    """Files were changed on both sides of a merge, so nothing was applied.

    Attributes:
        conflicts: what each side did, one dict a file: `path`, and under `parent` and `winner`
            `added`, `modified` or `removed`.
    """

    conflicts: list[dict[str, str]] = []


class TemplateBuildError(PodflareError):
    """The script of a template failed.

    Attributes:
        result: the `ExecResult` with all that the build wrote.
    """

    result: Any = None


class QuotaError(PodflareError):
    """This key has used up its share (429); `retry_after` says when to come back."""


class CapacityError(PodflareError):
    """This host has no room for another sandbox now (503)."""


class ServerError(PodflareError):
    """The server failed (5xx), or what came back is not an answer of a Podflare server."""


class ConnectionError(PodflareError, builtins.ConnectionError):
    """The server can't be reached, or the connection broke.

    With the code `outcome_unknown` the request had been sent: it may or may not have been carried
    out. Also a built-in `ConnectionError`.
    """


class TimeoutError(PodflareError, builtins.TimeoutError):
    """The server stayed silent for longer than the client waits.

    Never raised for code that runs too long: that ends with an exit of reason `timeout`.
    Also a built-in `TimeoutError`.
    """


_BY_STATUS: dict[int, type[PodflareError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    429: QuotaError,
    503: CapacityError,
}


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes) -> PodflareError:
    """The exception for an answer that is no success; the body may be anything, even empty."""
    fields = _fields(body)
    message = _text(fields.get("error"))
    if message is None:
        foreign = " ".join(body.decode("utf-8", "replace").split())[:_LONGEST_FOREIGN_TEXT]
        message = foreign or f"the server answered HTTP {status} without saying why"
    conflicts = fields.get("conflicts")
    kind = _BY_STATUS.get(status)
    if kind is ConflictError and isinstance(conflicts, list):
        kind = MergeConflictError
    if kind is None:
        kind = InvalidRequestError if 400 <= status < 500 else ServerError
    error = kind(
        message,
        status=status,
        code=_text(fields.get("code")),
        hint=_text(fields.get("hint")),
        request_id=headers.get("X-Request-Id"),
        retry_after=_seconds(headers.get("Retry-After")),
    )
    if isinstance(error, MergeConflictError) and isinstance(conflicts, list):
        error.conflicts = conflicts
    return error


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}  # A proxy's HTML page, or half a body: the caller keeps its text.
    return fields if isinstance(fields, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: str | None) -> float | None:
    # Retry-After may also be a date, but no Podflare server sends one.
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return float(value[:9])

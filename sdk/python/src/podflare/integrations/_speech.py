"""What a tool tells a model: the outcome of code, and what went wrong in a way it can act on.

Every failure says what happened, why, and what to try. docs/errors-for-models.md is the table of
all of them, and a test compares it with what stands here.
"""

from __future__ import annotations

import base64
import binascii
import re

from ..errors import (
    AuthenticationError,
    CapacityError,
    ConflictError,
    ConnectionError,
    InvalidRequestError,
    NotFoundError,
    PodflareError,
    QuotaError,
    ServerError,
    TimeoutError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from ..results import ExecResult

    Image: TypeAlias = "tuple[str, str]"
    """Media type, and the picture in base64."""

# Characters of one answer: some 10,000 tokens, of which a model's window holds a few dozen.
LIMIT = 30_000
_MOST_IMAGES = 8
_LARGEST_IMAGE = 5_000_000  # Characters of base64; the providers take no larger ones.
_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}

SILENT = "(it ran to its end and printed nothing)"
STATE_LOST = (
    "[the Python process ended: its variables and imports are gone, files are still there. "
    "Import and define again what you need]"
)
QUEUED = (
    "[not run: its time limit passed while it waited for other code of this sandbox. "
    "Wait until that has ended, then call again]"
)
UNSEEN = "[what was drawn can't be shown to you here. Print the numbers that matter]"
# By the reason of an exit.
REASONS = {
    "timeout": "[stopped at its time limit; what it did so far is kept. Do less at once, "
    "or start it in the background with its output in a file and look at that later]",
    "interrupted": "[interrupted from outside; what it did so far is kept. "
    "Go on only if the task still asks for it]",
    "oom": "[ended because the sandbox has no more memory. "
    "Work on the data in pieces, and delete what is no longer needed]",
    "killed": "[its process was killed. If it did not do that itself, run it again once, "
    "with less to do]",
}

# By the code of an error: why, as far as the message does not say it, and what to try.
_ADVICE = {
    "sandbox_not_found": "It was closed, or idle for too long, and its files and variables are "
    "gone. Don't call this tool again; say that the work needs a new sandbox.",
    "sandbox_lost": "Its files and variables are gone. Don't call this tool again; say that the "
    "work needs a new sandbox.",
    "sandbox_busy": "Other code still runs in it. Wait for that, then try again.",
    "unreachable": "Calling again at once does not help. Go on without running code, and say that "
    "it could not be run.",
    "outcome_unknown": "It may have run in part. Look at its effects, at files and variables, "
    "before you run it again.",
    "cut_off": "Try once more; if it fails again, go on without it and say so.",
    "no_answer": "The machine is overloaded. Try once more, with less to do.",
    "body_too_large": "Write large data to a file in several calls, and read it from the code.",
    "too_large": "Write large data to a file in several calls, and read it from the code.",
    "disk_full": "Remove files that are not needed any more, then try again.",
    "file_not_found": "List the directory to see what is there, and mind that a relative path "
    "begins at /root.",
    "is_a_directory": "Name a file in it.",
    "not_a_directory": "Name the directory above it.",
    "not_a_file": "Use code to work with devices, pipes and sockets.",
    "permission_denied": "Choose a path under /root or /tmp.",
    "invalid_path": "Give an absolute path, or one relative to /root.",
}
# Where the code is none of these.
_ADVICE_BY_KIND: tuple[tuple[type[PodflareError], str], ...] = (
    (AuthenticationError, "You can't mend this. Go on without running code, and say that it could "
    "not be run."),
    (QuotaError, "Don't call this tool again for now; say that the limit of this account is "
    "reached."),
    (CapacityError, "The machine is full. Try again later, or go on without running code."),
    (NotFoundError, "Check the name, and list what is there."),
    (ConflictError, "It can't be done in the present state. Look at the state before you try "
    "again."),
    (InvalidRequestError, "Mend the input and call again."),
    (TimeoutError, "Try once more, with less to do."),
    (ConnectionError, "Try once more; if it fails again, go on without it and say so."),
    (ServerError, "Try once more; if it fails again, go on without it and say so."),
    (PodflareError, "Go on without it, and say so."),
)


class Told:
    """What a model is told: text, never empty, and pictures."""

    __slots__ = ("failed", "images", "text")

    def __init__(self, text: str, failed: bool = False, images: list[Image] | None = None) -> None:
        self.text = text
        self.failed = failed
        self.images: list[Image] = images or []

    def without_pictures(self) -> str:
        """The text, for a framework that passes on nothing else."""
        if not self.images:
            return self.text
        return f"{self.text}\n{UNSEEN}"


class Misuse(Exception):
    """What the model did wrong, in sentences that it can act on."""


def explain(error: Exception) -> str:
    """What an error of the sandbox means for a model: what, why, what to try."""
    if not isinstance(error, PodflareError):
        return f"error: {error}"
    what = clean(error.message).rstrip(". ")
    return f"error: {what}. {advice(error)}"


def advice(error: PodflareError) -> str:
    """Why, and what to try."""
    known = _ADVICE.get(error.code or "")
    if known is not None:
        return known
    return next(text for kind, text in _ADVICE_BY_KIND if isinstance(error, kind))


def outcome(result: ExecResult, limit: int = LIMIT) -> Told:
    """The outcome of code as plain text: what it printed, then its result, then how it ended."""
    images, notes = pictures(result)
    parts = []
    if result.stdout:
        parts.append(screen(result.stdout).rstrip("\n"))
    if result.stderr:
        parts.append("stderr:\n" + screen(result.stderr).rstrip("\n"))
    parts += (shown for one in result.results if (shown := screen(_shown(one))))
    text = cut(clean("\n".join(parts)), limit)
    ends = [text] if text else []
    ends += notes
    ends += remarks(result)
    if result.exit_code != 0:
        ends.append(f"exit code: {result.exit_code}")
    if not ends:
        ends = ["(see the picture)"] if images else [SILENT]
    return Told("\n".join(ends), result.exit_code != 0, images)


def exact_outcome(result: ExecResult, limit: int | None = None) -> Told:
    """The outcome in the form that the hosted service's `code_execution` helper has."""
    stdout, stderr = screen(result.stdout), screen(result.stderr)
    if limit is not None:
        stdout, stderr = cut(clean(stdout), limit), cut(clean(stderr), limit)
    if not result.state_kept:
        # Else the model would go on using variables that no longer exist.
        stderr += "\n" + STATE_LOST
    reason = _reason(result)
    if reason is not None and result.reason == "timeout":
        stderr += "\n" + reason  # Else 124 is all that says it.
    text = f"stdout:\n{stdout}\nstderr:\n{stderr}\nexit_code: {result.exit_code}"
    return Told(text, result.exit_code != 0)


def remarks(result: ExecResult) -> list[str]:
    """What else the model has to know about how it ended."""
    said = []
    reason = _reason(result)
    if reason is not None:
        said.append(reason)
    if not result.state_kept:
        said.append(STATE_LOST)
    return said


def _reason(result: ExecResult) -> str | None:
    if result.error is not None and result.error.get("name") == "QueuedTooLong":
        return QUEUED
    return REASONS.get(result.reason or "")


_ESCAPE = re.compile(
    "\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # Colours, movements of the cursor.
    "|[]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\\\)?"  # Titles, links.
    "|[ -/]*[0-~])"
)


def screen(text: str) -> str:
    """The text as a terminal would leave it: without escape codes, and of a line that was drawn
    again and again, as a progress bar is, the last state.

    Takes time in proportion to its length."""
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    if "\b" in text:
        kept: list[str] = []
        for letter in text:
            if letter != "\b":
                kept.append(letter)
            elif kept and kept[-1] not in "\r\n":
                kept.pop()
        text = "".join(kept)
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return text


def cut(text: str, limit: int) -> str:
    """The text, or its beginning and its end with a word about what is left out between them."""
    if len(text) <= limit:
        return text
    head, tail = limit * 3 // 5, limit * 2 // 5
    left = len(text) - head - tail
    return (
        f"{text[:head]}\n[… {left:,} characters are left out here. Print less, or write it to a "
        f"file and look at parts of it …]\n{text[-tail:] if tail else ''}"
    )


def clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no provider's API takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _shown(bundle: dict[str, str]) -> str:
    """A shown value as text; nothing for one that is a picture."""
    if any(kind in bundle for kind in _SIGNATURES):
        return ""
    return bundle.get("text/plain", "").rstrip("\n")


def pictures(result: ExecResult) -> tuple[list[Image], list[str]]:
    """The pictures that can be shown to a model, and a word about each that can't."""
    images: list[Image] = []
    notes: list[str] = []
    for bundle in result.results:
        for kind in _SIGNATURES:
            if kind not in bundle:
                continue
            data = "".join(bundle[kind].split())
            why = _why_not(kind, data) if len(images) < _MOST_IMAGES else _TOO_MANY
            if why:
                notes.append(why)
            else:
                images.append((kind, data))
            break  # One form of each value is enough.
    return images, notes


_TOO_MANY = (
    f"[a picture is left out: at most {_MOST_IMAGES} are shown at once. Show it in another call]"
)


def _why_not(kind: str, data: str) -> str | None:
    """Why this can't be sent: it comes from code that nobody vouches for, and one bad picture would
    have the whole conversation refused."""
    if len(data) > _LARGEST_IMAGE:
        return (
            f"[a picture of {len(data) * 3 // 4:,} bytes is left out: that is too large. "
            "Draw it smaller, or save it to a file]"
        )
    try:
        start = base64.b64decode(data, validate=True)[:8]
    except (binascii.Error, ValueError):
        start = b""
    if not start.startswith(_SIGNATURES[kind]):
        return f"[a picture is left out: its data are no {kind}. Draw it again]"
    return None

"""What to tell a person when the network fails, in the same words for both clients."""

from __future__ import annotations

from .errors import ConnectionError, TimeoutError


def unreachable(host: str, cause: str) -> ConnectionError:
    """The server takes no connection."""
    return ConnectionError(
        f"can't reach the Podflare server at {host}: {cause}",
        code="unreachable",
        hint="start it with `./podflare up` on its machine, or set PODFLARE_HOSTD_URL",
    )


def not_sent(host: str, cause: str) -> ConnectionError:
    """The connection broke before the whole request was out, so nothing was carried out."""
    return ConnectionError(
        f"the connection to {host} broke while the request was sent: {cause}",
        code="not_sent",
        hint="the server did not carry it out; try again",
    )


def unanswered(host: str, cause: str) -> ConnectionError:
    """The request was out, and no answer came."""
    return ConnectionError(
        f"the connection to {host} broke before the answer: {cause}; "
        "whether the request was carried out is unknown",
        code="outcome_unknown",
        hint="check the sandbox before sending it again",
    )


def outcome_unknown(cause: str) -> ConnectionError:
    """The events of an exec end before its exit event."""
    return ConnectionError(
        f"the connection broke while the code ran: {cause}; the outcome of the exec is unknown",
        code="outcome_unknown",
        hint="the code may still be running or have finished; "
        "check the sandbox's state before running it again",
    )


def closed_meanwhile(what: str) -> ConnectionError:
    """Another thread or task closed what this call stands on."""
    return ConnectionError(
        f"{what} was closed while this call waited for it",
        code="closed",
        hint="close it after its calls have ended, or take this as their end",
    )


def cut_off(host: str, cause: str) -> ConnectionError:
    """The answer ends in the middle."""
    return ConnectionError(
        f"the answer of {host} is cut off: {cause}",
        code="cut_off",
        hint="the connection or the server died; try again",
    )


def silent(host: str, seconds: float | None) -> TimeoutError:
    """The server did nothing for as long as the client waits."""
    waited = "" if seconds is None else f" for {seconds:g} s"
    return TimeoutError(
        f"{host} did not answer{waited}",
        code="no_answer",
        hint="see whether the server is overloaded, or give the client a longer timeout=",
    )

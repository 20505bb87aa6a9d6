"""Waiting for a condition, never longer than said."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: How many times longer than on a plain host everything may take: the KVM rig is far slower.
PATIENCE = float(os.environ.get("PODFLARE_E2E_PATIENCE", "1"))


class DeadlineExceeded(AssertionError):
    """Something did not happen in time."""


def eventually(
    what: str, condition: Callable[[], T], seconds: float = 60.0, every: float = 0.02
) -> T:
    """Waits until `condition` gives a true value, and returns it.

    For things that have no event to wait for, such as the end of a process that is not our child.
    The deadline is for a wait that would never end: a busy host may need most of it.
    """
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise DeadlineExceeded(f"{what}: not within {seconds:g} s; last seen: {value!r}")
        time.sleep(every)


@contextlib.contextmanager
def at_most(seconds: float, what: str) -> Iterator[None]:
    """Breaks off what runs in the main thread after so many seconds, wherever it waits."""
    seconds *= PATIENCE

    def expired(_signal: int, _frame: object) -> None:
        raise DeadlineExceeded(f"{what}: still running after {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

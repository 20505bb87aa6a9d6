"""How an interrupt, or new entropy, reaches running code.

The agent writes the mailbox, then sends its signal; the handler here runs at the next bytecode of
the main thread. An interrupt counts only if it names the call that runs at that moment. Before the
code has begun, `begin` finds it in the mailbox; after it has ended, it names a call that is over
and is dropped, so a late one can't hit the next call. Then it is turned into SIGINT, so that the
code's own handler, or asyncio's, acts as it would in a terminal.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# signal.getsignal without its dressing, which for every handler tries and fails to make an enum of
# it.
from _signal import getsignal
from types import FrameType

from podflare_repl.reseed import reseed
from podflare_wire.mailbox import SIGNAL, Mailbox

_MAIN_THREAD = threading.get_ident()


class Overdue(KeyboardInterrupt):
    """A call that waits for its turn is interrupted, while a task of the event loop keeps it
    waiting. The task is broken off; the call finds its interrupt when it begins."""


class Interrupts:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._running = 0
        self._deferred = False
        self._delivered = False
        self._last = 0
        self._between_calls = False
        signal.signal(SIGNAL, self._on_signal)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    @property
    def delivered(self) -> bool:
        """Whether the call that runs now, or ran last, has been interrupted by the agent."""
        return self._delivered

    def begin(self, call: int) -> None:
        """From here to `end`, KeyboardInterrupt may come at any point. It may come from this very
        call."""
        # A handler for either signal is the code's own business while its call lasts, not longer:
        # one call that ignores SIGINT must not make the next one unstoppable.
        if getsignal(signal.SIGINT) is not signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if getsignal(SIGNAL) != self._on_signal:
            signal.signal(SIGNAL, self._on_signal)
        self._delivered = False
        if call > self._last:  # a rehearsal is 0
            self._last = call
        self._running = call
        # Read after the line above and written before the signal is sent: one side always sees it.
        if self._mailbox.interrupted_call == call:
            self._deliver()

    def end(self) -> None:
        self._running = 0

    @contextmanager
    def between_calls(self) -> Iterator[None]:
        """Within, tasks of the event loop run, and may be broken off by Overdue."""
        self._between_calls = True
        try:
            yield
        finally:
            self._between_calls = False

    def defer(self) -> None:
        """Until `undefer`, an interrupt waits: a frame must not be cut in the middle."""
        if threading.get_ident() == _MAIN_THREAD:
            self._deferred = True

    def undefer(self) -> None:
        if threading.get_ident() == _MAIN_THREAD:
            self._deferred = False
            if self._running and self._mailbox.interrupted_call == self._running:
                self._deliver()

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        wanted = self._mailbox.wanted_reseed()
        if wanted is not None:
            number, entropy = wanted
            reseed(entropy)
            self._mailbox.confirm_reseed(number)
        if self._running and not self._deferred:
            if self._mailbox.interrupted_call == self._running:
                self._deliver()
        elif self._between_calls and self._mailbox.interrupted_call > self._last:
            self._between_calls = False
            raise Overdue

    def _deliver(self) -> None:
        if not self._delivered:
            self._delivered = True
            signal.raise_signal(signal.SIGINT)

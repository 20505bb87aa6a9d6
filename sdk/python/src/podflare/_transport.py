"""Requests to one server over kept-alive connections.

There is one connection per concurrent call: a call takes an idle one or opens one, and puts it back
when the answer has been read. So any number of threads may call at once, and nobody waits for
another's answer.

A kept-alive connection can die while it is idle, and that is seen only when it is used. Before use
it is therefore asked whether it has been closed. If it dies all the same, the call is sent once
more, on a new connection, but only if nothing of an answer came, and either the request could not
be sent in full (then the server can't have carried it out) or it is repeatable. Running code is
not: it must not run twice. A call on a connection of its own is never sent again from here; those
with an idempotency key are by `Client`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from urllib.parse import urlsplit

from ._failures import cut_off, not_sent, silent, unanswered, unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._calls import Call
    from ._connection import Connection

_CONNECT_SECONDS = 10.0
# Routers on the way to a remote server forget a quiet connection without telling either end.
_LONGEST_IDLE_SECONDS = 60.0
_MOST_IDLE = 16
# The end of an answer whose last event is known comes at once, or the connection is not worth it.
_TAIL_SECONDS = 1.0


class Transport:
    """Sends calls to one server. Safe for use by several threads and after a fork."""

    def __init__(self, host: str, headers: Mapping[str, str], timeout: float | None) -> None:
        """`host` is a normal one, see `_config`; `timeout` is in seconds of silence."""
        parts = urlsplit(host)
        self.host = host
        self._headers = dict(headers)
        self._timeout = timeout
        self._secure = parts.scheme == "https"
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._prefix = parts.path
        self._tls: Any = None
        self._idle: deque[tuple[Connection, float]] = deque()  # Its methods are atomic.
        self._pid = os.getpid()

    def send(self, call: Call, extra_headers: Mapping[str, str]) -> Answer:
        """Sends a call and answers as soon as status and headers are there.

        Raises:
            ConnectionError: the server can't be reached, or the connection broke.
            TimeoutError: the server stayed silent.
        """
        headers = {**self._headers, **extra_headers, **call.headers()}
        connection = self._take_idle()
        if connection is not None:
            answer = self._try(connection, call, headers, may_repeat=True)
            if answer is not None:
                return answer
        answer = self._try(self._connect(), call, headers, may_repeat=False)
        assert answer is not None
        return answer

    def close(self) -> None:
        """Closes the idle connections. Calls that run go on, and later calls open new ones."""
        while True:
            try:
                connection, _ = self._idle.pop()
            except IndexError:
                return
            connection.close()

    def is_of_this_process(self) -> bool:
        """False in a forked child for what was opened by its parent."""
        return self._pid == os.getpid()

    def put_back(self, connection: Connection) -> None:
        if len(self._idle) < _MOST_IDLE and self._pid == os.getpid():
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()

    def _try(
        self, connection: Connection, call: Call, headers: dict[str, str], may_repeat: bool
    ) -> Answer | None:
        from ._connection import Broken, Silent, Unanswered

        timeout = None if call.patient else self._timeout
        target = self._prefix + call.target
        try:
            status, answered = connection.exchange(
                call.method, target, headers, call.body, timeout
            )
        except Unanswered as lost:
            connection.close()
            if may_repeat and (not lost.sent or call.repeatable) and _can_send_again(call):
                return None
            explain = unanswered if lost.sent else not_sent
            raise explain(self.host, str(lost)) from lost
        except Broken as broken:
            connection.close()
            raise unanswered(self.host, str(broken)) from broken
        except Silent as waited:
            connection.close()
            raise silent(self.host, timeout) from waited
        except BaseException:  # The caller's own iterator failed, or Ctrl-C was pressed.
            connection.close()
            raise
        return Answer(self, connection, status, answered, timeout)

    def _take_idle(self) -> Connection | None:
        if self._pid != os.getpid():
            # A forked child: the parent speaks on these connections. Closing the child's copies
            # does not disturb it.
            self._pid = os.getpid()
            self.close()
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < _LONGEST_IDLE_SECONDS and not connection.is_stale():
                return connection
            connection.close()

    def _connect(self) -> Connection:
        from ._connection import Connection

        try:
            if self._secure and self._tls is None:
                import ssl

                self._tls = ssl.create_default_context()
            return Connection(self._name, self._port, _CONNECT_SECONDS, self._tls)
        except OSError as cause:
            reason = cause.strerror or str(cause) or "timed out"
            raise unreachable(self.host, reason) from cause


class Answer:
    """An answer whose body is still to be read. Used by one thread at a time.

    Whoever has it reads it to the end or closes it; as a context manager it closes itself.
    """

    def __init__(
        self,
        transport: Transport,
        connection: Connection,
        status: int,
        headers: Mapping[str, str],
        timeout: float | None,
    ) -> None:
        self.status = status
        self.headers = headers
        self._transport = transport
        self._host = transport.host
        self._timeout = timeout
        self._connection: Connection | None = connection

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_some(self) -> bytes:
        """What has arrived, waiting for at least one byte; empty at the end."""
        if self._connection is None:
            return b""
        data: bytes = self._reading(self._connection.read_some)
        return data

    def read_into(self, buffer: memoryview) -> int:
        """Fills the buffer as far as the body goes; 0 at the end."""
        if self._connection is None:
            return 0
        count: int = self._reading(self._connection.read_into, buffer)
        return count

    def read(self, limit: int | None = None) -> bytes:
        """The rest of the body, or its first `limit` bytes and some more."""
        pieces = []
        size = 0
        while piece := self.read_some():
            pieces.append(piece)
            size += len(piece)
            if limit is not None and size >= limit:
                break
        self.close()
        return b"".join(pieces)

    def finish(self) -> None:
        """Reads what must still come after the last byte of interest, so that the connection can
        serve the next call."""
        from ._connection import Broken, Silent

        connection = self._connection
        if connection is None:
            return
        try:
            connection.set_timeout(_TAIL_SECONDS)
            while connection.read_some():
                pass
        except (Broken, Silent):
            self._drop()  # The answer is complete as far as anybody cares.
        else:
            self.close()

    def is_of_this_process(self) -> bool:
        return self._transport.is_of_this_process()

    def expect_within(self, seconds: float) -> None:
        """From now on a longer silence is a `TimeoutError`."""
        self._timeout = seconds
        if self._connection is not None:
            self._connection.set_timeout(seconds)

    def length(self) -> int | None:
        """The body's length in bytes, where it is known beforehand."""
        return None if self._connection is None else self._connection.length()

    def close(self) -> None:
        """Gives the connection back if the body was read to its end, else closes it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.is_reusable():
            self._transport.put_back(connection)
        elif self._transport.is_of_this_process():
            connection.break_off()
        else:
            connection.close()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _reading(self, read: Any, *arguments: object) -> Any:
        from ._connection import Broken, Silent

        try:
            data = read(*arguments)
        except Broken as broken:
            self._drop()
            raise cut_off(self._host, str(broken)) from broken
        except Silent as waited:
            self._drop()
            raise silent(self._host, self._timeout) from waited
        except BaseException:
            self._drop()
            raise
        if not data:
            self.close()
        return data


def _can_send_again(call: Call) -> bool:
    return call.body is None or isinstance(call.body, (bytes, memoryview))

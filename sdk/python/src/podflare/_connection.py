"""One HTTP/1.1 connection, on `http.client`.

Imported at the first connection and not before: `http.client` is the dearest import of the package.
"""

from __future__ import annotations

import http.client
import select
import socket

from ._bodies import CHUNK
from ._keepalive import keepalive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from ._bodies import Body

_SMALL = 64 * 1024
_WOULD_BLOCK: tuple[type[OSError], ...] = (BlockingIOError,)
try:
    import ssl
except ImportError:  # A Python without OpenSSL still speaks plain HTTP.
    pass
else:
    _WOULD_BLOCK += (ssl.SSLWantReadError, ssl.SSLWantWriteError)



class Unanswered(Exception):
    """The connection died before a byte of the answer came.

    `sent` says whether the whole request had been handed to the kernel. If not, the server can't
    have carried it out.
    """

    def __init__(self, sent: bool, cause: Exception) -> None:
        super().__init__(str(cause))
        self.sent = sent


class Broken(Exception):
    """The answer began but is cut off, or is not HTTP."""


class Silent(Exception):
    """The server did nothing for as long as the caller was willing to wait."""


class _SendFailed(Exception):
    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Http(http.client.HTTPConnection):
    """Gathers what `http.client` wants to send, which would be head and body on their own.

    In one send a small request is one packet, and the server wakes up once.
    """

    gathered: bytes = b""

    def send(self, data: Any) -> None:
        self.gathered += data


class Connection:
    """A connection to one server. Used by one thread at a time."""

    def __init__(self, name: str, port: int, timeout: float, tls: Any = None) -> None:
        """Connects.

        Raises:
            OSError: the server can't be reached within `timeout` seconds.
        """
        self._http = _Http(name, port) if tls is None else _https(name, port, tls)
        self._http.timeout = timeout
        self._http.connect()  # Sets TCP_NODELAY.
        self._socket: socket.socket = self._http.sock
        self._watches_input = tls is None
        for option in keepalive():
            self._socket.setsockopt(*option)
        self._answer: Any = None
        self._received = 0

    def is_stale(self) -> bool:
        """Whether the server has closed this idle connection, or sent what nobody asked for."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)
        except _WOULD_BLOCK:
            return False
        except OSError:
            return True
        return True

    def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
        timeout: float | None,
    ) -> tuple[int, Any]:
        """Sends a request and waits for the answer's status and headers.

        An exception of the iterator that makes the body is passed on as it is.

        Raises:
            Unanswered: nothing of an answer came.
            Broken: what came is not HTTP.
            Silent: the server did nothing for `timeout` seconds.
        """
        self._socket.settimeout(timeout)
        failure: OSError | None = None
        try:
            sent = self._send(method, target, headers, body)
        except _SendFailed as failed:
            failure, sent = failed.cause, False
            if _ran_out_of_time(failure):
                raise Silent from failure
        try:
            # Also after a failed send: a server that refuses an upload answers, then closes.
            self._answer = self._http.getresponse()
        except OSError as cause:
            if _ran_out_of_time(cause):
                raise Silent from cause
            raise Unanswered(sent, failure or cause) from (failure or cause)
        except http.client.HTTPException as cause:
            raise Broken(f"the answer is not HTTP ({cause!r})") from cause
        self._received = 0
        if not sent:
            self._answer.will_close = True  # The server still waits for the rest of the body.
        return self._answer.status, self._answer.headers

    def read_some(self) -> bytes:
        """What has arrived of the answer's body, at least one byte; empty at its end.

        Raises:
            Broken: the connection broke before the end of the body.
            Silent: nothing came in time.
        """
        data: bytes = self._read(self._answer.read1, _SMALL)
        self._count(len(data))
        return data

    def read_into(self, buffer: memoryview) -> int:
        """Fills the buffer with the answer's body as far as that goes; 0 at its end.

        Raises: as `read_some`.
        """
        count: int = self._read(self._answer.readinto, buffer)
        self._count(count)
        return count

    def length(self) -> int | None:
        """How long the answer's body is in bytes, where the server said so."""
        text = self._answer.headers.get("Content-Length")
        return int(text) if text is not None and text.isascii() and text.isdigit() else None

    def is_reusable(self) -> bool:
        """Whether the answer has been read to its end and another request may follow."""
        answer = self._answer
        if answer.will_close:
            return False
        if not answer.isclosed():
            if answer.length != 0:
                return False
            answer.close()  # Older versions leave it open when the last byte has been read.
        return True

    def set_timeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def break_off(self) -> None:
        """Closes it for every process that has it, and wakes up a thread that reads from it."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The other end was first.
        self.close()

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._http.close()
        self._socket.close()

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: Body) -> bool:
        """Sends the request; false when an answer came before the body was sent to its end."""
        if body is None:
            length = {} if method in ("GET", "DELETE") else {"Content-Length": "0"}
            self._put(self._head(method, target, headers, length))
            return True
        if isinstance(body, (bytes, memoryview)):
            head = self._head(method, target, headers, {"Content-Length": str(len(body))})
            if len(body) <= _SMALL:
                self._put(b"".join((head, body)))
                return True
            self._put(head)
            view = memoryview(body)
            return self._put_all(view[i : i + CHUNK] for i in range(0, len(view), CHUNK))
        self._put(self._head(method, target, headers, {"Transfer-Encoding": "chunked"}))
        if not self._put_all(_framed(chunk) for chunk in body if chunk):
            return False
        self._put(b"0\r\n\r\n")
        return True

    def _head(
        self, method: str, target: str, headers: Mapping[str, str], framing: Mapping[str, str]
    ) -> bytes:
        self._http.gathered = b""
        self._http.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (*headers.items(), *framing.items()):
            self._http.putheader(name, value)
        self._http.endheaders()
        return self._http.gathered

    def _put_all(self, pieces: Iterator[bytes | memoryview]) -> bool:
        for piece in pieces:
            if self._watches_input and _is_readable(self._socket):
                return False  # A refusal: sending on would be useless.
            self._put(piece)
        return True

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as cause:
            raise _SendFailed(cause) from cause

    def _read(self, read: Callable[[Any], Any], argument: object) -> Any:
        try:
            return read(argument)
        except http.client.HTTPException as cause:
            raise Broken("it was closed in the middle of the answer") from cause
        except OSError as cause:
            if _ran_out_of_time(cause):
                raise Silent from cause
            raise Broken(cause.strerror or str(cause)) from cause

    def _count(self, received: int) -> None:
        # http.client notices a body that ends early in some ways of reading, not in all.
        self._received += received
        if received == 0:
            expected = self.length()
            if expected is not None and self._received < expected:
                raise Broken(f"it was closed after {self._received} of {expected} bytes")


def _https(name: str, port: int, tls: Any) -> _Http:
    class Https(_Http, http.client.HTTPSConnection):
        pass

    return Https(name, port, context=tls)


def _framed(chunk: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


def _ran_out_of_time(error: OSError) -> bool:
    # A time-out of ours has no errno; the kernel's ETIMEDOUT means that the peer is gone.
    return isinstance(error, TimeoutError) and error.errno is None


def _is_readable(connection: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([connection], [], [], 0)[0])

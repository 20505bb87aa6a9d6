"""Terminals in a sandbox."""

from __future__ import annotations

import threading
import weakref

from . import _calls
from ._failures import unreachable
from ._terminal import BEGIN_SECONDS, Conversation, input_bytes, terminal_fields, wait_timed_out
from .errors import ConnectionError, InvalidRequestError, PodflareError
from .results import PtyInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from .client import Client
    from .sandbox import Sandbox

    OnData: TypeAlias = "Callable[[bytes], Any]"
    Infos: TypeAlias = "list[PtyInfo]"

_CONNECT_SECONDS = 10.0
_FAREWELL_SECONDS = 1.0
_PIECE = 64 * 1024


class Ptys:
    """Opens terminals: `sandbox.pty`. Safe for use by several threads.

    >>> from podflare import Sandbox
    >>> with Sandbox() as sb:
    ...     terminal = sb.pty.create("echo hello; exit 3")
    ...     b"".join(terminal), terminal.wait()
    (b'hello\\r\\n', 3)
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._open: weakref.WeakValueDictionary[str, Terminal] = weakref.WeakValueDictionary()

    def create(
        self,
        cmd: str = "bash -l",
        cols: int = 80,
        rows: int = 24,
        on_data: OnData | None = None,
        timeout_ms: int | None = None,
        cwd: str | None = None,
    ) -> Terminal:
        """Starts a command in a terminal of its own.

        Args:
            cmd: run by `bash -c`.
            cols, rows: the terminal's size.
            on_data: called with the bytes that it writes, from a thread of its own. Without it, the
                terminal is iterated over.
            timeout_ms: kill it after so long, as long as this program is attached to it.
            cwd: where it starts; `/root` by default.

        Raises:
            NotFoundError: the sandbox is gone.
            InvalidRequestError: an argument makes no sense.
        """
        fields = terminal_fields(cmd, cols, rows, cwd)
        return self._begin(fields, on_data, timeout_ms)

    def attach(
        self,
        pty: str | Terminal,
        on_data: OnData | None = None,
        timeout_ms: int | None = None,
    ) -> Terminal:
        """Attaches to a terminal that runs, by its id: first comes the last 1 MiB that it wrote.

        A terminal has one reader: whoever was attached before gets a `ConflictError`.
        """
        return self._begin({"pty": _id_of(pty)}, on_data, timeout_ms)

    def list(self) -> Infos:
        """The terminals of the sandbox, those that have ended lately too."""
        answer = self._sandbox._json(_calls.list_ptys(self._sandbox.id))
        return [PtyInfo(one) for one in answer.get("ptys", ())]

    def kill(self, pty: str | Terminal) -> None:
        """Kills a terminal with all that runs in it, attached or not."""
        self._sandbox._json(_calls.kill_pty(self._sandbox.id, _id_of(pty)))

    def send_input(self, pty: str | Terminal, data: str | bytes) -> None:
        """Types into a terminal that this object has opened."""
        self._attached(pty).send_input(data)

    def resize(self, pty: str | Terminal, cols: int, rows: int) -> None:
        """Gives a terminal that this object has opened another size."""
        self._attached(pty).resize(cols, rows)

    def wait(self, pty: str | Terminal, timeout: float | None = None) -> int:
        """Waits for the end of a terminal that this object has opened; answers its exit code."""
        return self._attached(pty).wait(timeout)

    def _attached(self, pty: str | Terminal) -> Terminal:
        if isinstance(pty, Terminal):
            return pty
        terminal = self._open.get(pty)
        if terminal is None:
            raise InvalidRequestError(
                f"this program is not attached to the terminal {pty!r}",
                code="pty_not_attached",
                hint="sandbox.pty.attach(id) attaches to it",
            )
        return terminal

    def _begin(
        self, fields: dict[str, Any], on_data: OnData | None, timeout_ms: int | None
    ) -> Terminal:
        call = _calls.open_pty(self._sandbox.id, fields)
        extra = {}
        if self._sandbox._traceparent is not None:
            extra["traceparent"] = self._sandbox._traceparent
        terminal = Terminal._open(self._sandbox._client, call.target, extra, on_data, timeout_ms)
        self._open[terminal.id] = terminal
        return terminal


class Terminal:
    """One terminal that this program is attached to, made by `sandbox.pty`.

    Iterating yields what it writes, as bytes, until it ends; with `on_data` a thread does that.
    Writing is safe for several threads, reading is for one. As a context manager it detaches.

    Attributes:
        id: its id, `pty_` and 32 hexadecimal digits.
        pid: the number of its process in the sandbox.
        exit_code: the code that its command ended with, or None as long as it runs.
        reason: `killed` when the sandbox's machine ended, else None.
    """

    def __init__(self) -> None:
        raise TypeError("a Terminal is made by sandbox.pty.create(…) or sandbox.pty.attach(id)")

    @classmethod
    def _open(
        cls,
        client: Client,
        target: str,
        headers: dict[str, str],
        on_data: OnData | None,
        timeout_ms: int | None,
    ) -> Terminal:
        terminal = cls.__new__(cls)
        terminal._host = client.host
        terminal._writing = threading.Lock()
        terminal._closed = False
        terminal._failure = None
        terminal._thread = None
        terminal._timer = None
        terminal._talk = Conversation(client._settings, target, headers)
        terminal._socket = _dial(client.host, terminal._talk.secure, terminal._talk.address)
        try:
            terminal._socket.settimeout(BEGIN_SECONDS)
            terminal._socket.sendall(terminal._talk.upgrade.request)
            while not terminal._talk.begun:
                terminal._receive()
            terminal._socket.settimeout(None)
        except BaseException:
            terminal.close()
            raise
        terminal.id = terminal._talk.id
        terminal.pid = terminal._talk.pid
        if timeout_ms is not None:
            terminal._timer = threading.Timer(timeout_ms / 1000, terminal._expire)
            terminal._timer.daemon = True
            terminal._timer.start()
        if on_data is not None:
            terminal._thread = threading.Thread(
                target=terminal._pump, args=(on_data,), name=terminal.id, daemon=True
            )
            terminal._thread.start()
        return terminal

    id: str
    pid: int | None
    _host: str
    _socket: socket.socket
    _talk: Conversation
    _failure: Exception | None
    _thread: threading.Thread | None
    _timer: threading.Timer | None

    @property
    def exit_code(self) -> int | None:
        return self._talk.exit_code

    @property
    def reason(self) -> str | None:
        return self._talk.reason

    def __iter__(self) -> Iterator[bytes]:
        while (data := self.read()):
            yield data

    def read(self) -> bytes:
        """What it wrote, waiting for at least one byte; empty when it has ended.

        Raises:
            ConflictError: another program has attached to it.
            ConnectionError: the connection broke; the terminal goes on, attach again.
        """
        if self._thread is not None:
            raise InvalidRequestError(
                "the output of this terminal goes to on_data", code="invalid_argument"
            )
        return self._read()

    def send_input(self, data: str | bytes) -> None:
        """Types: text as UTF-8, or bytes."""
        for piece in input_bytes(data):
            self._send(self._talk.typed(piece))

    def resize(self, cols: int, rows: int) -> None:
        """Gives it another size."""
        self._send(self._talk.said({"resize": {"cols": cols, "rows": rows}}))

    def signal(self, name: str) -> None:
        """Sends its processes a signal, like `SIGINT`."""
        self._send(self._talk.said({"signal": name}))

    def kill(self) -> None:
        """Kills it, with all that runs in it. Harmless when it has ended."""
        if self.exit_code is None:
            self._send(self._talk.said({"kill": True}))

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end and answers its exit code, 128 and the signal's number after a signal.

        Without `on_data`, what it still writes is thrown away.

        Raises:
            TimeoutError: it did not end within `timeout` seconds; it goes on.
            ConflictError, ConnectionError: as by `read`; an exception of `on_data` as it was.
        """
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise wait_timed_out(timeout)
            if self._failure is not None:
                raise self._failure
        else:
            self._drain(timeout)
        return self._talk.ended()

    def close(self) -> None:
        """Detaches. The terminal goes on, and can be attached to again."""
        already, self._closed = self._closed, True
        if already:
            return
        if self._timer is not None:
            self._timer.cancel()
        # A thread that types may hold the lock for ever, if the server does not read.
        polite = self._writing.acquire(timeout=_FAREWELL_SECONDS)
        try:
            if polite and self._talk.begun:
                self._socket.settimeout(_FAREWELL_SECONDS)
                self._socket.sendall(self._talk.farewell())
            # Wakes a thread that reads, as closing alone would not.
            self._socket.shutdown(2)
        except OSError:
            pass  # It is closed already, by either end: there is nobody to take leave of.
        finally:
            if polite:
                self._writing.release()
            self._socket.close()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Terminal({self.id!r}, pid={self.pid})"

    def _pump(self, on_data: OnData) -> None:
        try:
            while data := self._read():
                on_data(data)
        except Exception as failure:  # Told by wait(), where somebody is to hear it.
            self._failure = failure

    def _drain(self, timeout: float | None) -> None:
        import time

        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise wait_timed_out(timeout)
            self._set_timeout(left)
            try:
                if not self._read():
                    return
            except TimeoutError:
                raise wait_timed_out(timeout) from None
            finally:
                self._set_timeout(None)

    def _set_timeout(self, seconds: float | None) -> None:
        if self._socket.fileno() >= 0:
            self._socket.settimeout(seconds)

    def _read(self) -> bytes:
        while True:
            data = self._take()
            if data:
                return data
            if self.exit_code is not None:
                self.close()
                return b""
            if self._closed:
                return b""
            try:
                self._receive()
            except PodflareError as failure:
                self._talk.failed(failure)
                self.close()
                raise

    def _take(self) -> bytes:
        try:
            return self._talk.take()
        except PodflareError:
            self.close()
            raise

    def _receive(self) -> None:
        """Reads once from the socket and answers what has to be answered at once."""
        try:
            data = self._socket.recv(_PIECE)
        except OSError as broken:
            if self._closed:
                return
            if isinstance(broken, TimeoutError) and self._talk.begun:
                raise
            if isinstance(broken, TimeoutError):
                raise self._talk.silent(BEGIN_SECONDS) from None
            raise self._talk.broken(broken.strerror or str(broken)) from broken
        if not data and self._closed:
            return
        reply = self._talk.received(data)
        if reply:
            self._send(reply)

    def _send(self, data: bytes) -> None:
        with self._writing:
            if self._closed:
                raise self._talk.detached()
            try:
                self._socket.sendall(data)
            except OSError as broken:
                if self.exit_code is not None:
                    return  # It ended meanwhile: what was typed reaches nobody.
                raise self._talk.broken(broken.strerror or str(broken)) from broken

    def _expire(self) -> None:
        try:
            self.kill()
        except ConnectionError as broken:
            self._failure = self._failure or broken


def _id_of(pty: str | Terminal) -> str:
    return pty if isinstance(pty, str) else pty.id


def _dial(host: str, secure: bool, address: tuple[str, int]) -> socket.socket:
    import socket

    try:
        connection = socket.create_connection(address, _CONNECT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            import ssl

            connection = ssl.create_default_context().wrap_socket(
                connection, server_hostname=address[0]
            )
    except OSError as cause:
        raise unreachable(host, cause.strerror or str(cause) or "timed out") from cause
    return connection

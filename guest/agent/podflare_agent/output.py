"""The read ends of the pipes that user code writes to."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from podflare_agent.loop import Loop
from podflare_agent.processes import above_child_numbers
from podflare_wire.frames import CHUNK, STDERR, STDOUT

if TYPE_CHECKING:
    from podflare_agent.calls import Call

# Small writes that follow each other within this time travel together. They wait in the pipe
# itself, which is large enough that its writer need not stop meanwhile.
GATHER_SECONDS = 0.005
PIPE_SIZE = 1024 * 1024
# A read at least this long is bulk output, where waiting would gain nothing.
_BULK = CHUNK // 2

_NULL = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)


class Leftovers:
    """What threads and child processes of the Python process write while no call runs.

    The next call's stream begins with it. At most LIMIT bytes are kept; the oldest are dropped.
    """

    LIMIT = 65_536

    def __init__(self) -> None:
        self._kept: deque[tuple[int, bytes]] = deque()
        self._size = 0

    def keep(self, kind: int, data: bytes) -> None:
        self._kept.append((kind, data))
        self._size += len(data)
        while self._size > self.LIMIT:
            oldest_kind, oldest = self._kept.popleft()
            excess = self._size - self.LIMIT
            if len(oldest) > excess:
                self._kept.appendleft((oldest_kind, oldest[excess:]))
                self._size = self.LIMIT
            else:
                self._size -= len(oldest)

    def hand_to(self, call: Call) -> None:
        while self._kept:
            kind, data = self._kept.popleft()
            call.write(kind, data)
        self._size = 0


class Outputs:
    """Standard output and error of one process, read for the call that they are attached to;
    between calls for the leftovers, or for no one."""

    def __init__(self, loop: Loop, leftovers: Leftovers | None = None) -> None:
        # Kept apart from the loop's, to ask about these two alone.
        self._poll = select.poll()
        self.stdout = OutputPipe(loop, STDOUT, leftovers)
        self.stderr = OutputPipe(loop, STDERR, leftovers)
        self._both = (self.stdout, self.stderr)
        for pipe in self._both:
            self._poll.register(pipe.fd, select.POLLIN)

    def attach(self, call: Call) -> None:
        for pipe in self._both:
            pipe.call = call

    def detach(self) -> None:
        """The call is over. What comes now is for the leftovers; without them it is thrown away,
        but read, so that a background process that goes on printing is not killed by it."""
        for pipe in self._both:
            pipe.call = None
            if not pipe.watched:
                pipe.resume()

    def resume(self) -> None:
        for pipe in self._both:
            pipe.resume()

    def read_all(self) -> None:
        """Everything that has been written up to now, whether the call has credit for it or not:
        what comes next in the stream must come behind it. A pipe holds at most PIPE_SIZE."""
        if self._poll.poll(0):  # one look at both: at the end of most calls there is nothing
            for pipe in self._both:
                pipe.read_all()

    def let_children_write(self) -> None:
        """Blocking, as programs expect it; the last process may have changed that for all."""
        for pipe in self._both:
            os.set_blocking(pipe.write_end, True)

    def close_write_ends(self) -> None:
        """For pipes whose only writers are children: they end with the last of them."""
        for pipe in self._both:
            os.close(pipe.write_end)

    def close(self) -> None:
        for pipe in self._both:
            pipe.close()


class OutputPipe:
    def __init__(self, loop: Loop, kind: int, leftovers: Leftovers | None) -> None:
        self.call: Call | None = None
        self.fd, write_end = os.pipe2(os.O_CLOEXEC)
        self.write_end = above_child_numbers(write_end)
        self._loop = loop
        self._kind = kind
        self._leftovers = leftovers
        self.watched = True
        self._last_read = 0.0
        os.set_blocking(self.fd, False)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        loop.watch(self.fd, self._on_readable)

    def resume(self) -> None:
        if not self.watched and self.fd >= 0:
            self.watched = True
            self._loop.watch(self.fd, self._on_readable)

    def read_all(self) -> None:
        if self.fd < 0:
            return
        # Counted first: a background process may write faster than we read.
        count = fcntl.ioctl(self.fd, termios.FIONREAD, b"\0\0\0\0")
        left = int.from_bytes(count, sys.byteorder)
        while left > 0:
            read = self._read(min(CHUNK, left))
            if not read:
                return
            left -= read

    def close(self) -> None:
        self._pause()
        os.close(self.fd)
        self.fd = -1

    def _pause(self) -> None:
        if self.watched:
            self.watched = False
            self._loop.unwatch(self.fd)

    def _on_readable(self, _events: int) -> None:
        call = self.call
        if call is None:
            self._read(CHUNK)  # between two calls
        elif call.ended or not call.takes_output:
            self._pause()
        else:
            now = monotonic()
            since = now - self._last_read
            if since < GATHER_SECONDS:
                self._pause()
                self._loop.call_later(GATHER_SECONDS - since, self.resume)
            elif self._read(PIPE_SIZE if call.throws_away else CHUNK) < _BULK:
                self._last_read = now

    def _read(self, size: int) -> int:
        call = self.call
        if call.throws_away if call is not None else self._leftovers is None:
            return self._throw_away(size)
        try:
            data = os.read(self.fd, size)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
        elif call is not None:
            call.write(self._kind, data)
        elif self._leftovers is not None:
            self._leftovers.keep(self._kind, data)
        return len(data)

    def _throw_away(self, size: int) -> int:
        try:
            # The pages go from the pipe to nowhere without being copied.
            thrown: int = os.splice(self.fd, _NULL, size)
        except BlockingIOError:
            return 0
        if not thrown:
            self.close()
        elif self.call is not None:
            self.call.count_dropped(thrown)
        return thrown

"""Starting user code in a process of its own, and signalling what a call has started."""

from __future__ import annotations

import fcntl
import functools
import os
import signal
import time
from collections.abc import Mapping, Sequence

_DEV_NULL = "/dev/null"
# Python ignores these in itself, and a child would inherit that: `yes | head` would never end.
_DEFAULT_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]
_TICKS = os.sysconf("SC_CLK_TCK")
# The number of read(2): <asm/unistd_64.h> on x86, <asm-generic/unistd.h> elsewhere.
_READ = "0" if os.uname().machine == "x86_64" else "63"


def spawn(
    command: Sequence[str | bytes],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    inherited: Sequence[tuple[int, int]] = (),
) -> int:
    """Starts `command` (a path first) as the leader of a session of its own; the answer is its pid.

    It never sees the agent's own descriptors: standard input is empty, and beside its two outputs
    it has only the `inherited` pairs (a descriptor of ours, its number there). Raises OSError when
    `cwd` or the program can't be used.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, _DEV_NULL, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
    actions += [(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in inherited]
    return _spawn(command, cwd, env, actions)


def spawn_on_terminal(
    command: Sequence[str | bytes], *, cwd: str, env: Mapping[str, str], terminal: str
) -> int:
    """The same, with a terminal, of which this is the path, for its input and both outputs."""
    # Who leads a session and has no terminal gets the first one that it opens for its own.
    return _spawn(command, cwd, env, [
        (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ])


def _spawn(
    command: Sequence[str | bytes],
    cwd: str,
    env: Mapping[str, str],
    actions: Sequence[tuple[int, ...] | tuple[int, int, str, int, int]],
) -> int:
    # posix_spawn shares memory with its child until exec, where fork would copy page tables, which
    # is slow under emulation. It can't set a directory, but a process of one thread can lend its
    # own.
    os.chdir(cwd)
    try:
        return os.posix_spawn(
            command[0], tuple(command), env,
            file_actions=actions, setsid=True, setsigmask=[], setsigdef=_DEFAULT_SIGNALS)
    finally:
        os.chdir("/")


def above_child_numbers(fd: int) -> int:
    """The same file under a number that no child gets an end of its own under. Closes `fd`."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(fd)


def signal_quietly(pid: int, number: int, *, group: bool = False) -> None:
    """To a process, or to its group; one that is gone already needs none."""
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def group_members_since(group: int, started: float) -> list[int]:
    """The processes of a group that began after `started` (on the monotonic clock), without its
    leader.

    What an earlier call left running in the background is not among them.
    """
    # The kernel counts the start from boot, suspended time included, in hundredths of a second.
    offset = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    earliest = int((started + offset) * _TICKS)
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                # The name, in parentheses, may hold anything; fields 3 and later follow the last
                # one.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[2]) == group and int(fields[19]) >= earliest and int(entry) != group:
            members.append(int(entry))
    return members


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed since boot because memory ran out."""
    counts = os.pread(_kernels_counts(), 65_536, 0)
    _, _, after = counts.partition(b"\noom_kill ")
    return int(after.partition(b"\n")[0]) if after else 0


@functools.cache
def _kernels_counts() -> int:
    # Opened once: a clone would have to translate all of the kernel's code that opens a file.
    return above_child_numbers(os.open("/proc/vmstat", os.O_RDONLY | os.O_CLOEXEC))


def name_of(pid: int) -> str:
    """The name that the kernel has for a process; empty if there is none."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def reads_its_input(pid: int) -> bool:
    """Whether a process waits in a read of its standard input."""
    try:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            number, _, arguments = file.read().partition(" ")
    except (OSError, ValueError):
        return False
    return number == _READ and arguments.startswith("0x0 ")

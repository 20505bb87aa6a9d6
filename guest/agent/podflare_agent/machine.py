"""What the agent knows of and does to the machine itself; outside of a microVM, in tests,
nothing."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

from podflare_agent.layers import Layers, base_name
from podflare_agent.network import Network

_BASE_DISK = "/dev/vda"
PORT_NAME = "dev.podflare.agent"
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# <linux/random.h>
_RNDADDENTROPY = 0x40085203
_RNDRESEEDCRNG = 0x5207

# A wall clock that is ahead by less than this is left alone.
_STEP_BACK_NS = 1_000_000_000
# The same while the machine runs, where the host's word may have waited for the guest so long; and
# one that is behind by less than this.
_STEP_BACK_RUNNING_NS = 5_000_000_000
_STEP_FORWARD_NS = 20_000_000

# In a table of hosts: as Debian's installer names the machine. User code may have made it large.
_OWN_ADDRESS = b"127.0.1.1"
_LARGEST_TABLE = 64 * 1024

_BASE_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    # What has no terminal is read by programs; one that has is told which.
    "TERM": "dumb",
    # Agents that ask before they act need not ask here.
    "IS_SANDBOX": "1",
    # Python children write as they go, not when their buffer is full.
    "PYTHONUNBUFFERED": "1",
    # Bytecode would outlive a source that is changed within a second, see podflare_repl/process.py.
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


class Identity(NamedTuple):
    """What a clone has for itself. An empty `mac` leaves the one that it has."""

    entropy: bytes
    time_ns: int
    hostname: str
    generation: int
    mac: bytes
    severed: bool


class Machine:
    """Where user code lives, and the environment that it starts with."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self.home = self.env["HOME"]
        self.repl_script = os.path.join(_HERE, "repl.py")
        warm = os.path.join(_HERE, "warm.py")
        self.warm_script = warm if os.path.exists(warm) else None
        # Out of a microVM all is one layer.
        self.layers = Layers("/", None, lambda: "")
        # On the file system that is merged into.
        self.merge_room = self.home

    @property
    def start_directory(self) -> str:
        """Where code starts: at home, unless the code has removed that."""
        return self.home if os.path.isdir(self.home) else "/"

    def take_identity(self, identity: Identity) -> None:
        """Makes a clone differ from its siblings. Raises OSError if any part of it can't be
        done."""

    def follow_clock(self, time_ns: int) -> None:
        """Hears what the host's clock said a moment ago, when it sent what is about to be done."""

    def tell_generation(self, generation: int) -> None:
        """Tells user code that it was cloned. Comes last: who knows it may rely on the rest."""


class Guest(Machine):
    """The real thing: process 1 of a microVM.

    The kernel never picks process 1 when memory runs out, so the agent needs no score of its own,
    and what it starts inherits none.
    """

    def __init__(self) -> None:
        super().__init__(_BASE_ENV)
        self.layers = Layers(
            f"{_HERE}/disk/upper", f"{_HERE}/base", lambda: base_name(_BASE_DISK))
        self.merge_room = "/"
        # Opened here, as a clone finds nothing warm: to look a file up costs an emulated one up to
        # 20 ms.
        self._random = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
        self._generation = os.open(
            os.path.join(_HERE, "generation"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(self._generation, b"0\n")
        self._hosts = os.open(
            os.path.join(_HERE, "hosts"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._network = Network()

    def take_identity(self, identity: Identity) -> None:
        entropy = identity.entropy
        fcntl.ioctl(self._random, _RNDADDENTROPY,
                    struct.pack("=ii", len(entropy) * 8, len(entropy)) + entropy)
        # Mixing in is not enough: only this makes the next read depend on it.
        fcntl.ioctl(self._random, _RNDRESEEDCRNG)
        # A little ahead is no harm, while a step back would make files of before and after it
        # seem to have been written in the other order.
        if not 0 < time.time_ns() - identity.time_ns < _STEP_BACK_NS:
            time.clock_settime_ns(time.CLOCK_REALTIME, identity.time_ns)
        rename_in_hosts(self._hosts, socket.gethostname(), identity.hostname)
        socket.sethostname(identity.hostname)
        if identity.severed:
            self._network.sever()
        if identity.mac:
            self._network.take_hardware_address(identity.mac)

    def follow_clock(self, time_ns: int) -> None:
        if is_off(time.time_ns(), time_ns):
            time.clock_settime_ns(time.CLOCK_REALTIME, time_ns)

    def tell_generation(self, generation: int) -> None:
        # Whoever reads it meanwhile finds the old number or the new one: it grows by one digit at
        # most.
        number = b"%d\n" % generation
        os.pwrite(self._generation, number, 0)
        if os.fstat(self._generation).st_size != len(number):  # user code has written there
            os.ftruncate(self._generation, len(number))


def is_off(clock_ns: int, host_ns: int) -> bool:
    """Whether a clock is to be set to what the host's said when it sent that. A pause of the
    machine or of its host leaves it behind, and the host's clock has gone on since then, never
    back. Ahead it seems to be by as long as the word was on its way."""
    return not -_STEP_FORWARD_NS < clock_ns - host_ns < _STEP_BACK_RUNNING_NS


def rename_in_hosts(hosts: int, before: str, name: str) -> None:
    """Has the machine's own name found, in the open table of hosts, without a question to the
    network. What user code has written there stays."""
    table = os.pread(hosts, _LARGEST_TABLE + 1, 0)
    if len(table) > _LARGEST_TABLE:
        return
    old, new = (b"%s %s\n" % (_OWN_ADDRESS, each.encode()) for each in (before, name))
    lines = [line for line in table.splitlines(keepends=True) if line not in (old, new)]
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    changed = b"".join(lines) + new
    if changed != table:
        os.pwrite(hosts, changed, 0)
        if len(changed) < len(table):
            os.ftruncate(hosts, len(changed))


def open_port() -> int:
    """The agent's virtio-serial port, whatever number the kernel gave it."""
    ports = "/sys/class/virtio-ports"
    for port in os.listdir(ports):
        with open(f"{ports}/{port}/name", encoding="ascii", errors="replace") as file:
            if file.read().strip() == PORT_NAME:
                return os.open(f"/dev/{port}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    raise FileNotFoundError(f"no virtio port is named {PORT_NAME}")


def power_off(why: str) -> None:
    """Ends the microVM at once. No file system is put in order: the host has given it up."""
    print(f"podflare: powering off: {why}", file=sys.stderr, flush=True)
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("o")
    time.sleep(5)
    # Had it no effect, the kernel panics when process 1 ends, and that ends the microVM as well.

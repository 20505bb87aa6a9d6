"""What is on this host: processes, sockets, mounts, interfaces, memory.

Read from the kernel, so that a test need not believe what the server says of itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

#: What stands in the command line of a server's process that is not its descendant.
OUR_KINDS = ("dev.podflare", "qemu-system")

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def as_root(*command: str, check: bool = True, deadline: float = 30.0) -> str:
    """Runs a command that needs root: directly, or by `sudo` where we are somebody else."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    done = subprocess.run(
        [*prefix, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=deadline,
        check=False,
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: str
    #: In clock ticks since the host's boot; with the pid it names a process for good.
    started: int
    cpu_seconds: float

    @property
    def identity(self) -> tuple[int, int]:
        return (self.pid, self.started)


def processes() -> Iterator[Process]:
    """All processes but zombies."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_text()
            command = Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        values = stat.rpartition(")")[2].split()
        if values[0] in "ZX":
            continue
        yield Process(
            int(entry.name),
            int(values[1]),
            command.decode("utf-8", "replace").strip(),
            int(values[19]),
            (int(values[11]) + int(values[12])) / CLOCK_TICKS,
        )


def processes_of(server_pid: int | None, data_dir: Path) -> list[Process]:
    """The processes that belong to a server, itself excluded.

    They are its descendants; and, because machines may outlive it, those that name its data
    directory in their command line, or have a part of it mounted into their jail.
    """
    every = list(processes())
    ours = {server_pid} if server_pid is not None else set()
    grown = True
    while grown:
        found = {one.pid for one in every if one.parent in ours} - ours
        ours |= found
        grown = bool(found)
    # Not of a directory beside it whose name is longer.
    mark = re.compile(re.escape(str(data_dir)) + r"(?![\w.-])")
    not_ours = _lineage(every)
    return [
        one
        for one in every
        if one.pid != server_pid
        and one.pid not in not_ours
        and (one.pid in ours or mark.search(one.command) or _has_mounted(one.pid, data_dir))
        and (one.pid in ours or any(kind in one.command for kind in OUR_KINDS))
    ]


def _has_mounted(pid: int, directory: Path) -> bool:
    """Whether a mount namespace other than ours shows a part of this directory."""
    mount = next(one for one in (directory, *directory.parents) if os.path.ismount(one))
    part = f" /{directory.relative_to(mount)}/"
    try:
        if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            return False
        return part in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:  # It has ended, or is a kernel thread's or another user's.
        return False


def _lineage(every: list[Process]) -> set[int]:
    """We and what started us; our own command line may name the data directory too."""
    parents = {one.pid: one.parent for one in every}
    line, pid = set(), os.getpid()
    while pid in parents and pid not in line:
        line.add(pid)
        pid = parents[pid]
    return line


def machines_of(server_pid: int | None, data_dir: Path) -> list[Process]:
    """The processes that run the microVMs of a server: those whose memory holds a guest, that is,
    which have an executable of a machine monitor."""
    return [one for one in processes_of(server_pid, data_dir) if "qemu-system" in one.command]


def resident_bytes(pid: int) -> int:
    """Resident memory of a process that belongs to it alone: what it shares with a process that it
    was forked from, or with others that map the same files, does not count."""
    own = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            own += int(line.split()[1]) * 1024
    return own


def available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no MemAvailable in /proc/meminfo")


def addresses() -> list[str]:
    """The host's own IPv4 addresses, loopback excluded."""
    lines = as_root("ip", "-4", "-o", "addr", "show", "scope", "global").splitlines()
    return [line.split()[3].split("/")[0] for line in lines]


def kill(process: Process) -> None:
    as_root("kill", "-9", str(process.pid))


def lives(process: Process) -> bool:
    return is_running(*process.identity)


def is_running(pid: int, started: int) -> bool:
    """Whether the process of this number that was started then runs, and is no zombie."""
    return any((pid, started) == one.identity for one in processes() if one.pid == pid)


def end_all_of(data_dir: Path) -> list[Process]:
    """Ends what a server that is gone has left, and says what that was."""
    left = processes_of(None, data_dir)
    for one in left:
        with contextlib.suppress(RuntimeError):  # It may end while we look.
            kill(one)
    return left


@dataclass(frozen=True)
class Footprint:
    """What a server holds on its host, counted by kind."""

    processes: int
    descriptors: int
    unix_sockets: int
    network_namespaces: int
    interfaces: int
    mounts: int
    files: int
    cgroups: int
    firewall_rules: int
    leases: int

    @staticmethod
    def of(server_pid: int | None, data_dir: Path) -> Footprint:
        mark = str(data_dir)
        descriptors = 0
        if server_pid is not None:
            descriptors = len(os.listdir(f"/proc/{server_pid}/fd"))
        return Footprint(
            processes=len(processes_of(server_pid, data_dir)),
            descriptors=descriptors,
            unix_sockets=Path("/proc/net/unix").read_text().count(mark),
            network_namespaces=len(_network_namespaces()),
            interfaces=len(os.listdir("/sys/class/net")),
            mounts=len(Path("/proc/self/mountinfo").read_text().splitlines()),
            files=sum(len(names) for _, _, names in os.walk(data_dir)),
            cgroups=len(control_groups()),
            firewall_rules=len(as_root("nft", "list", "ruleset").splitlines()),
            leases=len(leases_of(data_dir)),
        )

    def growth_since(
        self, before: Footprint, slack: dict[str, int] | None = None
    ) -> dict[str, int]:
        """What is more than before, by kind; empty if nothing leaked."""
        allowed = slack or {}
        growth = {
            one.name: getattr(self, one.name) - getattr(before, one.name) for one in fields(self)
        }
        return {kind: more for kind, more in growth.items() if more > allowed.get(kind, 0)}


def _network_namespaces() -> set[str]:
    """Those that a process is in, and those that have a name."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{entry.name}/ns/net"))
    with contextlib.suppress(FileNotFoundError):
        found.update(os.listdir("/run/netns"))
    return found


def control_groups() -> list[Path]:
    """Those of the microVMs of all servers on this host; each is named after its machine."""
    return [
        Path(root)
        for root, _, _ in os.walk("/sys/fs/cgroup")
        if "podflare" in os.path.relpath(root, "/sys/fs/cgroup")
    ]


def leases_of(data_dir: Path) -> list[str]:
    """The host's numbers that microVMs of this data directory hold."""
    held = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir("/run/podflare/leases"):
            with contextlib.suppress(FileNotFoundError):  # It may be given back while we look.
                if str(data_dir) in Path(entry.path).read_text():
                    held.append(entry.name)
    return held


def bytes_of(data_dir: Path) -> int:
    """What a data directory occupies, without the disks of guests: those grow by what guests write
    to them, and shall. Machines share what they stand on, so a file has many names."""
    found = {}
    for folder, _, names in os.walk(data_dir):
        for name in names:
            if not name.endswith(".qcow2"):
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(os.path.join(folder, name))
                    found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def machine_of(data_dir: Path, sandbox: str) -> Process:
    """The process of a sandbox's machine, as the registry and the machine's journal name it.

    Not by which process is busy: the pools' machines are too, while they start."""
    registry = sqlite3.connect(f"file:{data_dir}/podflare.db?mode=ro", uri=True, timeout=30)
    with contextlib.closing(registry):
        row = registry.execute("SELECT microvm FROM sandboxes WHERE id = ?", (sandbox,)).fetchone()
    if row is None or row[0] is None:
        raise RuntimeError(f"{sandbox} has no machine")
    journal = json.loads((data_dir / "vm" / row[0] / "journal.json").read_text())
    pid = journal["process"]["pid"]
    return next(one for one in processes() if one.pid == pid)

"""The emulated machine: booted once, then started from what was frozen after its boot."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .qmp import Qmp, connect

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 4096

#: An AMD processor, because its virtualization is the one that QEMU can emulate. One processor and
#: one thread: with more, the kernel has crashed while it patched its own calls in kvm-amd.
PROCESSOR = "EPYC,+svm,+npt"
ACCELERATOR = "tcg,thread=single,tb-size=512"

BOOT_SECONDS = 300.0


@dataclass(frozen=True)
class Disks:
    """Paths, in the order in which the machine sees them. Checkout and data may be swapped while
    it is frozen, by others of the same size."""

    root: Path
    jdk: Path
    checkout: Path
    data: Path


@dataclass(frozen=True)
class Terminal:
    rows: int
    columns: int


class Machine:
    """A running machine. Use it in a `with` block, so that it ends whatever happens."""

    def __init__(
        self, directory: Path, disks: Disks, words: Sequence[str], memory: Path, keep: bool
    ):
        self._directory = directory
        self._console = directory / "console.log"
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments(directory, disks, memory, keep), *words],
            stdin=subprocess.DEVNULL,
            stderr=(directory / "qemu.log").open("wb"),
        )
        try:
            self._qmp = Qmp(directory / "qmp")
            self._channel = connect(directory / "channel", 10)
        except BaseException as failure:
            self.end()
            raise RuntimeError(f"QEMU did not start: {self.log()}") from failure

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        said = (self._directory / "qemu.log").read_text(errors="replace")
        console = self._console.read_text(errors="replace") if self._console.exists() else ""
        return "\n".join([said.strip(), *console.splitlines()[-25:]]).strip()

    def freeze(self, state: Path) -> None:
        """Pauses for good; the machine's memory file is its memory from now on."""
        self._qmp.run("stop")
        self._qmp.leave_memory_out()
        self._qmp.migrate("migrate", f"exec:cat > {state}")

    def load(self, state: Path) -> None:
        self._qmp.leave_memory_out()
        self._qmp.migrate("migrate-incoming", f"exec:cat {state}")
        self._qmp.run("cont")

    def await_boot(self) -> None:
        kind, _ = self._receive(time.monotonic() + BOOT_SECONDS)
        if kind != b"H":
            raise RuntimeError("the emulated machine speaks another protocol")

    def run(
        self,
        argv: Sequence[str],
        seconds: float,
        env: dict[str, str] | None = None,
        cwd: str = "/podflare",
        terminal: Terminal | None = None,
    ) -> int:
        """Runs a command, its output to standard output; returns its exit code."""
        request = {
            "argv": list(argv),
            "env": env or {},
            "cwd": cwd,
            "time": time.time(),
            "entropy": secrets.token_hex(64),
            "terminal": [terminal.rows, terminal.columns] if terminal else None,
        }
        self._send(b"R", json.dumps(request).encode())
        return self._until_exit(time.monotonic() + seconds, terminal is not None)

    def let_go_of_disks(self) -> None:
        self._send(b"S")
        self._until_exit(time.monotonic() + 120, False)

    def _until_exit(self, end: float, interactive: bool) -> int:
        while True:
            if interactive:
                self._pass_input_on()
            kind, content = self._receive(end)
            if kind == b"X":
                return int(content)
            if kind == b"O":
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()

    def _pass_input_on(self) -> None:
        while True:
            ready, _, _ = select.select([sys.stdin, self._channel], [], [])
            if self._channel in ready:
                return
            self._send(b"I", os.read(sys.stdin.fileno(), 4096))

    def _send(self, kind: bytes, content: bytes = b"") -> None:
        self._channel.sendall(struct.pack(">cI", kind, len(content)) + content)

    def _receive(self, end: float) -> tuple[bytes, bytes]:
        kind, length = struct.unpack(">cI", self._exactly(5, end))
        return kind, self._exactly(length, end)

    def _exactly(self, length: int, end: float) -> bytes:
        content = b""
        while len(content) < length:
            self._channel.settimeout(max(0.001, end - time.monotonic()))
            try:
                more = self._channel.recv(length - len(content))
            except socket.timeout:
                raise RuntimeError(
                    f"the deadline has passed; the console's end:\n{self.log()}"
                ) from None
            if not more:
                raise RuntimeError(f"the emulated machine has ended; it said:\n{self.log()}")
            content += more
        return content


def version() -> str:
    """Of QEMU: another one can't read what this one froze."""
    said = subprocess.run([QEMU, "--version"], check=True, capture_output=True, text=True)
    return said.stdout


def booted(directory: Path, disks: Disks, kernel: Path, initramfs: Path, memory: Path) -> Machine:
    """A cold machine, whose memory is the new file `memory`."""
    with memory.open("wb") as file:
        file.truncate(MEMORY_MIB << 20)
    words = ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", KERNEL_COMMAND_LINE]
    return Machine(directory, disks, words, memory, keep=True)


def thawed(directory: Path, disks: Disks, memory: Path, state: Path) -> Machine:
    """The machine as it was frozen; `memory` is only read."""
    machine = Machine(directory, disks, ["-incoming", "defer", "-S"], memory, keep=False)
    try:
        machine.load(state)
    except BaseException:
        machine.end()
        raise
    return machine


KERNEL_COMMAND_LINE = "console=ttyS0 quiet panic=-1 random.trust_cpu=on mitigations=off nowatchdog"


def arguments(directory: Path, disks: Disks, memory: Path, keep: bool) -> list[str]:
    """QEMU's command line; the same for a boot and for a start from its frozen state."""
    access = "on" if keep else "off"
    words = [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", ACCELERATOR, "-cpu", PROCESSOR, "-smp", "1",
        "-machine", "q35,usb=off,hpet=off,memory-backend=ram",
        "-m", f"{MEMORY_MIB}M",
        "-object",
        f"memory-backend-file,id=ram,size={MEMORY_MIB}M,mem-path={memory},share={access}",
        "-chardev", f"socket,id=qmp,path={directory}/qmp,server=on,wait=off",
        "-mon", "chardev=qmp,mode=control",
        "-chardev", f"file,id=console,path={directory}/console.log",
        "-serial", "chardev:console",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=channel,path={directory}/channel,server=on,wait=off",
        "-device", "virtserialport,chardev=channel,name=dev.podflare.rig",
        # Nothing of the outside can be reached, and the outside can't reach in.
        "-netdev", "user,id=net,restrict=on,net=10.0.3.0/24",
        "-device", "virtio-net-pci,netdev=net,romfile=",
        "-object", "rng-builtin,id=rng",
        "-device", "virtio-rng-pci,rng=rng",
    ]  # fmt: skip
    for name, path, form, how in (
        ("root", disks.root, "raw", "read-only=on"),
        ("jdk", disks.jdk, "raw", "read-only=on"),
        ("checkout", disks.checkout, "raw", "read-only=on"),
        ("data", disks.data, "qcow2", "discard=unmap"),
    ):
        words += [
            "-blockdev",
            f"driver={form},node-name={name},{how},file.driver=file,file.filename={path}",
            "-device",
            f"virtio-blk-pci,drive={name}",
        ]
    return words


@contextmanager
def room(parent: Path) -> Iterator[Path]:
    """A directory for one run, gone at its end."""
    directory = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)

"""The first process of the emulated machine: runs what the host asks for, one at a time.

The host talks over a virtio-serial port in frames: one byte of kind, four of length (big endian),
then the content. Host to machine:

    R  run a command: {"argv", "env", "cwd", "time", "entropy", "terminal": [rows, columns] or null}
    I  input for the command's terminal; empty is end-of-file
    S  write everything to the disks and let go of them

Machine to host:

    H  here: sent once, when the machine is ready to be frozen
    O  output of the command
    X  the command's exit code, in decimal; or the disks are written (after S)
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import Any, BinaryIO

PORT = "dev.podflare.rig"
MODULES = ("kvm_amd", "tun", "veth", "nf_tables", "nft_chain_nat", "nft_masq", "nft_ct")

#: Random device ioctl: mix what was written into the generator at once (linux/random.h).
RNDRESEEDCRNG = 0x5207

#: The checkout, and over it what running it writes.
CHECKOUT_DISK, DATA_DISK = "/dev/vdc", "/dev/vdd"


class Channel:
    """Frames over the port. Sending is safe from several threads."""

    def __init__(self, port: BinaryIO):
        self._port = port
        self._sending = threading.Lock()

    def receive(self) -> tuple[bytes, bytes]:
        kind, length = struct.unpack(">cI", self._exactly(5))
        return kind, self._exactly(length)

    def send(self, kind: bytes, content: bytes = b"") -> None:
        with self._sending:
            frame = struct.pack(">cI", kind, len(content)) + content
            while frame:
                frame = frame[self._port.write(frame) or 0 :]

    def _exactly(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            more = self._port.read(length - len(content))
            if not more:  # the host is away; the port says so at once instead of waiting
                time.sleep(0.02)
            content += more or b""
        return content


def main() -> None:
    """Takes the end of every orphan. When the server ends, the kernel panics, and so all ends."""
    server = os.fork()
    if server == 0:
        serve()
    while os.wait()[0] != server:
        pass


def serve() -> None:
    os.setsid()
    for module in MODULES:
        command("modprobe", module)
    with open(find_port(), "r+b", buffering=0) as port:
        channel = Channel(port)
        warm_up()
        channel.send(b"H")
        terminal = -1
        while True:
            kind, content = channel.receive()
            if kind == b"R":
                terminal = run(channel, json.loads(content))
            elif kind == b"I" and terminal >= 0:
                os.write(terminal, content or b"\x04")
            elif kind == b"S":
                channel.send(b"X", str(let_go_of_disks()).encode())


def find_port() -> str:
    """The device of our port; which one it is, is known some time after the driver is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for name in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(name, encoding="ascii") as file:
                if file.read().strip() == PORT:
                    return f"/dev/{name.split('/')[-2]}"
        time.sleep(0.05)
    raise SystemExit(f"rig: the port {PORT} did not appear")


def warm_up() -> None:
    """Reads from disk what every run needs, so that the frozen machine has it in memory."""
    for command in (
        ["/opt/jdk/bin/java", "-version"],
        ["qemu-system-x86_64", "--version"],
        ["qemu-img", "--version"],
        ["nft", "--version"],
        ["ip", "-V"],
        ["mke2fs", "-V"],
        [sys.executable, "-c", "import unittest, http.client, httpx, asyncio, tempfile"],
    ):
        subprocess.run(command, check=True, capture_output=True)


def run(channel: Channel, request: dict[str, Any]) -> int:
    """Starts the command; its output and its end are reported. Returns its terminal, or -1."""
    wake(request)
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}
    with_terminal = request["terminal"] is not None
    if with_terminal:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *request["terminal"], 0, 0))
        given = theirs
    else:
        ours, theirs = os.pipe()
        given = os.open(os.devnull, os.O_RDWR)
    process = subprocess.Popen(
        request["argv"],
        env=environment | request["env"],
        cwd=request["cwd"],
        stdin=given,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal if with_terminal else None,
    )
    for descriptor in {given, theirs}:
        os.close(descriptor)
    threading.Thread(target=report, args=(channel, process, ours), daemon=True).start()
    return ours if with_terminal else -1


def take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def report(channel: Channel, process: subprocess.Popen[bytes], output: int) -> None:
    copying = threading.Thread(target=copy, args=(output, channel), daemon=True)
    copying.start()
    code = process.wait()
    copying.join(2)  # a server that the command left running may hold its output open
    channel.send(b"X", str(code).encode())


def copy(output: int, channel: Channel) -> None:
    while True:
        try:
            some = os.read(output, 65536)
        except OSError:  # a terminal whose last program has ended
            return
        if not some:
            return
        channel.send(b"O", some)


def wake(request: dict[str, Any]) -> None:
    """A frozen machine knows neither the time nor anything that its siblings don't."""
    time.clock_settime(time.CLOCK_REALTIME, request["time"])
    with open("/dev/urandom", "r+b", buffering=0) as random:
        random.write(bytes.fromhex(request["entropy"]))
        fcntl.ioctl(random, RNDRESEEDCRNG)
    if not os.path.ismount("/data"):
        command("mount", "-t", "ext4", "-o", "noatime", DATA_DISK, "/data")
        command("mount", "-t", "erofs", "-o", "ro", CHECKOUT_DISK, "/checkout")
        command("mount", "-t", "tmpfs", "tmpfs", "/mnt")
        os.makedirs("/mnt/upper")
        os.makedirs("/mnt/work")
        layers = "lowerdir=/checkout,upperdir=/mnt/upper,workdir=/mnt/work"
        command("mount", "-t", "overlay", "-o", layers, "overlay", "/podflare")


def let_go_of_disks() -> int:
    for place in ("/podflare", "/data"):
        if os.path.ismount(place):
            command("umount", place)
    os.sync()
    return 0


def command(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"rig: {' '.join(words)}: {done.stderr.strip()}")


if __name__ == "__main__":
    main()

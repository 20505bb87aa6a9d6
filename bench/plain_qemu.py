#!/usr/bin/python3
"""A copy of a live machine by QEMU's own means, which is what a fork is to be compared with.

    bench/plain_qemu.py [--samples N]

The guest is the one of sandboxes, of the same size, with its agent up. Twice its state is saved
whole and a second machine is started from it: once as `savevm` and `loadvm` in the qcow2 disk, once
as a migration to a file and back. Either way all memory that the guest ever touched is written and
read again, and the guest stands still while it is written. Needs a guest image
(PODFLARE_IMAGE_DIR) and /dev/kvm or patience.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.dont_write_bytecode = True
BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCH), str(BENCH.parent / "rig")]

from emulated.qmp import Qmp, connect  # noqa: E402
from measures import Row  # noqa: E402

#: As of a sandbox that asks for nothing else.
MEMORY_MIB, DISK_MIB = 1024, 4096
BOOT_SECONDS = 300.0

NAME_OF_SNAPSHOT = "copy"


def rows(samples: int = 3, image: Path | None = None) -> Iterator[Row]:
    """The pause of the parent, and the time until a copy runs, for each of the two ways."""
    place = image or Path(os.environ.get("PODFLARE_IMAGE_DIR", "/var/lib/podflare/image"))
    with tempfile.TemporaryDirectory(prefix="pf-plain-", dir="/var/tmp") as temporary:
        for title, way in (("savevm, loadvm", by_savevm), ("migration to a file", by_file)):
            measured = [way(place, Path(temporary, f"{way.__name__}-{i}")) for i in range(samples)]
            pauses, copies = zip(*measured)
            yield Row(f"plain QEMU, {title}: pause", "ms", pauses)
            yield Row(f"plain QEMU, {title}: until a copy runs", "ms", copies)


def ratios(plain: Sequence[Row], fork: Row) -> Iterator[Row]:
    """How many times as long as a fork each way takes until a copy runs."""
    for row in plain:
        if row.name.endswith("until a copy runs"):
            ratio = row.median / fork.median
            yield Row(row.name, "times", [ratio], note=f"against {fork.name}")


def by_savevm(image: Path, directory: Path) -> tuple[float, float]:
    with Guest.booted(image, directory) as parent:
        began = time.perf_counter()
        said = parent.qmp.run("human-monitor-command", command_line=f"savevm {NAME_OF_SNAPSHOT}")
        pause = time.perf_counter() - began
        if said:
            raise RuntimeError(f"savevm: {said}")
        # The copy needs a disk of its own; this one has the snapshot in it.
        child_place = directory / "child"
        child_place.mkdir()
        parent.qmp.run("stop")
        shutil.copyfile(directory / "disk.qcow2", child_place / "disk.qcow2")
        with Guest(image, child_place, ["-loadvm", NAME_OF_SNAPSHOT]) as child:
            child.await_running()
            return pause * 1000, (time.perf_counter() - began) * 1000


def by_file(image: Path, directory: Path) -> tuple[float, float]:
    with Guest.booted(image, directory) as parent:
        state = directory / "state"
        began = time.perf_counter()
        parent.qmp.run("stop")
        parent.qmp.run("migrate-set-parameters", max_bandwidth=1 << 40)
        parent.qmp.migrate("migrate", f"exec:cat > {state}")
        child_place = directory / "child"
        child_place.mkdir()
        shutil.copyfile(directory / "disk.qcow2", child_place / "disk.qcow2")
        # The parent may go on from here.
        pause = time.perf_counter() - began
        with Guest(image, child_place, ["-incoming", "defer"]) as child:
            child.qmp.migrate("migrate-incoming", f"exec:cat {state}")
            child.qmp.run("cont")  # The parent stood still, and so does what comes of it.
            child.await_running()
            return pause * 1000, (time.perf_counter() - began) * 1000


class Guest:
    """One machine, gone at the end of its `with` block."""

    def __init__(self, image: Path, directory: Path, words: Sequence[str]):
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments(image, directory), *words],
            stdin=subprocess.DEVNULL,
        )
        try:
            self.qmp = Qmp(directory / "qmp", BOOT_SECONDS)
        except BaseException:
            self.__exit__()
            raise

    @classmethod
    def booted(cls, image: Path, directory: Path) -> Guest:
        directory.mkdir()
        disk = directory / "disk.ext4"
        with disk.open("wb") as file:
            file.truncate(DISK_MIB << 20)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(disk)], check=True)
        convert = ["qemu-img", "convert", "-O", "qcow2", str(disk), str(directory / "disk.qcow2")]
        subprocess.run(convert, check=True)
        disk.unlink()
        append = "console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on mitigations=off"
        boot = ["-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initramfs.img")]
        guest = cls(image, directory, [*boot, "-append", append])
        try:
            with connect(directory / "agent", 10) as agent:
                agent.settimeout(BOOT_SECONDS)
                if not agent.recv(1):
                    raise RuntimeError("the guest ended while it booted")
        except BaseException:
            guest.__exit__()
            raise
        return guest

    def await_running(self) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while not self.qmp.run("query-status")["running"]:
            if time.monotonic() > end:
                raise RuntimeError("the copy does not run")
            time.sleep(0.001)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def arguments(image: Path, directory: Path) -> list[str]:
    """The machine of sandboxes (QemuArguments.java), as far as it matters for its state."""
    flags = Path("/proc/cpuinfo").read_text()
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK) and (" svm" in flags or " vmx" in flags)
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", "kvm" if kvm else "tcg,thread=single,tb-size=256",
        "-cpu", "host" if kvm else "max",
        "-machine", "pc,usb=off,vmport=off,hpet=off",
        "-m", f"{MEMORY_MIB}M",
        "-chardev", f"socket,id=qmp,path={directory}/qmp,server=on,wait=off",
        "-mon", "chardev=qmp,mode=control",
        "-chardev", "null,id=console", "-serial", "chardev:console",
        "-drive", f"if=virtio,format=raw,readonly=on,file.locking=off,file={image}/rootfs.erofs",
        "-drive", f"if=virtio,format=qcow2,cache=unsafe,file={directory}/disk.qcow2",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=agent,path={directory}/agent,server=on,wait=off",
        "-device", "virtserialport,chardev=agent,name=dev.podflare.agent",
        "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=3)
    for row in rows(parser.parse_args().samples):
        print(f"{row.name}: median {row.median:.0f} {row.unit} of {len(row.samples)}", flush=True)


if __name__ == "__main__":
    main()

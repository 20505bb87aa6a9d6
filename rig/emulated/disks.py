"""Builds the machine's disks, each from what the host has: packages, JDK, checkout, guest image."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from recipe import cpio, digest, kernel, origin, packages, tools
from recipe.bootstrap import Bootstrap

HERE = Path(__file__).resolve().parent
RIG = HERE.parent
REPOSITORY = RIG.parent
PACKAGES = RIG / "packages.txt"

#: Where the build puts the program, below the checkout.
PROGRAM = Path("cli/target/podflare")

#: The size of the checkout's disk is fixed, because a frozen machine knows it; so is that of data.
CHECKOUT_BYTES = 512 << 20
DATA_BYTES = 16 << 30

_DIRECTORIES = ("base", "bin", "changes", "dev", "modules", "newroot", "proc", "sys")
_APPLETS = (
    "cp", "hostname", "insmod", "ip", "ln", "mkdir", "mount", "poweroff", "sh", "sleep",
    "switch_root",
)  # fmt: skip
_LEFT_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    # these would make an initramfs of the distribution's own
    "path-exclude=/etc/kernel/postinst.d/*",
)
_DEPMOD = (
    '--customize-hook=for all in "$1"/lib/modules/*; do chroot "$1" depmod "${all##*/}"; done'
)


def root_key(mirror: str | None) -> str:
    release, sources = origin.of_packages(mirror)
    return digest.of_words(
        [release.kernel_package, *sources, digest.of_file(PACKAGES), digest.of_file(Path(__file__))]
    )


def build_root(directory: Path, mirror: str | None) -> None:
    """Writes `root.erofs` with packages and kernel modules, `vmlinuz` and `drivers.cpio`."""
    tools.require("mmdebstrap", "mkfs.erofs")
    release, sources = origin.of_packages(mirror)
    tree = directory / "tree"
    with (directory / "lock").open("w") as lock:
        Bootstrap(release, sources, lock.fileno()).unpack(
            tree,
            variant="minbase",
            packages=[
                release.kernel_package,
                *(request.pattern() for request in packages.requested(PACKAGES, slim=True)),
            ],
            options=[*(f"--dpkgopt={option}" for option in _LEFT_OUT), _DEPMOD],
            purpose="build the rig's root file system",
        )
    (directory / "lock").unlink()
    [vmlinuz] = (tree / "boot").glob("vmlinuz-*")
    shutil.copyfile(vmlinuz, directory / "vmlinuz")
    write_drivers(tree, vmlinuz.name.removeprefix("vmlinuz-"), directory / "drivers.cpio")
    for name in ("etc/hostname", "etc/hosts", "etc/resolv.conf"):
        (tree / name).unlink(missing_ok=True)
    for name in ("boot", "var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(tree / name)
    for program in (tree / "usr/bin").glob("qemu-system-*"):
        if program.name not in ("qemu-system-x86_64", "qemu-system-i386"):
            program.unlink()
    pack(tree, directory / "root.erofs")
    shutil.rmtree(tree)


def write_drivers(tree: Path, version: str, output: Path) -> None:
    modules = kernel.Modules(tree / "usr/lib/modules" / version)
    with output.open("wb") as out:
        archive = cpio.Archive(out)
        for directory in _DIRECTORIES:
            archive.directory(directory)
        archive.character_device("dev/console", 5, 1)
        archive.file("bin/busybox", (tree / "usr/bin/busybox").read_bytes(), 0o755)
        for applet in _APPLETS:
            archive.symlink(f"bin/{applet}", "busybox")
        order = []
        for name, content in kernel.in_load_order(modules):
            order.append(f"{name}.ko\n")
            archive.file(f"modules/{name}.ko", content)
        archive.file("modules/order", "".join(order).encode())
        archive.close()


def write_initramfs(drivers: Path, output: Path) -> None:
    with drivers.open("rb") as first, output.open("wb") as out:
        shutil.copyfileobj(first, out)
        archive = cpio.Archive(out)
        archive.file("init", (RIG / "init").read_bytes(), 0o755)
        archive.directory("rig")
        archive.file("rig/agent.py", (RIG / "agent.py").read_bytes())
        archive.close()


def build_jdk(directory: Path, home: Path) -> None:
    """The JDK that the launcher uses, without what only developers read."""
    pack(home.resolve(), directory / "jdk.erofs", "jmods", "lib/src.zip", "man", "demo", "legal")


def write_checkout(output: Path) -> None:
    """The checkout's files and the built program."""
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        tree = Path(temporary, "checkout")
        ignored = shutil.ignore_patterns(".git", "target", "node_modules", "__pycache__")
        shutil.copytree(REPOSITORY, tree, ignore=ignored, symlinks=True)
        shutil.copytree(REPOSITORY / PROGRAM, tree / PROGRAM)
        pack(tree, output)
    if output.stat().st_size > CHECKOUT_BYTES:
        raise RuntimeError(f"the checkout is larger than {CHECKOUT_BYTES >> 20} MiB")
    os.truncate(output, CHECKOUT_BYTES)


def build_image_disk(directory: Path, image: Path) -> None:
    """`data.ext4` with the guest image in `/image`: a writable file system of its own, so that
    snapshots in it can link to the image's files."""
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=".rig-") as temporary:
        place = Path(temporary, "image")
        place.mkdir(mode=0o755)
        for name in ("vmlinuz", "initramfs.img", "rootfs.erofs", "image.json"):
            os.link(image / name, place / name)
        disk = directory / "data.ext4"
        with disk.open("wb") as file:
            file.truncate(DATA_BYTES)
        # No journal: a disk is only kept after it was let go of, and thrown away otherwise.
        tools.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal",
             "-E", "lazy_itable_init=0", "-d", temporary, disk],
            purpose="make the rig's data disk",
        )  # fmt: skip


def overlay(backing: Path, form: str, output: Path) -> None:
    """A disk that holds only what differs from `backing`."""
    tools.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", backing, output],
        purpose="make the rig's disk",
    )


def pack(tree: Path, output: Path, *left_out: str) -> None:
    excluded = (f"--exclude-path={name}" for name in left_out)
    tools.run(
        ["mkfs.erofs", "--preserve-mtime", *excluded, output, tree], purpose=f"pack {output.name}"
    )

"""The distribution's stock kernel, the few drivers that a microVM needs before it has a root, and those
that its programs may ask for.

The drivers come as a cpio archive with busybox; the initramfs is this archive with another one,
of `init` and the agent, appended. So a changed agent needs no package.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cpio, tools
from .bootstrap import Bootstrap
from .failure import BuildFailure

# In the order in which they are inserted; each after what it depends on.
_REQUIRED = (
    "virtio_ring",  # uses of it in `virtio` are not always declared as a dependency
    "virtio",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_net",
    "virtio_rng",
    "af_packet",
    "erofs",
    "overlay",
    "ext4",
    # a clone ends the connections of the machine that it was cut from through these
    "tcp_diag",
    "udp_diag",
)
# What programs of a sandbox take for granted on a machine of their own, and could not load: the root
# file system has no modules. All clones of a template share the memory that they are in.
_FOR_USERS = {
    "loop": "max_loop=0",  # a device when one is asked for, and not eight that wait
    "veth": "",
    "bridge": "",
    "br_netfilter": "",
    "dummy": "",
    "macvlan": "",
    "tun": "",
    "squashfs": "",
    "nf_tables": "",
    "nft_ct": "",
    "nft_chain_nat": "",
    "nft_masq": "",
    "nft_reject_inet": "",
    # iptables translates its rules to these
    "nft_compat": "",
    "xt_addrtype": "",
    "xt_comment": "",
    "xt_conntrack": "",
    "xt_tcpudp": "",
    "xt_MASQUERADE": "",
    "xt_nat": "",
}
# Not in every kernel: vmgenid tells a clone that it is one; EROFS checks its superblock by crc32c,
# which it asks for by a name that module dependencies do not show.
_OPTIONAL = ("crc32c_generic", "vmgenid")

_DIRECTORIES = ("bin", "base", "dev", "disk", "modules", "newroot", "proc", "sys")
_APPLETS = (
    "cp",
    "hostname",
    "insmod",
    "ip",
    "ln",
    "mkdir",
    "mount",
    "poweroff",
    "sh",
    "sleep",
    "switch_root",
    "usleep",
)


@dataclass(frozen=True)
class Modules:
    """The kernel modules below one directory of the form `lib/modules/VERSION`."""

    directory: Path

    def files(self) -> dict[str, Path]:
        """File by module name, as it is with underscores."""
        return {
            _module_name(path): path for path in sorted(self.directory.glob("kernel/**/*.ko*"))
        }

    def builtin(self) -> set[str]:
        listed = (self.directory / "modules.builtin").read_text(encoding="utf-8").split()
        return {_module_name(Path(line)) for line in listed}


def build(bootstrap: Bootstrap, tree: Path, vmlinuz: Path, drivers: Path) -> str:
    """Writes the kernel to `vmlinuz` and the archive to `drivers`; returns the kernel's version."""
    bootstrap.unpack(
        tree,
        variant="extract",
        packages=[bootstrap.distribution.kernel_package, "busybox-static"],
        purpose="fetch the kernel",
    )
    kernels = sorted((tree / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        names = ", ".join(path.name for path in kernels) or "none"
        raise BuildFailure(
            f"{bootstrap.distribution.kernel_package} should bring one kernel, but brought {names}"
        )
    version = kernels[0].name.removeprefix("vmlinuz-")
    shutil.copyfile(kernels[0], vmlinuz)
    modules = Modules(_first_existing(tree, f"usr/lib/modules/{version}", f"lib/modules/{version}"))
    busybox = _first_existing(tree, "usr/bin/busybox", "bin/busybox")
    with drivers.open("wb") as out:
        archive = cpio.Archive(out)
        for directory in _DIRECTORIES:
            archive.directory(directory)
        # the kernel opens it for the first process, before /init mounts /dev
        archive.character_device("dev/console", 5, 1)
        archive.file("bin/busybox", busybox.read_bytes(), 0o755)
        for applet in _APPLETS:
            archive.symlink(f"bin/{applet}", "busybox")
        order = []
        for name, content in in_load_order(modules):
            order.append(f"{name}.ko {_FOR_USERS.get(name, '')}".rstrip() + "\n")
            archive.file(f"modules/{name}.ko", content)
        archive.file("modules/order", "".join(order).encode())
        archive.close()
    return version


def in_load_order(modules: Modules) -> Iterator[tuple[str, bytes]]:
    """Name and uncompressed content of each module to insert, what it depends on before it.

    The dependencies are read from the modules themselves, because modules.dep exists only where
    the kernel package has been configured.
    """
    files, present = modules.files(), modules.builtin()
    for name in (*_OPTIONAL, *_REQUIRED, *_FOR_USERS):
        if name not in _REQUIRED and name not in files:
            continue
        yield from _with_dependencies(name, files, present)


def _with_dependencies(
    name: str, files: dict[str, Path], present: set[str]
) -> Iterator[tuple[str, bytes]]:
    if name in present:
        return
    if name not in files:
        raise BuildFailure(f"the kernel has no driver {name}, neither built in nor as a module")
    present.add(name)
    content = _uncompressed(files[name])
    for dependency in dependencies(content):
        yield from _with_dependencies(dependency, files, present)
    yield name, content


def dependencies(module: bytes) -> list[str]:
    """What a module says in its `.modinfo` section that it needs."""
    match = re.search(rb"\0depends=([^\0]*)\0", module)
    names = match[1].decode().split(",") if match else []
    return [name.replace("-", "_") for name in names if name]


def _uncompressed(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        tools.require("zstd")
        return tools.run(["zstd", "-dc", path], purpose=f"uncompress {path.name}")
    return path.read_bytes()


def _module_name(path: Path) -> str:
    return path.name.split(".ko", 1)[0].replace("-", "_")


def _first_existing(root: Path, *names: str) -> Path:
    for name in names:
        if (root / name).exists():
            return root / name
    raise BuildFailure(f"the packages brought no {names[0]}")

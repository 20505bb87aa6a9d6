"""The order in which kernel modules are inserted."""

import lzma
import tempfile
import unittest
from collections.abc import Mapping
from pathlib import Path

from recipe import kernel
from recipe.failure import BuildFailure

EVERY_DRIVER = {
    "drivers/virtio/virtio_ring": "",
    "drivers/virtio/virtio": "",
    "drivers/virtio/virtio_pci": "virtio_pci_modern_dev,virtio,virtio_ring",
    "drivers/virtio/virtio_pci_modern_dev": "",
    "drivers/block/virtio_blk": "virtio,virtio_ring",
    "drivers/char/virtio_console": "virtio,virtio_ring",
    "drivers/net/virtio_net": "net_failover,virtio,virtio_ring",
    "drivers/net/net_failover": "failover",
    "net/core/failover": "",
    "drivers/char/hw_random/virtio-rng": "virtio,virtio_ring",
    "net/packet/af_packet": "",
    "net/ipv4/tcp_diag": "inet_diag",
    "net/ipv4/udp_diag": "inet_diag",
    "net/ipv4/inet_diag": "",
    "fs/erofs/erofs": "libcrc32c",
    "lib/libcrc32c": "",
    "fs/overlayfs/overlay": "",
    "net/ipv4/tcp_diag": "inet_diag",
    "net/ipv4/udp_diag": "inet_diag",
    "net/ipv4/inet_diag": "",
    "fs/unused/unused": "",
}


class LoadOrder(unittest.TestCase):
    def names(self, modules: Mapping[str, str], builtin: str) -> list[str]:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            (root / "modules.builtin").write_text(builtin)
            for name, depends in modules.items():
                path = root / "kernel" / f"{name}.ko.xz"
                path.parent.mkdir(parents=True, exist_ok=True)
                content = b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"
                path.write_bytes(lzma.compress(content))
            return [name for name, _ in kernel.in_load_order(kernel.Modules(root))]

    def test_every_module_comes_once_and_after_its_dependencies(self) -> None:
        names = self.names(EVERY_DRIVER, "kernel/fs/ext4/ext4.ko\n")
        self.assertEqual(len(names), len(set(names)))
        for path, depends in EVERY_DRIVER.items():
            name = path.rsplit("/", 1)[1].replace("-", "_")
            for dependency in filter(None, depends.split(",")):
                self.assertLess(names.index(dependency), names.index(name))
        self.assertLess(names.index("virtio_ring"), names.index("virtio"))
        self.assertNotIn("unused", names)

    def test_what_is_built_in_is_not_inserted(self) -> None:
        builtin = "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio.ko\n"
        names = self.names(EVERY_DRIVER, builtin)
        self.assertNotIn("ext4", names)
        self.assertNotIn("virtio", names)

    def test_a_missing_driver_is_named(self) -> None:
        without = {name: text for name, text in EVERY_DRIVER.items() if "erofs" not in name}
        with self.assertRaisesRegex(BuildFailure, "no driver erofs"):
            self.names(without, "kernel/fs/ext4/ext4.ko\n")


    def test_what_programs_may_ask_for_is_inserted_where_the_kernel_has_it(self) -> None:
        self.assertNotIn("veth", self.names(EVERY_DRIVER, "kernel/fs/ext4/ext4.ko\n"))
        more = {**EVERY_DRIVER, "drivers/net/veth": "", "net/bridge/bridge": "stp", "net/802/stp": ""}
        names = self.names(more, "kernel/fs/ext4/ext4.ko\n")
        self.assertIn("veth", names)
        self.assertLess(names.index("stp"), names.index("bridge"))


if __name__ == "__main__":
    unittest.main()

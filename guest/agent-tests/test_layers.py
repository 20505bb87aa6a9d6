"""changes: what the upper layer of an overlay says of itself and of its base."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

from host import AGENT, DATA, AgentTest

sys.path.insert(0, str(AGENT))

from podflare_agent import layers  # noqa: E402
from podflare_agent.refusals import Refusal  # noqa: E402

_entry = struct.Struct("!HQqqQHH")
_node = struct.Struct("!HQqH")

Change = dict[str, Any]


def changes_in(records: bytes) -> dict[str, Change]:
    """The records of docs/agent-protocol.md, by path."""
    changes: dict[str, Change] = {}
    directory = ""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        return records[at - size:at]

    while at < len(records):
        kind = take(1)[0]
        if kind == 1:
            directory = os.fsdecode(take(int.from_bytes(take(2), "big"))).rstrip("/")
            continue
        mode, size, mtime, ctime, inode, name_size, target_size = _entry.unpack(take(_entry.size))
        name, target = take(name_size), take(target_size)
        base = None
        if kind == 3:
            base_mode, base_size, _, base_target_size = _node.unpack(take(_node.size))
            base = (base_mode, base_size, os.fsdecode(take(base_target_size)))
        path = f"{directory}/{os.fsdecode(name)}"
        assert path not in changes, path
        changes[path] = {
            "mode": mode, "size": size, "mtime": mtime, "ctime": ctime, "inode": inode,
            "target": os.fsdecode(target), "base": base}
    return changes


def all_of(steps: Any) -> tuple[dict[str, Change], dict[str, Any]]:
    told = list(steps)
    return changes_in(b"".join(step for step in told[:-1] if step)), told[-1]


class Changes(unittest.TestCase):
    def setUp(self) -> None:
        self.room = Path(tempfile.mkdtemp(prefix="podflare-layers-"))
        self.addCleanup(shutil.rmtree, self.room)
        self.upper, self.base = self.room / "upper", self.room / "base"
        self.upper.mkdir()
        self.base.mkdir()

    def changes(self, *roots: str) -> dict[str, Change]:
        found, closed = all_of(layers.Layers(
            str(self.upper), str(self.base), lambda: "image").changes(
                layers.roots_of(list(roots))))
        self.assertEqual(closed, {"base": "image", "truncated": False})
        return found

    def whiteout(self, path: str) -> None:
        os.mknod(self.upper / path, stat.S_IFCHR, os.makedev(0, 0))

    def test_only_what_is_in_the_upper_layer_is_told(self) -> None:
        (self.base / "root").mkdir()
        (self.base / "root/old").write_text("old")
        (self.base / "root/both").write_text("before")
        (self.upper / "root").mkdir()
        (self.upper / "root/new").write_text("1234")
        (self.upper / "root/both").write_text("now")
        found = self.changes("/root", "/tmp")
        self.assertEqual(sorted(found), ["/root", "/root/both", "/root/new"])
        self.assertEqual(found["/root/new"]["size"], 4)
        self.assertIsNone(found["/root/new"]["base"])
        self.assertEqual(found["/root/both"]["base"], (0o100644, 6, ""))
        status = os.stat(self.upper / "root/new")
        self.assertEqual(
            (found["/root/new"]["inode"], found["/root/new"]["ctime"], found["/root/new"]["mode"]),
            (status.st_ino, status.st_ctime_ns, status.st_mode))

    def test_a_link_is_told_with_its_target_and_not_followed(self) -> None:
        (self.upper / "root").mkdir()
        os.symlink("/etc", self.upper / "root/link")
        found = self.changes("/root")
        self.assertEqual(found["/root/link"]["target"], "/etc")
        self.assertEqual(len(found), 2)

    def test_a_whiteout_hides_all_that_the_base_has_there(self) -> None:
        (self.base / "root/tree/deep").mkdir(parents=True)
        (self.base / "root/tree/deep/file").write_text("x")
        (self.upper / "root").mkdir()
        self.whiteout("root/tree")
        found = self.changes("/root")
        hidden = {path: change["mode"] for path, change in found.items() if path != "/root"}
        self.assertEqual(hidden, {"/root/tree": 0, "/root/tree/deep": 0, "/root/tree/deep/file": 0})
        self.assertEqual(found["/root/tree/deep/file"]["base"], (0o100644, 1, ""))

    def test_an_opaque_directory_hides_what_it_does_not_have_anew(self) -> None:
        (self.base / "root/tree").mkdir(parents=True)
        (self.base / "root/tree/gone").write_text("x")
        (self.base / "root/tree/anew").write_text("x")
        (self.upper / "root/tree").mkdir(parents=True)
        (self.upper / "root/tree/anew").write_text("yz")
        try:
            os.setxattr(self.upper / "root/tree", b"trusted.overlay.opaque", b"y")
        except OSError as error:
            self.fail(f"these tests need root and a file system with trusted attributes: {error}")
        found = self.changes("/root")
        self.assertEqual(found["/root/tree/gone"]["mode"], 0)
        self.assertEqual(found["/root/tree/anew"]["size"], 2)
        self.assertEqual(found["/root/tree/anew"]["base"], (0o100644, 1, ""))

    def test_a_file_in_the_place_of_a_directory_hides_its_content(self) -> None:
        (self.base / "root/tree").mkdir(parents=True)
        (self.base / "root/tree/gone").write_text("x")
        (self.upper / "root").mkdir()
        (self.upper / "root/tree").write_text("a file now")
        found = self.changes("/root")
        self.assertEqual(found["/root/tree/gone"]["mode"], 0)
        self.assertTrue(stat.S_ISREG(found["/root/tree"]["mode"]))

    def test_a_path_below_a_whiteout_is_gone_too(self) -> None:
        (self.base / "opt/tool").mkdir(parents=True)
        (self.base / "opt/tool/file").write_text("x")
        self.whiteout("opt")
        self.assertEqual(sorted(self.changes("/opt/tool")), ["/opt/tool", "/opt/tool/file"])
        self.assertEqual(self.changes("/opt/other"), {})

    def test_a_whiteout_of_nothing_says_nothing(self) -> None:
        (self.upper / "root").mkdir()
        self.whiteout("root/leftover")
        self.assertEqual(list(self.changes("/root")), ["/root"])

    def test_a_name_may_be_any_bytes(self) -> None:
        (self.upper / "root").mkdir()
        (self.upper / os.fsdecode(b"root/\xff")).write_text("x")
        self.assertIn(os.fsdecode(b"/root/\xff"), self.changes("/root"))

    def test_the_whole_disk_is_told_from_the_root(self) -> None:
        (self.upper / "a/b").mkdir(parents=True)
        self.assertEqual(sorted(self.changes("/")), ["/a", "/a/b"])

    def test_a_time_beyond_64_bits_is_the_last_there_is(self) -> None:
        (self.upper / "far").write_text("x")
        os.utime(self.upper / "far", (12_000_000_000, 12_000_000_000))
        if os.stat(self.upper / "far").st_mtime_ns > 1 << 63:
            self.assertEqual(self.changes("/")["/far"]["mtime"], (1 << 63) - 1)

    def test_more_than_200000_entries_are_cut(self) -> None:
        (self.upper / "root").mkdir()
        for name in range(20):
            (self.upper / f"root/{name}").write_text("")
        most, layers.MAX_CHANGES = layers.MAX_CHANGES, 10
        try:
            found, closed = all_of(layers.Layers(
                str(self.upper), str(self.base), lambda: "").changes([b"/root"]))
        finally:
            layers.MAX_CHANGES = most
        self.assertEqual((len(found), closed["truncated"]), (10, True))

    def test_paths_that_lie_in_others_are_told_once(self) -> None:
        self.assertEqual(
            layers.roots_of(["/a/b", "/a", "/ab", "/a/", "/c/../d"]), [b"/a", b"/ab", b"/d"])
        self.assertEqual(layers.roots_of(["/x", "/"]), [b"/"])
        for wrong in ([], ["a"], [""], [7], "/root", ["/a\0b"], ["/a"] * 65, ["/" + "a/" * 3000]):
            with self.subTest(wrong), self.assertRaises(Refusal):
                layers.roots_of(wrong)


class ChangesOverTheChannel(AgentTest):
    def test_a_large_directory_does_not_keep_a_small_call_waiting(self) -> None:
        self.host.run("import os\nos.mkdir('many')\n"
                      "for n in range(20_000): open(f'many/{n}', 'w').close()")
        stream = self.host.open(op="changes", paths=[str(self.host.home)])
        self.assertEqual(self.host.run("1").value, "1")
        outcome = self.host.wait_closed(stream)
        self.assertEqual(outcome["size"], len(outcome.bytes_of(DATA)))
        self.assertEqual(
            len([path for path in changes_in(outcome.bytes_of(DATA)) if "/many/" in path]), 20_000)

    def test_it_sends_no_more_than_its_credit_and_ends_when_nobody_reads(self) -> None:
        self.host.run("import os\nos.makedirs('lots')\n"
                      "for n in range(10_000): open(f'lots/{n}', 'w').close()")
        self.host.gives_credit = False
        stream = self.host.open(op="changes", paths=[str(self.host.home)])
        self.host.settle(0.3)
        self.assertIsNone(self.host.streams[stream].closed)
        self.host.cancel(stream, "gone")
        self.assertEqual(self.host.wait_closed(stream)["code"], "cancelled")

    def test_what_is_no_path_is_refused(self) -> None:
        self.assertEqual(self.host.ask("changes", paths=["root"])["code"], "invalid_path")
        self.assertEqual(self.host.ask("changes", paths=[])["code"], "invalid_request")
        self.assertEqual(self.host.ask("changes")["code"], "invalid_request")


if __name__ == "__main__":
    unittest.main()

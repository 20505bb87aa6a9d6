"""put, get, list, stat, remove."""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys
import time
import unittest

from host import AGENT, DATA, END, HOLE, WINDOW, AgentTest

sys.path.insert(0, str(AGENT))

from podflare_agent.files import refuse_vital  # noqa: E402
from podflare_agent.refusals import Refusal, from_os_error  # noqa: E402


class Files(AgentTest):
    def path(self, name: str) -> str:
        return str(self.host.home / name)

    def test_a_file_comes_back_as_it_was_put(self) -> None:
        for size in (0, 1, 65_536, 65_537, 3_000_000):
            with self.subTest(size=size):
                data = os.urandom(size)
                outcome = self.host.put("round trip", data)
                self.assertEqual(outcome.closed, {"ok": True, "size": size})
                outcome = self.host.get("round trip")
                self.assertEqual(outcome.bytes_of(DATA), data)
                self.assertEqual(outcome.closed, {"ok": True, "size": size})

    def test_the_holes_of_a_sparse_file_are_told_if_asked(self) -> None:
        size = 3 << 30
        with open(self.path("sparse"), "wb") as file:
            file.truncate(size)
            for at in (0, 1 << 20, (1 << 30) + 7):
                file.seek(at)
                file.write(b"x" * 100_000)
        outcome = self.host.get("sparse", holes=True)
        self.assertEqual(outcome.closed, {"ok": True, "size": size})
        with open(self.path("sparse"), "rb") as file:
            for kind, payload in outcome.frames:
                if kind == HOLE:
                    file.seek(int.from_bytes(payload, "big"), os.SEEK_CUR)
                else:
                    self.assertEqual(file.read(len(payload)), payload)
            self.assertEqual(file.tell(), size)
        self.assertLess(len(outcome.bytes_of(DATA)), 400_000)
        os.truncate(self.path("sparse"), 2_000_000)
        whole = (self.host.home / "sparse").read_bytes()
        self.assertEqual(self.host.get("sparse").bytes_of(DATA), whole)

    def test_data_may_come_in_frames_of_any_size(self) -> None:
        data = os.urandom(300_000)
        for size in (1_777, 300_000):
            self.host.put("pieces", data, size)
            self.assertEqual((self.host.home / "pieces").read_bytes(), data)

    def test_relative_paths_are_under_the_home_directory_and_parents_are_made(self) -> None:
        self.assertTrue(self.host.put("new/er/est.txt", b"x")["ok"])
        self.assertEqual((self.host.home / "new/er/est.txt").read_bytes(), b"x")
        self.assertTrue(self.host.put(self.path("absolute"), b"y")["ok"])

    def test_the_mode_is_the_given_one_or_the_old_one_or_0644(self) -> None:
        def mode() -> int:
            return stat.S_IMODE(os.stat(self.path("mode")).st_mode)

        self.host.put("mode", b"")
        self.assertEqual(mode(), 0o644)
        self.host.put("mode", b"", mode=0o750)
        self.assertEqual(mode(), 0o750)
        self.host.put("mode", b"new")
        self.assertEqual(mode(), 0o750)

    def test_a_file_appears_whole_or_not_at_all(self) -> None:
        self.host.put("whole", b"old")
        stream = self.host.open(op="put", path="whole", mode=None)
        self.host.send(DATA, stream, b"new")
        self.assertTrue(self.host.ask("ping")["ok"])
        self.assertEqual((self.host.home / "whole").read_bytes(), b"old")
        self.host.cancel(stream, "gone")
        self.assertFalse(self.host.wait_closed(stream)["ok"])
        self.host.send(DATA, stream, b"too late")
        self.host.send(END, stream)
        self.assertEqual((self.host.home / "whole").read_bytes(), b"old")
        self.assertEqual([name for name in os.listdir(self.host.home) if "podflare" in name], [])

    def test_a_symbolic_link_is_written_through(self) -> None:
        self.host.put("target", b"old")
        os.symlink("target", self.path("link"))
        self.host.put("link", b"new")
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual((self.host.home / "target").read_bytes(), b"new")

    def test_a_replaced_file_keeps_owner_group_mode_and_attributes(self) -> None:
        self.host.put("owned", b"old")
        os.chown(self.path("owned"), 1000, 1001)
        os.chmod(self.path("owned"), 0o2640)
        os.setxattr(self.path("owned"), "user.origin", b"here")
        inode = os.stat(self.path("owned")).st_ino
        self.host.put("owned", b"new")
        status = os.stat(self.path("owned"))
        self.assertEqual((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (1000, 1001, 0o2640))
        self.assertEqual(os.getxattr(self.path("owned"), "user.origin"), b"here")
        self.assertNotEqual(status.st_ino, inode)
        self.host.put("owned", b"new", mode=0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("owned")).st_mode), 0o600)

    def test_a_file_with_several_names_is_the_same_under_all_of_them(self) -> None:
        self.host.put("one name", b"old" * 1_000_000)
        os.link(self.path("one name"), self.path("another name"))
        os.chmod(self.path("one name"), 0o640)
        for data in (b"new", b"longer" * 1_000_000, b""):
            with self.subTest(size=len(data)):
                self.assertEqual(self.host.put("one name", data).closed, {"ok": True, "size": len(data)})
                for name in ("one name", "another name"):
                    self.assertEqual((self.host.home / name).read_bytes(), data)
                status = os.stat(self.path("one name"))
                self.assertEqual((status.st_nlink, stat.S_IMODE(status.st_mode)), (2, 0o640))
        self.assertEqual([name for name in os.listdir(self.host.home) if "podflare" in name], [])

    def test_a_tilde_is_the_home_directory(self) -> None:
        self.host.put("~/in home", b"x")
        self.assertEqual((self.host.home / "in home").read_bytes(), b"x")
        self.assertEqual(self.host.get("~/in home").bytes_of(DATA), b"x")
        self.assertIn("in home", [entry["name"] for entry in self.host.ask("list", path="~")["entries"]])
        self.assertEqual(self.host.ask("stat", path="~/in home")["entry"]["size"], 1)
        self.assertTrue(self.host.ask("remove", path="~/in home")["ok"])
        self.assertFalse((self.host.home / "in home").exists())
        self.assertEqual(self.host.ask("stat", path="~root")["entry"]["type"], "directory")
        for name, there in (("./~", "~"), ("~nobody of that name", "~nobody of that name"),
                            (f"{self.host.home}/~/x", "~/x")):
            with self.subTest(name):
                self.host.put(name, b"a name like any other")
                self.assertTrue((self.host.home / there).is_file())
                self.host.ask("remove", path="./~")

    def test_what_the_machine_cannot_do_without_is_not_removed(self) -> None:
        (self.host.home / "to the root").symlink_to("/")
        directories = [
            "/", "/..", "//", "/usr", "/usr/", "/usr/.", "/etc/../usr/bin", "/etc", "/proc", "/sys/kernel",
            "/dev", "/dev/shm", "/run", "/var", "to the root/usr", str(AGENT), str(AGENT / "podflare_agent"),
            str(AGENT.parent)]
        for path in directories:
            with self.subTest(path):
                # Not recursive: a test that fails must not take the host with it.
                outcome = self.host.ask("remove", path=path, recursive=False)
                self.assertEqual((outcome["ok"], outcome["code"]), (False, "permission_denied"))
        for path in ["/bin", "/lib64", "/dev/null", "/proc/self", sys.executable, "/usr/bin/bash"]:
            with self.subTest(path), self.assertRaises(Refusal):
                refuse_vital(path)
        for path in ["/home/user", "/usr/local/bin/mine", "/etc/hosts", "/dev/shm/mine", "/root/usr"]:
            with self.subTest(path):
                refuse_vital(path)
        self.assertTrue(self.host.ask("remove", path="to the root")["ok"])

    def test_refusals_name_their_reason(self) -> None:
        self.host.put("file", b"")
        os.makedirs(self.path("directory/inner"), exist_ok=True)
        os.mkfifo(self.path("fifo"))
        cases = [
            (self.host.get("missing"), "not_found"),
            (self.host.get("directory"), "is_a_directory"),
            (self.host.get("fifo"), "not_a_file"),
            (self.host.get("/dev/zero"), "not_a_file"),
            (self.host.put("/dev/null", b""), "not_a_file"),
            (self.host.put("fifo", b""), "not_a_file"),
            (self.host.get("file/below"), "not_a_directory"),
            (self.host.put("directory", b""), "is_a_directory"),
            (self.host.put("file/below", b""), "not_a_directory"),
            (self.host.put("/proc/nothing/here", b""), "not_found"),
            (self.host.put("x" * 300, b""), "invalid_path"),
            (self.host.ask("list", path="missing"), "not_found"),
            (self.host.ask("list", path="file"), "not_a_directory"),
            (self.host.ask("stat", path="missing"), "not_found"),
            (self.host.ask("remove", path="missing", recursive=True), "not_found"),
            (self.host.ask("remove", path="directory", recursive=False), "is_a_directory"),
            (self.host.ask("stat", path=""), "invalid_path"),
            (self.host.ask("stat", path="a\0b"), "invalid_path"),
            (self.host.ask("stat", path="/" + "a/" * 2100), "invalid_path"),
            (self.host.ask("stat", path=7), "invalid_path"),
            (self.host.ask("stat"), "invalid_path"),
        ]
        for number, (outcome, code) in enumerate(cases):
            with self.subTest(number, code=code):
                self.assertEqual((outcome["ok"], outcome["code"]), (False, code))
                self.assertTrue(outcome["error"])

    def test_a_file_that_cannot_grow_any_more_is_said_and_leaves_nothing(self) -> None:
        with self.own_agent() as host:
            resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
            self.assertEqual(host.put("too large", bytes(1_000_000))["code"], "too_large")
            self.assertEqual(os.listdir(host.home), [])
            self.assertTrue(host.put("small", b"x")["ok"])

    def test_a_full_disk_has_its_own_code(self) -> None:
        self.assertEqual(from_os_error(OSError(errno.ENOSPC, "No space left")).code, "no_space")

    def test_list_describes_what_is_there(self) -> None:
        self.host.bash("mkdir -p listed/sub; cd listed; printf 123 > file; chmod 640 file;"
                       "ln -s file link; mkfifo pipe; touch -d @1234567890.5 file;"
                       "printf x > $'\\xff'")
        listing = self.host.ask("list", path="listed")["entries"]
        entries = {entry["name"]: entry for entry in listing}
        self.assertEqual(entries["file"], {
            "name": "file", "type": "file", "size": 3, "mode": 0o640, "mtime": 1_234_567_890_500})
        self.assertEqual({name: entry["type"] for name, entry in entries.items()}, {
            "file": "file", "sub": "directory", "link": "symlink", "pipe": "other",
            "\udcff": "file"})
        self.assertEqual(self.host.ask("stat", path="listed/file")["entry"], entries["file"])
        self.assertEqual(self.host.ask("stat", path="/")["entry"]["type"], "directory")

    def test_a_listing_is_cut_at_10000_entries_and_at_a_frame(self) -> None:
        self.host.run("import os\nos.mkdir('many')\n"
                      "for n in range(10_001): open(f'many/{n}', 'w').close()")
        outcome = self.host.ask("list", path="many")
        self.assertEqual((len(outcome["entries"]), outcome["truncated"]), (10_000, True))
        self.host.run("os.mkdir('long')\n"
                      "for n in range(9_000): open('long/' + f'{n:04}' + 'é' * 120, 'w').close()")
        outcome = self.host.ask("list", path="long")
        self.assertTrue(outcome["truncated"])
        self.assertGreater(len(outcome["entries"]), 1_000)

    def test_remove_takes_files_and_with_recursive_whole_trees_but_follows_no_link(self) -> None:
        self.host.bash("mkdir -p tree/a/b; echo x > tree/a/b/c; echo keep > outside;"
                       "ln -s ../outside tree/l; mkdir outer; echo keep > outer/f;"
                       "ln -s ../outer tree/d")
        self.assertEqual(self.host.ask("remove", path="tree", recursive=True).closed, {"ok": True})
        self.assertEqual(self.host.bash("ls -d tree; cat outside outer/f").stdout, "keep\nkeep\n")
        self.assertTrue(self.host.ask("remove", path="outside", recursive=False)["ok"])

    def test_get_sends_no_more_than_its_credit(self) -> None:
        self.host.put("large", bytes(2_000_000))
        self.host.gives_credit = False
        stream = self.host.open(op="get", path="large")
        self.host.settle(0.3)
        outcome = self.host.streams[stream]
        self.assertLess(len(outcome.bytes_of(DATA)), WINDOW + 65_537)
        self.host.gives_credit = True
        self.host.grant(stream, 10_000)
        self.host.wait_closed(stream)
        self.assertEqual(len(outcome.bytes_of(DATA)), 2_000_000)

    def test_a_get_that_nobody_reads_any_more_ends_at_once(self) -> None:
        self.host.put("large", bytes(2_000_000))
        self.host.gives_credit = False
        stream = self.host.open(op="get", path="large")
        self.host.cancel(stream, "gone")
        self.assertFalse(self.host.wait_closed(stream)["ok"])

    def test_put_gives_credit_back_in_half_windows(self) -> None:
        stream = self.host.open(op="put", path="credit", mode=None)
        for _ in range(4):
            self.host.send(DATA, stream, bytes(65_536))
        self.host.wait_until(lambda: self.host.put_credit[stream] == 2 * WINDOW, "credit")
        self.host.send(END, stream)
        self.host.wait_closed(stream)

    def test_a_large_file_does_not_keep_a_small_call_waiting(self) -> None:
        self.host.bash("truncate -s 300M sparse")
        stream = self.host.open(op="get", path="sparse")
        times = []
        while len(times) < 5 or (min(times) >= 0.5 and len(times) < 50):
            began = time.monotonic()
            self.assertEqual(self.host.run("1").value, "1")
            times.append(time.monotonic() - began)
        self.assertIsNone(self.host.streams[stream].closed)
        self.assertLess(min(times), 0.5)
        self.host.cancel(stream, "gone")
        self.host.wait_closed(stream)

    def test_it_leaves_no_descriptor_behind(self) -> None:
        def descriptors() -> int:
            return len(os.listdir(f"/proc/{self.host.process.pid}/fd"))

        before = descriptors()
        for _ in range(10):
            self.host.put("fd", b"x")
            self.host.get("fd")
            self.host.get("/")
            self.host.put("/proc/x", b"")
            self.host.ask("list", path=".")
        self.assertEqual(descriptors(), before)


if __name__ == "__main__":
    unittest.main()

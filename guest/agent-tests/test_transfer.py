"""nodes, digests, births; pack and unpack."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
import time
import unittest
from collections.abc import Sequence

from host import AGENT, DATA, END, WINDOW, AgentTest, Outcome

sys.path.insert(0, str(AGENT))

_record = struct.Struct("!BHIIqQHH")
FILE, DIRECTORY, SYMLINK, REMOVAL = 1, 2, 3, 4
THE_END = _record.pack(0, 0, 0, 0, 0, 0, 0, 0)


def record(kind: int, path: str, content: bytes = b"", mode: int = 0o644, target: str = "") -> bytes:
    encoded, link = os.fsencode(path), os.fsencode(target)
    return _record.pack(
        kind, mode, os.getuid(), os.getgid(), 1_000_000_000, len(content), len(encoded),
        len(link)) + encoded + link + content


class Transfer(AgentTest):
    def path(self, name: str) -> str:
        return f"{self.host.home}/{name}"

    def consult(self, op: str, paths: Sequence[str]) -> Outcome:
        stream = self.host.open(op=op)
        self.host.send(DATA, stream, b"".join(os.fsencode(path) + b"\0" for path in paths))
        self.host.send(END, stream)
        return self.host.wait_closed(stream)

    def unpack(self, *records: bytes, size: int = 60_000) -> Outcome:
        stream = self.host.open(op="unpack")
        outcome = self.host.streams[stream]
        data = b"".join(records)
        for at in range(0, len(data), size):
            self.host.wait_until(
                lambda: self.host.put_credit[stream] > 0 or outcome.closed is not None, "credit")
            if outcome.closed is not None:
                break
            self.host.put_credit[stream] -= len(data[at:at + size])
            self.host.send(DATA, stream, data[at:at + size])
        self.host.send(END, stream)
        return self.host.wait_closed(stream)

    def leftovers(self) -> list[str]:
        return [name for name in os.listdir(self.host.home) if "podflare" in name]

    def test_digests_are_of_regular_files_only_in_the_order_asked(self) -> None:
        (self.host.home / "one").write_bytes(b"1")
        (self.host.home / "mid-size").write_bytes(bytes(1 << 20))
        os.symlink("one", self.path("link"))
        os.mkfifo(self.path("pipe"))
        outcome = self.consult("digests", [
            self.path(name) for name in ("one", "missing", "link", "pipe", ".", "mid-size")])
        told = outcome.bytes_of(DATA)
        none = bytes(32)
        self.assertEqual([told[at:at + 32] for at in range(0, len(told), 32)], [
            hashlib.blake2b(b"1", digest_size=32).digest(), none, none, none, none,
            hashlib.blake2b(bytes(1 << 20), digest_size=32).digest()])

    def test_a_digest_of_a_large_file_is_of_its_content_wherever_that_has_holes(self) -> None:
        content = bytes(2_000_000) + b"x" + bytes(1_500_000) + b"y" * 70_000 + bytes(99_999)
        moved = bytes(1_900_000) + b"x" + bytes(1_600_000) + b"y" * 70_000 + bytes(99_999)
        contents = {"written": content, "sparse": content, "moved": moved, "longer": content + bytes(1),
                    "shorter": content[:-1], "zeros": bytes(len(content))}
        for name, data in contents.items():
            (self.host.home / name).write_bytes(data)
        self.dig_holes("sparse")
        told = self.consult("digests", [self.path(name) for name in contents]).bytes_of(DATA)
        digests = [told[at:at + 32] for at in range(0, len(told), 32)]
        self.assertEqual(digests[0], digests[1])
        self.assertEqual(len(set(digests)), len(contents) - 1)

    def dig_holes(self, name: str) -> None:
        outcome = self.host.bash(f"fallocate --dig-holes {name}")
        self.assertEqual((outcome.stderr, outcome["exit_code"]), ("", 0))

    def test_a_sparse_file_stays_sparse(self) -> None:
        size = 3 << 30
        with open(self.path("sparse"), "wb") as file:
            file.truncate(size)
            for at in (0, 70_000, 1 << 30, size - (1 << 20)):
                file.seek(at)
                file.write(b"content at %d" % at)
        (self.host.home / "hole").write_bytes(b"")
        os.truncate(self.path("hole"), 1_000_000)
        names = ["sparse", "hole"]
        packed = self.consult("pack", [self.path(name) for name in names]).bytes_of(DATA)
        self.assertLess(len(packed), 200_000)
        before = {name: os.stat(self.path(name)) for name in names}
        digest = self.consult("digests", [self.path("sparse")]).bytes_of(DATA)
        for size in (60_000, 777):
            self.host.bash("rm sparse hole")
            self.assertEqual(self.unpack(packed, size=size).closed, {"ok": True, "size": len(packed)})
            for name in names:
                status = os.stat(self.path(name))
                self.assertEqual((status.st_size, status.st_blocks), (before[name].st_size, before[name].st_blocks))
            self.assertEqual(self.consult("digests", [self.path("sparse")]).bytes_of(DATA), digest)
        self.host.bash("rm sparse hole")

    def test_runs_that_are_not_the_size_of_their_file_are_refused(self) -> None:
        path = os.fsencode(self.path("lies"))
        header = _record.pack(5, 0o644, os.getuid(), os.getgid(), 0, 10, len(path), 0) + path
        for runs in (struct.pack("!QQ", 0, 0), struct.pack("!QQ", 11, 0), struct.pack("!QQ", 1 << 63, 1 << 63),
                     struct.pack("!QQ", 1, 1) + b"x" + struct.pack("!QQ", 0, 9)):
            outcome = self.unpack(header, runs, THE_END)
            self.assertEqual((outcome["ok"], outcome["code"]), (False, "invalid_request"))
        self.assertEqual(self.leftovers(), [])

    def test_births_are_when_the_inode_was_made(self) -> None:
        before = time.time_ns()
        (self.host.home / "born").write_bytes(b"1")
        born, missing = struct.unpack(
            "!2q", self.consult("births", [self.path("born"), self.path("no")]).bytes_of(DATA))
        self.assertEqual(missing, -1)
        self.assertTrue(born == -1 or abs(born - before) < 5e9)

    def test_a_list_of_paths_may_come_in_pieces_and_must_be_ended(self) -> None:
        stream = self.host.open(op="nodes")
        for piece in (b"/pro", b"c\0/nowhere-at-", b"all\0"):
            self.host.send(DATA, stream, piece)
        self.host.send(END, stream)
        told = self.host.wait_closed(stream).bytes_of(DATA)
        self.assertEqual(len(told), 2 * 20)
        self.assertTrue(stat.S_ISDIR(int.from_bytes(told[:2], "big")))
        self.assertEqual(told[20:], bytes(20))
        stream = self.host.open(op="nodes")
        self.host.send(DATA, stream, b"/proc")
        self.host.send(END, stream)
        self.assertEqual(self.host.wait_closed(stream)["code"], "invalid_request")

    def test_what_is_packed_can_be_unpacked(self) -> None:
        self.host.bash("mkdir -p from/deep; printf hello > from/deep/file; chmod 751 from/deep/file;"
                       "touch -d @1234567890 from/deep/file; ln -s nowhere from/link; : > from/empty;"
                       "head -c 700000 /dev/urandom > from/large")
        names = ["from", "from/deep", "from/deep/file", "from/link", "from/empty", "from/large"]
        packed = self.consult("pack", [self.path(name) for name in (*names, "from/missing")])
        data = packed.bytes_of(DATA)
        self.assertEqual(packed["size"], len(data))
        large = (self.host.home / "from/large").read_bytes()
        self.host.bash("rm -rf from")
        for size in (60_000, 7_777):
            outcome = self.unpack(data, size=size)
            self.assertEqual(outcome.closed, {"ok": True, "size": len(data)})
            status = os.stat(self.path("from/deep/file"))
            self.assertEqual((stat.S_IMODE(status.st_mode), status.st_mtime), (0o751, 1234567890))
            self.assertEqual((self.host.home / "from/deep/file").read_bytes(), b"hello")
            self.assertEqual(os.readlink(self.path("from/link")), "nowhere")
            self.assertEqual((self.host.home / "from/large").read_bytes(), large)
            self.assertEqual((self.host.home / "from/empty").read_bytes(), b"")
        self.assertEqual(self.leftovers(), [])

    def test_files_are_replaced_whole_and_others_removed(self) -> None:
        self.host.bash("mkdir -p old/sub/full; echo 1 > old/gone; echo 1 > old/sub/full/kept;"
                       "echo 1 > old/stays; mkdir old/empty")
        outcome = self.unpack(
            record(REMOVAL, self.path("old/gone")), record(REMOVAL, self.path("old/sub")),
            record(REMOVAL, self.path("old/empty")), record(REMOVAL, self.path("old/never-was")),
            record(FILE, self.path("old/stays"), b"two"), THE_END)
        self.assertTrue(outcome["ok"], outcome.closed)
        self.assertEqual(self.host.bash("cd old; find . | sort; cat stays").stdout,
                         ".\n./stays\n./sub\n./sub/full\n./sub/full/kept\ntwo")

    def test_a_directory_and_a_file_can_change_places(self) -> None:
        self.host.bash("mkdir -p swap/was-dir; echo 1 > swap/was-dir/in; echo 1 > swap/was-file")
        outcome = self.unpack(
            record(REMOVAL, self.path("swap/was-dir/in")),
            record(FILE, self.path("swap/was-dir"), b"file now"),
            record(DIRECTORY, self.path("swap/was-file"), mode=0o755),
            record(FILE, self.path("swap/was-file/in"), b"x"), THE_END)
        self.assertTrue(outcome["ok"], outcome.closed)
        self.assertEqual((self.host.home / "swap/was-dir").read_text(), "file now")
        self.assertEqual((self.host.home / "swap/was-file/in").read_text(), "x")

    def test_until_all_is_there_and_right_nothing_is_changed(self) -> None:
        self.host.bash("rm -rf safe; mkdir safe; echo old > safe/file; ln -s /tmp safe/link")
        good = record(FILE, self.path("safe/file"), b"new")
        cases = [
            ([good], "invalid_request"),
            ([good[:-1]], "invalid_request"),
            ([good, THE_END, b"more"], "invalid_request"),
            ([good, good, THE_END], "invalid_request"),
            ([good, record(9, self.path("safe/x")), THE_END], "invalid_request"),
            ([good, record(FILE, "relative"), THE_END], "invalid_path"),
            ([good, record(FILE, self.path("safe/../up")), THE_END], "invalid_path"),
            ([good, record(FILE, self.path("safe//x")), THE_END], "invalid_path"),
            ([good, record(FILE, "/"), THE_END], "invalid_path"),
            ([good, record(FILE, self.path("safe/nul\0")), THE_END], "invalid_path"),
            ([good, record(REMOVAL, self.path("safe/./file")), THE_END], "invalid_path"),
            ([good, record(FILE, self.path("safe/no/where")), THE_END], "not_found"),
            ([good, record(FILE, self.path("safe/link/x")), THE_END], "not_a_directory"),
            ([good, record(REMOVAL, self.path("safe/link/x")), THE_END], "not_a_directory"),
            ([good, record(FILE, "/proc/x"), THE_END], "invalid_path"),
        ]
        for number, (records, code) in enumerate(cases):
            with self.subTest(number, code=code):
                outcome = self.unpack(*records)
                self.assertEqual((outcome["ok"], outcome["code"]), (False, code), outcome.closed)
                self.assertEqual((self.host.home / "safe/file").read_text(), "old\n")
                self.assertEqual(self.leftovers(), [])

    def test_one_that_the_host_gives_up_changes_nothing(self) -> None:
        self.host.put("given-up", b"old")
        stream = self.host.open(op="unpack")
        self.host.send(DATA, stream, record(FILE, self.path("given-up"), b"new"))
        self.host.cancel(stream, "gone")
        self.assertEqual(self.host.wait_closed(stream)["code"], "cancelled")
        self.assertEqual((self.host.home / "given-up").read_text(), "old")
        self.assertEqual(self.leftovers(), [])

    def test_credit_is_given_back_in_half_windows(self) -> None:
        stream = self.host.open(op="unpack")
        header = record(FILE, self.path("credit"), bytes(400_000))
        for at in range(0, 4 * 65_536, 65_536):
            self.host.send(DATA, stream, header[at:at + 65_536])
        self.host.wait_until(lambda: self.host.put_credit[stream] == 2 * WINDOW, "credit")
        self.host.cancel(stream, "gone")
        self.host.wait_closed(stream)

    def test_it_leaves_no_descriptor_behind(self) -> None:
        def descriptors() -> int:
            return len(os.listdir(f"/proc/{self.host.process.pid}/fd"))

        self.host.put("fd", b"x")
        before = descriptors()
        for _ in range(10):
            self.consult("pack", [self.path("fd"), self.path("missing")])
            self.consult("digests", [self.path("fd")])
            self.unpack(record(FILE, self.path("fd"), b"y"), THE_END)
            self.unpack(record(FILE, self.path("fd"), b"y"))
            self.host.ask("changes", paths=[str(self.host.home)])
        self.assertEqual(descriptors(), before)


if __name__ == "__main__":
    unittest.main()

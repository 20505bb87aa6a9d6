"""Files up and down, of any size, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
from collections.abc import Iterator

from rig import host, suite
from rig.case import SMALL, SandboxCase, slow
from rig.deadline import eventually

MEBI = 1 << 20


class FilesTest(SandboxCase):
    deadline_seconds = 900.0

    def put(self, path: str, content: bytes, **query: object) -> None:
        answer = self.rest.put(self.sandbox, path, content, **query)
        self.assertEqual(answer.status, 200, str(answer))
        self.assertEqual(answer.json["size"], len(content))

    def got(self, path: str) -> bytes:
        answer = self.rest.get(self.sandbox, path)
        self.assertEqual(answer.status, 200, str(answer))
        return answer.body

    def test_bytes_come_back_as_they_went(self) -> None:
        for content in (b"", b"\0", bytes(range(256)) * 257, os.urandom(300_001)):
            self.put("/root/bytes", content)
            self.assertEqual(self.got("/root/bytes"), content)

    def test_a_download_says_how_long_it_is(self) -> None:
        self.put("/root/known", b"12345")
        answer = self.rest.get(self.sandbox, "/root/known")
        self.assertEqual(answer.headers.get("Content-Length"), "5")
        self.assertEqual(answer.headers.get("Content-Type"), "application/octet-stream")

    def test_a_relative_path_is_under_the_home_directory(self) -> None:
        self.put("relative.txt", b"here")
        self.assertEqual(self.stdout("print(open('/root/relative.txt').read())"), "here\n")

    def test_parent_directories_are_made(self) -> None:
        self.put("/root/a/b/c/deep.txt", b"d")
        self.assertEqual(self.got("/root/a/b/c/deep.txt"), b"d")

    def test_names_in_any_script_and_with_any_character_work(self) -> None:
        for name in ("größe.txt", "東京 📁.bin", "a b&c=d?e#f%20g", "-rf", "new\nline", "'\"$(x)"):
            self.put(f"/root/names/{name}", name.encode())
            self.assertEqual(self.got(f"/root/names/{name}"), name.encode())
        listed = self.rest.files(self.sandbox, "/root/names").json["entries"]
        self.assertIn("東京 📁.bin", [one["name"] for one in listed])

    def test_the_mode_is_set_and_shown(self) -> None:
        self.put("/root/script.sh", b"#!/bin/sh\necho ran\n", mode="0755")
        self.assertEqual(self.bash("./script.sh").stdout, "ran\n")
        self.put("/root/modes/secret", b"", mode="0600")
        (entry,) = self.rest.files(self.sandbox, "/root/modes").json["entries"]
        self.assertEqual((entry["name"], entry["mode"], entry["type"]), ("secret", "0600", "file"))

    def test_replacing_a_file_keeps_its_mode(self) -> None:
        self.put("/root/replaced", b"one", mode="0700")
        self.put("/root/replaced", b"two")
        self.assertEqual(
            self.stdout("import os; print(oct(os.stat('/root/replaced').st_mode & 0o777))"),
            "0o700\n",
        )

    def test_a_listing_tells_kind_size_and_time(self) -> None:
        self.bash(
            "mkdir -p kinds/d && cd kinds"
            " && printf 12345 > f && ln -sf f l && touch -d @1000000000 f"
        )
        entries = {
            one["name"]: one for one in self.rest.files(self.sandbox, "/root/kinds").json["entries"]
        }
        self.assertEqual(
            {name: one["type"] for name, one in entries.items()},
            {"d": "directory", "f": "file", "l": "symlink"},
        )
        self.assertEqual((entries["f"]["size"], entries["f"]["mtime"]), (5, 1_000_000_000_000))

    def test_removing_works_and_a_full_directory_needs_the_word(self) -> None:
        self.put("/root/tree/leaf", b"x")
        self.assert_refused(self.rest.remove(self.sandbox, "/root/tree"), {400, 409, 422})
        self.assertEqual(self.rest.remove(self.sandbox, "/root/tree", recursive="true").status, 204)
        self.assert_refused(self.rest.get(self.sandbox, "/root/tree/leaf"), 404)

    def test_what_is_not_there_is_404(self) -> None:
        self.assert_refused(self.rest.get(self.sandbox, "/root/nothing"), 404)
        self.assert_refused(self.rest.files(self.sandbox, "/root/nothing"), 404)
        self.assert_refused(self.rest.remove(self.sandbox, "/root/nothing"), 404)

    def test_what_is_no_regular_file_can_not_be_downloaded(self) -> None:
        self.bash("mkfifo /root/pipe")
        for path in ("/root", "/root/pipe", "/dev/zero", "/proc"):
            self.assert_refused(self.rest.get(self.sandbox, path), {400, 409, 422})

    def test_a_file_can_not_be_where_a_directory_is_or_under_a_file(self) -> None:
        self.put("/root/plain", b"")
        self.assert_refused(self.rest.put(self.sandbox, "/root", b"x"), {400, 409, 422})
        self.assert_refused(self.rest.put(self.sandbox, "/root/plain/below", b"x"), {400, 409, 422})

    def test_bad_paths_are_refused_and_named(self) -> None:
        for path in ("", "/root/\0", "/" + "x" * 5000, "/root/" + "y" * 300):
            answer = self.rest.put(self.sandbox, path, b"x")
            self.assert_refused(answer, {400, 414, 422})

    def test_bad_modes_are_refused_and_named(self) -> None:
        for mode in ("rwx", "999", "-1", "77777777777777", "4755"):
            answer = self.rest.put(self.sandbox, "/root/mode", b"x", mode=mode)
            self.assert_refused(answer, {400, 422}, names="mode")

    def test_a_large_file_goes_both_ways_and_the_server_does_not_grow(self) -> None:
        size = suite.scale().file_bytes
        pid = self.server.pid
        block = os.urandom(MEBI)

        def blocks() -> Iterator[bytes]:
            for _ in range(size // MEBI):
                yield block

        expected = hashlib.sha256()
        for one in blocks():
            expected.update(one)
        self.upload(self.sandbox, "/root/warm-up", 8 * MEBI, [block] * 8)
        grown: list[int] = []
        # The heap may take another size in one of the rounds, but not in each.
        while not grown or (grown[-1] >= 48 * MEBI and len(grown) < 3):
            before = host.resident_bytes(pid)
            self.upload(self.sandbox, "/root/large", size, blocks())
            self.assertEqual(
                self.stdout("import os; print(os.path.getsize('/root/large'))"), f"{size}\n"
            )
            received, digest = self.download("/root/large")
            grown.append(host.resident_bytes(pid) - before)
            self.assertEqual((received, digest), (size, expected.hexdigest()))
            self.rest.remove(self.sandbox, "/root/large")
        self.assertLess(grown[-1], 48 * MEBI, "the server's own memory grows with the file")

    def upload(self, sandbox: str, path: str, size: int, blocks: object) -> None:
        answer = self.rest.call(
            "PUT",
            self.rest.file_path(sandbox, path),
            blocks,
            {"Content-Length": str(size)},
            deadline=600,
        )
        self.assertEqual((answer.status, answer.json.get("size")), (200, size), str(answer))

    def download(self, path: str) -> tuple[int, str]:
        connection = self.rest.connect(600)
        try:
            connection.request(
                "GET", self.rest.file_path(self.sandbox, path), headers=self.rest.headers()
            )
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            received, digest = 0, hashlib.sha256()
            while piece := answer.read(MEBI):
                received += len(piece)
                digest.update(piece)
            return received, digest.hexdigest()
        finally:
            connection.close()

    def test_an_upload_without_a_stated_length_works(self) -> None:
        answer = self.rest.put(self.sandbox, "/root/chunked", iter([b"one", b"two", b"three"]))
        self.assertEqual(answer.status, 200, str(answer))
        self.assertEqual(self.got("/root/chunked"), b"onetwothree")

    def truncated_upload(self, path: str, head: str, body: bytes) -> None:
        request = (
            f"PUT {self.rest.file_path(self.sandbox, path)} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {self.rest.key}\r\n{head}\r\n\r\n"
        )
        with socket.create_connection((self.rest.host, self.rest.port), 20) as connection:
            connection.sendall(request.encode() + body)
            eventually("the upload has begun", lambda: self.leftovers(path))

    def leftovers(self, path: str) -> list[str]:
        """What lies in the file's directory: itself, or what it is being made from."""
        answer = self.rest.files(self.sandbox, os.path.dirname(path))
        return [one["name"] for one in answer.json["entries"]] if answer.status == 200 else []

    def test_a_truncated_upload_leaves_nothing(self) -> None:
        self.truncated_upload("/root/cut/file", "Content-Length: 1000000", b"x" * 300_000)
        eventually("nothing is left", lambda: not self.leftovers("/root/cut/file"))
        self.truncated_upload("/root/cut2/file", "Transfer-Encoding: chunked", b"5\r\nhello\r\n")
        eventually("nothing is left", lambda: not self.leftovers("/root/cut2/file"))

    def test_a_truncated_upload_leaves_the_older_file_as_it_was(self) -> None:
        self.put("/root/older/file", b"older")
        request = (
            f"PUT {self.rest.file_path(self.sandbox, '/root/older/file')} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {self.rest.key}\r\nContent-Length: 1000\r\n\r\nnew"
        )
        self.rest.raw(request.encode())
        eventually("one file", lambda: self.leftovers("/root/older/file") == ["file"])
        self.assertEqual(self.got("/root/older/file"), b"older")

    def test_a_download_that_the_client_breaks_off_harms_nothing(self) -> None:
        self.bash("head -c 20000000 /dev/zero > /root/long")
        for _ in range(3):
            connection = self.rest.connect()
            connection.request(
                "GET", self.rest.file_path(self.sandbox, "/root/long"), headers=self.rest.headers()
            )
            self.assertEqual(len(connection.getresponse().read(1000)), 1000)
            connection.close()
        self.assertEqual(self.stdout("print('well')"), "well\n")

    def test_files_move_while_code_runs(self) -> None:
        with self.rest.stream(
            self.sandbox, "import time\nprint('on')\ntime.sleep(3)\nprint('off')"
        ) as running:
            running.first("stdout")
            self.put("/root/meanwhile", b"m")
            self.assertEqual(self.got("/root/meanwhile"), b"m")
            self.assertTrue(running.rest().stdout.endswith("off\n"))


@slow
class DiskFullTest(SandboxCase):
    def test_a_full_disk_is_said_and_the_sandbox_lives_on(self) -> None:
        sandbox = self.new_sandbox(**SMALL)
        try:
            answer = self.rest.put(sandbox, "/root/too-much", b"\0" * (288 * MEBI))
        except (BrokenPipeError, ConnectionResetError, http.client.HTTPException):
            self.fail("the server cut the connection instead of saying that the disk is full")
        self.assert_refused(answer, {413, 422, 503, 507})
        self.assertEqual(answer.json["code"], "disk_full")
        self.assertNotIn("too-much", str(self.rest.files(sandbox, "/root").json))
        ran = self.rest.exec(
            sandbox,
            "with open('/root/fill', 'wb') as file:\n  for _ in range(288): file.write(bytes(1 << 20))",
        )
        assert ran.error is not None, ran.events
        self.assertIn("No space left on device", ran.error["value"])
        self.rest.remove(sandbox, "/root/fill")
        self.assertEqual(self.rest.exec(sandbox, "print('well')").stdout, "well\n")

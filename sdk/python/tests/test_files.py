"""Files in and out."""

from __future__ import annotations

import io
import os
import resource
import stat
import threading
import unittest
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, urlsplit

from podflare import ConnectionError, InvalidRequestError, NotFoundError, Sandbox

from .scripted_server import CLOSE, Request, answer, json_answer
from .support import PodflareTestCase

MISSING = json_answer({"error": "no such file: x", "code": "file_not_found"}, 404)


def stored(request: Request):
    (path,) = parse_qs(urlsplit(request.target).query)["path"]
    return json_answer({"path": path, "size": len(request.body)})


class UploadTest(PodflareTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve(stored)
        self.sb = Sandbox(client=self.client_of(self.server))

    def uploaded(self) -> tuple[str, bytes]:
        request = self.server.requests[-1]
        self.assertEqual(request.method, "PUT")
        (path,) = parse_qs(urlsplit(request.target).query)["path"]
        return path, request.body

    def test_path_and_data_come_in_either_order(self) -> None:
        for arguments in (("f", b"data"), (b"data", "f"), (PurePosixPath("f"), b"data")):
            with self.subTest(arguments):
                self.assertEqual(self.sb.upload(*arguments), 4)
                self.assertEqual(self.uploaded(), ("f", b"data"))
        self.sb.upload(path="f", data=b"named")
        self.assertEqual(self.uploaded(), ("f", b"named"))

    def test_two_strings_are_path_then_text(self) -> None:
        self.sb.upload("/root/f", "grüße")
        self.assertEqual(self.uploaded(), ("/root/f", "grüße".encode()))

    def test_a_local_path_given_as_data_is_refused_with_what_to_call(self) -> None:
        here = os.path.join(self.home, "data.csv")
        with open(here, "w") as file:
            file.write("a,b\n")
        for arguments in (
            ("data.csv", here),
            ("/root/data.csv", here),
            ("data.csv", "~/data.csv"),
            (here, here),
            (here, "/root/data.csv"),
            (here, "~/copy.csv"),
            (here, "./data.csv"),
            (Path(here), "/root/data.csv"),
            ("data.csv", Path(here)),
        ):
            with self.subTest(arguments):
                with self.assertRaisesRegex(TypeError, "upload_from"):
                    self.sb.upload(*arguments)
        before = os.getcwd()
        os.chdir(self.home)
        try:
            for text in ("data.csv", "./data.csv"):
                with self.assertRaisesRegex(TypeError, "upload_from"):
                    self.sb.upload("copy.csv", text)
        finally:
            os.chdir(before)
        for path, text in (
            ("/etc/hostname", "box.local"),
            ("Procfile", "web.py"),
            ("/root/target.txt", "/usr/local/bin"),
            ("next", "/home/me/none.csv"),
            ("next", "~/none.csv"),
            ("next", self.home),
            ("none.csv", "none.csv"),
            ("some text", "notes.txt"),
            (here, "box.local"),
        ):
            with self.subTest((path, text)):
                self.sb.upload(path, text)
                self.assertEqual(self.uploaded(), (path, text.encode()))
        for text in ("a", "a b.txt", "grüße", "a,b\n/x.csv", "1.5", "", "/" * 5000, "\0"):
            self.sb.upload("f", text)
            self.assertEqual(self.uploaded(), ("f", text.encode()))
        self.sb.upload("f", here.encode())
        self.assertEqual(self.uploaded(), ("f", here.encode()))

    def test_local_files_and_folders_are_uploaded_with_their_modes(self) -> None:
        folder = os.path.join(self.home, "project")
        os.makedirs(os.path.join(folder, "src"))
        for name, mode in (("run.sh", 0o755), ("src/a.py", 0o644)):
            with open(os.path.join(folder, name), "w") as file:
                file.write(name)
            os.chmod(os.path.join(folder, name), mode)
        os.symlink("nowhere", os.path.join(folder, "broken"))
        self.assertEqual(self.sb.upload_from(os.path.join(folder, "run.sh")), 6)
        self.assertEqual(self.uploaded(), ("run.sh", b"run.sh"))
        self.assertIn("mode=0755", self.server.requests[-1].target)
        self.sb.upload_from(os.path.join(folder, "run.sh"), "/tmp/", mode=0o600)
        self.assertEqual(self.uploaded()[0], "/tmp/run.sh")
        self.assertIn("mode=0600", self.server.requests[-1].target)
        before = len(self.server.requests)
        self.assertEqual(self.sb.upload_from(folder, "/root/p"), 14)
        self.assertEqual(
            [parse_qs(one.target.partition("?")[2])["path"] for one in self.server.requests[before:]],
            [["/root/p/run.sh"], ["/root/p/src/a.py"]],
        )
        with self.assertRaises(FileNotFoundError):
            self.sb.upload_from(os.path.join(self.home, "nothing"))

    def test_everything_that_has_bytes_can_be_uploaded(self) -> None:
        local = Path(self.home, "local")
        local.write_bytes(b"from disk")
        kinds = [
            b"bytes",
            bytearray(b"bytearray"),
            memoryview(b"memoryview"),
            "text",
            io.BytesIO(b"file"),
            io.StringIO("text file ü"),
            [b"list ", b"of bytes"],
            (piece for piece in (b"generator ", "of anything")),
            iter([bytearray(b"iter"), memoryview(b"ator"), b""]),
            b"",
            io.BytesIO(),
            [],
        ]
        expected = [
            b"bytes",
            b"bytearray",
            b"memoryview",
            b"text",
            b"file",
            "text file ü".encode(),
            b"list of bytes",
            b"generator of anything",
            b"iterator",
            b"",
            b"",
            b"",
        ]
        for data, body in zip(kinds, expected):
            with self.subTest(body):
                self.sb.upload("f", data)
                self.assertEqual(self.uploaded(), ("f", body))
                if not isinstance(data, str):
                    self.sb.files.write("g", body)
                    self.assertEqual(self.uploaded(), ("g", body))
        with open(local, "rb") as file:
            self.sb.upload(file, "f")
        self.assertEqual(self.uploaded(), ("f", b"from disk"))

    def test_what_can_not_be_uploaded_is_refused_before_anything_is_sent(self) -> None:
        for arguments in (
            (b"a", b"b"),
            ("f", 5),
            ("f", None),
            ("f", {"a": 1}),
            (5, "f"),
            ("f", Path("f")),
        ):
            with self.subTest(arguments), self.assertRaises(TypeError):
                self.sb.upload(*arguments)
        with self.assertRaises(InvalidRequestError):
            self.sb.upload("", b"x")
        self.assertEqual(len(self.server.requests), 1)

    def test_an_iterable_of_integers_is_refused_and_the_sandbox_stays_usable(self) -> None:
        with self.assertRaises(TypeError):
            self.sb.upload("f", [1, 2, 3])
        self.sb.upload("f", b"ok")
        self.assertEqual(self.uploaded(), ("f", b"ok"))

    def test_an_exception_of_the_callers_iterator_is_raised_as_it_is(self) -> None:
        for error in (OSError("disk"), TimeoutError("mine"), KeyError("x")):

            def pieces():
                yield b"a" * 100
                raise error

            with self.subTest(error), self.assertRaises(type(error)) as caught:
                self.sb.upload("f", pieces())
            self.assertIs(caught.exception, error)

    def test_a_stream_is_sent_chunked_while_it_is_made(self) -> None:
        size = 64 * 1024 * 1024
        piece = bytes(1024 * 1024)
        received = []

        def script(request: Request):
            received.append(len(request.body))
            return stored(request)

        self.server.script = script
        self.assertEqual(self.sb.upload("f", (piece for _ in range(size // len(piece)))), size)
        self.assertEqual(self.server.requests[-1].headers["transfer-encoding"], "chunked")
        self.assertEqual(received, [size])

    def test_the_mode_is_sent_in_octal(self) -> None:
        for mode, text in ((0o755, "0755"), ("0600", "0600"), (0, "0000")):
            self.sb.upload("f", b"", mode=mode)
            query = parse_qs(urlsplit(self.server.requests[-1].target).query)
            self.assertEqual(query["mode"], [text])

    def test_a_path_can_have_any_character(self) -> None:
        for path in ("a b", "a&b=c", "ü/日本", "a#b?c", "a%20b", "a+b", "new\nline"):
            with self.subTest(path):
                self.sb.upload(path, b"")
                self.assertEqual(self.uploaded()[0], path)

    def test_a_name_that_is_not_utf8_is_sent_as_its_bytes(self) -> None:
        self.sb.upload("\udcff", b"")
        self.assertIn("path=%FF", self.server.requests[-1].target)
        with self.assertRaises(InvalidRequestError):
            self.sb.upload("\ud800", b"")

    def test_a_refusal_in_the_middle_of_an_upload_is_the_error_that_is_raised(self) -> None:
        import socket

        refusal = json_answer({"error": "the disk is full", "code": "no_space"}, 413)[0]
        for data in (bytes(32 << 20), (bytes(1 << 20) for _ in range(64))):
            with socket.create_server(("127.0.0.1", 0)) as listener:

                def serve() -> None:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(refusal)
                        connection.shutdown(socket.SHUT_WR)
                        connection.settimeout(10)
                        while connection.recv(1 << 20):
                            pass

                thread = threading.Thread(target=serve)
                thread.start()
                host = f"http://127.0.0.1:{listener.getsockname()[1]}"
                from podflare import Client

                client = self.enterContext310(Client(host, "k"))
                sb = Sandbox._of("sbx_x", client, None)
                with self.assertRaises(InvalidRequestError) as caught:
                    sb.upload("f", data)
                thread.join(10)
            self.assertEqual(caught.exception.code, "no_space")

    def test_a_server_that_dies_during_an_upload_is_a_connection_error(self) -> None:
        self.server.script = lambda request: [CLOSE]
        with self.assertRaises(ConnectionError):
            self.sb.upload("f", iter([b"x"]))


class DownloadTest(PodflareTestCase):
    def sandbox_with(self, pieces) -> Sandbox:
        self.server = self.serve(lambda request: pieces)
        return Sandbox(client=self.client_of(self.server))

    def test_download_answers_the_bytes_of_the_file(self) -> None:
        content = os.urandom(300_000)
        sb = self.sandbox_with(answer(200, content, "application/octet-stream"))
        self.assertEqual(sb.download("/root/a b"), content)
        self.assertEqual(sb.files.read("/root/a b"), content)
        target = self.server.requests[-1].target
        self.assertEqual(target, f"/v1/sandboxes/{sb.id}/files?path=/root/a%20b")
        self.assertEqual(self.server.connections, 1)

    def test_a_file_of_unknown_length_arrives_whole(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        sb = self.sandbox_with([head + body])
        self.assertEqual(sb.download("f"), b"hello world")
        buffer = io.BytesIO()
        self.assertEqual(sb.download_to("f", buffer), 11)
        self.assertEqual(buffer.getvalue(), b"hello world")
        self.assertEqual(self.server.connections, 1)

    def test_an_empty_file_is_empty(self) -> None:
        sb = self.sandbox_with(answer(200, b""))
        self.assertEqual(sb.download("f"), b"")
        self.assertEqual(sb.download_to("f", io.BytesIO()), 0)

    def test_download_to_a_path_replaces_the_file_at_the_end(self) -> None:
        content = os.urandom(1_000_000)
        sb = self.sandbox_with(answer(200, content))
        target = Path(self.home, "copy")
        target.write_bytes(b"before")
        self.assertEqual(sb.download_to("f", target), len(content))
        self.assertEqual(target.read_bytes(), content)
        self.assertEqual(sb.files.read_to("f", str(target)), len(content))
        self.assertEqual(os.listdir(self.home), ["copy"])

    def test_a_download_that_breaks_off_leaves_the_local_file_as_it_was(self) -> None:
        cuts = {
            "known length": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", CLOSE],
            "chunked": [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                CLOSE,
            ],
        }
        for name, pieces in cuts.items():
            with self.subTest(name):
                sb = self.sandbox_with(pieces)
                target = Path(self.home, "copy")
                target.write_bytes(b"before")
                with self.assertRaises(ConnectionError):
                    sb.download_to("f", target)
                with self.assertRaises(ConnectionError):
                    sb.download("f")
                self.assertEqual(target.read_bytes(), b"before")
                self.assertEqual(os.listdir(self.home), ["copy"])

    def test_a_download_to_a_pipe_goes_through_it_and_leaves_it_there(self) -> None:
        sb = self.sandbox_with(answer(200, b"content"))
        pipe = os.path.join(self.home, "pipe")
        os.mkfifo(pipe)
        received: list[bytes] = []

        def receive() -> None:
            with open(pipe, "rb") as end:
                received.append(end.read())

        reader = threading.Thread(target=receive, daemon=True)
        reader.start()
        self.assertEqual(sb.download_to("f", pipe), 7)
        reader.join(10)
        self.assertEqual(received, [b"content"])
        self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))
        self.assertEqual(os.listdir(self.home), ["pipe"])

    def test_a_missing_file_is_not_found_and_makes_no_local_file(self) -> None:
        sb = self.sandbox_with(MISSING)
        with self.assertRaises(NotFoundError) as caught:
            sb.download_to("x", Path(self.home, "copy"))
        self.assertEqual(caught.exception.code, "file_not_found")
        self.assertEqual(os.listdir(self.home), [])

    def test_a_download_goes_to_a_path_or_a_file_only(self) -> None:
        sb = self.sandbox_with(answer(200, b"x"))
        with self.assertRaises(TypeError):
            sb.download_to("f", 5)

    def test_download_to_keeps_memory_constant(self) -> None:
        size = 256 * 1024 * 1024
        block = bytes(1 << 20)

        def script(request: Request):
            yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
            for _ in range(size // len(block)):
                yield block

        server = self.serve(script)
        sb = Sandbox(client=self.client_of(server))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with open(os.devnull, "wb") as sink:
            self.assertEqual(sb.download_to("f", sink), size)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertLess(grown, 32 * 1024, "KiB")


class ListAndRemoveTest(PodflareTestCase):
    def test_list_answers_entries_by_attribute_and_by_key(self) -> None:
        entry = {"name": "a", "type": "file", "size": 3, "mode": "0644", "mtime": 1776510028}
        server = self.serve(lambda request: json_answer({"entries": [entry], "truncated": True}))
        sb = Sandbox(client=self.client_of(server))
        listed = sb.files.list("/tmp")
        self.assertEqual((listed[0].name, listed[0]["size"]), ("a", 3))
        self.assertTrue(listed.truncated)
        self.assertEqual(server.targets()[-1], f"GET /v1/sandboxes/{sb.id}/files/list?path=/tmp")
        sb.files.list()
        self.assertTrue(server.targets()[-1].endswith("?path=."))

    def test_remove_deletes_and_says_whether_all_below_goes_too(self) -> None:
        server = self.serve(lambda request: answer(204))
        sb = Sandbox(client=self.client_of(server))
        self.assertIsNone(sb.files.remove("a"))
        sb.files.remove("d", recursive=True)
        base = f"DELETE /v1/sandboxes/{sb.id}/files"
        self.assertEqual(
            server.targets()[1:], [f"{base}?path=a", f"{base}?path=d&recursive=true"]
        )

    def test_removing_what_is_not_there_is_not_found(self) -> None:
        server = self.serve(lambda request: MISSING)
        with self.assertRaises(NotFoundError):
            Sandbox(client=self.client_of(server)).files.remove("x")


if __name__ == "__main__":
    unittest.main()

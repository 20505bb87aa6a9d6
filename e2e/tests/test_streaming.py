"""Output: when it arrives, in which order, how much of it, and in which bytes."""

from __future__ import annotations

import time

from rig import host
from rig.case import SandboxCase

MEBI = 1 << 20
UNTIL = (
    "import os, time\ndef until(path):\n    while not os.path.exists(path): time.sleep(0.02)\n"
)


class StreamingTest(SandboxCase):
    def test_the_stream_is_json_lines_numbered_from_zero_with_the_hosts_time(self) -> None:
        before = time.time() * 1000
        with self.rest.stream(
            self.sandbox, "import sys\nprint(1)\nprint(2, file=sys.stderr)\n3"
        ) as stream:
            self.assertTrue(stream.content_type.startswith("application/x-ndjson"))
            ran = stream.rest()
        self.assertEqual(
            {one["type"] for one in ran.events}, {"stdout", "stderr", "result", "exit"}
        )
        self.assertEqual([one["seq"] for one in ran.events], list(range(len(ran.events))))
        for one in ran.events:
            self.assertTrue(before - 1000 <= one["ts"] <= time.time() * 1000 + 1000, one)

    # Code that arrives while it runs is proved by code that goes on only when it was heard: held
    # back, it would meet its timeout. So nothing depends on how fast this host is.

    def go_on(self, place: str) -> None:
        self.assertEqual(self.rest.put(self.sandbox, f"/tmp/{place}", b"").status, 200)

    def test_a_character_without_newline_arrives_before_the_code_ends(self) -> None:
        code = "import sys\n" + UNTIL + "sys.stdout.write('x')\nuntil('/tmp/character')"
        with self.rest.stream(self.sandbox, code, timeout_seconds=60) as stream:
            self.assertEqual(stream.first("stdout").data, "x")
            self.go_on("character")
            self.assertEqual(stream.rest().reason, "ok")

    def test_lines_arrive_as_they_are_written(self) -> None:
        code = UNTIL + "for i in range(4):\n    print(i)\n    until(f'/tmp/line{i}')"
        with self.rest.stream(self.sandbox, code, timeout_seconds=60) as stream:
            heard = ""
            for number in range(4):
                while not heard.endswith(f"{number}\n"):
                    heard += stream.first("stdout").data
                self.go_on(f"line{number}")
            self.assertEqual(stream.rest().reason, "ok")
        self.assertEqual(heard, "0\n1\n2\n3\n")

    def test_standard_error_is_not_buffered_either(self) -> None:
        code = "import sys\n" + UNTIL + "sys.stderr.write('e')\nuntil('/tmp/error')"
        with self.rest.stream(self.sandbox, code, timeout_seconds=60) as stream:
            self.assertEqual(stream.first("stderr").data, "e")
            self.go_on("error")
            self.assertEqual(stream.rest().reason, "ok")

    def test_all_output_comes_before_exit(self) -> None:
        for _ in range(10):
            ran = self.exec("import os\nos.write(1, b'a' * 70000)\nos.write(2, b'b' * 70000)")
            self.assertEqual((len(ran.stdout), len(ran.stderr)), (70000, 70000))
            self.assertEqual(ran.events[-1]["type"], "exit")

    def test_output_of_child_processes_and_of_plain_descriptors_is_heard(self) -> None:
        said = self.stdout(
            "import os, subprocess\nsubprocess.run(['echo', 'child'])\nos.write(1, b'fd\\n'); None"
        )
        self.assertEqual(said, "child\nfd\n")

    def test_bytes_that_are_not_utf8_harm_nothing(self) -> None:
        ran = self.exec("import os\nos.write(1, b'a\\xff\\xfe\\x80b\\n'); None")
        self.assert_ended(ran, 0, "ok", True)
        self.assertTrue(ran.stdout.startswith("a") and ran.stdout.endswith("b\n"), ran.stdout)
        ran = self.exec("print('\\udc80 lone')")
        self.assert_ended(ran, 0, "ok", True)
        self.assertIn("lone", ran.stdout)

    def test_a_character_of_several_bytes_is_never_cut(self) -> None:
        ran = self.exec(
            "import os, time\n"
            "for byte in '😀é'.encode():\n"
            "    os.write(1, bytes([byte]))\n"
            "    time.sleep(0.05)\n"
            "print('東' * 100000)"
        )
        self.assertEqual(ran.stdout, "😀é" + "東" * 100000 + "\n")

    def test_control_characters_survive(self) -> None:
        ran = self.exec("print('\\x00\\x1b[31m\\r\\u2028\\\\', end='')")
        self.assertEqual(ran.stdout, "\x00\x1b[31m\r\u2028\\")

    def test_output_beyond_the_cap_is_cut_and_the_cut_is_said(self) -> None:
        ran = self.exec("import os\nfor _ in range(12): os.write(1, b'y' * 1048576)\nprint('end')")
        self.assertEqual((ran.code, ran.state_kept), (0, True))
        kept = ran.stdout.count("y")
        self.assertGreaterEqual(kept, 9 * MEBI)
        self.assertLessEqual(kept, 10 * MEBI + 65536)
        said = (ran.stdout[-500:].lstrip("y") + ran.stderr + str(ran.exit)).lower()
        self.assertRegex(said, "dropped|cut|truncated", "the cut is not said")

    def test_a_hundred_megabytes_of_output_do_not_grow_the_server(self) -> None:
        # Twice at least, because the first lets the server's heap take the size that it keeps. It
        # may take another one at any time, but not each time.
        code = "import os\nblock = b'z' * 1048576\nfor _ in range(100): os.write(1, block)"
        pid = self.server.pid
        self.exec(code)
        grown: list[int] = []
        while not grown or (grown[-1] >= 48 * MEBI and len(grown) < 4):
            before = host.resident_bytes(pid)
            ran = self.exec(code)
            self.assertEqual((ran.code, ran.state_kept), (0, True))
            grown.append(host.resident_bytes(pid) - before)
        self.assertLess(grown[-1], 48 * MEBI, grown)

    def test_a_client_that_does_not_read_holds_nothing_up_elsewhere(self) -> None:
        other = self.new_sandbox()
        code = "import os\nfor _ in range(40): os.write(1, b'w' * 262144)\nprint('end')"
        with self.rest.stream(other, code) as slow:
            began = time.monotonic()
            self.assertEqual(self.stdout("print('quick')"), "quick\n")
            self.assertLess(time.monotonic() - began, 60)
            self.assertTrue(slow.rest().stdout)

    def test_a_client_that_goes_away_stops_only_its_stream(self) -> None:
        code = (
            "import time\n"
            "print('on')\n"
            "for i in range(20):\n"
            "    print(i)\n"
            "    time.sleep(0.05)\n"
            "done = 'ran to its end'"
        )
        stream = self.rest.stream(self.sandbox, code)
        stream.first("stdout")
        stream.close()
        self.assertEqual(self.stdout("print(done)"), "ran to its end\n")

    def test_output_of_one_call_is_never_heard_in_the_next(self) -> None:
        for i in range(20):
            self.assertEqual(self.stdout(f"print('only {i}')"), f"only {i}\n")

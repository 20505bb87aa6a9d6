"""Output: when it arrives, in which order, how much of it, and in which bytes."""

from __future__ import annotations

import time

from rig import host
from rig.case import SandboxCase

MEBI = 1 << 20


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

    def test_a_character_without_newline_arrives_long_before_the_code_ends(self) -> None:
        code = "import sys, time\nsys.stdout.write('x')\ntime.sleep(2)"
        with self.rest.stream(self.sandbox, code) as stream:
            arrived = stream.first("stdout")
            self.assertEqual(arrived.data, "x")
            ended = stream.rest().arrived[-1]
        self.assertGreater(ended.at - arrived.at, 1.5)

    def test_lines_arrive_as_they_are_written(self) -> None:
        code = "import time\nfor i in range(4):\n    print(i)\n    time.sleep(0.5)"
        with self.rest.stream(self.sandbox, code) as stream:
            ran = stream.rest()
        self.assertEqual(ran.stdout, "0\n1\n2\n3\n")
        numbers = [one.at for one in ran.arrived if one.type == "stdout" and one.data.strip()]
        self.assertEqual(len(numbers), 4)
        for earlier, later in zip(numbers, numbers[1:]):
            self.assertGreater(later - earlier, 0.3)

    def test_standard_error_is_not_buffered_either(self) -> None:
        code = "import sys, time\nsys.stderr.write('e')\ntime.sleep(1.5)"
        with self.rest.stream(self.sandbox, code) as stream:
            arrived = stream.first("stderr")
            ended = stream.rest().arrived[-1]
        self.assertGreater(ended.at - arrived.at, 1.0)

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
        # Twice, because the first lets the server's heap take the size that it keeps.
        code = "import os\nblock = b'z' * 1048576\nfor _ in range(100): os.write(1, block)"
        pid = self.server.pid
        self.exec(code)
        before = host.resident_bytes(pid)
        ran = self.exec(code)
        self.assertEqual((ran.code, ran.state_kept), (0, True))
        self.assertLess(host.resident_bytes(pid) - before, 48 * MEBI)

    def test_a_client_that_does_not_read_holds_nothing_up_elsewhere(self) -> None:
        other = self.new_sandbox()
        code = "import os\nfor _ in range(40): os.write(1, b'w' * 262144)\nprint('end')"
        with self.rest.stream(other, code) as slow:
            began = time.monotonic()
            self.assertEqual(self.stdout("print('quick')"), "quick\n")
            self.assertLess(time.monotonic() - began, 10)
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

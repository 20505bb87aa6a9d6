"""The channel, wake, and what the agent does with requests that make no sense."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from host import AGENT, CREDIT, END, OPEN, AgentTest, Host, is_alive, wait_for

sys.path.insert(0, str(AGENT))

from podflare_wire.frames import MAX_PAYLOAD, Decoder, ProtocolViolation, frame  # noqa: E402


class Frames(unittest.TestCase):
    def test_frames_are_the_same_however_the_bytes_are_cut(self) -> None:
        frames = [(1, 7, b"{}"), (2, 8, bytes(70_000)), (3, 9, b""), (21, 0xFFFFFFFF, b"x")]
        data = b"".join(frame(kind, stream, payload) for kind, stream, payload in frames)
        for size in (1, 2, 8, 9, 10, 11, 4096, 65_536, len(data)):
            decoder = Decoder()
            decoded = []
            for at in range(0, len(data), size):
                decoded += decoder.feed(data[at:at + size])
            self.assertEqual(decoded, frames, f"cut every {size} bytes")

    def test_a_frame_too_long_is_refused_by_its_header_alone(self) -> None:
        with self.assertRaises(ProtocolViolation):
            Decoder().feed(struct.pack("!IBI", MAX_PAYLOAD + 1, 2, 1))


class Channel(AgentTest):
    def test_hello_names_the_protocol_and_the_python(self) -> None:
        hello = dict(self.host.hello or {})
        self.assertRegex(hello.pop("resync"), "^ff[0-9a-f]{62}$")
        self.assertEqual(hello, {
            "protocol": 2, "python": ".".join(map(str, sys.version_info[:3]))})

    def test_ping_is_answered(self) -> None:
        self.assertEqual(self.host.ask("ping").closed, {"ok": True})

    def test_a_request_in_pieces_is_one_request(self) -> None:
        stream = self.host.take_stream()
        request = json.dumps({"op": "exec", "language": "python", "code": "'x' * 3", "env": {},
                              "cwd": None}).encode()
        for byte in struct.pack("!IBI", len(request), OPEN, stream) + request:
            self.host.send_bytes(bytes([byte]))
        self.assertEqual(self.host.wait_closed(stream).value, "'xxx'")

    def test_code_of_nearly_a_frame_runs(self) -> None:
        outcome = self.host.run("x = '" + "y" * 2_000_000 + "'\nlen(x)")
        self.assertEqual(outcome.value, "2000000")

    def test_requests_that_make_no_sense_are_refused(self) -> None:
        call = {"op": "exec", "language": "python", "code": ""}
        requests: list[dict[str, Any]] = [
            {"op": "exec"}, {**call, "language": "perl"}, {**call, "code": 7},
            {**call, "env": {"A=B": "1"}}, {**call, "env": {"A": 1}}, {**call, "env": [1]},
            {**call, "cwd": 1}, {"op": "wake"}, {"op": "wake", "entropy": "AAAA"}]
        for request in requests:
            with self.subTest(request):
                outcome = self.host.wait_closed(self.host.open(**request))
                self.assertEqual((outcome["ok"], outcome["code"]), (False, "invalid_request"))
        for request in ({}, {"op": "dance"}):
            outcome = self.host.wait_closed(self.host.open(**request))
            self.assertEqual((outcome["ok"], outcome["code"]), (False, "unsupported"))

    def test_frames_for_streams_that_are_over_are_ignored(self) -> None:
        stream = self.host.open(op="ping")
        self.host.wait_closed(stream)
        self.host.send(CREDIT, stream, (5).to_bytes(4, "big"))
        self.host.send(2, stream, b"data")
        self.host.send(END, stream)
        self.host.cancel(stream, "gone")
        self.assertTrue(self.host.ask("ping")["ok"])

    def test_a_violation_of_the_protocol_ends_the_agent_and_what_it_runs(self) -> None:
        for data in [struct.pack("!IBI", MAX_PAYLOAD + 1, 1, 1), struct.pack("!IBI", 0, 99, 1),
                     struct.pack("!IBI", 1, 17, 1) + b"x", struct.pack("!IBI", 2, 1, 1) + b"no",
                     struct.pack("!IBI", 1, CREDIT, 1) + b"x"]:
            with self.subTest(data):
                host = Host()
                self.addCleanup(host.close)
                pid = int(host.run("__import__('os').getpid()").value or 0)
                host.send_bytes(data)
                self.assertNotEqual(host.process.wait(90), 0)
                wait_for(lambda: not is_alive(pid), "end of the Python process")

    def test_the_end_of_the_socket_ends_the_agent(self) -> None:
        host = Host()
        host.close()
        self.assertIsNotNone(host.process.poll())


class Warming(unittest.TestCase):
    """A template's `warm.py`, beside the agent."""

    def start(self, script: str) -> Host:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        agent = folder / "agent"
        shutil.copytree(AGENT, agent, ignore=shutil.ignore_patterns("__pycache__"))
        (agent / "warm.py").write_text(script)
        host = Host(agent)
        self.addCleanup(host.close)
        return host

    def test_what_it_imports_is_there_and_the_namespace_is_still_empty(self) -> None:
        host = self.start("import colorsys\nx = 1")
        look = "import sys\n'colorsys' in sys.modules, 'x' in globals()"
        self.assertEqual(host.run(look).value, "(True, False)")

    def test_one_that_fails_stops_nothing(self) -> None:
        host = self.start("import no_such_module")
        outcome = host.run("1")
        self.assertEqual(outcome.value, "1")
        self.assertIn("no_such_module", outcome.stderr)

    def test_a_later_process_does_not_wait_for_it(self) -> None:
        host = self.start("import colorsys")
        host.run("import os; os._exit(0)")
        self.assertEqual(host.run("import sys\n'colorsys' in sys.modules").value, "False")


class Wake(AgentTest):
    def test_wake_answers_with_its_generation(self) -> None:
        before = time.time_ns()
        closed = dict(self.host.wake(generation=7).closed or {})
        self.assertTrue(before <= closed.pop("was_ns") <= time.time_ns())
        self.assertEqual(closed, {
            "ok": True, "generation": 7, "running": False, "terminals": False})

    def test_its_environment_stays_for_python_and_bash_and_a_new_process(self) -> None:
        self.host.wake(env={"FROM_WAKE": "here"})
        self.assertEqual(self.host.run("import os; os.environ['FROM_WAKE']").value, "'here'")
        self.assertEqual(self.host.bash("echo $FROM_WAKE").stdout, "here\n")
        self.host.run("os._exit(1)")
        self.assertEqual(self.host.run("import os; os.environ['FROM_WAKE']").value, "'here'")

    def test_the_same_state_with_other_entropy_draws_other_numbers(self) -> None:
        self.host.run("import random")
        drawn = set()
        for entropy in (bytes(64), bytes(63) + b"\x01"):
            self.host.run("random.seed(42)")
            self.assertTrue(self.host.wake(entropy=base64.b64encode(entropy).decode())["ok"])
            drawn.add(self.host.run("random.random()").value)
        self.host.run("random.seed(42)")
        drawn.add(self.host.run("random.random()").value)
        self.assertEqual(len(drawn), 3)

    def test_in_the_middle_of_a_call_entropy_is_taken_at_once(self) -> None:
        stream = self.host.start_and_hear(
            "import random, time\nrandom.seed(42)\nprint('on')\n"
            "import os\nwhile not os.path.exists('woken'): time.sleep(0.01)\nrandom.random()", "on")
        self.assertEqual(self.host.wake(generation=3, env={"LATE": "1"})["generation"], 3)
        (self.host.home / "woken").touch()
        value = self.host.wait_closed(stream).value
        self.assertNotEqual(value, self.host.run("random.seed(42); random.random()").value)
        self.assertEqual(self.host.run("import os; os.environ['LATE']").value, "'1'")

    def test_it_leaves_no_trace_in_the_users_state(self) -> None:
        self.host.run("x = 1")
        before = self.host.run("sorted(globals())").value
        self.assertEqual(self.host.wake().frames, [])
        self.assertEqual(self.host.run("sorted(globals())").value, before)
        cells = self.host.run("1/0").stderr
        self.host.wake()
        number = int(cells.partition("<cell ")[2].partition(">")[0])
        self.assertIn(f"<cell {number + 1}>", self.host.run("1/0").stderr)

    def test_two_agents_side_by_side_do_not_touch_each_other(self) -> None:
        with self.own_agent() as other:
            other.run("mine = 1")
            self.assertEqual((self.host.run("mine").error or {})["name"], "NameError")


if __name__ == "__main__":
    unittest.main()

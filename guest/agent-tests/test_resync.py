"""A host that takes over a channel that was cut anywhere."""

from __future__ import annotations

import itertools
import json
import random
import sys
import unittest

from host import AGENT, CREDIT, DATA, END, OPEN, AgentTest, Host, wait_for

sys.path.insert(0, str(AGENT))

from podflare_wire.frames import Decoder, frame  # noqa: E402
from podflare_wire.resync import TokenFinder  # noqa: E402

NONCE = b"0123456789abcdef"


class Wire:
    """The agent's way from bytes to frames."""

    def __init__(self) -> None:
        self.finder = TokenFinder(self._on_token)
        self.nonces: list[bytes] = []
        self.frames: list[tuple[int, int, bytes]] = []
        self._decoder = Decoder()

    def _on_token(self, nonce: bytes) -> None:
        self.nonces.append(nonce)
        self.frames.clear()
        self._decoder = Decoder()

    def feed(self, data: bytes, sizes: list[int]) -> None:
        """In chunks of these sizes, one after the other and over again."""
        size = itertools.cycle(sizes)
        while data:
            step = next(size)
            passed = self.finder.feed(data[:step])  # which may make another decoder
            self.frames += self._decoder.feed(passed)
            data = data[step:]


class Finding(unittest.TestCase):
    """Of the token, in the bytes of a host that keeps to the rules."""

    def conversation(self, token: bytes) -> list[tuple[int, int, bytes]]:
        return [
            (OPEN, 1, b'{"op":"ping"}'),
            (OPEN, 2, b'{"op":"put","path":"x"}'),
            (DATA, 2, b"\xff"),
            (DATA, 2, token[:20]),
            (DATA, 2, token[1:4] + token[:4]),
            (DATA, 2, b"\xff\xff" + token[:31]),
            (CREDIT, 2, (0x0001FF80).to_bytes(4, "big")),
            (DATA, 0x00FF80FE, token[3:]),
            (END, 2, b""),
        ]

    def test_what_is_not_the_token_passes_unchanged_however_it_is_cut(self) -> None:
        for size in range(1, 60):
            wire = Wire()
            frames = self.conversation(wire.finder.token)
            wire.feed(b"".join(frame(*each) for each in frames), [size])
            self.assertEqual(wire.frames, frames, f"cut every {size} bytes")
            self.assertEqual(wire.nonces, [])

    def test_wherever_the_channel_was_cut_the_next_host_is_understood_from_its_first_byte(
            self) -> None:
        whole = b"".join(frame(*each) for each in self.conversation(Wire().finder.token))
        after = [(OPEN, 3, b'{"op":"ping"}'), (OPEN, 4, b'{"op":"get","path":"y"}')]
        for cut in range(len(whole) + 1):
            for sizes in ([1], [2], [7, 1], [31], [32, 1], [48], [4096]):
                wire = Wire()
                token = wire.finder.token
                before = b"".join(frame(*each) for each in self.conversation(token))[:cut]
                wire.feed(before, [4096])
                wire.feed(token + NONCE + b"".join(frame(*each) for each in after), sizes)
                self.assertEqual((wire.nonces, wire.frames), ([NONCE], after), (cut, sizes))

    def test_a_host_that_was_cut_off_while_it_began_anew_is_taken_over_as_well(self) -> None:
        after = [(OPEN, 3, b'{"op":"ping"}')]
        other = b"fedcba9876543210"
        for cut, size in itertools.product(range(49), (1, 3, 16, 33, 4096)):
            wire = Wire()
            words = wire.finder.token
            wire.feed(frame(OPEN, 1, b'{"op":"ping"}')[:11], [4096])
            data = (words + other)[:cut] + words + NONCE + b"".join(frame(*each) for each in after)
            wire.feed(data, [size])
            self.assertEqual((wire.nonces[-1:], wire.frames), ([NONCE], after), (cut, size))

    def test_cut_many_times_at_random(self) -> None:
        chance = random.Random(7)
        for _ in range(300):
            wire = Wire()
            token = wire.finder.token
            whole = b"".join(frame(*each) for each in self.conversation(token))
            sizes = [chance.randint(1, 60) for _ in range(5)]
            for _ in range(chance.randint(1, 5)):
                words = token + NONCE
                said = chance.choice((48, 48, 48, chance.randint(0, 48)))
                wire.feed(words[:said], sizes)
                if said == 48:
                    wire.feed(whole[:chance.randint(0, len(whole))], sizes)
            after = [(OPEN, 3, b'{"op":"ping"}')]
            wire.feed(token + NONCE + frame(*after[0]), sizes)
            self.assertEqual((wire.nonces[-1], wire.frames), (NONCE, after))


class Resuming(AgentTest):
    def test_at_every_byte_of_a_conversation(self) -> None:
        self.host.run("x = 1")
        begin = self.host.next_stream
        for cut in range(2000):
            first = self.host.next_stream
            whole = b"".join((
                frame(OPEN, first, json.dumps({
                    "op": "exec", "language": "python", "code": "y = 1", "env": {},
                    "cwd": None}).encode()),
                frame(OPEN, first + 1, b'{"op":"put","path":"cut","mode":null}'),
                frame(DATA, first + 1, b"content"),
                frame(END, first + 1, b""),
                frame(OPEN, first + 2, b'{"op":"get","path":"/proc/version"}'),
                frame(5, first, b'{"reason":"interrupt"}')))
            if cut > len(whole):
                break
            self.host.send_bytes(whole[:cut])
            self.host.resume()
            self.assertTrue(self.host.ask("ping")["ok"], f"cut after {cut} bytes")
        self.host.ask("rejoin")
        self.assertGreater(cut, 200)
        self.assertGreater(self.host.next_stream, begin + 200)
        self.assertEqual(self.host.run("x + 1").value, "2")
        names = [entry["name"] for entry in self.host.ask("list", path=".")["entries"]]
        self.assertEqual([name for name in names if name.startswith(".podflare")], [])

    def test_what_the_guest_had_on_its_way_is_not_mistaken_for_an_answer(self) -> None:
        for size in (10, 5_000, 300_000, 3_000_000):
            self.host.gives_credit = False
            self.host.start(f"print('y' * {size})")
            self.host.start(f"head -c {size} /dev/zero", "bash")
            self.host.resume()
            self.host.gives_credit = True
            self.assertTrue(self.host.ask("ping")["ok"])
            rejoined = self.host.ask("rejoin")
            self.assertIn(rejoined.closed and rejoined.closed.get("code"), (None, "not_running"))
            self.assertEqual(self.host.run("1 + 1").value, "2")

    def test_what_runs_in_the_background_is_rejoined_by_its_number_only(self) -> None:
        slow = self.host.start_and_hear("echo on; sleep 600", "on", "bash", background=True)
        code = "echo on; while [ ! -e background-go ]; do sleep 0.05; done; exit 3"
        quick = self.host.start_and_hear(code, "on", "bash", background=True)
        self.host.resume()
        self.assertEqual(self.host.ask("rejoin").closed["code"], "not_running")
        self.assertFalse(self.host.wake()["running"])
        rejoined = self.host.open(op="rejoin", exec=quick)
        self.assertTrue(self.host.put("background-go", b"")["ok"])
        self.assertEqual(self.host.wait_closed(rejoined)["exit_code"], 3)
        self.assertEqual(self.host.ask("rejoin", exec=quick).closed["code"], "not_running")
        rejoined = self.host.open(op="rejoin", exec=slow)
        running = self.host.start("import time; time.sleep(0.3)")
        self.assertTrue(self.host.wait_closed(running)["ok"])
        self.host.cancel(rejoined, "interrupt")
        self.assertEqual(self.host.wait_closed(rejoined)["reason"], "interrupted")

    def test_an_answer_to_a_host_that_is_gone_is_passed_over(self) -> None:
        first, second = self.host.resync_words(), self.host.resync_words()
        self.host.send_bytes(first)
        self.host.send_bytes(second)
        self.host.resume(second)
        self.assertTrue(self.host.ask("ping")["ok"])

    def test_numbers_of_streams_go_on(self) -> None:
        self.host.ask("ping")
        used = self.host.next_stream
        self.host.resume()
        self.assertEqual(self.host.next_stream, used)

    def test_a_half_sent_file_is_not_stored(self) -> None:
        stream = self.host.open(op="put", path="half", mode=None)
        self.host.send(DATA, stream, b"half of it")
        self.host.resume()
        self.assertEqual(self.host.ask("stat", path="half")["code"], "not_found")
        names = [entry["name"] for entry in self.host.ask("list", path=".")["entries"]]
        self.assertFalse([name for name in names if name.startswith(".podflare")])

    def test_removing_a_directory_is_done_to_its_end(self) -> None:
        self.host.bash("mkdir tree && cd tree && touch $(seq 5000)")
        self.host.open(op="remove", path="tree", recursive=True)
        self.host.ask("ping")  # so it has begun
        self.host.resume()
        wait_for(lambda: not (self.host.home / "tree").exists(), "end of the directory")

    def test_code_runs_on_and_is_rejoined(self) -> None:
        self.host.start_and_hear(
            "import os, time\nprint('on', flush=True)\n"
            "while not os.path.exists('go'): time.sleep(0.01)\nprint('late')\nkept = 7", "on")
        self.host.resume()
        self.assertTrue(self.host.wake(rehearsed=False)["running"])
        rejoined = self.host.open(op="rejoin")
        self.assertEqual(self.host.run("1")["code"], "busy")
        self.assertIsNone(self.host.streams[rejoined].closed)
        (self.host.home / "go").touch()
        outcome = self.host.wait_closed(rejoined)
        self.assert_ends(outcome, "ok", 0)
        self.assertEqual(outcome.frames, [])
        self.assertEqual(self.host.run("kept").value, "7")
        self.assertFalse(self.host.wake()["running"])

    def test_rejoined_code_can_be_interrupted(self) -> None:
        for language, code in (
                ("python", "import time\nprint('on', flush=True)\ntime.sleep(60)"),
                ("bash", "echo on; sleep 60")):
            self.host.start_and_hear(code, "on", language)
            self.host.resume()
            rejoined = self.host.open(op="rejoin")
            self.host.cancel(rejoined, "gone")
            self.host.cancel(rejoined, "interrupt")
            self.assert_ends(self.host.wait_closed(rejoined), "interrupted", 130)

    def test_several_calls_are_rejoined_as_one(self) -> None:
        self.host.start_and_hear("echo on; read x < <(sleep 0.2)", "on", "bash")
        self.host.start_and_hear("echo on; sleep 60; true", "on", "bash")
        self.host.resume()
        rejoined = self.host.open(op="rejoin")
        self.host.settle(0.5)
        self.assertIsNone(self.host.streams[rejoined].closed)
        self.host.cancel(rejoined, "timeout")
        self.assert_ends(self.host.wait_closed(rejoined), "timeout", 124)

    def test_what_began_since_is_not_rejoined(self) -> None:
        self.host.resume()
        stream = self.host.start_and_hear("echo on; sleep 60", "on", "bash")
        self.assertEqual(self.host.ask("rejoin")["code"], "not_running")
        self.host.cancel(stream, "interrupt")
        self.host.wait_closed(stream)

    def test_output_that_waited_for_credit_does_not_keep_code_waiting(self) -> None:
        self.host.gives_credit = False
        stream = self.host.start("print('x' * 3_000_000); done = 1")
        outcome = self.host.streams[stream]
        self.host.wait_until(lambda: sum(len(part) for _, part in outcome.frames) >= 262_144,
                             "a window of output")
        self.host.resume()
        self.host.gives_credit = True
        self.host.ask("rejoin")
        self.assertEqual(self.host.run("done").value, "1")

    def test_a_wake_that_was_not_confirmed_is_repeated(self) -> None:
        self.host.run("import random")
        drawn = set()
        for _ in range(3):
            self.host.run("random.seed(42)")
            self.host.open_wake(rehearsed=False)
            self.host.resume()
            self.assertTrue(self.host.wake()["ok"])
            drawn.add(self.host.run("random.random()").value)
        self.assertEqual(len(drawn), 3)

    def test_a_python_process_that_is_about_to_start_again_is_found_ready(self) -> None:
        self.host.start("import os; os._exit(3)")
        self.host.resume()
        self.assertTrue(self.host.wake()["ok"])
        self.host.ask("rejoin")
        self.assertEqual(self.host.run("1").value, "1")


class Late(unittest.TestCase):
    def test_code_that_takes_the_signal_for_itself_delays_the_confirmation(self) -> None:
        host = Host()
        self.addCleanup(host.close)
        host.start_and_hear(
            "import os, signal, time\nsignal.signal(signal.SIGRTMAX - 2, lambda *_: None)\n"
            "print('on', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)", "on")
        host.resume()
        wake = host.open_wake(rehearsed=False)
        host.settle(0.3)
        self.assertIsNone(host.streams[wake].closed)
        (host.home / "go").touch()
        self.assertTrue(host.wait_closed(wake)["ok"])
        self.assertEqual(host.run("2").value, "2")


if __name__ == "__main__":
    unittest.main()

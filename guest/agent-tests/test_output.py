"""What code writes: whole, in order, at once, bounded, and never in the code's way."""

from __future__ import annotations

import textwrap
import time
import unittest

from host import PATIENCE, RESULT, STDOUT, WINDOW, AgentTest, wait_for

CAP = 10 * 1024 * 1024


class Streaming(AgentTest):
    def test_everything_written_before_the_end_comes_before_closed(self) -> None:
        for _ in range(30):
            outcome = self.host.run(
                "import sys\nfor i in range(500): print(i)\nprint('e', file=sys.stderr)")
            self.assertEqual(outcome.stdout, "".join(f"{i}\n" for i in range(500)))
            self.assertEqual(outcome.stderr, "e\n")

    def test_output_arrives_while_the_code_still_runs(self) -> None:
        stream = self.host.start_and_hear(
            "import time\nprint('half a line', end='')\ntime.sleep(100)", "half a line")
        self.host.cancel(stream, "interrupt")
        self.host.wait_closed(stream)

    def test_small_writes_are_gathered_and_not_held(self) -> None:
        frames = [2000]
        for _ in range(10):  # a busy machine may take the process between two of its writes
            outcome = self.host.run("for i in range(2000): print(i)")
            self.assertEqual(len(outcome.stdout.split()), 2000)
            frames.append(len([1 for kind, _ in outcome.frames if kind == STDOUT]))
            if frames[-1] < 200:
                break
        self.assertLess(min(frames), 200)
        code = ("import sys, time\nfor i in range(20):\n"
                "    n = sys.stdout.write(f'{time.time()}\\n')\n    time.sleep(0.05)")
        stream = self.host.start(code)
        held: list[float] = []
        outcome = self.host.streams[stream]
        while outcome.closed is None:
            self.host.pump(PATIENCE)
            lines = outcome.stdout.split("\n")[:-1]
            held += [time.time() - float(line) for line in lines[len(held):]]
        self.assertEqual(len(held), 20)
        self.assertLess(min(held), 0.02)  # the others may have met a busy machine

    def test_bytes_that_are_not_text_come_through_as_they_are(self) -> None:
        data = bytes(range(256))
        self.host.run(f"import os; os.write(1, {data!r})")
        outcome = self.host.run(f"import sys; sys.stdout.buffer.write({data!r})")
        self.assertEqual(outcome.bytes_of(STDOUT), data)
        self.assertEqual(self.host.bash("printf '\\377\\376'").bytes_of(STDOUT), b"\xff\xfe")

    def test_printing_never_fails_for_the_text(self) -> None:
        outcome = self.host.run("print('\\ud800 \\udcff é')")
        self.assert_ends(outcome, "ok", 0)
        self.assertEqual(outcome.stdout, "\\ud800 \\udcff é\n")

    def test_output_of_child_processes_and_threads_is_the_calls_output(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            import subprocess, threading, os
            subprocess.run(['echo', 'child'])
            thread = threading.Thread(target=lambda: print('thread')); thread.start(); thread.join()
            os.system('echo system')"""))
        self.assertEqual(outcome.stdout, "child\nthread\nsystem\n")

    def test_output_between_two_calls_begins_the_next_and_is_bounded(self) -> None:
        # The file is there once it has been written, and nobody hears it until the next call.
        written = self.host.home / "written"
        then = f"open({str(written)!r}, 'w').close()"
        self.host.run("import threading\n"
                      f"threading.Timer(0.05, lambda: (print('between'), {then})).start()\n")
        wait_for(written.exists, "what is written between")
        self.host.settle(0.3)
        self.assertEqual(self.host.run("print('next')").stdout, "between\nnext\n")
        written.unlink()
        self.host.run("threading.Timer(0.05, lambda: (print('x' * 200_000 + 'end'), "
                      f"{then})).start()")
        wait_for(written.exists, "what is written between")
        self.host.settle(0.4)
        outcome = self.host.run("1")
        self.assertEqual(len(outcome.stdout), 65_536)
        self.assertTrue(outcome.stdout.endswith("xend\n"))

    def test_what_replaces_standard_output_is_flushed_at_the_end(self) -> None:
        outcome = self.host.run(
            "import sys\nold = sys.stdout\n"
            "sys.stdout = open(1, 'w', closefd=False)\nprint('buffered')")
        self.host.run("sys.stdout = old")
        self.assertEqual(outcome.stdout, "buffered\n")

    def test_an_interrupt_while_printing_loses_nothing_else(self) -> None:
        self.host.gives_credit = False
        stream = self.host.start("for i in range(10**9): print(i)")
        outcome = self.host.streams[stream]
        self.host.wait_until(lambda: len(outcome.bytes_of(STDOUT)) >= WINDOW, "a full window")
        self.host.cancel(stream, "interrupt")
        self.host.gives_credit = True
        self.host.grant(stream, 100_000_000)
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)
        numbers = outcome.stdout.split("\n")[:-2]
        self.assertEqual(numbers, [str(i) for i in range(len(numbers))])


class Bounds(AgentTest):
    def test_without_credit_the_code_waits_and_loses_nothing(self) -> None:
        self.host.gives_credit = False
        stream = self.host.start("print('x' * 3_000_000)\nprint('end')")
        outcome = self.host.streams[stream]
        self.host.settle(0.5)
        self.assertLess(len(outcome.bytes_of(STDOUT)), WINDOW + 65_537)
        self.assertIsNone(outcome.closed)
        self.assertTrue(self.host.ask("ping")["ok"])
        self.host.gives_credit = True
        self.host.grant(stream, WINDOW)
        self.host.wait_closed(stream)
        self.assertEqual(len(outcome.stdout), 3_000_005)

    def test_results_stay_behind_the_text_that_was_written_before_them(self) -> None:
        self.host.gives_credit = False
        stream = self.host.start("print('x' * 900_000)\n5")
        self.host.settle(0.3)
        self.host.grant(stream, 10_000_000)
        outcome = self.host.wait_closed(stream)
        self.assertEqual(len(outcome.stdout), 900_001)
        self.assertEqual(outcome.frames[-1][0], RESULT)

    def test_results_wait_for_credit_as_well(self) -> None:
        self.host.gives_credit = False
        stream = self.host.start("display('a' * 90_000)\n" * 6 + "'last'")
        self.host.settle(0.3)
        outcome = self.host.streams[stream]
        self.assertIsNone(outcome.closed)
        self.host.gives_credit = True
        self.host.grant(stream, WINDOW)
        self.host.wait_closed(stream)
        self.assertEqual((len(outcome.results), outcome.value), (7, "'last'"))

    def test_output_beyond_the_cap_is_dropped_and_counted_and_blocks_nothing(self) -> None:
        outcome = self.host.run("for _ in range(100): print('x' * 1023 * 1024)\nprint('end')")
        self.assertEqual(len(outcome.bytes_of(STDOUT)), CAP)
        self.assertEqual(outcome["dropped"], 100 * (1023 * 1024 + 1) + 4 - CAP)
        self.assert_ends(outcome, "ok", 0)

    def test_results_count_and_do_not_get_cut_in_half(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Big:
                def _repr_html_(self): return 'x' * 1_000_000
            for _ in range(15): display(Big())"""))
        self.assertEqual(len(outcome.results), 10)
        self.assertGreater(outcome["dropped"], 4_900_000)

    def test_the_cap_is_each_calls_own(self) -> None:
        self.host.run("print('x' * 11_000_000)")
        outcome = self.host.run("print('short')")
        self.assertEqual((outcome.stdout, outcome["dropped"]), ("short\n", 0))

    def test_a_reader_that_has_gone_does_not_stop_the_code(self) -> None:
        self.host.gives_credit = False
        stream = self.host.start("print('x' * 30_000_000)\nwitness = 'ran to its end'")
        outcome = self.host.streams[stream]
        self.host.wait_until(lambda: len(outcome.bytes_of(STDOUT)) >= WINDOW, "a full window")
        self.host.cancel(stream, "gone")
        self.assert_ends(self.host.wait_closed(stream), "ok", 0)
        self.assertEqual(self.host.run("witness").value, "'ran to its end'")

    def test_background_noise_does_not_keep_a_call_open(self) -> None:
        outcome = self.host.run("import subprocess\nnoise = subprocess.Popen(['yes'])\n1")
        self.assertEqual(outcome.value, "1")
        self.assertEqual(self.host.run("noise.kill(); noise.wait(); 2").value, "2")

    def test_one_stream_without_credit_does_not_stop_another(self) -> None:
        self.host.gives_credit = False
        stuck = self.host.start("yes", "bash")
        self.host.settle(0.2)
        self.assertEqual(self.host.run("5").value, "5")
        self.host.cancel(stuck, "interrupt")
        self.host.grant(stuck, 20_000_000)
        self.host.wait_closed(stuck)

    def test_a_channel_that_nobody_reads_costs_the_agent_no_memory(self) -> None:
        def resident() -> int:
            with open(f"/proc/{self.host.process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * 4096

        before = resident()
        streams = [self.host.start("yes", "bash") for _ in range(4)]
        for stream in streams:
            self.host.grant(stream, 50_000_000)
        time.sleep(0.5)  # nothing is read meanwhile, so there is no event to wait for
        self.assertLess(resident() - before, 8_000_000)
        for stream in streams:
            self.host.cancel(stream, "interrupt")
        for stream in streams:
            self.host.wait_closed(stream)


if __name__ == "__main__":
    unittest.main()

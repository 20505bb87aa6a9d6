"""Interrupt, timeout, death: what they cost, and that the answer tells the truth about it."""

from __future__ import annotations

import resource
import struct
import textwrap
import time
import unittest
from pathlib import Path

from host import AgentTest, is_alive, wait_for


class Interrupts(AgentTest):
    def test_an_interrupt_raises_keyboard_interrupt_and_keeps_the_state(self) -> None:
        pid = self.pid()
        stream = self.host.start_and_hear("kept = 1\nprint('on')\nwhile True: pass", "on")
        self.host.cancel(stream, "interrupt")
        outcome = self.host.wait_closed(stream)
        self.assert_ends(outcome, "interrupted", 130)
        self.assertEqual((outcome.error or {})["name"], "KeyboardInterrupt")
        self.assertIn("while True: pass", outcome.stderr)
        self.assertNotIn("podflare", outcome.stderr)
        self.assertEqual(self.host.run("kept").value, "1")
        self.assertEqual(self.pid(), pid)

    def test_a_timeout_says_timeout_and_124(self) -> None:
        stream = self.host.start_and_hear("import time; print('on'); time.sleep(100)", "on")
        self.host.cancel(stream, "timeout")
        self.assert_ends(self.host.wait_closed(stream), "timeout", 124)

    def test_code_that_cleans_up_after_an_interrupt_is_still_interrupted(self) -> None:
        stream = self.host.start_and_hear(textwrap.dedent("""\
            import time
            try:
                print('on')
                time.sleep(100)
            except KeyboardInterrupt:
                print('cleaned up')"""), "on")
        self.host.cancel(stream, "interrupt")
        outcome = self.host.wait_closed(stream)
        self.assert_ends(outcome, "interrupted", 130)
        self.assertEqual(outcome.stdout, "on\ncleaned up\n")

    def test_an_interrupt_at_any_moment_hits_its_own_call_or_none(self) -> None:
        pid = self.pid()
        reasons = set()
        for round_number in range(150):
            stream = self.host.start("sum(range(2000))\nx = [0]")
            # At once, so that it meets the process before, in and after the code.
            time.sleep(round_number % 15 / 10_000)
            self.host.cancel(stream, "interrupt")
            outcome = self.host.wait_closed(stream)
            reasons.add(outcome["reason"])
            self.assertTrue(outcome["state_kept"])
            self.assertEqual(self.host.run("'undisturbed'").value, "'undisturbed'")
        self.assertEqual(self.pid(), pid)
        self.assertLessEqual(reasons, {"ok", "interrupted"})

    def test_an_interrupt_that_comes_before_the_code_has_begun_stops_it(self) -> None:
        with self.own_agent() as host:
            pid = int(host.run("__import__('os').getpid()").value or 0)
            host.run("import os, threading; threading.Timer(0.2, os._exit, [0]).start()")
            wait_for(lambda: not is_alive(pid), "death of the process")
            host.settle(0.3)
            stream = host.start("while True: pass")
            host.cancel(stream, "interrupt")
            outcome = host.wait_closed(stream)
            self.assertEqual((outcome["reason"], outcome["exit_code"]), ("interrupted", 130))

    def test_sleeping_children_of_the_call_are_interrupted_as_in_a_terminal(self) -> None:
        for code in ["import os; print('on'); os.system('sleep 100')", "print('on')\n!sleep 100",
                     "import subprocess; print('on'); subprocess.run(['sleep', '100'])"]:
            with self.subTest(code):
                stream = self.host.start_and_hear(code, "on")
                self.host.settle(0.3)  # so that the child surely runs, too
                self.host.cancel(stream, "interrupt")
                # Had it not ended by itself, the process would have been killed.
                self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)

    def test_children_of_earlier_calls_survive_an_interrupt(self) -> None:
        child = int(self.host.run(
            "import subprocess\nserver = subprocess.Popen(['sleep', '100'])\nserver.pid"
        ).value or 0)
        self.addCleanup(self.host.run, "server.kill()")
        self.host.settle(0.05)
        stream = self.host.start_and_hear("import time; print('on'); time.sleep(100)", "on")
        self.host.cancel(stream, "interrupt")
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)
        self.assertTrue(is_alive(child))

    def test_awaiting_code_is_interrupted(self) -> None:
        stream = self.host.start_and_hear(
            "import asyncio\nprint('on')\nawait asyncio.sleep(100)", "on")
        self.host.cancel(stream, "timeout")
        self.assert_ends(self.host.wait_closed(stream), "timeout", 124)
        self.assertEqual(self.host.run("await asyncio.sleep(0, 'again')").value, "'again'")

    def test_code_that_ignores_sigint_cannot_make_the_next_call_unstoppable(self) -> None:
        pid = self.pid()
        self.host.run("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
        stream = self.host.start_and_hear("print('on')\nwhile True: pass", "on")
        self.host.cancel(stream, "interrupt")
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)
        self.assertEqual(self.pid(), pid)

    def test_a_keyboard_interrupt_of_the_codes_own_is_an_error_like_others(self) -> None:
        self.assert_ends(self.host.run("raise KeyboardInterrupt"), "error", 1)
        self.assert_ends(self.host.run("import os; os.kill(os.getpid(), 2); 1"), "error", 1)

    def test_a_sigint_between_two_calls_is_survived(self) -> None:
        pid = self.pid()
        self.host.run("import subprocess\n"
                      f"sender = subprocess.Popen(['bash', '-c', 'sleep 0.1; kill -2 {pid}'])")
        self.host.settle(0.4)
        self.host.run("sender.wait()")
        self.assertEqual(self.pid(), pid)

    def test_an_interrupt_after_the_end_is_ignored(self) -> None:
        stream = self.host.start("1")
        self.host.wait_closed(stream)
        self.host.cancel(stream, "interrupt")
        self.assertEqual(self.host.run("2").value, "2")


class Deaths(AgentTest):
    def test_code_that_ignores_the_interrupt_for_5_seconds_costs_the_process(self) -> None:
        stream = self.host.start_and_hear(textwrap.dedent("""\
            import time
            print('on')
            while True:
                try:
                    while True: time.sleep(0.01)
                except KeyboardInterrupt: pass"""), "on")
        began = time.monotonic()
        self.host.cancel(stream, "timeout")
        self.assert_ends(self.host.wait_closed(stream), "timeout", 124, state_kept=False)
        self.assertGreater(time.monotonic() - began, 4.5)
        outcome = self.host.run("'kept' in globals(), 'new'")
        self.assertEqual((outcome.value, outcome["state_kept"]), ("(False, 'new')", True))

    def test_os_exit_is_said_with_its_code_and_the_next_call_finds_a_new_process(self) -> None:
        pid = self.pid()
        outcome = self.host.run("lost = 1; print('last words'); import os; os._exit(3)")
        self.assert_ends(outcome, "killed", 3, state_kept=False)
        self.assertEqual(outcome.stdout, "last words\n")
        self.assertNotEqual(self.pid(), pid)
        self.assertEqual((self.host.run("lost").error or {})["name"], "NameError")

    def test_a_signals_death_is_said_as_a_shell_says_it(self) -> None:
        self.assert_ends(self.host.run("import os; os.kill(os.getpid(), 9)"), "killed", 137,
                         state_kept=False)
        self.assert_ends(self.host.run("import os; os.abort()"), "killed", 134, state_kept=False)

    def test_results_before_the_death_arrive(self) -> None:
        outcome = self.host.run("display('shown'); import os; os._exit(0)")
        self.assertEqual(outcome.value, "'shown'")

    def test_a_death_between_two_calls_is_said_by_the_next(self) -> None:
        pid = self.pid()
        self.host.run("import os, threading; threading.Timer(0.1, os._exit, [0]).start()")
        wait_for(lambda: not is_alive(pid), "death of the process")
        self.host.settle(0.1)
        outcome = self.host.run("1")
        self.assertEqual((outcome.value, outcome["state_kept"]), ("1", False))
        self.assertTrue(self.host.run("1")["state_kept"])

    def test_a_home_directory_that_is_gone_stops_neither_python_nor_bash(self) -> None:
        with self.own_agent() as host:
            host.bash("rmdir $HOME")
            host.run("import os; os._exit(0)")
            self.assertEqual(host.run("import os; os.getcwd()").value, "'/'")
            self.assertEqual(host.bash("pwd").stdout, "/\n")

    def test_a_call_that_waits_for_a_process_in_vain_can_be_stopped(self) -> None:
        with self.own_agent() as host:
            resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (3, 4096))
            host.run("import os; os._exit(0)")
            stream = host.start("1")
            host.cancel(stream, "timeout")
            self.assert_ends(host.wait_closed(stream), "timeout", 124, state_kept=False)
            resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (1024, 4096))
            self.assertEqual(host.run("2").value, "2")

    def test_what_the_process_started_dies_with_it(self) -> None:
        stream = self.host.start_and_hear(
            "import subprocess, os\nchild = subprocess.Popen(['sleep', '100'])\nprint(child.pid)\n"
            "os._exit(1)", "\n")
        child = int(self.host.wait_closed(stream).stdout)
        wait_for(lambda: not is_alive(child), "death of the child")


class Hostility(AgentTest):
    """Whatever the code does to its process: a worse end for the call, and the next one works."""

    def assert_survived(self, code: str) -> None:
        self.host.run(code)
        stream = self.host.start("40 + 2")
        outcome = self.host.wait_closed(stream)
        if not outcome["state_kept"]:
            outcome = self.host.run("40 + 2")
        self.assertEqual(outcome.value, "42", outcome.stderr)

    def test_breaking_builtins_is_survived(self) -> None:
        for code in [
            "import builtins\nbuiltins.len = builtins.type = builtins.print = None",
            "import builtins\nfor name in list(vars(builtins)): setattr(builtins, name, None)",
            "globals().clear()",
            "import sys; sys.modules.clear()",
            "import sys; del sys.stdout, sys.stderr, sys.stdin, sys.modules['__main__']",
            "import json; json.dumps = json.loads = json.JSONEncoder = None",
            "import sys; sys.displayhook = sys.excepthook = None",
            "import linecache; linecache.cache = None; 1/0",
            "import traceback; traceback.format_exception = None; 1/0",
        ]:
            with self.subTest(code):
                self.assert_survived(code)

    def test_closing_descriptors_is_survived(self) -> None:
        for code in ["import os; os.close(1)", "import os; os.closerange(0, 100)",
                     "import sys; sys.stdout.close(); sys.stderr.close()"]:
            with self.subTest(code):
                self.assert_survived(code)

    def test_garbage_on_every_descriptor_is_survived(self) -> None:
        self.assert_survived(
            "import os\nfor fd in range(1, 100):\n"
            "    try: os.write(fd, os.urandom(5000))\n    except OSError: pass")

    def test_a_forged_frame_is_not_passed_on(self) -> None:
        for kind, payload in [(19, b'{"a":1}'), (19, b'{} {}'), (99, b""), (21, b"[]"), (17, b"x"),
                              (21, b'{"exit_code":"x"}'), (20, b"{}"), (16, b"{}")]:
            with self.subTest(kind=kind, payload=payload):
                stream = self.host.next_stream
                forged = struct.pack("!IBI", len(payload), kind, stream) + payload
                self.assert_survived(textwrap.dedent(f"""\
                    import os
                    for fd in range(3, 100):
                        try: os.write(fd, {forged!r})
                        except OSError: pass"""))

    def test_signal_handlers_that_raise_are_survived(self) -> None:
        self.assert_survived(textwrap.dedent("""\
            import signal
            def handler(*_): raise RuntimeError('late')
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.05)"""))
        self.host.settle(0.2)
        self.assertEqual(self.host.run("1").value, "1")

    def test_ignoring_and_blocking_every_signal_is_survived(self) -> None:
        self.assert_survived(textwrap.dedent("""\
            import signal
            for number in signal.valid_signals():
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"""))
        stream = self.host.start("while True: pass")
        self.host.cancel(stream, "interrupt")
        self.assertIn(self.host.wait_closed(stream)["reason"], ("interrupted",))

    def test_user_code_never_sees_the_console(self) -> None:
        with self.own_agent() as host:
            look = "[os.readlink(f'/proc/self/fd/{n}').partition(':')[0] for n in (0, 1, 2)]"
            self.assertEqual(host.run(f"import os\n{look}").value, "['/dev/null', 'pipe', 'pipe']")
            look = "cd /proc/$$/fd; for n in *; do readlink $n; done"
            pipe = r"pipe:\[\d+\]\n"
            self.assertRegex(host.bash(look).stdout, rf"\A/dev/null\n{pipe}{pipe}\S*\Z")
            host.run("print('said'); import sys; print('said', file=sys.stderr)")
            self.assertEqual(host.console_text, "")


class Bash(AgentTest):
    def test_each_call_is_a_fresh_bash_in_the_same_file_system(self) -> None:
        self.assertEqual(self.host.bash("x=1; echo kept > there; cd /").stdout, "")
        outcome = self.host.bash("echo [$x]; cat there; pwd")
        self.assertEqual(outcome.stdout, f"[]\nkept\n{self.host.home}\n")

    def test_its_exit_code_and_both_streams_come_through(self) -> None:
        outcome = self.host.bash("echo out; echo err >&2; exit 3")
        self.assert_ends(outcome, "error", 3)
        self.assertEqual((outcome.stdout, outcome.stderr), ("out\n", "err\n"))

    def test_env_and_cwd_are_the_calls_own(self) -> None:
        outcome = self.host.bash("echo $A; pwd", env={"A": "b c"}, cwd="/")
        self.assertEqual(outcome.stdout, "b c\n/\n")
        self.assertEqual(self.host.bash("echo [$A]").stdout, "[]\n")

    def test_an_interrupt_ends_it_and_its_children(self) -> None:
        for reason, said, code in [("interrupt", "interrupted", 130), ("timeout", "timeout", 124)]:
            stream = self.host.start_and_hear("echo on; sleep 100; echo never", "on", "bash")
            self.host.cancel(stream, reason)
            outcome = self.host.wait_closed(stream)
            self.assert_ends(outcome, said, code)
            self.assertEqual(outcome.stdout, "on\n")

    def test_one_that_ignores_the_interrupt_is_killed_after_5_seconds(self) -> None:
        stream = self.host.start_and_hear("trap '' INT; echo on; while :; do :; done", "on", "bash")
        self.host.cancel(stream, "interrupt")
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)

    def test_background_processes_do_not_keep_the_call_open_nor_die_of_its_end(self) -> None:
        outcome = self.host.bash("(while sleep 0.02; do echo tick; done) & echo $!")
        pid = int(outcome.stdout.splitlines()[0])
        self.host.settle(0.2)
        self.assertTrue(is_alive(pid))
        self.host.bash(f"kill {pid}")

    def test_a_killed_bash_is_said_as_a_shell_says_it(self) -> None:
        self.assert_ends(self.host.bash("kill -9 $$"), "killed", 137)

    def test_a_pipeline_ends_when_its_reader_does(self) -> None:
        self.assertEqual(self.host.bash("yes | head -2").stdout, "y\ny\n")

    def test_a_script_longer_than_an_argument_may_be_runs(self) -> None:
        outcome = self.host.bash("# " + "x" * 300_000 + "\necho long; exit 5")
        self.assert_ends(outcome, "error", 5)
        self.assertEqual(outcome.stdout, "long\n")

    def test_several_run_side_by_side_and_beside_python(self) -> None:
        python = self.host.start("import time; time.sleep(0.3); 'python'")
        # Each waits for all: one after the other they would never end.
        code = "touch at-{}; until [ $(ls at-* | wc -l) = 8 ]; do sleep 0.02; done; echo {}"
        streams = [self.host.start(code.format(n, n), "bash") for n in range(8)]
        self.assertEqual([self.host.wait_closed(stream).stdout for stream in streams],
                         [f"{n}\n" for n in range(8)])
        self.assertEqual(self.host.wait_closed(python).value, "'python'")

    def test_it_leaves_no_descriptor_behind_in_the_agent(self) -> None:
        def descriptors() -> int:
            return len(list(Path(f"/proc/{self.host.process.pid}/fd").iterdir()))

        self.host.bash("true")
        before = descriptors()
        for _ in range(20):
            self.host.bash("echo x")
        wait_for(lambda: self.host.quiet(0.01) and descriptors() <= before, "closed descriptors")


if __name__ == "__main__":
    unittest.main()

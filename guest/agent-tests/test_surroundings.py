"""Whatever a cell does to its surroundings, the next one runs, prints and can be stopped."""

from __future__ import annotations

import textwrap
import unittest

from host import AgentTest, Host

PROBE = "print('next'); 1/0"


class NextCell(AgentTest):
    def assert_next_cell_is_well(self, host: Host, after: str) -> None:
        outcome = host.run(PROBE)
        self.assertEqual(outcome.stdout, "next\n", after)
        self.assertRegex(outcome.stderr, r"^Traceback[\s\S]*ZeroDivisionError[^\n]*\n$", after)
        self.assertNotIn("podflare", outcome.stderr, after)
        self.assertEqual((outcome.error or {}).get("name"), "ZeroDivisionError", after)
        self.assert_ends(outcome, "error", 1)

    def check(self, cells: list[tuple[str, str]]) -> None:
        """(code, what it prints) each, and an innocent cell after every one."""
        pid = self.pid()
        for code, printed in cells:
            with self.subTest(code):
                outcome = self.host.run(code)
                self.assertEqual(outcome.stdout, printed, outcome.stderr)
                self.assertNotIn("podflare", outcome.stderr)
                self.assert_next_cell_is_well(self.host, code)
        self.assertEqual(self.pid(), pid)


class Imports(NextCell):
    def test_a_missing_module_is_an_error_like_another_whatever_the_code_has_made_of_imports(
        self
    ) -> None:
        for spoil in (
                "sys.path = ['/root/lib']",
                "class Spoilt:\n    find_spec = lambda *_: None\n"
                "    def invalidate_caches(self): raise SystemExit(9)\n"
                "sys.meta_path.insert(0, Spoilt())",
                "def find_spec(*_): raise RuntimeError('mine')\n"
                "sys.meta_path.append(type('Finder', (), {'find_spec': find_spec}))"):
            with self.subTest(spoil), self.own_agent() as host:
                host.run(f"import sys; kept = 1\n{spoil}")
                outcome = host.run("import not_there_at_all")
                self.assert_ends(outcome, "error", 1)
                self.assertEqual(host.run("kept").value, "1")
                self.assert_next_cell_is_well(host, spoil)

    def test_what_is_looked_at_around_a_cell_was_bound_before_it(self) -> None:
        for spoil in ("import sys; sys.modules = None", "import sys; sys.path_importer_cache = None",
                      "import builtins; builtins.callable = builtins.vars = None",
                      "import builtins; del builtins.list, builtins.callable"):
            with self.subTest(spoil), self.own_agent() as host:
                host.run("kept = 1")
                host.run(spoil)
                host.run("import json")
                self.assertEqual(host.run("kept").value, "1")


class Streams(NextCell):
    def test_a_wrapper_of_the_buffer_prints_in_every_cell(self) -> None:
        wrap = "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8'); print('hi')"
        writer = "import codecs, sys; sys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer); print('é')"
        detached = "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.detach()); print('hi')"
        reopened = "import os, sys; sys.stdout = os.fdopen(sys.stdout.fileno(), 'w', 1); print('hi')"
        back = "import sys; sys.stdout = sys.__stdout__; print('back')"
        self.check([
            (wrap, "hi\n"), (wrap, "hi\n"), (writer, "é\n"), (writer, "é\n"), (back, "back\n"),
            (detached, "hi\n"), (detached, "hi\n"), (reopened, "hi\n"), (reopened, "hi\n"),
            (back, "back\n"),
            ("sys.stdout.reconfigure(write_through=False); print('kept back')", "kept back\n"),
        ])

    def test_a_stream_that_is_closed_detached_deleted_or_none_is_put_back(self) -> None:
        self.host.run("import io, os, sys")
        for name in ("stdout", "stderr"):
            self.check([(code.format(name), "") for code in (
                "with open('log', 'w') as f: sys.{0} = f; print('to the log', file=f)",
                "sys.{0}.close()", "sys.{0}.detach();", "del sys.{0}", "sys.{0} = None", "sys.{0} = 5",
                "open(sys.{0}.fileno(), 'w').close()", "sys.{0} = sys.__{0}__ = None")])
        self.assertEqual(self.host.run("open('log').read()").value, r"'to the log\n'")

    def test_an_error_is_shown_though_the_cell_has_closed_standard_error(self) -> None:
        for close in ("os.close(2)", "sys.stderr.close()", "del sys.stderr", "open(2, 'w').close()"):
            with self.subTest(close):
                outcome = self.host.run(f"import os, sys; {close}; {{}}['missing']")
                self.assertIn("KeyError: 'missing'", outcome.stderr)
                self.assertNotIn("podflare", outcome.stderr)

    def test_an_error_of_any_length_is_shown_though_a_child_has_made_the_pipe_non_blocking(self) -> None:
        outcome = self.host.run("import os; os.set_blocking(2, False)\nraise ValueError('x' * 2_000_000)")
        self.assertEqual(outcome.stderr, (outcome.error or {})["traceback"])
        self.assertGreater(len(outcome.stderr), 100_000)

    def test_standard_input_is_put_back(self) -> None:
        self.host.run("import io, os, sys")
        for code in ("exit()", "sys.stdin.close()", "sys.stdin.detach()", "del sys.stdin",
                     "sys.stdin = None", "os.close(0)", "open(0).close()"):
            with self.subTest(code):
                self.host.run(code)
                outcome = self.host.run("input()")
                self.assertEqual((outcome.error or {}).get("name"), "EOFError", outcome.stderr)

    def test_a_descriptor_that_is_closed_or_covered_is_put_back(self) -> None:
        self.host.run("import os, subprocess")
        self.check([
            ("os.close(1); print('seen all the same')", "seen all the same\n"),
            ("os.dup2(os.open('covered', os.O_WRONLY | os.O_CREAT), 1); print('in the file')", ""),
            ("os.dup2(2, 1);", ""), ("os.dup2(1, 2);", ""), ("os.close(2)", ""),
            ("os.dup2(os.pipe()[1], 1);", ""),
            ("subprocess.run(['echo', 'from a child']);", "from a child\n"),
            ("import socket; a, b = socket.socketpair(); os.dup2(a.fileno(), 1); print('there')", ""),
        ])
        self.assertEqual(self.host.run("open('covered').read()").value, r"'in the file\n'")

    def test_a_replacement_that_works_stays(self) -> None:
        with self.own_agent() as host:
            host.run(textwrap.dedent("""\
                import sys
                class Tee:
                    def __init__(self, *streams): self.streams = streams
                    def write(self, text):
                        for stream in self.streams: stream.write(text)
                    def flush(self): pass
                log = open('log', 'w')
                sys.stdout = Tee(sys.__stdout__, log)"""))
            self.assertEqual(host.run("print('both')").stdout, "both\n")
            self.assertEqual(host.run("log.flush(); open('log').read()").value, r"'both\n'")
            host.run("sys.stdout = open('all', 'w')")
            self.assertEqual(host.run("print('there')").stdout, "")
            self.assertEqual(host.run("open('all').read()").value, r"'there\n'")

    def test_a_replacement_that_fails_is_named_and_put_out(self) -> None:
        with self.own_agent() as host:
            host.run(textwrap.dedent("""\
                import sys
                class Tee:
                    def __init__(self, stream): self.stream = stream
                    def write(self, text): self.stream.write(text)
                with open('log', 'w') as f: sys.stdout = Tee(f)"""))
            outcome = host.run("print('lost')")
            self.assertIn("ValueError: I/O operation on closed file", outcome.stderr)
            self.assertIn("sys.stdout was left replaced by a Tee", outcome.stderr)
            self.assert_next_cell_is_well(host, "Tee")

    def test_a_redirection_into_memory_that_is_left_open_ends_with_its_cell_and_is_named(self) -> None:
        with self.own_agent() as host:
            outcome = host.run("import contextlib, io\ntext = io.StringIO()\n"
                               "contextlib.redirect_stdout(text).__enter__()\nprint('caught')")
            self.assertEqual(outcome.stdout, "")
            self.assertIn("sys.stdout was left replaced by a StringIO", outcome.stderr)
            self.assert_next_cell_is_well(host, "redirect_stdout")
            self.assertEqual(host.run("text.getvalue()").value, r"'caught\n'")


class Directory(NextCell):
    def test_the_directory_of_the_process_may_vanish(self) -> None:
        pid = self.pid()
        vanish = "import os, tempfile\nwith tempfile.TemporaryDirectory() as d: os.chdir(d)"
        home = str(self.host.home)
        self.host.run(vanish)
        outcome = self.host.run("os.getcwd()", cwd="/tmp")
        self.assertEqual((outcome.value, outcome["state_kept"]), ("'/tmp'", True))
        self.assertEqual(outcome.stderr, f"[The working directory is gone; it is {home} now]\n")
        self.host.run(vanish)
        outcome = self.host.run("os.getcwd()")
        self.assertEqual(outcome.value, repr(home))
        self.assertEqual(outcome.stderr, f"[The working directory is gone; it is {home} now]\n")
        self.assertEqual(self.host.run("os.getcwd()").stderr, "")
        self.assertEqual(self.pid(), pid)

    def test_the_directory_of_before_may_vanish_during_a_call(self) -> None:
        home = self.host.home
        (home / "old").mkdir()
        self.host.run("import os; os.chdir('old')")
        outcome = self.host.run("os.rmdir(os.path.expanduser('~/old'))", cwd="/tmp")
        self.assert_ends(outcome, "ok", 0)
        self.assertEqual(outcome.stderr, f"[The working directory {home}/old is gone; it is {home} now]\n")
        self.assertEqual(self.host.run("os.getcwd()").value, repr(str(home)))

    def test_the_directory_of_a_call_may_vanish_in_it(self) -> None:
        home = self.host.home
        for language, code in (("python", "import os; os.rmdir(os.getcwd()); 1"), ("bash", "rmdir $PWD")):
            (home / "short").mkdir()
            outcome = self.host.run(code, language, cwd="~/short")
            self.assert_ends(outcome, "ok", 0)
            self.assertEqual(outcome.stderr, "")
        self.assertEqual(self.host.run("os.getcwd()").value, repr(str(home)))

    def test_a_directory_may_be_named_from_home(self) -> None:
        (self.host.home / "~").mkdir()
        for cwd, there in (("~", ""), ("~/", ""), ("./~", "/~")):
            for language, code in (("python", "import os; print(os.getcwd())"), ("bash", "pwd -P")):
                with self.subTest(cwd, language=language):
                    self.assertEqual(
                        self.host.run(code, language, cwd=cwd).stdout, f"{self.host.home}{there}\n")

    def test_what_is_no_directory_is_refused_and_harms_nothing(self) -> None:
        pid = self.pid()
        for cwd in ("a\0b", "\ud800", "~nobody-of-that-name", "x" * 5000):
            for language in ("python", "bash"):
                with self.subTest(cwd[:9], language=language):
                    outcome = self.host.run("1", language, cwd=cwd)
                    self.assertEqual((outcome["ok"], outcome["code"]), (False, "bad_cwd"))
        self.assertEqual(self.pid(), pid)


class Environment(NextCell):
    def test_a_time_zone_holds_in_the_living_process(self) -> None:
        hour = "import time\ntime.localtime(0).tm_hour, time.tzname[0]"
        before = self.host.run(hour).value
        self.assertEqual(self.host.run(hour, env={"TZ": "XYZ-5"}).value, "(5, 'XYZ')")
        self.assertEqual(self.host.run(hour).value, before)
        with self.own_agent() as host:
            host.wake(env={"TZ": "ABC+3"})
            self.assertEqual(host.run(hour).value, "(21, 'ABC')")
            self.assertEqual(host.run(hour, env={"TZ": "XYZ-5"}).value, "(5, 'XYZ')")
            self.assertEqual(host.run(hour).value, "(21, 'ABC')")

    def test_modules_are_found_in_pythonpath(self) -> None:
        with self.own_agent() as host:
            lib, one = host.home / "lib", host.home / "one"
            host.wake(env={"PYTHONPATH": f"{lib}:/nowhere"})
            self.assertEqual(host.run("import json\nimport sys; sys.path[1:3]").value,
                             repr([str(lib), "/nowhere"]))
            # It is looked into, and found not to be there, before it is.
            host.put(f"{lib}/of_create.py", b"x = 1")
            self.assertEqual(host.run("import of_create; of_create.x").value, "1")
            host.put(f"{one}/of_call.py", b"x = 2")
            call = host.run("import of_call; of_call.x, sys.path[1]", env={"PYTHONPATH": str(one)})
            self.assertEqual(call.value, repr((2, str(one))), call.stderr)
            self.assertEqual(host.run("sys.path[1:3]").value, repr([str(lib), "/nowhere"]))

    def test_a_directory_for_temporary_files_holds_in_the_living_process(self) -> None:
        (self.host.home / "scratch").mkdir()
        where = "import tempfile; tempfile.gettempdir()"
        before = self.host.run(where).value
        scratch = str(self.host.home / "scratch")
        self.assertEqual(self.host.run(where, env={"TMPDIR": scratch}).value, repr(scratch))
        self.assertEqual(self.host.run(where).value, before)

    def test_what_is_no_text_is_refused_and_harms_nothing(self) -> None:
        pid = self.pid()
        for language in ("python", "bash"):
            outcome = self.host.run("1", language, env={"A": "\ud800"})
            self.assertEqual((outcome["ok"], outcome["code"]), (False, "invalid_request"))
        self.assertEqual(self.pid(), pid)


class Modules(NextCell):
    def test_a_module_that_is_changed_within_a_second_is_reloaded(self) -> None:
        self.host.put("changed.py", b"X = 1\n")
        self.assertEqual(self.host.run("import changed; changed.X").value, "1")
        self.host.put("changed.py", b"X = 2\n")
        outcome = self.host.run("import importlib\nimportlib.reload(changed)\nchanged.X")
        self.assertEqual(outcome.value, "2")
        self.assertFalse((self.host.home / "__pycache__").exists())

    def test_a_module_that_was_missing_is_found_once_it_is_there(self) -> None:
        self.assertEqual((self.host.run("import later").error or {}).get("name"), "ModuleNotFoundError")
        self.host.put("later.py", b"X = 1\n")
        self.assertEqual(self.host.run("import later; later.X").value, "1")


class Overwritten(NextCell):
    def test_the_interpreters_own_may_be_overwritten(self) -> None:
        self.host.run("import builtins, gc, os, sys, threading")
        self.check([
            ("sys.setrecursionlimit(25)", ""),
            ("print(sys.getrecursionlimit() >= 1000)", "True\n"),
            ("sys.displayhook = sys.excepthook = sys.unraisablehook = threading.excepthook = None", ""),
            ("del sys.displayhook", ""),
            ("builtins.len = builtins.isinstance = builtins.getattr = builtins.__import__ = None", ""),
            ("del builtins.print, builtins.str, builtins.type, builtins.Exception", ""),
            ("os.environ.clear(); print(os.path.isdir(os.path.expanduser('~')))", "True\n"),
            ("gc.disable(); gc.set_threshold(1)", ""),
            ("path = sys.path[:]; sys.path.clear()", ""),
            ("sys.path[:] = path; modules = dict(sys.modules); sys.modules.clear()", ""),
            ("sys.modules.update(modules); print(sys.modules['__main__'].path is path)", "True\n"),
            ("os.write = os.read = os.dup2 = os.fstat = os._exit = os.getcwd = os.chdir = None", ""),
        ])
        self.assertEqual(self.host.run("5").value, "5")


class Process(NextCell):
    def test_alarms_and_timers_are_for_their_cell_only(self) -> None:
        self.host.run("import signal, time")
        self.check([
            ("signal.setitimer(signal.ITIMER_REAL, 0.1);", ""),
            ("time.sleep(0.3); print('unharmed')", "unharmed\n"),
            ("signal.signal(signal.SIGALRM, lambda *_: 1/0); signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1);", ""),
            ("signal.signal(signal.SIGPROF, lambda *_: 1/0); signal.setitimer(signal.ITIMER_PROF, 0.1, 0.1);", ""),
            ("end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint('unharmed')", "unharmed\n"),
        ])

    def test_what_a_cell_does_to_signals_does_not_hold_the_next(self) -> None:
        self.host.run("import signal, subprocess, time")
        self.check([
            ("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals());", ""),
            ("print(signal.pthread_sigmask(signal.SIG_BLOCK, []))", "set()\n"),
            ("signal.signal(signal.SIGCHLD, signal.SIG_IGN);", ""),
            ("print(subprocess.run(['false']).returncode)", "1\n"),
            ("signal.signal(signal.SIGPIPE, signal.SIG_DFL);", ""),
            ("import socket; a, b = socket.socketpair(); b.close()\n"
             "try: a.send(b'x')\nexcept BrokenPipeError: print('told')", "told\n"),
        ])
        self.host.run("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals());")
        stream = self.host.start_and_hear("print('on')\nwhile True: pass", "on")
        self.host.cancel(stream, "interrupt")
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)

    def test_tracing_that_is_left_on_goes_on_in_cells_and_hits_nothing_else(self) -> None:
        self.host.run("import sys; seen = []")
        self.check([
            ("def trace(frame, event, arg): seen.append(frame.f_code.co_name)\nsys.settrace(trace)", ""),
            ("def traced(): pass\ntraced()", ""),
            ("sys.settrace(None); print('traced' in seen, 'settle' in seen)", "True False\n"),
            ("def fails(*_): raise ValueError\nsys.settrace(fails)", ""),
            ("def fails(*_): raise ValueError\nsys.setprofile(fails)", ""),
            ("count = 0\ndef later(*_):\n    global count\n    count += 1\n    if count > 2: raise ValueError\n"
             "sys.setprofile(later)", ""),
        ])

    def test_a_process_that_has_lost_what_it_stands_on_is_replaced_and_that_is_said(self) -> None:
        for code in ("import os; os.closerange(3, 1000)", "import os; os._exit(7)",
                     "import os; os.kill(os.getpid(), 9)"):
            with self.subTest(code):
                outcomes = [self.host.run(f"x = 1; {code}"), self.host.run("globals().get('x')")]
                kept = [outcome["state_kept"] for outcome in outcomes]
                self.assertFalse(all(kept))
                self.assertNotIn('File "', outcomes[1].stderr)
                self.assertEqual(self.host.run("print('next')").stdout, "next\n")

    def test_a_process_without_room_to_answer_does_not_hang(self) -> None:
        with self.own_agent() as host:
            host.run(textwrap.dedent("""\
                import resource
                resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
                kept = []
                while True: kept.append(bytes(100))"""))
            outcomes = [host.run("print('next')") for _ in range(3)]
            self.assertEqual(outcomes[-1].stdout, "next\n")


if __name__ == "__main__":
    unittest.main()

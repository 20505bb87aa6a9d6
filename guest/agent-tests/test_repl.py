"""PRODUCT section "REPL": what a call of Python means."""

from __future__ import annotations

import textwrap
import unittest

from host import AgentTest


class StateStays(AgentTest):
    def test_names_stay_between_calls(self) -> None:
        self.host.run("x = 41")
        self.assertEqual(self.host.run("x + 1").value, "42")

    def test_imports_cwd_environment_and_path_stay(self) -> None:
        self.host.run(textwrap.dedent("""\
            import os, sys, math
            os.mkdir('deeper'); os.chdir('deeper')
            os.environ['KEPT'] = 'yes'; sys.path.append('/kept')"""))
        self.addCleanup(self.host.run, "os.chdir('..')")
        outcome = self.host.run(
            "os.path.basename(os.getcwd()), os.environ['KEPT'], sys.path[-1], math.floor(2.5)")
        self.assertEqual(outcome.value, "('deeper', 'yes', '/kept', 2)")

    def test_open_files_threads_and_children_stay(self) -> None:
        self.host.run(textwrap.dedent("""\
            import subprocess, threading
            file = open('kept.txt', 'w+'); file.write('abc')
            child = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            go = threading.Event(); done = threading.Event()
            threading.Thread(target=lambda: (go.wait(), done.set()), daemon=True).start()"""))
        outcome = self.host.run(textwrap.dedent("""\
            file.seek(0); go.set()
            file.read(), child.communicate(b'through')[0], done.wait(10)"""))
        self.assertEqual(outcome.value, "('abc', b'through', True)")

    def test_code_lives_in_a_module_named_main_so_pickle_finds_its_classes(self) -> None:
        self.host.run("class Point:\n    x = 3\n")
        outcome = self.host.run(
            "import pickle, sys\n"
            "pickle.loads(pickle.dumps(Point())).x, sys.modules['__main__'].Point is Point")
        self.assertEqual(outcome.value, "(3, True)")

    def test_multiprocessing_runs_functions_of_the_cell(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            import multiprocessing
            def square(n): return n * n
            with multiprocessing.get_context('fork').Pool(2) as pool:
                squares = pool.map(square, [1, 2, 3])
            squares"""))
        self.assertEqual(outcome.value, "[1, 4, 9]", outcome.stderr)

    def test_modules_in_the_home_directory_can_be_imported(self) -> None:
        (self.host.home / "mine.py").write_text("answer = 42")
        self.assertEqual(self.host.run("import mine\nmine.answer").value, "42")

    def test_future_imports_hold_for_later_cells(self) -> None:
        self.host.run("from __future__ import annotations")
        self.assertEqual(self.host.run("def f(a: nowhere): pass\nf.__annotations__").value,
                         "{'a': 'nowhere'}")


class Endings(AgentTest):
    def test_an_exception_ends_the_call_and_not_the_process(self) -> None:
        pid = self.pid()
        outcome = self.host.run("1/0")
        self.assert_ends(outcome, "error", 1)
        self.assertEqual(outcome.error and outcome.error["name"], "ZeroDivisionError")
        self.assertEqual(outcome.error and outcome.error["value"], "division by zero")
        self.assertEqual(outcome.error and outcome.error["traceback"], outcome.stderr)
        self.assertEqual(self.pid(), pid)

    def test_system_exit_ends_the_call_with_its_code(self) -> None:
        pid = self.pid()
        for code, exit_code, reason in [
                ("raise SystemExit", 0, "ok"), ("import sys; sys.exit(0)", 0, "ok"),
                ("exit(3)", 3, "error"), ("quit(-1)", 255, "error"),
                ("raise SystemExit(10**30 + 7)", 7, "error")]:
            with self.subTest(code):
                outcome = self.host.run(code)
                self.assert_ends(outcome, reason, exit_code)
                self.assertIsNone(outcome.error)
        self.assertEqual(self.pid(), pid)

    def test_system_exit_with_text_says_it_on_stderr_and_ends_with_1(self) -> None:
        outcome = self.host.run("raise SystemExit('no such thing')")
        self.assert_ends(outcome, "error", 1)
        self.assertEqual(outcome.stderr, "no such thing\n")

    def test_input_finds_the_end_of_the_file_even_after_exit(self) -> None:
        first = self.host.run("input()")
        self.assertEqual((first.error or {}).get("name"), "EOFError", (first.closed, first.frames))
        self.host.run("exit()")
        self.assertEqual((self.host.run("input('? ')").error or {}).get("name"), "EOFError")

    def test_a_traceback_shows_the_lines_of_the_cell_and_no_frame_of_ours(self) -> None:
        outcome = self.host.run("def inner():\n    return {}['missing']\n\ninner()")
        self.assertIn("return {}['missing']", outcome.stderr)
        self.assertIn("inner()", outcome.stderr)
        self.assertNotIn("podflare", outcome.stderr)

    def test_a_traceback_shows_the_lines_of_an_earlier_cell(self) -> None:
        self.host.run("def from_before():\n    raise ValueError('seen')  # this line")
        outcome = self.host.run("from_before()")
        self.assertIn("# this line", outcome.stderr)

    def test_inspect_finds_the_source_of_a_cells_function(self) -> None:
        self.host.run("def shown():\n    return 'body'\n")
        outcome = self.host.run("import inspect\nprint(inspect.getsource(shown))")
        self.assertIn("return 'body'", outcome.stdout)

    def test_a_syntax_error_points_at_its_place(self) -> None:
        outcome = self.host.run("x = 1\ny = = 2")
        self.assert_ends(outcome, "error", 1)
        self.assertRegex(outcome.stderr, r'line 2\n\s+y = = 2\n\s+\^\nSyntaxError')
        self.assertNotIn("Traceback", outcome.stderr)

    def test_exceptions_whose_own_methods_raise_are_shown_all_the_same(self) -> None:
        outcome = self.host.run(
            "class Nasty(Exception):\n    def __str__(self): raise RuntimeError\nraise Nasty")
        self.assert_ends(outcome, "error", 1)
        self.assertEqual((outcome.error or {}).get("name"), "Nasty")

    def test_code_that_cannot_be_compiled_for_odd_reasons_is_an_error_of_the_call(self) -> None:
        for code in ["'\0'", "(" * 300 + ")" * 300, "x = '\ud800'\nraise ValueError(x)"]:
            with self.subTest(code[:20]):
                self.assert_ends(self.host.run(code), "error", 1)

    def test_endless_recursion_ends_the_call_only(self) -> None:
        pid = self.pid()
        outcome = self.host.run("def f(): f()\nf()")
        self.assertEqual((outcome.error or {}).get("name"), "RecursionError")
        self.assertEqual(self.pid(), pid)

    def test_a_huge_message_of_an_exception_still_fits(self) -> None:
        outcome = self.host.run("raise ValueError('\\U0001f600' * 3_000_000)")
        self.assert_ends(outcome, "error", 1)
        self.assertLess(len((outcome.error or {})["value"]), 100_000)

    def test_a_forked_child_that_falls_off_the_end_exits_and_does_not_answer(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            import os
            child = os.fork()
            if child:
                status = os.waitpid(child, 0)[1]
                print('child said', os.waitstatus_to_exitcode(status))
            'value'"""))
        self.assertEqual(outcome.stdout, "child said 0\n")
        self.assertEqual([result["text/plain"] for result in outcome.results], ["'value'"])
        self.assertEqual(self.host.run("2").value, "2")

    def test_a_forked_child_ends_with_its_own_exit_code(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            import os, sys
            child = os.fork()
            if not child: sys.exit(7)
            os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])"""))
        self.assertEqual(outcome.value, "7")


class Source(AgentTest):
    def test_code_is_dedented_first(self) -> None:
        indented = "\n        x = 5\n        if x:\n            x += 1\n        x"
        self.assertEqual(self.host.run(indented).value, "6")
        self.assertEqual(self.host.run("    # note\n    7").value, "7")

    def test_code_that_is_empty_or_only_a_comment_does_nothing(self) -> None:
        for code in ["", "\n\n", "# nothing", "   "]:
            self.assert_ends(self.host.run(code), "ok", 0)

    def test_top_level_await_works_and_keeps_its_loop(self) -> None:
        self.host.run("import asyncio\nlater = asyncio.Future if False else None\n"
                      "async def work():\n    await asyncio.sleep(0)\n    return 'done'\n"
                      "loop = None\nasync def get(): return asyncio.get_running_loop()\n"
                      "loop = await get()")
        self.assertEqual(self.host.run("await work()").value, "'done'")
        self.assertEqual(self.host.run("x = await get()\nx is loop").value, "True")
        self.assertEqual(self.host.run("asyncio.run(work())").value, "'done'")

    def test_an_error_in_awaited_code_shows_only_the_users_frames(self) -> None:
        outcome = self.host.run("async def fails():\n    raise KeyError('k')\nawait fails()")
        self.assertIn("await fails()", outcome.stderr)
        self.assertNotIn("runners.py", outcome.stderr)

    def test_a_line_with_an_exclamation_mark_runs_in_bash(self) -> None:
        outcome = self.host.run("!echo one; echo two >&2\nprint('three')")
        self.assertEqual((outcome.stdout, outcome.stderr), ("one\nthree\n", "two\n"))
        self.assertEqual(self.host.run("if True:\n    !echo in block\n").stdout, "in block\n")
        self.assertEqual(self.host.run("!echo a \\\n  b\n1/0").stdout, "a b\n")

    def test_shell_lines_may_hold_what_python_cannot_read(self) -> None:
        outcome = self.host.run("!echo it\\'s \"(\" '{'\n!echo 0777 $((1+1)) `echo ok`")
        self.assertEqual(outcome.stdout, "it's ( {\n0777 2 ok\n", outcome.stderr)

    def test_a_string_that_looks_like_a_shell_line_is_left_alone(self) -> None:
        outcome = self.host.run("text = '''\n!ls\n%pip install x\n'''\n!echo shell\ntext")
        self.assertEqual(outcome.stdout, "shell\n")
        self.assertEqual(outcome.value, repr("\n!ls\n%pip install x\n"))

    def test_a_modulo_at_the_start_of_a_line_is_not_a_magic(self) -> None:
        self.assertEqual(self.host.run("pip = 4\n(10\n%pip\n)").value, "2")

    def test_a_failing_shell_line_does_not_end_the_cell(self) -> None:
        outcome = self.host.run("!exit 3\nprint('on')")
        self.assert_ends(outcome, "ok", 0)
        self.assertEqual(outcome.stdout, "on\n")

    def test_a_cell_of_bash_ends_with_the_exit_code_of_bash(self) -> None:
        outcome = self.host.run("%%bash\nx=5\necho $x\nexit 4")
        self.assertEqual(outcome.stdout, "5\n")
        self.assert_ends(outcome, "error", 4)

    def test_cd_and_pip_and_matplotlib_are_understood(self) -> None:
        outcome = self.host.run("import os\nbefore = os.getcwd()\n%cd /\n%matplotlib inline\n"
                                "after = os.getcwd()\nos.chdir(before)\nafter")
        self.assertEqual((outcome.stdout, outcome.value), ("/\n", "'/'"), outcome.stderr)
        self.assertIn("pip", self.host.run("%pip --version").stdout)

    def test_a_traceback_shows_the_shell_line_as_it_was_written(self) -> None:
        outcome = self.host.run("!true\n1/0  # here")
        self.assertIn("line 2", outcome.stderr)
        self.assertIn("1/0  # here", outcome.stderr)


class Surroundings(AgentTest):
    def test_env_holds_for_one_call_only(self) -> None:
        self.host.run("import os; os.environ['A'] = 'before'")
        outcome = self.host.run("os.environ['A'], os.environ['B']", env={"A": "1", "B": "2"})
        self.assertEqual(outcome.value, "('1', '2')")
        outcome = self.host.run("os.environ['A'], os.environ.get('B')")
        self.assertEqual(outcome.value, "('before', None)")

    def test_cwd_holds_for_one_call_only(self) -> None:
        (self.host.home / "sub").mkdir(exist_ok=True)
        before = self.host.run("import os\nos.getcwd()").value
        self.assertEqual(self.host.run("os.getcwd()", cwd="/").value, "'/'")
        below = repr(str(self.host.home / "sub"))
        self.assertEqual(self.host.run("os.getcwd()", cwd="sub").value, below)
        self.assertEqual(self.host.run("os.getcwd()").value, before)

    def test_a_bad_cwd_is_refused_and_nothing_runs(self) -> None:
        for language in ("python", "bash"):
            with self.subTest(language):
                outcome = self.host.run("print('ran')", language, cwd="/no/such/place")
                self.assertEqual((outcome["ok"], outcome["code"]), (False, "bad_cwd"))
                self.assertEqual(outcome.frames, [])
        self.assertEqual(self.host.run("3").value, "3")

    def test_the_home_directory_is_where_code_starts(self) -> None:
        with self.own_agent() as host:
            self.assertEqual(host.run("import os\nos.getcwd()").value, repr(str(host.home)))
            self.assertEqual(host.bash("pwd; echo $HOME").stdout, f"{host.home}\n{host.home}\n")

    def test_a_second_python_call_at_the_same_time_is_refused_as_busy(self) -> None:
        first = self.host.start_and_hear("print('on'); import time; time.sleep(60)", "on")
        self.assertEqual(self.host.run("1")["code"], "busy")
        self.host.cancel(first, "interrupt")
        self.host.wait_closed(first)
        self.assertEqual(self.host.run("1").value, "1")


if __name__ == "__main__":
    unittest.main()

"""The rules of the Python process, one test each (PRODUCT.md 5, "REPL")."""

from __future__ import annotations

from typing import Any

from rig.case import SandboxCase, slow
from rig.deadline import eventually


class ReplStateTest(SandboxCase):
    """What stays between calls."""

    def across(self, first: str, second: str) -> str:
        self.stdout(first)
        return self.stdout(second)

    def test_names_stay(self) -> None:
        self.assertEqual(self.across("kept = [1]", "kept.append(2); print(kept)"), "[1, 2]\n")

    def test_imports_and_functions_stay(self) -> None:
        said = self.across("import math\ndef area(r): return math.pi * r", "print(area(0))")
        self.assertEqual(said, "0.0\n")

    def test_open_files_stay(self) -> None:
        said = self.across(
            "out = open('/tmp/held', 'w+'); out.write('abc')", "out.seek(0); print(out.read())"
        )
        self.assertEqual(said, "abc\n")

    def test_sockets_stay(self) -> None:
        said = self.across(
            "import socket; here, there = socket.socketpair(); here.send(b'hi')",
            "print(there.recv(2))",
        )
        self.assertEqual(said, "b'hi'\n")

    def test_threads_stay_and_their_output_is_heard(self) -> None:
        said = self.across(
            "import threading\n"
            "go = threading.Event()\n"
            "worker = threading.Thread(target=lambda: (go.wait(30), print('from a thread')))\n"
            "worker.start()",
            "go.set(); worker.join(30)",
        )
        self.assertEqual(said, "from a thread\n")

    def test_child_processes_stay_and_their_output_is_heard(self) -> None:
        said = self.across(
            "import subprocess\n"
            "child = subprocess.Popen(['sh', '-c', 'read line; echo got $line'], "
            "stdin=subprocess.PIPE, text=True)",
            "child.communicate('it', timeout=30); None",
        )
        self.assertEqual(said, "got it\n")

    def test_the_environment_the_path_and_the_directory_stay(self) -> None:
        said = self.across(
            "import os, sys\n"
            "os.environ['MARK'] = 'm'; sys.path.append('/opt/own'); os.chdir('/tmp')",
            "import os, sys; print(os.environ['MARK'], sys.path[-1], os.getcwd())",
        )
        self.stdout("os.chdir('/root')")
        self.assertEqual(said, "m /opt/own /tmp\n")

    def test_the_process_stays_the_same(self) -> None:
        self.assertEqual(
            self.stdout("import os; print(os.getpid())"), self.stdout("print(os.getpid())")
        )

    def test_an_exception_ends_the_call_only(self) -> None:
        self.stdout("before = 1")
        ran = self.exec("before = 2\nraise ValueError('no')\nbefore = 3")
        self.assert_ended(ran, 1, "error", True)
        self.assertEqual(self.stdout("print(before)"), "2\n")

    def test_variables_and_settings_of_one_call_end_with_it(self) -> None:
        code = "import os; print(os.environ.get('ONCE'), os.getcwd())"
        self.assertEqual(self.stdout(code, env={"ONCE": "1"}, cwd="/tmp"), "1 /tmp\n")
        self.assertEqual(self.stdout(code), "None /root\n")

    def test_main_is_a_module_so_pickle_finds_its_classes(self) -> None:
        said = self.across(
            "class Point:\n    x = 1",
            "import pickle; print(pickle.loads(pickle.dumps(Point())).x, Point.__module__)",
        )
        self.assertEqual(said, "1 __main__\n")


class ReplEndingTest(SandboxCase):
    """How calls end, and what they then say."""

    def test_system_exit_gives_its_code_and_keeps_the_process(self) -> None:
        self.stdout("alive = 'yes'")
        for code, exit_code in (("3", 3), ("None", 0), ("", 0), ("'sorry'", 1)):
            ran = self.exec(f"raise SystemExit({code})")
            self.assertEqual((ran.code, ran.state_kept), (exit_code, True), code)
            self.assertIsNone(ran.error, "SystemExit is an end, no error")
        self.assertIn("sorry", ran.stderr)
        self.assertEqual(self.stdout("print(alive)"), "yes\n")

    def test_sys_exit_and_exit_work_alike(self) -> None:
        self.assertEqual(self.exec("import sys; sys.exit(4)").code, 4)
        self.assertEqual(self.exec("exit(5)").code, 5)

    def test_an_error_names_itself_and_shows_the_cells_own_lines(self) -> None:
        ran = self.exec("def f(x):\n    return 10 / x  # here\n\nf(0)")
        self.assert_ended(ran, 1, "error", True)
        assert ran.error is not None
        self.assertEqual(ran.error["name"], "ZeroDivisionError")
        self.assertEqual(ran.error["value"], "division by zero")
        for shown in (ran.error["traceback"], ran.stderr):
            self.assertIn("return 10 / x  # here", shown)
            self.assertIn("f(0)", shown)
            self.assertNotIn("podflare", shown, "frames of the agent are not the user's business")

    def test_a_syntax_error_shows_the_line_and_runs_nothing(self) -> None:
        ran = self.exec("print('never')\nif True print('x')")
        self.assert_ended(ran, 1, "error", True)
        assert ran.error is not None
        self.assertEqual((ran.error["name"], ran.stdout), ("SyntaxError", ""))
        self.assertIn("if True print('x')", ran.stderr)

    def test_a_timeout_interrupts_and_keeps_the_state(self) -> None:
        self.stdout("count = 0")
        # Long enough to have begun, on a host that is busy.
        ran = self.exec("while True: count += 1", timeout_seconds=3)
        self.assert_ended(ran, 124, "timeout", True)
        self.assertLess(ran.exit["duration_ms"], 30_000)
        self.assertEqual(self.stdout("print(count > 0)"), "True\n")

    def test_a_timeout_can_be_caught_for_cleaning_up(self) -> None:
        ran = self.exec(
            "import time\ntry:\n    time.sleep(60)\nfinally:\n    print('cleaned up')",
            timeout_seconds=3,
        )
        self.assert_ended(ran, 124, "timeout", True)
        self.assertEqual(ran.stdout, "cleaned up\n")

    def test_an_interrupt_stops_the_code_and_keeps_the_state(self) -> None:
        self.stdout("count = 7")
        with self.rest.stream(self.sandbox, "import time\nprint('on')\ntime.sleep(60)") as stream:
            stream.first("stdout")
            self.assertEqual(self.rest.interrupt(self.sandbox).status, 204)
            ran = stream.rest()
        self.assert_ended(ran, 130, "interrupted", True)
        self.assertEqual(self.stdout("print(count)"), "7\n")

    def test_an_interrupt_that_comes_late_harms_no_later_call(self) -> None:
        for _ in range(5):
            self.stdout("1")
            self.assertEqual(self.rest.interrupt(self.sandbox).status, 204)
            self.assertEqual(self.stdout("print('unharmed')"), "unharmed\n")

    @slow
    def test_code_that_ignores_the_interrupt_costs_the_process_and_says_so(self) -> None:
        self.stdout("gone = 1")
        ran = self.exec(
            "import signal, time\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "while True:\n"
            "    try: time.sleep(1)\n"
            "    except BaseException: pass",
            timeout_seconds=3,
        )
        self.assertEqual((ran.reason, ran.state_kept), ("timeout", False))
        self.assertLess(ran.exit["duration_ms"], 60_000)
        self.assertEqual(self.stdout("print('gone' in globals())"), "False\n")

    def test_os_exit_costs_the_process_and_the_next_call_finds_a_new_one(self) -> None:
        ran = self.exec("import os; os._exit(9)")
        self.assert_ended(ran, 9, "killed", False)
        self.assertEqual(self.stdout("print('new')"), "new\n")

    def test_a_process_that_kills_itself_is_reported_as_a_shell_would(self) -> None:
        ran = self.exec("import os; os.kill(os.getpid(), 9)")
        self.assert_ended(ran, 137, "killed", False)
        self.assertEqual(self.stdout("print('new')"), "new\n")

    def test_a_crash_in_native_code_is_reported(self) -> None:
        ran = self.exec("import ctypes; ctypes.string_at(0)")
        self.assert_ended(ran, 139, "killed", False)
        self.assertEqual(self.stdout("print('new')"), "new\n")

    def test_a_forked_child_that_falls_off_the_end_does_not_answer(self) -> None:
        ran = self.exec("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0); print('parent')")
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(ran.stdout, "parent\n")
        self.assertEqual(self.stdout("print('one answer')"), "one answer\n")

    def test_broken_surroundings_do_not_confuse_the_agent(self) -> None:
        wreck = (
            "import builtins, json, sys\n"
            "for name in ('print', 'open', 'compile', 'exec', 'repr', 'len'):\n"
            "    delattr(builtins, name)\n"
            "json.dumps = json.loads = None\n"
            "sys.stdout = sys.stderr = None\n"
            "sys.modules.clear()\n"
        )
        sandbox = self.new_sandbox()
        self.rest.exec(sandbox, wreck)
        self.rest.exec(sandbox, "import os\nfor fd in range(64):\n    os.write(fd, b'junk')")
        self.rest.exec(sandbox, "import os; os._exit(0)")
        self.assertEqual(self.rest.exec(sandbox, "print('well')").stdout, "well\n")

    def test_garbage_on_every_descriptor_ends_in_an_answer(self) -> None:
        sandbox = self.new_sandbox()
        ran = self.rest.exec(
            sandbox,
            "import os\n"
            "for fd in range(3, 256):\n"
            "    try: os.write(fd, b'\\xff' * 64)\n"
            "    except OSError: pass",
        )
        self.assertIn(ran.reason, ("ok", "killed"))
        self.assertEqual(self.rest.exec(sandbox, "print('well')").stdout, "well\n")


class ReplInputTest(SandboxCase):
    """What may stand in a cell."""

    def test_indented_code_is_dedented(self) -> None:
        ran = self.exec(
            """
            total = 0
            for i in range(3):
                total += i
            print(total)
        """
        )
        self.assertEqual(ran.stdout, "3\n")

    def test_a_line_with_an_exclamation_mark_runs_in_bash(self) -> None:
        self.assertEqual(self.stdout("!echo one | tr o 0\nprint('two')"), "0ne\ntwo\n")

    def test_percent_pip_runs_pip(self) -> None:
        self.assertRegex(self.stdout("%pip --version"), r"^pip \d+")

    def test_top_level_await_works(self) -> None:
        said = self.stdout(
            "import asyncio\n"
            "async def later(): await asyncio.sleep(0); return 'awaited'\n"
            "print(await later())\n"
        )
        self.assertEqual(said, "awaited\n")

    def test_top_level_await_gives_a_result(self) -> None:
        ran = self.exec("import asyncio\nawait asyncio.sleep(0, 'value')")
        self.assertEqual(ran.results, [{"text/plain": "'value'"}])

    def test_input_gets_end_of_file(self) -> None:
        ran = self.exec("input()")
        self.assert_ended(ran, 1, "error", True)
        assert ran.error is not None
        self.assertEqual(ran.error["name"], "EOFError")

    def test_empty_code_is_fine(self) -> None:
        for code in ("", "\n", "   ", "# only a comment"):
            ran = self.exec(code)
            self.assert_ended(ran, 0, "ok", True)
            self.assertEqual(len(ran.events), 1)

    def test_unicode_goes_in_and_comes_out(self) -> None:
        self.assertEqual(self.stdout("größe = '😀'; print(größe, '東京', '\\u202e')"), "😀 東京 \u202e\n")

    def test_code_of_a_megabyte_runs(self) -> None:
        self.assertEqual(self.stdout("# " + "x" * 1_000_000 + "\nprint('ran')"), "ran\n")


class ReplResultTest(SandboxCase):
    """Values that are shown."""

    def results(self, code: str) -> list[dict[str, str]]:
        ran = self.exec(code)
        self.assert_ended(ran, 0, "ok", True)
        return ran.results

    def test_the_last_expression_is_a_result(self) -> None:
        self.assertEqual(self.results("x = 6\nx * 7"), [{"text/plain": "42"}])

    def test_none_and_statements_give_no_result(self) -> None:
        for code in ("None", "x = 1", "print", "def f(): pass", "[].sort()"):
            expected = 1 if code == "print" else 0
            self.assertEqual(len(self.results(code)), expected, code)

    def test_display_gives_results_in_order(self) -> None:
        shown = self.results("for i in range(3): display(i)\n'last'")
        self.assertEqual([one["text/plain"] for one in shown], ["0", "1", "2", "'last'"])

    def test_hooks_give_their_kinds(self) -> None:
        shown = self.results(
            "class Rich:\n"
            "    def __repr__(self): return 'plain'\n"
            "    def _repr_html_(self): return '<b>x</b>'\n"
            "    def _repr_latex_(self): return '$x$'\n"
            "Rich()"
        )
        self.assertEqual(
            shown, [{"text/plain": "plain", "text/html": "<b>x</b>", "text/latex": "$x$"}]
        )

    def test_a_mimebundle_is_taken_as_it_is(self) -> None:
        shown = self.results(
            "class Bundle:\n"
            "    def _repr_mimebundle_(self, include=None, exclude=None):\n"
            "        return {'text/plain': 'p', 'text/markdown': '*m*'}\n"
            "Bundle()"
        )
        self.assertEqual(shown, [{"text/plain": "p", "text/markdown": "*m*"}])

    def test_hooks_that_raise_harm_nothing(self) -> None:
        shown = self.results(
            "class Bad:\n"
            "    def _repr_html_(self): raise RuntimeError('hook')\n"
            "    def _repr_png_(self): return 17\n"
            "    def __repr__(self): return 'still here'\n"
            "Bad()"
        )
        self.assertEqual(shown[0]["text/plain"], "still here")
        self.assertNotIn("text/html", shown[0])

    @slow
    def test_a_hook_that_hangs_is_dropped_and_the_state_stays(self) -> None:
        ran = self.exec(
            "import time\n"
            "class Hangs:\n"
            "    def _repr_html_(self): time.sleep(3600)\n"
            "    def __repr__(self): return 'plain'\n"
            "before = 1\n"
            "Hangs()"
        )
        self.assertEqual((ran.code, ran.state_kept), (0, True))
        self.assertLess(ran.exit["duration_ms"], 60_000)
        self.assertEqual(self.stdout("print(before)"), "1\n")

    def test_a_huge_value_is_cut(self) -> None:
        ran = self.exec("'x' * 50_000_000")
        self.assert_ended(ran, 0, "ok", True)
        self.assertLess(len(ran.results[0]["text/plain"]), 3_000_000)


class DataScienceTest(SandboxCase):
    """Figures and tables, in the template that has them imported."""

    template = "python-datasci"
    deadline_seconds = 300.0

    PNG = "iVBORw0KGgo"  # the magic bytes 89 50 4E 47 0D 0A 1A 0A in base64

    def figures(self, code: str) -> list[dict[str, Any]]:
        ran = self.exec(code)
        self.assert_ended(ran, 0, "ok", True)
        return [one for one in ran.results if "image/png" in one]

    def test_a_figure_at_show_is_a_png(self) -> None:
        shown = self.figures("import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()")
        self.assertEqual(len(shown), 1)
        self.assertTrue(shown[0]["image/png"].startswith(self.PNG), shown[0]["image/png"][:40])
        self.assertIn("text/plain", shown[0])

    def test_figures_left_open_are_shown_once_and_closed(self) -> None:
        code = "import matplotlib.pyplot as plt\nplt.figure(); plt.figure(); None"
        self.assertEqual(len(self.figures(code)), 2)
        self.assertEqual(self.stdout("print(plt.get_fignums())"), "[]\n")

    def test_a_data_frame_is_a_table(self) -> None:
        ran = self.exec("import pandas as pd\npd.DataFrame({'a': [1, 2]})")
        self.assert_ended(ran, 0, "ok", True)
        self.assertIn("<table", ran.results[-1]["text/html"])
        self.assertIn("a", ran.results[-1]["text/plain"])

    def test_a_picture_too_large_to_send_is_made_smaller_and_says_so(self) -> None:
        shown = self.figures(
            "import matplotlib.pyplot as plt, numpy as np\n"
            "plt.figure(figsize=(5, 5), dpi=200)\n"
            "plt.imshow(np.random.rand(1000, 1000), interpolation='none'); plt.show()"
        )
        self.assertRegex(shown[0]["text/plain"], r"\[drawn at \d+ dpi instead of 200")
        self.assertLess(len(shown[0]["image/png"]), 1_500_001)
        shown = self.figures(
            "from PIL import Image\n"
            "Image.fromarray(np.random.randint(0, 255, (900, 900, 4), dtype='uint8'))"
        )
        self.assertRegex(shown[0]["text/plain"], r"\[shown at \d+x\d+, to fit")
        self.assertTrue(shown[0]["image/png"].startswith(self.PNG))

    def test_the_libraries_are_imported_already(self) -> None:
        said = self.stdout(
            "import sys\n"
            "wanted = ['numpy', 'pandas', 'scipy', 'matplotlib', 'sklearn']\n"
            "print([one for one in wanted if one not in sys.modules])"
        )
        self.assertEqual(said, "[]\n")

    def test_the_users_own_names_are_not_touched_by_the_template(self) -> None:
        said = self.stdout("print([n for n in dir() if not n.startswith('_')][:0], 'pd' in dir())")
        self.assertIn("[]", said)

    def test_numpy_is_seeded_anew_in_each_sandbox(self) -> None:
        code = "import numpy, random; print(numpy.random.random(), random.random())"
        other = self.rest.exec(self.new_sandbox(template=self.template), code).stdout
        first, second = self.stdout(code).split(), other.split()
        self.assertNotEqual(first[0], second[0])
        self.assertNotEqual(first[1], second[1])


class BashTest(SandboxCase):
    def test_each_call_is_a_fresh_bash_in_the_same_file_system(self) -> None:
        self.bash("cd /tmp; X=1; echo data > /tmp/shared")
        ran = self.bash("pwd; echo [$X]; cat /tmp/shared")
        self.assertEqual(ran.stdout, "/root\n[]\ndata\n")

    def test_the_exit_code_is_bashs(self) -> None:
        ran = self.bash("exit 42")
        self.assertEqual((ran.code, ran.state_kept), (42, True))

    def test_a_command_that_is_not_there_gives_127(self) -> None:
        ran = self.bash("no-such-command")
        self.assertEqual(ran.code, 127)
        self.assertIn("no-such-command", ran.stderr)

    def test_bash_leaves_the_python_process_alone(self) -> None:
        self.stdout("kept = 1")
        self.bash("true")
        self.assertEqual(self.stdout("print(kept)"), "1\n")

    def test_a_timeout_ends_bash_and_its_children(self) -> None:
        ran = self.bash("sleep 987 | cat", timeout_seconds=0.5)
        self.assertEqual((ran.reason, ran.state_kept), ("timeout", True))
        eventually("it is gone", lambda: self.bash("pgrep -fc 'sleep 98[7]'").stdout == "0\n")

    def test_a_child_in_the_background_does_not_hold_the_call(self) -> None:
        ran = self.bash("sleep 600 & echo started")
        self.assert_ended(ran, 0, "ok", True)
        self.assertLess(ran.exit["duration_ms"], 60_000)
        self.assertEqual(ran.stdout, "started\n")

    def test_the_environment_of_the_call_reaches_bash(self) -> None:
        self.assertEqual(self.bash("echo $A", env={"A": "b c"}).stdout, "b c\n")

    def test_the_usual_tools_are_there(self) -> None:
        ran = self.bash(
            "for t in git curl pip python3 bash; do command -v $t >/dev/null || echo no $t; done"
        )
        self.assertEqual(ran.stdout, "")

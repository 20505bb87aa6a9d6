"""The habits of a notebook: magics, IPython without IPython, `_` and `Out`, help, prompts."""

from __future__ import annotations

import sys
import textwrap
import time
import unittest

from host import AGENT, AgentTest, Outcome

sys.path.insert(0, str(AGENT))

from podflare_repl.cells import Compiler  # noqa: E402


class NotebookTest(AgentTest):
    def cell(self, code: str) -> Outcome:
        """Runs a cell that has to go well."""
        outcome = self.host.run(textwrap.dedent(code))
        self.assert_ends(outcome, "ok", 0)
        return outcome


class ShellLines(NotebookTest):
    def test_python_is_put_into_a_command(self) -> None:
        self.cell("x = 7; d = {'k': 'v'}; name = 'file'; import math")
        for command, said in [
                ("!echo {x} $x", "7 7"), ("!echo {d['k']} {x + 1} {len(d)}", "v 8 1"),
                ("!echo {x:.2f} $name.txt", "7.00 file.txt"), ("!echo $$HOME_$$x", "$HOME_$x"),
                ("!echo {{x}}", "{x}")]:
            with self.subTest(command):
                want = said if "$$" not in command else None
                outcome = self.cell(command)
                if want is not None:
                    self.assertEqual(outcome.stdout, want + "\n")

    def test_what_is_bashs_own_stays(self) -> None:
        self.cell("x = 7; a = 1; b = 2")
        for command, said in [
                ("!echo ab | awk '{print $1}'", "ab"), ("!A=5; echo ${A} ${A:-x} $A", "5 5 5"),
                ("!echo f{1,2}.txt {1..3} {a,b}", "f1.txt f2.txt 1 2 3 a b"),
                ("!echo $((1+1)) $(echo in)", "2 in"), ("!echo ab | awk '{print}'", "ab"),
                ("!echo '{\"k\": 1}' | tr -d ' '", '{"k":1}')]:
            with self.subTest(command):
                self.assertEqual(self.cell(command).stdout, said + "\n")

    def test_how_to_show_a_value_and_what_is_data_of_another_program(self) -> None:
        self.cell("import datetime; x = 7; s = 'a b'; w = 5; k = 'n'\n"
                  "t = datetime.datetime(2024, 5, 6, 7, 8)")
        for command, said in [
                ("!echo {s!r} {x!s} {x!r:>3}", "a b 7 7"), ("!echo '{s!r}'|cat", "a b"),
                ("!echo \"{x!r:>4}|{x:>{w}}|{t:%H:%M}\"", "   7|    7|07:08"),
                ("!echo {[1, 2, 3][1:x]} {x != 7}", "[2, 3] False"),
                ("!echo '{\"k\":1}'", '{"k":1}'), ("!echo '{\"n\":10}'", '{"n":10}'),
                ("!echo '{\"a\":{\"b\":2}}'", '{"a":{"b":2}}'), ("!echo {\"k\"}", "{k}"),
                ("!echo '{\"k\":{x}}'", '{"k":7}'),
                ("!python3 -c \"d = {'a':1}; print(d)\"", "{'a': 1}"),
                ("!python3 -c \"print({'a':5, 'k':1}['a'])\"", "5")]:
            with self.subTest(command):
                self.assertEqual(self.cell(command).stdout, said + "\n")

    def test_local_names_are_put_into_a_command_of_a_function(self) -> None:
        outcome = self.cell("""\
            def greet(who):
                for n in range(2):
                    !echo {who} {n}
            greet('you')""")
        self.assertEqual(outcome.stdout, "you 0\nyou 1\n")

    def test_the_exit_code_of_a_command_is_said_and_the_cell_goes_on(self) -> None:
        outcome = self.cell("!exit 4\nprint('on', _exit_code)")
        self.assertEqual((outcome.stdout, outcome.stderr), ("on 4\n", "[exit code 4]\n"))
        self.assertEqual(self.cell("!true\n_exit_code").value, "0")
        self.assertIn("[exit code 137]", self.cell("!kill -9 $$$$").stderr)

    def test_output_is_assigned_as_lines(self) -> None:
        self.cell("files = !printf 'b.py\\na.txt\\n'")
        outcome = self.cell("files, files.n, files.s, files.grep('py'), type(files[0])")
        self.assertEqual(
            outcome.value,
            "(['b.py', 'a.txt'], 'b.py\\na.txt', 'b.py a.txt', ['b.py'], <class 'str'>)")
        self.assertEqual(self.cell("!!printf 'x\\ny'").value, "['x', 'y']")
        self.assertEqual(self.cell("a, b = !printf '1\\n2'\na + b").value, "'12'")
        self.assertEqual(self.cell("d = {}\nd['k'] = !echo in\nd").value, "{'k': ['in']}")
        outcome = self.cell("x = !echo no >&2; exit 3\nx")
        self.assertEqual((outcome.value, outcome.stderr), ("['no']", "[exit code 3]\n"))

    def test_commands_stand_in_every_place(self) -> None:
        outcome = self.cell("""\
            if True: !echo one
            for i in range(2):
                x = !echo {i}
                print(x[0])
            try:
                !echo three
            finally:
                !echo \\
                    four
            text = '''
            !no
            %no
            no?
            '''
            print('five')""")
        self.assertEqual(outcome.stdout, "one\n0\n1\nthree\nfour\nfive\n")

    def test_what_a_command_writes_goes_where_print_goes(self) -> None:
        outcome = self.cell("""\
            import contextlib, io
            with contextlib.redirect_stdout(io.StringIO()) as out:
                !echo hidden
            out.getvalue()""")
        self.assertEqual((outcome.stdout, outcome.value), ("", "'hidden\\n'"))

    def test_a_command_of_any_length_runs(self) -> None:
        outcome = self.cell("%%bash\nx='" + "y" * 300_000 + "'\necho ${#x}")
        self.assertEqual(outcome.stdout, "300000\n")


class LineMagics(NotebookTest):
    def test_time_runs_and_says_how_long(self) -> None:
        outcome = self.cell("%time x = sum(range(10))\nx")
        self.assertRegex(outcome.stdout, r"CPU times: .*\nWall time: [\d.]+ .?s\n")
        self.assertEqual(outcome.value, "45")
        self.assertEqual(self.cell("%time 6 * 7").value, "42")
        self.assertEqual(self.cell("y = %time 6 * 7\ny + 1").value, "43")
        outcome = self.host.run("%time 1/0")
        self.assert_ends(outcome, "error", 1)
        self.assertIn("Wall time", outcome.stdout)

    def test_timeit_measures(self) -> None:
        said = (r"\d+(\.\d+)? (ns|µs|ms) ± .* per loop "
                r"\(mean ± std\. dev\. of 2 runs, 100 loops each\)")
        self.assertRegex(self.cell("z = 3\n%timeit -n 100 -r 2 z + 1").stdout, said)
        self.assertRegex(self.cell("%%timeit -n100 -r2 w = z\nw += 1\nw += 2").stdout, said)
        self.assertEqual(self.cell("t = %timeit -o -q -n 5 -r 1 1\nt.loops").value, "5")
        outcome = self.cell("def f(k):\n    %timeit -n 10 -r 1 k + 1\nf(1)")
        self.assertIn("per loop", outcome.stdout)
        for code, times in [
                ("%%timeit -n 2 -r 2\n!echo it", 4), ("%timeit -n 3 -r 1 !echo it", 3),
                ("%%timeit -n 2 -r 3 !echo it\nif z: !true", 3), ("%prun !echo it", 1),
                ("%%timeit -n 1 -r 2\nw = z\nx = !echo $w it\nprint(x.s)", 2)]:
            with self.subTest(code):
                self.assertEqual(self.cell(code).stdout.count("it\n"), times)

    def test_directories(self) -> None:
        outcome = self.cell("%mkdir -p deep\n%cd deep\nhere = %pwd\n%cd -q -\nhere.split('/')[-1]")
        self.assertEqual(outcome.value, "'deep'")
        self.assertEqual(self.cell("%pwd").value, repr(str(self.host.home)))
        self.assertIn("deep", self.cell("%ls").stdout)
        where = self.cell("where = 'deep'\n%cd {where}\n%cd").stdout
        self.assertEqual(where, f"{self.host.home}/deep\n{self.host.home}\n")
        self.cell("!mkdir -p 'my own/way'")
        for name in ("my own", "'my own'", "my\\ own", "-q my own", "my own -q", "~/my own/way"):
            with self.subTest(name):
                self.assertIn("my own", self.cell(f"%cd {name}\nhere = %pwd\n%cd -q\nhere").value or "")
        self.assertEqual(self.cell("%cd -q\n").stdout, "")

    def test_environment(self) -> None:
        self.assertEqual(self.cell("%env ONE=1\n%env TWO two words\n%set_env THREE '3'").stdout,
                         "env: ONE=1\nenv: TWO=two words\nenv: THREE=3\n")
        self.assertEqual(self.cell("!echo $ONE-$TWO-$THREE").stdout, "1-two words-3\n")
        self.assertEqual(self.cell("%env ONE").value, "'1'")
        self.assertEqual(self.cell("e = %env\ne['TWO']").value, "'two words'")

    def test_a_file_is_written_and_run(self) -> None:
        self.assertEqual(self.cell("%%writefile prog.py\nimport sys\nnamed = __name__\n"
                                   "print(sys.argv[1:])").stdout, "Writing prog.py\n")
        outcome = self.cell("%run prog.py one 'two words'\nnamed")
        self.assertEqual((outcome.stdout, outcome.value),
                         ("['one', 'two words']\n", "'__main__'"))
        self.assertEqual(self.cell("%%writefile -a prog.py\nsys.exit(0)").stdout,
                         "Appending to prog.py\n")
        self.cell("%run prog")
        self.assertEqual(self.cell("%%file prog.py\n1").stdout, "Overwriting prog.py\n")
        self.assertEqual(self.cell("%cat prog.py").stdout, "1\n")
        self.assert_ends(self.host.run("%%writefile\nx"), "error", 1)

    def test_an_error_in_a_file_that_is_run_shows_its_line(self) -> None:
        self.cell("%%writefile bad.py\n\n1/0  # in the file")
        outcome = self.host.run("%run bad.py")
        self.assert_ends(outcome, "error", 1)
        self.assertIn("1/0  # in the file", outcome.stderr)

    def test_names(self) -> None:
        self.cell("%reset -f")
        self.assertEqual(self.cell("%who").stdout, "Interactive namespace is empty.\n")
        self.cell("numbers = [1, 2]; word = 'w'")
        self.assertEqual(self.cell("%who").stdout, "numbers\tword\n")
        self.assertEqual(self.cell("%who_ls str").value, "['word']")
        self.assertRegex(self.cell("%whos").stdout, r"numbers +list +\[1, 2\]")
        self.cell("%reset -f")
        self.assertEqual((self.host.run("word").error or {})["name"], "NameError")

    def test_pip_says_its_exit_code_and_asks_nothing(self) -> None:
        self.assertIn("[exit code", self.cell("%pip no-such-command").stderr)
        self.assertIn("%pip install", self.cell("%conda install x").stderr)

    def test_what_changes_nothing_here_is_silent(self) -> None:
        outcome = self.cell("%load_ext autoreload\n%matplotlib inline\n"
                            "%config InlineBackend.figure_format = 'retina'\nprint('on')")
        self.assertEqual((outcome.stdout, outcome.stderr), ("on\n", ""))

    def test_a_magic_that_is_not_known_is_passed_over_and_says_so(self) -> None:
        outcome = self.cell("x = 1\n%nonsense about x\nprint('on')\nif x:\n    %further")
        self.assertEqual(outcome.stdout, "on\n")
        self.assertIn("%nonsense is not known here and was passed over", outcome.stderr)
        self.assertEqual(outcome.stderr.count("\n"), 2)
        outcome = self.cell("%%sql postgres://x\nselect * from t")
        self.assertEqual(outcome.stderr.count("\n"), 1)
        self.assertIn("%%sql is not known here: the cell did not run", outcome.stderr)
        outcome = self.cell("%%memit\nprint('ran')")
        self.assertEqual(outcome.stdout, "ran\n")
        self.assertIn("%%memit is not known here; the cell ran without it", outcome.stderr)
        self.assertIn("%%time works only as the first line", self.cell("1\n%%time\n2").stderr)

    def test_a_real_syntax_error_is_still_one(self) -> None:
        for code in (
                "x = = 2\n!true", "!true\nx = (1",
                'q = "What is it?\nprint(q)', 'print("hello?', "y = foo(a?", "if True: os?",
                "print(?", "x = 1 ? 2 : 3", "?x + 1", "what is this?", "1 + 1?", "x = os?",
                "print(\nos?\n)", "print(\n!true\n)", "[\n%time 1\n]", "f(\nx = !true\n)"):
            with self.subTest(code):
                outcome = self.host.run(code)
                self.assertEqual((outcome.error or {}).get("name"), "SyntaxError")
                self.assertEqual(outcome.stdout, "")
        self.assertEqual((self.host.run("%time x = = 1").error or {}).get("name"), "SyntaxError")

    def test_a_syntax_error_shows_the_line_as_it_was_written(self) -> None:
        for code in ('!true\nprint("a = !b', 'if "x: !true'):
            with self.subTest(code):
                outcome = self.host.run(code)
                self.assert_ends(outcome, "error", 1)
                self.assertNotIn("podflare", outcome.stderr)
                self.assertIn(code.split("\n")[-1], outcome.stderr)

    def test_many_of_them_do_not_take_long(self) -> None:
        for unit in ("%env X=1\n%pwd\n", "x = !echo\nprint(x)\n", "if True:\n    !true\n",
                     "for _ in ():\n    !true\n    %pwd\n", "try:\n    !true\nfinally:\n    %pwd\n"):
            with self.subTest(unit):
                source = f"'\"!true'\n{unit * 300}\n\n  \n!true \\\n  more\nx = 1\n"
                began = time.process_time()
                python = Compiler().as_python(source)
                self.assertLess(time.process_time() - began, 3.0)
                magics = unit.count("%") + unit.count("!")
                self.assertEqual(python.count("__podflare_magic__"), 300 * magics + 1)
                self.assertEqual(python.count("\n"), source.count("\n"))

    def test_they_are_found_around_text_that_looks_like_them(self) -> None:
        text = "'''\n!no\n%no\nno?\nelse\n'''"
        outcome = self.cell(
            f"!echo 1\na = {text}\nif True:\n    !echo 2\nelse:\n    b = 1\nb = {text}\n"
            f"try:\n    !echo 3\nexcept ValueError:\n    !echo no\nfinally:\n    !echo 4\n"
            f"# note\ndef f():\n    !echo 5\n\n    c = {text}\n    !echo 6\n    return c\n"
            f"x = !echo 7\nf() == a == b, x[0]")
        self.assertEqual((outcome.stdout, outcome.value), ("1\n2\n3\n4\n5\n6\n", "(True, '7')"))
        outcome = self.host.run("!true\nx = 1\n!true\ny = = 2\n")
        self.assertIn("line 4", outcome.stderr)
        self.assertIn("y = = 2", outcome.stderr)

    def test_names_without_a_percent_sign_are_no_magics(self) -> None:
        self.assertEqual((self.host.run("ls").error or {})["name"], "NameError")

    def test_lsmagic_lists_them(self) -> None:
        said = self.cell("%lsmagic").stdout
        for name in ("%timeit", "%%writefile", "%pip"):
            self.assertIn(name, said)


class CellMagics(NotebookTest):
    def test_time_of_a_cell_keeps_its_value_and_its_names(self) -> None:
        outcome = self.cell("%%time\ntotal = 0\nfor i in range(4):\n    total += i\ntotal")
        self.assertEqual(outcome.value, "6")
        self.assertIn("Wall time", outcome.stdout)
        self.assertEqual(self.cell("total + 1").value, "7")

    def test_an_error_in_the_cell_shows_its_own_line(self) -> None:
        outcome = self.host.run("# note\n%%time\nx = 1\n1/0  # here")
        self.assert_ends(outcome, "error", 1)
        self.assertIn("line 4", outcome.stderr)
        self.assertIn("1/0  # here", outcome.stderr)
        self.assertNotIn("podflare", outcome.stderr)

    def test_magics_within_magics(self) -> None:
        outcome = self.cell("%%capture out\n%%time\n!echo shell\nprint('python')")
        self.assertEqual((outcome.stdout, outcome.results), ("", []))
        self.assertIn("shell\npython\nCPU times", self.cell("print(out.stdout)").stdout)

    def test_capture_takes_everything(self) -> None:
        self.cell("%%capture got\nimport sys\nprint('out')\nprint('err', file=sys.stderr)\n"
                  "display(1)\n'last'")
        self.assertEqual(self.cell("got.stdout, got.stderr, len(got.outputs)").value,
                         "('out\\n', 'err\\n', 2)")
        outcome = self.cell("got.show()")
        self.assertEqual((outcome.stdout, outcome.stderr), ("out\n", "err\n"))
        self.assertEqual([one["text/plain"] for one in outcome.results], ["1", "'last'"])
        outcome = self.host.run("%%capture got\nprint('kept')\n1/0")
        self.assert_ends(outcome, "error", 1)
        self.assertEqual(self.cell("got.stdout").value, "'kept\\n'")

    def test_a_capture_that_goes_wrong_ends_with_its_cell(self) -> None:
        for cell in (
                "from podflare_repl import figures\n"
                "whole = figures.show_open\n"
                "def bad():\n    figures.show_open = whole\n    raise ValueError('bad title')\n"
                "figures.show_open = bad\n"
                "from IPython.utils.capture import capture_output\n"
                "with capture_output(): pass",
                "from IPython.utils.capture import capture_output\n"
                "left = capture_output(stdout=False, stderr=False); left.__enter__();"):
            with self.subTest(cell):
                self.host.run(cell)
                outcome = self.cell("print('said')\ndisplay('shown')\n5")
                self.assertEqual(outcome.stdout, "said\n")
                self.assertEqual(
                    [one["text/plain"] for one in outcome.results], ["'shown'", "5"])

    def test_captures_within_captures(self) -> None:
        outcome = self.cell("""\
            from IPython.utils.capture import capture_output
            with capture_output() as outer:
                with capture_output() as inner:
                    pass
                display('a')
                with capture_output() as inner:
                    display('b')
            display('c')
            [len(each.outputs) for each in (outer, inner)]""")
        self.assertEqual([one["text/plain"] for one in outcome.results], ["'c'", "[1, 1]"])

    def test_bash_with_its_options(self) -> None:
        self.cell("%%bash --out o --err e\necho out; echo err >&2")
        self.assertEqual(self.cell("o, e").value, "('out\\n', 'err\\n')")
        self.assertEqual(self.cell("%%bash -s one 'two words'\necho $# $2").stdout, "2 two words\n")
        outcome = self.cell("%%bash --no-raise-error\nexit 3")
        self.assertEqual(outcome.stderr, "[exit code 3]\n")
        self.assert_ends(self.host.run("%%sh\nexit 4"), "error", 4)

    def test_other_programs(self) -> None:
        self.assertEqual(self.cell("%%python\nprint(__name__)").stdout, "__main__\n")
        self.assertEqual(self.cell("%%script cat -n\nx").stdout.split(), ["1", "x"])
        self.assertEqual(self.cell("%%!\necho a\necho b").value, "['a', 'b']")

    def test_forms(self) -> None:
        for magic, mime in [("html", "text/html"), ("markdown", "text/markdown"),
                            ("latex", "text/latex"), ("svg", "image/svg+xml"),
                            ("javascript", "application/javascript")]:
            with self.subTest(magic):
                self.assertEqual(self.cell(f"%%{magic}\n<b>1</b>").results[0][mime], "<b>1</b>")


class HelpAndPrompts(NotebookTest):
    def test_help_tells_signature_and_text(self) -> None:
        self.cell("def f(a, b=2):\n    'Adds.'\n    return a + b")
        for code in ("f?", "?f", "x = 1\nf?", "f?  # note", "%pinfo f"):
            with self.subTest(code):
                said = self.cell(code).stdout
                self.assertIn("Signature: f(a, b=2)", said)
                self.assertIn("Adds.", said)
        for code in ("f??", "??f", "%pinfo2 f"):
            self.assertIn("return a + b", self.cell(code).stdout)
        self.assertIn("Docstring:", self.cell("import os\nos.path.join?").stdout)
        self.assertEqual(self.cell("nowhere?").stdout, "Object `nowhere` not found.\n")
        self.assertIn("os.getcwd\n", self.cell("os.*cwd*?").stdout)
        self.cell("d = {'k': [f]}; from collections import OrderedDict as Über")
        for code in ("d['k'][0]?", "?d['k'][0]", "f? ;", "if True:\n    f?"):
            self.assertIn("Adds.", self.cell(code).stdout)
        self.assertIn("not found", self.cell("%time?").stdout)
        self.assertIn("insertion order", self.cell("Über?").stdout)

    def test_prompts_are_stripped(self) -> None:
        self.assertEqual(self.cell(">>> x = 1\n>>> x + 1").value, "2")
        self.assertEqual(self.cell("In [1]: 5").value, "5")
        self.assertEqual(self.cell(
            "In [3]: def g():\n   ...:     return 3\n   ...:\nIn [4]: g()").value, "3")
        outcome = self.cell(">>> for i in range(2):\n...     print(i)\n...\n>>> print('x y')\nx y")
        self.assertEqual(outcome.stdout, "0\n1\nx y\n")
        for code, value, printed in [
                ("In [1]: x = 5\n\nIn [2]: x\nOut[2]: 5", "5", ""),
                ("In [1]: [1, 2]\nOut[1]: \n[1,\n 2]\n\nIn [2]: 6\nOut[2]: 6", "6", ""),
                ("In [1]: def g():\n    return 4\n\nIn [2]: g()", "4", ""),
                (">>> print('a')\na", None, "a\n"),
                (">>> y = 1\n>>> y\n1\n>>> y + 1\n2\n", "2", ""),
                (">>> 1/2\n0.5\n>>> def g():\n...     return 3\n...\n>>> g()\n3", "3", ""),
                (">>> s = '''a\nb'''\n>>> s", r"'a\nb'", "")]:
            with self.subTest(code):
                outcome = self.cell(code)
                self.assertEqual((outcome.value, outcome.stdout), (value, printed))
        self.assertEqual(self.cell("s = '''\n>>> kept\n'''\ns").value, repr("\n>>> kept\n"))


class History(NotebookTest):
    def test_the_last_values_have_names(self) -> None:
        self.cell("'a'")
        self.cell("'b'")
        self.cell("'c'")
        self.assertEqual(self.cell("(_, __, ___)").value, "('c', 'b', 'a')")
        self.assertEqual(self.cell("_[0]\n").value, "'c'")

    def test_in_and_out_by_number(self) -> None:
        number = int(self.cell("6 * 7\nlen(In) - 1").value or "")
        self.assertEqual(self.cell(f"Out[{number}]").value, str(number))
        self.assertEqual(self.cell(f"_{number} + 1").value, str(number + 1))
        self.assertEqual(self.cell(f"In[{number}], _i{number}").value,
                         "('6 * 7\\nlen(In) - 1', '6 * 7\\nlen(In) - 1')")
        self.assertEqual(self.cell("_i").value, repr(f"In[{number}], _i{number}"))
        self.assertIn("6 * 7", self.cell("%history -n").stdout)

    def test_an_unseen_cell_says_what_it_does_and_leaves_no_trace(self) -> None:
        number = int(self.cell("len(In) - 1").value or "")
        unseen = self.host.run("x = 6\nclass Unseen: pass\nprint('said')\nx * 7", unseen=True)
        self.assertEqual((unseen.stdout, unseen.value), ("said\n", "42"))
        self.assertIn("ZeroDivisionError", self.host.run("1/0", unseen=True).stderr)
        self.host.run("'a single expression'", unseen=True)
        self.assertEqual(
            self.cell("len(In) - 1, _, max(Out), 'x' in globals(), 'Unseen' in globals()").value,
            f"({number + 1}, {number}, {number}, False, False)")
        self.assertIn(f"<cell {number + 2}>", self.host.run("1/0").stderr)

    def test_they_are_no_variables_and_give_way_to_them(self) -> None:
        self.cell("5")
        self.assertEqual(self.cell("[n for n in globals() if n in ('_', 'In', 'Out')]").value, "[]")
        self.assertEqual(self.cell("for _ in range(3): pass\n_").value, "2")
        self.cell("del _")

    def test_a_large_value_is_not_kept_alive_for_out(self) -> None:
        outcome = self.cell("""\
            import weakref
            class Large: pass
            thing = Large(); gone = weakref.ref(thing)
            thing""")
        self.assertIsNotNone(outcome.value)
        self.cell("n = len(In) - 2\nOut[n] is thing")
        self.cell("1")
        self.cell("del thing")
        for text in ("[1]", "[2]", "[3]", "[4]"):
            self.cell(text)
        self.assertEqual(self.cell("gone() is None").value, "True")
        outcome = self.host.run("Out[n]")
        self.assertIn("was large and is gone", outcome.stderr)
        self.assertEqual(self.cell("Out[len(In) - 6]").value, "[2]")
        self.assertEqual(self.cell("[v for v in Out.values() if v == [1]]").value,
                         "[[1]]")
        self.assertEqual(self.cell(
            "{type(v).__name__ for _, v in Out.items()} | {type(v).__name__ for v in Out.values()}"
            " >= {'_Elsewhere'}").value, "False")


class IPythonWithoutIPython(NotebookTest):
    def test_display_and_its_forms(self) -> None:
        outcome = self.cell("""\
            from IPython.display import display, HTML, Markdown, JSON, Latex, Math, SVG, Code
            from IPython.display import Javascript, Image, IFrame, Audio, Video
            display(HTML('<b>x</b>')); display(Markdown('*m*'), Latex('$x$'), Math('x'))
            display(JSON({'a': 1})); display(SVG('<svg/>')); display(Javascript('go()'))
            display(Code('x = 1', language='python'))
            display(Image(data=b'\\x89PNG....')); display(IFrame('http://x', 10, 20))
            display(Audio([0.0, 0.5, -0.5], rate=8000)); display(Video('http://x/v.mp4'))
            HTML('last')""")
        mimes = ["text/html", "text/markdown", "text/latex", "text/latex", "application/json",
                 "image/svg+xml", "application/javascript", "text/html", "image/png", "text/html",
                 "text/html", "text/html", "text/html"]
        self.assertEqual(len(outcome.results), len(mimes))
        for result, mime in zip(outcome.results, mimes):
            self.assertIn(mime, result)
        self.assertEqual(outcome.results[0]["text/html"], "<b>x</b>")
        self.assertEqual(outcome.results[4]["application/json"], '{"a": 1}')
        self.assertIn("data:audio/wav;base64,UklGR", outcome.results[10]["text/html"])
        self.assertEqual(outcome.results[-1]["text/html"], "last")

    def test_html_and_markdown_need_no_import(self) -> None:
        self.assertEqual(self.cell("HTML('x')").results[0]["text/html"], "x")
        self.assertEqual(self.cell("Markdown('x')").results[0]["text/markdown"], "x")

    def test_every_way_to_import_it(self) -> None:
        for code in ("import IPython\nIPython.display.display(1)",
                     "from IPython import display\ndisplay.display(1)",
                     "from IPython.core.display import display, HTML\ndisplay(1)",
                     "import IPython.display as d\nd.display(1)",
                     "from IPython import get_ipython\nget_ipython().run_cell('1');"):
            with self.subTest(code):
                self.assertEqual(self.cell(code).results, [{"text/plain": "1"}])
        outcome = self.host.run("import IPython.nothing")
        self.assertEqual((outcome.error or {})["name"], "ModuleNotFoundError")

    def test_raw_and_chosen_forms(self) -> None:
        outcome = self.cell("""\
            display({'text/html': '<i>', 'text/plain': 'i'}, raw=True)
            class Rich:
                def __repr__(self): return 'rich'
                def _repr_html_(self): return 'h'
                def _repr_markdown_(self): return 'm'
            display(Rich(), include=['text/html']); display(Rich(), exclude=['text/html'])
            from IPython.display import publish_display_data
            publish_display_data({'text/x': 'y'})""")
        self.assertEqual(outcome.results, [
            {"text/html": "<i>", "text/plain": "i"}, {"text/html": "h", "text/plain": "rich"},
            {"text/markdown": "m", "text/plain": "rich"}, {"text/x": "y", "text/plain": ""}])

    def test_what_is_updated_is_shown_as_it_is_in_the_end(self) -> None:
        outcome = self.cell("""\
            handle = display('start', display_id=True)
            for i in range(50): handle.update(i)
            display('after')
            print(type(handle).__name__)""")
        self.assertEqual([one["text/plain"] for one in outcome.results],
                         ["'start'", "'after'", "49"])

    def test_what_is_cleared_is_not_shown(self) -> None:
        outcome = self.cell("""\
            from IPython.display import clear_output
            for i in range(50):
                clear_output(wait=True)
                display(i)
            'last'""")
        self.assertEqual([one["text/plain"] for one in outcome.results], ["49", "'last'"])
        self.assertEqual(self.cell("display(1)\n2").results,
                         [{"text/plain": "1"}, {"text/plain": "2"}])

    def test_get_ipython_runs_magics_and_commands(self) -> None:
        outcome = self.cell("""\
            ip = get_ipython()
            ip.run_line_magic('env', 'FROM_SHELL=1'); ip.magic('env OTHER=2')
            ip.system('echo $FROM_SHELL')
            ip.run_cell_magic('bash', '', 'echo $OTHER')
            out = ip.getoutput('echo a; echo b')
            ip.ex('made = 5'); ip.push({'pushed': 6})
            ip.events.register('post_execute', print)
            out, made, ip.ev('pushed'), ip.user_ns is globals(), 'IPKernelApp' in ip.config""")
        self.assertEqual(outcome.value, "(['a', 'b'], 5, 6, True, False)")
        self.assertEqual(outcome.stdout, "env: FROM_SHELL=1\nenv: OTHER=2\n1\n2\n")

    def test_a_command_of_the_shell_object_sees_the_names_of_its_caller(self) -> None:
        outcome = self.cell("""\
            command = 'mine'; self = 'me'; rest = 'the rest'
            ip = get_ipython()
            ip.system('echo {command} $self {rest}')
            def f(command): return ip.getoutput('echo {command} $self', split=False)
            f('local')""")
        self.assertEqual((outcome.stdout, outcome.value), ("mine me the rest\n", "'local me'"))

    def test_code_registers_magics_and_forms(self) -> None:
        outcome = self.cell("""\
            from IPython.core.magic import register_line_magic, register_cell_magic
            @register_line_magic
            def shout(line): return line.upper()
            @register_cell_magic
            def count(line, cell): return len(cell.splitlines())
            class Plain: pass
            get_ipython().display_formatter.formatters['text/html'].for_type(
                Plain, lambda value: '<plain>')""")
        self.assertEqual(self.cell("%shout it").value, "'IT'")
        self.assertEqual(self.cell("%%count\n1\n2").value, "2")
        self.assertEqual(self.cell("Plain()").results[0]["text/html"], "<plain>")

    def test_objects_that_display_themselves(self) -> None:
        outcome = self.cell("""\
            class Self:
                def _ipython_display_(self): display('mine')
            class Fails:
                def _ipython_display_(self): raise NotImplementedError
                def __repr__(self): return 'plain'
            display(Self()); display(Fails())
            Self()""")
        self.assertEqual([one["text/plain"] for one in outcome.results],
                         ["'mine'", "plain", "'mine'"])

    def test_a_library_that_asks_for_a_notebook_finds_none_with_widgets(self) -> None:
        (self.host.home / "asks.py").write_text(textwrap.dedent("""\
            import sys
            import IPython
            def in_kernel():
                shell = sys.modules['IPython'].get_ipython()
                return 'IPKernelApp' in shell.config or 'ZMQ' in type(shell).__name__
            """))
        self.assertEqual(self.cell("import asks\nasks.in_kernel()").value, "False")

    def test_a_real_ipython_goes_first_and_displays_here(self) -> None:
        package = self.host.home / "IPython"
        (package / "core").mkdir(parents=True)
        (package / "__init__.py").write_text(
            "from .core.getipython import get_ipython\nreal = True\n")
        (package / "core" / "__init__.py").write_text("")
        (package / "core" / "getipython.py").write_text("def get_ipython(): return None\n")
        (package / "core" / "display_functions.py").write_text(
            "def display(*objs, **options): print(*objs)\n")
        (package / "display.py").write_text("from .core.display_functions import *\n")
        with self.own_agent() as host:
            import shutil
            shutil.copytree(package, host.home / "IPython")
            outcome = host.run("import IPython\nfrom IPython.display import display\n"
                               "display(5)\nIPython.real, IPython.get_ipython() is None")
        shutil.rmtree(package)
        self.assertEqual([one["text/plain"] for one in outcome.results], ["5", "(True, False)"])


class Autoreload(NotebookTest):
    def test_a_module_that_has_changed_is_imported_again(self) -> None:
        module = self.host.home / "mine.py"
        module.write_text("def f(): return 1\n")
        self.cell("%load_ext autoreload\n%autoreload 2\nimport mine\nfrom mine import f as g")
        self.assertEqual(self.cell("g(), mine.f()").value, "(1, 1)")
        module.write_text("def f(): return 22\n")
        self.assertEqual(self.cell("g(), mine.f()").value, "(22, 22)")
        module.write_text("def f(: return 3\n")
        outcome = self.cell("g()")
        self.assertEqual(outcome.value, "22")
        self.assertIn("autoreload of mine failed: SyntaxError", outcome.stderr)
        module.write_text("def f(): return 4444\n")
        self.cell("%autoreload 0")
        module.write_text("def f(): return 55555\n")
        self.assertEqual(self.cell("g()").value, "4444")


    def test_objects_of_any_kind_are_let_be(self) -> None:
        module = self.host.home / "cached.py"
        text = "import functools\n@functools.lru_cache\ndef f(): return {}\nclass C: x = {}\n"
        module.write_text(text.format(1, 1))
        self.cell("""\
            %load_ext autoreload
            %autoreload 2
            import sys
            from cached import f, C
            class Odd:
                def __getattr__(self, name): raise RuntimeError(name)
                @property
                def __class__(self): raise RuntimeError('class')
            odd = Odd()
            sys.modules['odd_one'] = odd""")
        self.assertEqual(self.cell("f(), C.x").value, "(1, 1)")
        module.write_text(text.format(22, 22))
        outcome = self.cell("f(), C.x")
        self.assertEqual((outcome.value, outcome.stderr), ("(22, 22)", ""))
        self.cell("%autoreload 0\ndel sys.modules['odd_one'], odd")


class Interactivity(NotebookTest):
    def test_a_cell_shows_the_values_that_it_is_told_to(self) -> None:
        self.cell("""\
            from IPython.core.interactiveshell import InteractiveShell
            InteractiveShell.ast_node_interactivity = 'all'""")
        outcome = self.cell("1\nprint('x')\n2;\n3")
        self.assertEqual([one["text/plain"] for one in outcome.results], ["1", "3"])
        self.cell("%config InteractiveShell.ast_node_interactivity = 'last_expr_or_assign'")
        self.assertEqual(self.cell("x = 5").value, "5")
        self.cell("get_ipython().ast_node_interactivity = 'last_expr'")
        self.assertEqual(self.cell("1\n2").results, [{"text/plain": "2"}])

    def test_the_codes_own_underscore_as_a_builtin_stays(self) -> None:
        with self.own_agent() as host:
            host.run("import builtins\nbuiltins._ = str.upper")
            host.run("5")
            self.assertEqual(host.run("_('a')").value, "'A'")


class TheMainModule(NotebookTest):
    """What Python's own tools find in the cells."""

    def test_the_source_of_classes(self) -> None:
        self.cell("""\
            import dataclasses, enum, inspect
            @dataclasses.dataclass
            class Point:
                x: int = 1  # this line""")
        self.cell("class Outer:\n    class Inner:\n        y = 2\n"
                  "def make():\n    class Local: z = 3\n    return Local")
        self.assertEqual(self.cell("print(inspect.getsource(Point))").stdout.rstrip("\n"),
                         "@dataclasses.dataclass\nclass Point:\n    x: int = 1  # this line")
        self.assertIn("y = 2", self.cell("inspect.getsource(Outer.Inner)").value or "")
        self.assertIn("z = 3", self.cell("inspect.getsource(make())").value or "")
        self.cell("class Point:\n    x = 'later'")
        self.assertIn("later", self.cell("inspect.getsource(Point)").value or "")
        outcome = self.host.run("inspect.getsource(type('Made', (), {}))")
        self.assert_ends(outcome, "error", 1)

    def test_functions_of_cells_run_in_processes_that_begin_anew(self) -> None:
        self.cell("""\
            import multiprocessing
            FACTOR = 3
            class Number:
                def __init__(self, value): self.value = value
            def times(number): return number.value * FACTOR
            print('once')""")
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method):
                outcome = self.cell(f"""\
                    with multiprocessing.get_context('{method}').Pool(1) as pool:
                        products = pool.map(times, [Number(1), Number(2)])
                    products""")
                self.assertEqual((outcome.value, outcome.stdout), ("[3, 6]", ""))

    def test_a_recursion_without_a_limit_is_told_in_time(self) -> None:
        outcome = self.host.run(
            "import sys\nlimit = sys.getrecursionlimit(); sys.setrecursionlimit(200_000)\n"
            "def deep(n): return deep(n + 1)\ndeep(0)")
        self.assertEqual((outcome.error or {}).get("name"), "RecursionError")
        self.cell("sys.setrecursionlimit(limit)")

    def test_tools_that_look_at_main(self) -> None:
        self.assertEqual(self.cell("""\
            import doctest, pickle, typing
            def square(n):
                '''
                >>> square(2)
                4
                '''
                return n * n
            class Hinted:
                other: 'Hinted'
            (doctest.testmod().failed, pickle.loads(pickle.dumps(square)) is square,
             typing.get_type_hints(Hinted)['other'] is Hinted,
             __name__, '__file__' in globals())""").value, "(0, True, True, '__main__', False)")
        outcome = self.cell("""\
            import unittest
            class Passes(unittest.TestCase):
                def test_it(self): pass
            unittest.main()""")
        self.assertIn("Ran 1 test", outcome.stderr)

    def test_a_debugger_finds_the_end_of_its_input(self) -> None:
        outcome = self.host.run("breakpoint()\nprint('on')")
        self.assertEqual((outcome.error or {}).get("name"), "BdbQuit")
        self.assertEqual(self.cell("print('well')").stdout, "well\n")


class Libraries(NotebookTest):
    """Libraries that draw for a page, as far as they are asked: small ones in their place."""

    def test_plotly_and_its_kind_are_handed_to_results(self) -> None:
        package = self.host.home / "plotly" / "io"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").write_text("")
        (package / "__init__.py").write_text(textwrap.dedent("""\
            from ._renderers import renderers, show
            def to_html(figure, **options): return '<div>drawn</div>'
            def to_json(figure, **options): return '{}'"""))
        (package / "_base_renderers.py").write_text("class ExternalRenderer:\n    pass\n")
        (package / "_renderers.py").write_text(textwrap.dedent("""\
            from . import _base_renderers
            class Config(dict):
                def _validate_coerce_renderers(self, text): return text.split('+')
                @property
                def default(self): return self.name
                @default.setter
                def default(self, name):
                    self.name = name
                    self.chosen = [self[n] for n in self._validate_coerce_renderers(name)]
            renderers = Config(browser=None)
            def show(figure, renderer=None):
                names = renderers._validate_coerce_renderers(renderer or renderers.default)
                for name in names: renderers[name].render(figure)"""))
        (package.parent / "basedatatypes.py").write_text(textwrap.dedent("""\
            class BaseFigure:
                def to_dict(self): return {'data': [{'type': 'pie'}]}
                def _ipython_display_(self): import time; time.sleep(100)"""))
        outcome = self.cell("""\
            import plotly.io
            from plotly.basedatatypes import BaseFigure
            display(BaseFigure())
            class Figure:
                def _ipython_display_(self): plotly.io.show({'data': [{'type': 'bar'}]})
            plotly.io.show({'data': []}, renderer='plotly_mimetype+notebook')
            Figure()""")
        self.assertEqual([one["text/html"] for one in outcome.results], ["<div>drawn</div>"] * 3)
        self.assertEqual(outcome.results[0]["text/plain"], "<plotly figure: pie>")
        self.assertEqual(outcome.results[2]["text/plain"], "<plotly figure: bar>")

    def test_a_library_of_another_shape_can_be_imported_all_the_same(self) -> None:
        (self.host.home / "altair.py").write_text("version = 'quite other'\n")
        outcome = self.cell("import altair\naltair.version")
        self.assertEqual(outcome.value, "'quite other'")
        self.assertIn("altair could not be set up for results", outcome.stderr)


if __name__ == "__main__":
    unittest.main()

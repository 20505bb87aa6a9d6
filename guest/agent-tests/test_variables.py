"""variables: what the user's globals are, without a trace of having looked."""

from __future__ import annotations

import struct
import unittest
from typing import Any

from host import DATA, AgentTest, Outcome

_record = struct.Struct("!HHHH")


def variables_in(told: bytes) -> dict[str, tuple[str, str, str]]:
    """(type, repr, fingerprint) by name, from the records of docs/agent-protocol.md."""
    variables = {}
    at = 1
    while at < len(told):
        sizes = _record.unpack_from(told, at)
        at += _record.size
        fields = []
        for size in sizes:
            fields.append(told[at:at + size].decode())
            at += size
        variables[fields[0]] = (fields[1], fields[2], fields[3])
    return variables


class Variables(AgentTest):
    def ask(self) -> Outcome:
        outcome = self.host.ask("variables")
        self.assertTrue(outcome["ok"], outcome.closed)
        return outcome

    def told(self, code: str = "") -> dict[str, tuple[str, str, str]]:
        self.host.run("for name in [n for n in globals() if not n.startswith('__')]:\n"
                      "    del globals()[name]\ndel name")
        if code:
            outcome = self.host.run(code)
            self.assertIsNone(outcome.error, outcome.error)
        return variables_in(self.ask().bytes_of(DATA))

    def print_of(self, code: str) -> str:
        return self.told(f"it = {code}")["it"][2]

    def test_a_variable_is_told_by_its_type_and_a_short_repr(self) -> None:
        told = self.told("import math\nx = 42\ntext = 'é' * 500\n"
                         "nested = {'a': [1, (2,)], 'b': {3}}\n"
                         "def f(a): return a\nclass A: pass\n__secret__ = 1")
        self.assertEqual({name: value[:2] for name, value in told.items()}, {
            "math": ("module", "<module 'math'>"),
            "x": ("int", "42"),
            "text": ("str", "'" + "é" * 118 + "…"),
            "nested": ("dict", "{'a': [1, (2,)], 'b': {3}}"),
            "f": ("function", "<function f>"),
            "A": ("type", "<class '__main__.A'>"),
        })

    def test_equal_values_have_equal_fingerprints_and_others_have_not(self) -> None:
        same = [
            ("[1, 2, 3]", "list(range(1, 4))"),
            ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
            ("{1: 'x', (2, 3): 'y'}", "{(2, 3): 'y', 1: 'x'}"),
            ("{'x', 'y', 'z'}", "{'z', 'y', 'x'}"),
            ("{1, 'y', None}", "{None, 'y', 1}"),
            ("lambda x: x + 1", "lambda x: x + 1"),
            ("'ab'", "''.join(['a', 'b'])"),
        ]
        for one, other in same:
            with self.subTest(one):
                self.assertEqual(self.print_of(one), self.print_of(other))
        different = [
            ("1", "2"), ("1", "1.0"), ("1", "True"), ("[1]", "(1,)"), ("'a'", "b'a'"),
            ("[1, [2]]", "[[1], 2]"), ("['ab', 'c']", "['a', 'bc']"), ("{1: 2}", "{2: 1}"),
            ("lambda x: x + 1", "lambda x: x + 2"), ("{'a'}", "frozenset({'a'})"),
            ("[0] * 1000", "[0] * 999 + [1]"), ("None", "False"),
        ]
        for one, other in different:
            with self.subTest(one):
                self.assertNotEqual(self.print_of(one), self.print_of(other))

    def test_objects_differ_by_their_attributes_and_not_by_their_own_comparison(self) -> None:
        make = ("class P:\n"
                "    __slots__ = ('s', '__dict__')\n"
                "    def __init__(self, a, s): self.a, self.s = a, s\n"
                "    def __repr__(self): return 'always the same'\n"
                "    def __eq__(self, other): return True\n"
                "    def __hash__(self): return 1\n")
        prints = [self.told(make + f"it = P({a}, {s})")["it"][2]
                  for a, s in ((1, 2), (1, 2), (3, 2), (1, 3))]
        self.assertEqual(prints[0], prints[1])
        self.assertEqual(len(set(prints)), 3)

    def test_hostile_objects_keep_nobody_from_being_told(self) -> None:
        told = self.told(
            "import time, os, sys\n"
            "before = 1\n"
            "class Hangs:\n"
            "    def __repr__(self):\n"
            "        while True: time.sleep(1)\n"
            "class Raises:\n"
            "    def __repr__(self): raise KeyboardInterrupt\n"
            "class Exits:\n"
            "    def __repr__(self): os._exit(7)\n"
            "class Leaves:\n"
            "    def __repr__(self): sys.exit(7)\n"
            "class Prints:\n"
            "    def __repr__(self): print('here'); return 'printed'\n"
            "class Lies:\n"
            "    __class__ = property(lambda self: int)\n"
            "    __dict__ = property(lambda self: 1 / 0)\n"
            "    def __repr__(self): return 7\n"
            "class Meta(type):\n"
            "    __name__ = property(lambda self: 1 / 0)\n"
            "    def __repr__(self): return 1 / 0\n"
            "class Sub(dict):\n"
            "    def items(self): raise ValueError\n"
            "    def __iter__(self): raise ValueError\n"
            "class Text(str):\n"
            "    def __getitem__(self, at): raise ValueError\n"
            "class Says:\n"
            "    def __repr__(self): return Text('said')\n"
            "hangs, raises, exits, leaves = Hangs(), Raises(), Exits(), Leaves()\n"
            "prints, lies, meta, sub, says = Prints(), Lies(), Meta('M', (), {})(), Sub(a=1), Says()\n"
            "itself = []; itself.append(itself)\n"
            "huge = 10 ** 100_000\n"
            "large = list(range(3_000_000))\n"
            "after = 2")

        def cut_short() -> list[str]:
            """What should have been told in the time that there is for all."""
            names = ("raises", "exits", "leaves", "prints", "lies", "meta", "says", "large")
            return [name for name in names if name not in told or "too long" in told[name][1]]

        for _ in range(20):  # a busy machine may take that time for itself
            if not cut_short():
                break
            told = variables_in(self.ask().bytes_of(DATA))
        self.assertEqual(told["before"][1], "1")
        self.assertEqual(told["after"][1], "2")
        self.assertIn("takes too long", told["hangs"][1])
        self.assertIn("ends the process", told["exits"][1])
        self.assertIn("KeyboardInterrupt", told["raises"][1])
        self.assertIn("SystemExit", told["leaves"][1])
        self.assertEqual(told["prints"][:2], ("Prints", "printed"))
        self.assertEqual(told["lies"][0], "Lies")
        self.assertEqual(told["meta"][0], "M")
        self.assertEqual(told["says"][1], "said")
        self.assertIn("bits", told["huge"][1])
        self.assertTrue(told["large"][1].startswith("[0, 1, 2, "))
        self.assertLess(max(len(repr_) for _, repr_, _ in told.values()), 121)

    def test_nothing_of_it_is_seen_in_the_process(self) -> None:
        self.host.run(
            "import atexit, gc, os, signal, sys, threading\n"
            "seen = []\n"
            "class Shows:\n"
            "    def __init__(self): self.told = 0\n"
            "    def __repr__(self):\n"
            "        seen.append(1); self.told += 1\n"
            "        print('seen'); sys.stdout.flush(); return 'x'\n"
            "shows = Shows()\n"
            "atexit.register(lambda: open('at-exit', 'w').close())\n"
            "signal.signal(signal.SIGCHLD, lambda *_: seen.append('child'))\n"
            "stop = threading.Event()\n"
            "threading.Thread(target=stop.wait, daemon=True).start()\n"
            "fds, frozen = os.listdir('/proc/self/fd'), gc.get_freeze_count()")
        for _ in range(3):
            self.ask()
        outcome = self.host.run(
            "left = (seen, shows.told, os.path.exists('at-exit'),\n"
            "        os.listdir('/proc/self/fd') == fds, gc.get_freeze_count() == frozen,\n"
            "        gc.isenabled())\n"
            "signal.signal(signal.SIGCHLD, signal.SIG_DFL); stop.set()\n"
            "left")
        self.assertEqual(outcome.value, "([], 0, False, True, True, True)")
        self.assertEqual(outcome.stdout + outcome.stderr, "")
        children = self.host.run("os.waitpid(-1, os.WNOHANG)")
        self.assertEqual((children.error or {}).get("name"), "ChildProcessError")

    def test_python_that_runs_is_busy_and_python_that_died_is_told_anew(self) -> None:
        stream = self.host.start_and_hear(
            "import time; print('runs', flush=True); time.sleep(60)", "runs")
        self.assertEqual(self.host.ask("variables")["code"], "busy")
        self.host.cancel(stream, "interrupt")
        self.host.wait_closed(stream)
        self.host.run("import os; os._exit(1)")
        self.assertEqual(variables_in(self.ask().bytes_of(DATA)), {})

    def test_names_that_are_no_text_are_passed_over(self) -> None:
        self.assertEqual(list(self.told("globals()[7] = 1; globals()['x' * 300] = 1; y = 1")), ["y"])


class Data(AgentTest):
    def test_the_parts_of_classes_and_functions_count(self) -> None:
        def print_of(code: str) -> Any:
            self.host.run(code)
            return variables_in(self.host.ask("variables").bytes_of(DATA))["it"][2]

        one = print_of("class it:\n    limit = 1\n    def f(self): return 1")
        same = print_of("class it:\n    limit = 1\n    def f(self): return 1")
        other = print_of("class it:\n    limit = 1\n    def f(self): return 2")
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)


if __name__ == "__main__":
    unittest.main()

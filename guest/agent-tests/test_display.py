"""Values as results, and hooks that misbehave."""

from __future__ import annotations

import base64
import json
import textwrap
import time
import unittest

from host import AgentTest


class Values(AgentTest):
    def test_the_last_expression_is_a_result_unless_it_is_none(self) -> None:
        self.assertEqual(self.host.run("x = 2\nx * 21").results, [{"text/plain": "42"}])
        for code in ["None", "x = 1", "print('x')", "x = 1\nNone", "for i in range(3): i"]:
            with self.subTest(code):
                self.assertEqual(self.host.run(code).results, [])

    def test_only_the_last_expression_is_shown(self) -> None:
        self.assertEqual(self.host.run("1\n2\n3").results, [{"text/plain": "3"}])
        self.assertEqual(self.host.run("1; 2; 3").results, [{"text/plain": "3"}])

    def test_a_semicolon_at_the_end_says_that_the_value_is_not_wanted(self) -> None:
        self.assertEqual(self.host.run("5;").results, [])
        self.assertEqual(self.host.run("x = 'é;'\nx; # note").results, [])
        self.assertEqual(self.host.run("'a;b'").value, "'a;b'")

    def test_each_display_is_a_result_at_once_and_in_order(self) -> None:
        outcome = self.host.run("print('a')\ndisplay(1, 'two')\nprint('b')\n3")
        self.assertEqual([r["text/plain"] for r in outcome.results], ["1", "'two'", "3"])

    def test_results_and_errors_stay_in_one_call(self) -> None:
        outcome = self.host.run("display(1)\n1/0")
        self.assertEqual(len(outcome.results), 1)
        self.assert_ends(outcome, "error", 1)

    def test_every_repr_hook_is_asked(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Rich:
                def __repr__(self): return 'plain'
                def _repr_html_(self): return '<b>'
                def _repr_png_(self): return b'png'
                def _repr_jpeg_(self): return (b'jpeg', {'width': 3})
                def _repr_svg_(self): return '<svg/>'
                def _repr_latex_(self): return '$x$'
                def _repr_markdown_(self): return '*m*'
                def _repr_json_(self): return {'k': [1]}
            Rich()"""))
        self.assertEqual(outcome.results, [{
            "text/plain": "plain", "text/html": "<b>",
            "image/png": base64.b64encode(b"png").decode(),
            "image/jpeg": base64.b64encode(b"jpeg").decode(),
            "image/svg+xml": "<svg/>", "text/latex": "$x$",
            "text/markdown": "*m*", "application/json": json.dumps({"k": [1]})}])

    def test_a_mime_bundle_goes_before_the_single_hooks(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Bundle:
                def _repr_mimebundle_(self, include=None, exclude=None):
                    return {'text/html': 'bundle', 'application/x+json': {'a': 1}}, {'meta': 1}
                def _repr_html_(self): return 'single'
            Bundle()"""))
        self.assertEqual(outcome.results[0]["text/html"], "bundle")
        self.assertEqual(outcome.results[0]["application/x+json"], '{"a": 1}')
        self.assertIn("Bundle object at", outcome.results[0]["text/plain"])

    def test_classes_and_mocks_have_no_hooks_to_call(self) -> None:
        outcome = self.host.run(
            "from unittest.mock import MagicMock\n"
            "class Rich:\n    def _repr_html_(self): return 1/0\n"
            "display(Rich)\ndisplay(MagicMock())")
        self.assertEqual([list(r) for r in outcome.results], [["text/plain"], ["text/plain"]])


class Misbehaviour(AgentTest):
    def test_hooks_that_raise_leave_their_form_out(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Raises:
                def __repr__(self): return 'still'
                def _repr_html_(self): raise SystemExit(3)
                def _repr_mimebundle_(self, **_): raise MemoryError
                def _repr_latex_(self): return '$ok$'
            Raises()"""))
        self.assertEqual(outcome.results, [{"text/plain": "still", "text/latex": "$ok$"}])
        self.assert_ends(outcome, "ok", 0)

    def test_a_repr_that_raises_is_named(self) -> None:
        outcome = self.host.run("class Bad:\n    def __repr__(self): raise ValueError\nBad()")
        self.assertIn("ValueError in its repr", outcome.value or "")
        self.assert_ends(outcome, "ok", 0)

    def test_hooks_that_hang_get_5_seconds_in_all_even_if_they_swallow_everything(self) -> None:
        began = time.monotonic()
        outcome = self.host.run(textwrap.dedent("""\
            import time
            class Hangs:
                def _repr_html_(self):
                    try: time.sleep(100)
                    except BaseException: time.sleep(100)
                _repr_latex_ = _repr_markdown_ = __repr__ = _repr_html_
            Hangs()"""))
        self.assertLess(time.monotonic() - began, 60)  # they would take hundreds of seconds
        self.assertIn("took over 5 s", outcome.value or "")
        self.assert_ends(outcome, "ok", 0)

    def test_an_interrupt_reaches_through_a_hanging_hook(self) -> None:
        stream = self.host.start_and_hear(textwrap.dedent("""\
            import time
            class Hangs:
                def _repr_html_(self): print('on'); time.sleep(100)
            Hangs()"""), "on")
        self.host.cancel(stream, "interrupt")
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)

    def test_junk_from_hooks_is_left_out(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Junk:
                def __repr__(self): return 'junk'
                def _repr_html_(self): return 42
                def _repr_png_(self): return object()
                def _repr_json_(self): return {1j: 2}
                def _repr_mimebundle_(self, **_):
                    return {3: 'x', None: 'y', 'z' * 9999: 'w', 'text/x': 'kept'}
            Junk()"""))
        self.assertEqual(outcome.results, [{"text/plain": "junk", "text/x": "kept"}])

    def test_an_object_that_lies_about_everything_is_survived(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Liar:
                __class__ = property(lambda self: 1/0)
                def __getattribute__(self, name): raise RuntimeError(name)
                def __repr__(self): return 7
                def __len__(self): return -1
                def __eq__(self, other): raise RuntimeError
                __hash__ = None
            Liar()"""))
        self.assertEqual(len(outcome.results), 1)
        self.assert_ends(outcome, "ok", 0)

    def test_parts_too_large_to_send_are_left_out_and_named(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            class Huge:
                def __repr__(self): return 'small'
                def _repr_html_(self): return 'x' * 3_000_000
                def _repr_latex_(self): return '$ok$'
            Huge()"""))
        self.assertEqual(outcome.results[0]["text/latex"], "$ok$")
        self.assertNotIn("text/html", outcome.results[0])
        self.assertIn("text/html (3000000 characters)", outcome.results[0]["text/plain"])

    def test_long_texts_are_cut_and_say_so(self) -> None:
        for code in ["'x' * 50_000_000", "b'x' * 50_000_000", "list(range(1_000_000))",
                     "{n: n for n in range(1_000_000)}", "'\\U0001f600' * 1_000_000",
                     "type('T', (), {'__repr__': lambda self: 'y' * 5_000_000})()"]:
            with self.subTest(code):
                value = self.host.run(code).value or ""
                self.assertLess(len(value), 110_000)
                self.assertRegex(value, r"in all\]$")

    def test_an_integer_of_too_many_digits_is_survived(self) -> None:
        outcome = self.host.run("10 ** 10_000")
        self.assertEqual(len(outcome.results), 1)
        self.assert_ends(outcome, "ok", 0)

    def test_the_codes_own_alarm_still_rings_after_a_display(self) -> None:
        outcome = self.host.run(textwrap.dedent("""\
            import signal, time
            rang = []
            signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            display(object())
            until = time.monotonic() + 60
            while not rang and time.monotonic() < until: time.sleep(0.02)
            rang"""))
        self.assertEqual(outcome.value, "[1]")

    def test_a_value_that_does_not_say_of_what_class_it_is_shows_itself(self) -> None:
        with self.own_agent() as host:
            host.run(PYPLOT)
            outcome = host.run(textwrap.dedent("""\
                class Proxy:
                    @property
                    def __class__(self): raise RuntimeError('outside of a request')
                    def __getattr__(self, name): raise RuntimeError(name)
                    def __call__(self): return 1
                    def __repr__(self): return 'unbound'
                proxy = Proxy()
                display(proxy)
                !echo $proxy
                proxy?
                proxy"""))
            self.assert_ends(outcome, "ok", 0)
            self.assertEqual(outcome.results, [{"text/plain": "unbound"}] * 2)
            self.assertTrue(outcome.stdout.startswith("unbound\n"), outcome.stdout)

    def test_a_figure_that_cannot_be_drawn_keeps_no_other_from_being_shown(self) -> None:
        with self.own_agent() as host:
            host.run(PYPLOT)
            for code in ("Figure(); Figure('$bad'); Figure('well')\npass",
                         "get_ipython().run_cell_magic('capture', 'out', \"Figure(); Figure('$bad');"
                         " Figure('well');\")"):
                with self.subTest(code):
                    outcome = host.run(code)
                    self.assert_ends(outcome, "error", 1)
                    self.assertIn("ValueError: bad title", outcome.stderr)
                    shown = [one["text/plain"] for one in outcome.results]
                    if "capture" in code:
                        self.assertEqual(shown, [])
                        shown = json.loads(host.run(
                            "import json; print(json.dumps([o.data['text/plain'] for o in"
                            " out.outputs]))").stdout)
                    self.assertEqual(shown, ["<Figure >", "<Figure well>"])
                    self.assertEqual(host.run("'next'").results, [{"text/plain": "'next'"}])


# What pyplot keeps, as far as it is looked at, as these tests run without it.
PYPLOT = """
import sys, types
class Figure:
    dpi = 100.0
    def __init__(self, title=''):
        self.title = title
        Gcf.figs[len(Gcf.figs) + 1] = types.SimpleNamespace(
            canvas=types.SimpleNamespace(figure=self))
    def get_size_inches(self): return 1, 1
    def savefig(self, file, **options):
        if '$' in self.title: raise ValueError('bad title')
        file.write(b'PNG')
    def __repr__(self): return f'<Figure {self.title}>'
class Gcf:
    figs = {}
    @classmethod
    def destroy(cls, number): del cls.figs[number]
for name, contents in {
        'matplotlib': {'rcParams': {'savefig.dpi': 'figure'}},
        'matplotlib.figure': {'Figure': Figure}, 'matplotlib._pylab_helpers': {'Gcf': Gcf}}.items():
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(contents)
"""


if __name__ == "__main__":
    unittest.main()

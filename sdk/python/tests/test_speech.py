"""What a model is told: docs/errors-for-models.md says it, and this compares."""

from __future__ import annotations

import base64
import re
import unittest
from pathlib import Path

import podflare
from podflare import ExecResult, PodflareError
from podflare.integrations import _speech, _tools
from podflare.integrations._speech import cut, explain, outcome
from podflare.integrations._tools import Limits, run

PAGE = Path(podflare.__file__).parents[4] / "docs" / "errors-for-models.md"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()

#: Each row of the table of misuse: what the model asked for, of a sandbox that has these files.
FILES = {"/root/a.py": b"x\nx\n", "/root/data.bin": b"\xff\xfe", "/root/big.txt": b"x" * 2_000_000}
MISUSE = {
    "a field is missing": (_tools.python, {}),
    "an unknown language": (_tools.python_or_bash, {"code": "1", "language": "ruby"}),
    "an unknown command of the editor": (_tools.editor, {"command": "undo_edit", "path": "/root/a.py"}),
    "no path": (_tools.editor, {"command": "view", "path": ""}),
    "a bad `view_range`": (
        _tools.editor,
        {"command": "view", "path": "/root/a.py", "view_range": [0, 1]},
    ),
    "lines that are not there": (
        _tools.editor,
        {"command": "view", "path": "/root/a.py", "view_range": [9, -1]},
    ),
    "a text that is not there": (
        _tools.editor,
        {"command": "str_replace", "path": "/root/a.py", "old_str": "y", "new_str": "z"},
    ),
    "a text that is there twice": (
        _tools.editor,
        {"command": "str_replace", "path": "/root/a.py", "old_str": "x", "new_str": "z"},
    ),
    "no `insert_line`": (
        _tools.editor,
        {"command": "insert", "path": "/root/a.py", "insert_text": "y"},
    ),
    "an `insert_line` beyond the end": (
        _tools.editor,
        {"command": "insert", "path": "/root/a.py", "insert_line": 7, "insert_text": "y"},
    ),
    "a file that is no text": (_tools.editor, {"command": "view", "path": "/root/data.bin"}),
    "a file that is too large": (_tools.editor, {"command": "view", "path": "/root/big.txt"}),
}


class Files:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.content = files

    def read(self, path: str) -> bytes:
        if path not in self.content:
            raise podflare.NotFoundError("there is no such file", code="file_not_found")
        return self.content[path]

    def write(self, path: str, text: str) -> None:
        self.content[path] = text.encode()


class FakeSandbox:
    def __init__(self) -> None:
        self.files = Files(dict(FILES))


def table(heading: str) -> dict[str, str]:
    """The rows of the table below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.M)[1:]
    return {name: text for name, text in rows if not name.startswith("---")}


class ScreenTest(unittest.TestCase):
    def test_a_text_is_told_as_a_terminal_would_leave_it(self) -> None:
        for written, left in (
            ("\r0/2\r1/2\r2/2\ndone\r\n", "2/2\ndone\n"),
            ("a\rb\r", "b"),
            ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b(B", "red x"),
            ("50%\b\b\b🎉\b60%\n\b!", "60%\n!"),
            ("\x1b]open\nnext \x1b[", "\nnext "),
            ("x" * 1_000_000 + "\b" * 1_000_000 + "\r" * 1_000_000 + "y", "y"),
        ):
            self.assertEqual(_speech.screen(written), left)

    def test_a_program_gets_what_was_written_and_a_model_what_is_left(self) -> None:
        bar = "".join(f"\r{i}/2000" for i in range(2001))
        self.assertEqual(outcome(ExecResult(stdout=bar)).text, "2000/2000")
        self.assertIn("stdout:\n2000/2000\n", _speech.exact_outcome(ExecResult(stdout=bar)).text)

    def test_a_call_that_ran_out_of_time_says_so_in_every_form(self) -> None:
        late = ExecResult(exit_code=124, reason="timeout")
        queued = ExecResult(
            exit_code=124, reason="timeout", error=podflare.ExecError({"name": "QueuedTooLong"})
        )
        for result, remark in ((late, _speech.REASONS["timeout"]), (queued, _speech.QUEUED)):
            self.assertIn(remark, outcome(result).text)
            self.assertIn(remark, _speech.exact_outcome(result).text)


class TableTest(unittest.TestCase):
    maxDiff = None

    def test_every_way_that_code_can_end_is_on_the_page(self) -> None:
        said = {f"`{reason}`": text for reason, text in _speech.REASONS.items()}
        said["it never ran"] = _speech.QUEUED
        said["the Python process ended"] = _speech.STATE_LOST
        said["no output"] = _speech.SILENT
        said["too much output"] = cut("x" * 50_000, 0).strip()
        said["pictures, where they can't be passed on"] = _speech.UNSEEN
        said["too many pictures"] = _speech._TOO_MANY
        self.assertEqual(table("How code ended"), said)

    def test_every_error_of_a_sandbox_is_on_the_page(self) -> None:
        said = {f"`{code}`": text for code, text in _speech._ADVICE.items()}
        said |= {f"other `{kind.__name__}`": text for kind, text in _speech._ADVICE_BY_KIND}
        self.assertEqual(table("What failed"), said)

    def test_everything_that_a_model_can_do_wrong_is_on_the_page(self) -> None:
        said = {}
        for name, (tool, given) in MISUSE.items():
            told = run(tool, given, Limits(), FakeSandbox())
            self.assertTrue(told.failed)
            said[name] = told.text
        self.assertEqual(table("What the model did wrong"), said)

    def test_every_text_says_what_to_try(self) -> None:
        """An imperative for the model, or what to say to the user."""
        for text in (*_speech._ADVICE.values(), *(text for _, text in _speech._ADVICE_BY_KIND)):
            with self.subTest(text):
                self.assertRegex(
                    text,
                    r"\b(Don't|Go on|Wait|Look|Try|Write|Remove|List|Name|Use|Choose|Give|Check|Mend)\b|[Tt]ry again",
                )

    def test_an_error_is_told_with_its_own_sentence_first(self) -> None:
        error = podflare.NotFoundError("sandbox not found", code="sandbox_not_found", status=404)
        self.assertTrue(explain(error).startswith("error: sandbox not found. It was closed, or idle"))
        self.assertIn("Go on without it", explain(PodflareError("strange")))


class OutcomeTest(unittest.TestCase):
    def test_output_result_and_ending_come_in_this_order(self) -> None:
        result = ExecResult("out\n", "warning\n", 1, None, [{"text/plain": "42"}], reason="error")
        told = outcome(result)
        self.assertEqual(told.text, "out\nstderr:\nwarning\n42\nexit code: 1")
        self.assertTrue(told.failed)

    def test_a_value_that_has_html_too_is_told_as_text(self) -> None:
        told = outcome(ExecResult(results=[{"text/plain": "  x\n0 1", "text/html": "<table>"}]))
        self.assertEqual(told.text, "  x\n0 1")

    def test_a_picture_is_told_as_a_picture(self) -> None:
        told = outcome(ExecResult(results=[{"text/plain": "<Figure>", "image/png": PNG + "\n"}]))
        self.assertEqual((told.text, told.images), ("(see the picture)", [("image/png", PNG)]))

    def test_what_is_no_picture_is_left_out_and_that_is_said(self) -> None:
        for data in ("!!!", "", base64.b64encode(b"GIF89a").decode(), "A" * 6_000_000):
            with self.subTest(data[:10]):
                told = outcome(ExecResult(results=[{"text/plain": "f", "image/png": data}]))
                self.assertEqual(told.images, [])
                self.assertIn("a picture", told.text)
                self.assertIn("left out", told.text)

    def test_there_are_at_most_eight_pictures(self) -> None:
        told = outcome(ExecResult(results=[{"image/png": PNG}] * 10))
        self.assertEqual(len(told.images), 8)
        self.assertEqual(told.text.count("left out"), 2)

    def test_long_output_keeps_its_beginning_and_its_end(self) -> None:
        text = "begin" + "x" * 100_000 + "end"
        told = outcome(ExecResult(stdout=text), 1000)
        self.assertTrue(told.text.startswith("beginx") and told.text.endswith("xend"))
        self.assertIn("99,008 characters are left out here", told.text)
        self.assertLess(len(told.text), 1200)
        self.assertEqual(cut("short", 5), "short")

    def test_halves_of_surrogate_pairs_do_not_reach_the_provider(self) -> None:
        outcome(ExecResult(stdout="a\ud800b🎉")).text.encode()
        self.assertIn("🎉", outcome(ExecResult(stdout="\udfff🎉")).text)


if __name__ == "__main__":
    unittest.main()

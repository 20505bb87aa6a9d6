"""The programs of examples/, as a user runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from rig.case import Case
from rig.server import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
sys.path.append(str(REPOSITORY / "sdk" / "conformance"))

from messages_api import MessagesApi  # noqa: E402

DEADLINE = 300


class ExamplesTest(Case):
    deadline_seconds = 2.0 * DEADLINE

    def run_example(
        self, program: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(EXAMPLES / program), *arguments],
            env={**self.server.client_environment(), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def ran(self, program: str, *arguments: str, **environment: str) -> str:
        """What a program printed, which must succeed."""
        ran = self.run_example(program, *arguments, **environment)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def conversed(self, program: str, conversation: str) -> str:
        """What a program printed that talks to a model, whose part the fake of the API has."""
        with MessagesApi() as api:
            base = api.base(conversation)
            said = self.ran(program, ANTHROPIC_API_KEY="a-key", ANTHROPIC_BASE_URL=base)
            with urllib.request.urlopen(base + "/failures", timeout=10) as answer:
                self.assertEqual(json.load(answer), [])
        return said

    def test_the_tutorials_loop_runs_the_models_code(self) -> None:
        said = self.conversed("tutorial_loop.py", "tutorial")
        self.assertIn("print(x)\n42\n", said)
        self.assertTrue(said.endswith("It is 42.\n"), said)

    def test_the_code_execution_loop_answers_in_the_providers_form(self) -> None:
        said = self.conversed("code_execution_loop.py", "code_execution")
        self.assertIn("stdout:\n10\n\nstderr:\n\nexit_code: 0", said)
        self.assertTrue(said.endswith("Done.\n"), said)

    def test_the_analysis_saves_the_plot_of_its_result(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            plot = Path(folder) / "plot.png"
            said = self.ran("analysis.py", str(plot))
            self.assertTrue(plot.read_bytes().startswith(b"\x89PNG"))
        self.assertIn("2284 measurements", said)
        self.assertRegex(said, r"315\.42 +370\.87 +1\.29")

    def test_the_review_finds_what_is_wrong_and_shows_the_mend(self) -> None:
        said = self.conversed("code_review.py", "review")
        self.assertIn("the default list is shared by all calls", said)
        self.assertIn("+    return min(prices)", said)

    def test_without_a_key_an_agent_says_how_to_see_it_with_a_recorded_model(self) -> None:
        for program in ("tutorial_loop.py", "code_execution_loop.py", "code_review.py"):
            with self.subTest(program), self.nothing_created():
                ran = self.run_example(program, ANTHROPIC_API_KEY="")
                self.assertEqual(ran.returncode, 1)
                self.assertRegex(ran.stderr, r"\A\S+: set ANTHROPIC_API_KEY .*: examples/recorded .*\n\Z")

    def test_a_recorded_model_needs_no_key(self) -> None:
        said = self.ran("recorded", "tutorial", str(EXAMPLES / "tutorial_loop.py"), ANTHROPIC_API_KEY="")
        self.assertTrue(said.endswith("It is 42.\n"), said)

    def test_an_api_that_cannot_be_reached_is_one_line(self) -> None:
        nowhere = {"ANTHROPIC_API_KEY": "a-key", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
        ran = self.run_example("tutorial_loop.py", **nowhere)
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stderr, r"\Atutorial_loop.py: .*127.0.0.1:9.*\n\Z")

    def test_the_tree_of_thought_finds_the_same_model_every_time(self) -> None:
        said = self.ran("tree_of_thought.py", "--no-replay")
        best = re.findall(r"▶ (.*?)  +([0-9.]+) ppm$", said, re.M)
        self.assertEqual(
            best,
            [
                ("two lines that meet in 1973", "2.40"),
                ("waves of 12 and 6 months", "1.27"),
                ("since 1975", "1.09"),
                ("the sun's spots, 11 years", "0.80"),
                ("where 1995 was", "0.78"),
            ],
            said,
        )
        self.assertRegex(said, r"(?m)^Forking: +[0-9.]+ s")

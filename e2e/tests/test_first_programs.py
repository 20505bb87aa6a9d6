"""The first programs of README, run as a newcomer runs them: with what `up` left, and nothing configured."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from docs.blocks import blocks
from rig.case import Case
from rig.server import REPOSITORY

FIRST = REPOSITORY / "examples" / "first"
DIST = REPOSITORY / "dist"
DEADLINE = 240
#: 20! as the model of arithmetic has it, the exception's name, and a kernel.
EXPECTED = r"\A2432902008176640000\nZeroDivisionError\n\d+\.\d+\S*\n\n?\Z"


class FirstProgramsTest(Case):
    deadline_seconds = 3.0 * DEADLINE

    def setUp(self) -> None:
        super().setUp()
        temporary = tempfile.TemporaryDirectory(prefix="pf-newcomer-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def ran(self, *command: str, **extra: str) -> str:
        """What a command printed, which must succeed. It finds the server by the file of `up` only."""
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.server.environment(extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, f"{command}\n{ran.stdout}\n{ran.stderr}")
        return ran.stdout

    def only(self, pattern: str) -> str:
        [found] = DIST.glob(pattern)
        return str(found)

    def test_readme_shows_the_files_as_they_are(self) -> None:
        shown = {block.language: block.text for block in blocks(REPOSITORY / "README.md")}
        self.assertEqual(shown["java"], (FIRST / "First.java").read_text())
        self.assertEqual(shown["ts"], (FIRST / "first.mts").read_text())
        self.assertEqual(shown["python"], (FIRST / "first.py").read_text())

    def test_python_runs_from_the_checkout(self) -> None:
        path = str(REPOSITORY / "sdk" / "python" / "src")
        said = self.ran("/usr/bin/python3", str(FIRST / "first.py"), PYTHONPATH=path)
        self.assertRegex(said, EXPECTED)

    def test_python_runs_in_an_environment_with_the_wheel(self) -> None:
        self.ran("/usr/bin/python3", "-m", "venv", ".venv")
        self.ran(".venv/bin/pip", "install", "-q", "--no-index", self.only("python/*.whl"))
        self.assertRegex(self.ran(".venv/bin/python", str(FIRST / "first.py")), EXPECTED)

    def test_java_runs_with_the_jars(self) -> None:
        said = self.ran(*self.java(), "-cp", f"{DIST}/java/*", str(FIRST / "First.java"))
        self.assertRegex(said, EXPECTED)

    def java(self) -> list[str]:
        home = os.environ.get("JAVA_HOME")
        return [f"{home}/bin/java" if home else "java"]

    def test_typescript_runs_with_the_tarball(self) -> None:
        shutil.copy(FIRST / "first.mts", self.folder)
        quiet: Mapping[str, str] = {"npm_config_audit": "false", "npm_config_fund": "false"}
        self.ran("npm", "install", "--silent", self.only("npm/*.tgz"), "tsx", **quiet)
        self.assertRegex(self.ran("npx", "tsx", "first.mts"), EXPECTED)

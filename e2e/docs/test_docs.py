"""Runs the programs of README.md and docs/*.md against the suite's server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from docs.blocks import Block, blocks
from rig.case import Case
from rig.server import REPOSITORY

#: Commands of `sh` blocks that are left out, and why. Every other line of a block runs.
NOT_HERE = {
    "./podflare up": "the suite's own server is up",
    "./podflare down": "it would stop the suite's server",
    "./podflare test": "it would start this suite inside of itself",
    "./podflare bench": "it takes minutes, and has its own test",
    "git clone": "the checkout is there",
    "sudo apt": "installing is the business of `podflare up`",
}

BLOCK_DEADLINE = 240


def documents() -> list[Path]:
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


class DocumentationTest(Case):
    deadline_seconds = 900.0

    def run_blocks(self, language: set[str], command: Callable[[Block, Path], list[str]]) -> int:
        """Runs every block of these languages, each in an empty directory; returns how many."""
        count = 0
        for path in documents():
            for block in blocks(path):
                if block.language in language and block.is_run:
                    count += 1
                    with self.subTest(str(block)), tempfile.TemporaryDirectory() as folder:
                        self.run_block(block, command(block, Path(folder)), folder)
        return count

    def run_block(self, block: Block, command: list[str], folder: str) -> None:
        environment = self.server.client_environment()
        environment["PODFLARE_HOSTD_ADDR"] = self.server.address
        environment["PODFLARE_DATA_DIR"] = str(self.server.data_dir)
        ran = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BLOCK_DEADLINE,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, f"{block}\n{block.text}\nsaid:\n{ran.stdout}")

    def test_every_python_program_runs(self) -> None:
        def python(block: Block, folder: Path) -> list[str]:
            program = folder / "program.py"
            program.write_text(block.text)
            os.symlink(REPOSITORY / "podflare", folder / "podflare")
            return [sys.executable, str(program)]

        self.assertGreater(self.run_blocks({"python", "py"}, python), 0)

    def test_every_shell_command_runs(self) -> None:
        def shell(block: Block, folder: Path) -> list[str]:
            os.symlink(REPOSITORY / "podflare", folder / "podflare")
            for name in ("sdk", "docs", "bench", "e2e", "examples", "dist"):
                os.symlink(REPOSITORY / name, folder / name)
            lines = [
                line
                for line in block.text.splitlines()
                if not line.strip().removeprefix("$ ").startswith(tuple(NOT_HERE))
            ]
            return ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]

        self.run_blocks({"sh", "bash", "shell", "console"}, shell)

    def test_every_link_within_the_repository_leads_somewhere(self) -> None:
        for path in documents():
            prose = path.read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
                if "://" not in target and not target.startswith("mailto:"):
                    self.assertTrue((path.parent / target).exists(), f"{path.name} → {target}")

"""The three SDKs do the same: each carries out the same cases, sdk/conformance/, by its own calls."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from rig.case import Case, slow
from rig.server import REPOSITORY

TYPESCRIPT = REPOSITORY / "sdk" / "typescript"
MEASURE = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


class OtherProgramCase(Case):
    """Runs programs of each language with the address and key of the suite's server."""

    def outcome(self, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=self.server.client_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.deadline_seconds - 30,
            check=False,
        )


class ConformanceTest(OtherProgramCase):
    deadline_seconds = 900.0

    def carried_out_by(self, *command: str, folder: Path) -> None:
        """Runs a language's runner against the suite's server: every case must hold."""
        ran = self.outcome(*command, folder=folder)
        failed = [line for line in ran.stdout.splitlines() if line.startswith("FAILED")]
        said = "\n".join(failed) or ran.stdout[-4000:]
        self.assertEqual(ran.returncode, 0, said)
        counted = MEASURE.search(ran.stdout)
        assert counted is not None, said
        self.assertEqual(counted[2], "0", said)
        self.assertGreater(int(counted[1]), 40, "too few cases were carried out")

    def test_every_case_holds_in_python(self) -> None:
        self.carried_out_by("/usr/bin/python3", "sdk/conformance/run.py", folder=REPOSITORY)

    @slow
    def test_every_case_holds_in_java(self) -> None:
        self.carried_out_by(
            "mvn", "-B", "-o", "-q", "-pl", "sdk/java", "surefire:test",
            "-Dtest.tags=conformance", "-Dtest.excludedTags=none", "-Dtest=ConformanceTest",
            folder=REPOSITORY,
        )  # fmt: skip

    @slow
    def test_every_case_holds_in_typescript(self) -> None:
        self.carried_out_by("node", "conformance/run.mjs", folder=TYPESCRIPT)


@slow
class TypeScriptTest(OtherProgramCase):
    """The adapters, the guide and the example of the TypeScript SDK, which need a server."""

    deadline_seconds = 600.0

    def test_what_needs_a_server_runs(self) -> None:
        ran = self.outcome("npm", "run", "--silent", "test:live", folder=TYPESCRIPT)
        self.assertEqual(ran.returncode, 0, ran.stdout[-6000:])


@slow
class JavaTest(OtherProgramCase):
    """Conversations with a model by Anthropic's library, and the example, of the Java SDK, which need a server."""

    deadline_seconds = 600.0

    def test_what_needs_a_server_runs(self) -> None:
        # `test`, not `surefire:test`: what stands on another module is not found otherwise.
        ran = self.outcome(
            "mvn", "-B", "-o", "-q", "-pl", "sdk/java,sdk/java-anthropic,examples/java-agent,examples/java-frameworks", "test",
            "-Dtest.tags=live", "-Dtest.excludedTags=none", "-Dtest=ConversationsTest,AgentTest,FrameworksTest",
            "-Dsurefire.failIfNoSpecifiedTests=false",
            folder=REPOSITORY,
        )  # fmt: skip
        self.assertEqual(ran.returncode, 0, ran.stdout[-6000:])

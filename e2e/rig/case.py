"""The class that every test class of the suite extends."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

from rig import host, suite
from rig.deadline import at_most, eventually
from rig.host import Process
from rig.rest import Exec, Rest
from rig.server import Server


Marked = TypeVar("Marked", bound=Callable[..., object])


def slow(test: Marked) -> Marked:
    """Marks a test, or a class of tests, that only `--all` has: it takes many seconds, and what it
    proves is not what a change breaks first."""
    test.slow = True  # type: ignore[attr-defined]
    return test


#: The shapes of machines that tests ask for beside the usual one. A server boots the first machine of a shape, which
#: takes a minute where it is emulated: a test takes one of these, and not one of its own.
SMALL = {"memory_mb": 512, "disk_mb": 256}
LARGE = {"cpus": 2, "memory_mb": 2048, "disk_mb": 16384}


class Case(unittest.TestCase):
    """Tests against the suite's server. Every test ends within `deadline_seconds`, or fails."""

    deadline_seconds: ClassVar[float] = 300.0
    maxDiff = 4000

    server: ClassVar[Server]
    rest: ClassVar[Rest]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = suite.server()
        cls.rest = cls.server.rest()

    def setUp(self) -> None:
        deadline = contextlib.ExitStack()
        deadline.enter_context(at_most(self.deadline_seconds, self.id()))
        self.addCleanup(deadline.close)

    def new_sandbox(self, **request: Any) -> str:
        """A sandbox that is closed when the test ends."""
        sandbox = self.rest.create(**request)
        self.addCleanup(self.rest.close, sandbox)
        return sandbox

    def fork(self, sandbox: str, n: int = 1) -> list[str]:
        """Copies of a sandbox that are closed when the test ends."""
        children = self.rest.children(sandbox, n)
        for child in children:
            self.addCleanup(self.rest.close, child)
        self.assertEqual(len(set(children)), n)
        return children

    def freeze(self, sandbox: str) -> str:
        """The Space of a sandbox, which is deleted when the test ends."""
        answer = self.rest.freeze(sandbox)
        self.assertEqual(answer.status, 200, str(answer))
        self.addCleanup(self.rest.delete_space, answer.json["space"])
        return answer.json["space"]

    def resume(self, space: str) -> str:
        """A sandbox from a Space that is closed when the test ends."""
        answer = self.rest.resume(space)
        self.assertEqual(answer.status, 200, str(answer))
        self.addCleanup(self.rest.close, answer.json["id"])
        return answer.json["id"]

    def said(self, sandbox: str, code: str, **request: Any) -> str:
        """What code printed, which must succeed."""
        ran = self.rest.exec(sandbox, code, **request)
        self.assert_ended(ran, 0, "ok", True)
        return ran.stdout

    def machine_of(self, sandbox: str) -> Process:
        """The process that runs this sandbox."""
        return host.machine_of(self.server.data_dir, sandbox)

    def machines(self) -> list[Process]:
        return host.machines_of(self.server.pid, self.server.data_dir)

    def await_full_pools(self) -> None:
        """Until as many machines wait as shall: until then the server starts some by itself."""

        def full() -> bool:
            capacity = self.rest.call("GET", "/v1/capacity").json
            # A rehearsal that is done has the pools filled anew.
            return capacity["rehearsals"] == 0 and all(
                pool["ready"] >= pool["target"] for pool in capacity["pools"]
            )

        eventually("the pools are full", full, 180, every=0.2)

    @contextlib.contextmanager
    def nothing_created(self) -> Iterator[None]:
        """Proves that what is done inside leaves no sandbox behind."""
        before = self.rest.ids()
        yield
        self.assertEqual(self.rest.ids() - before, set(), "a refused request made a sandbox")

    def assert_refused(self, answer: Any, statuses: int | set[int], names: str = "") -> None:
        """A refusal is JSON for a person: what is wrong, its code, and what to do."""
        wanted = {statuses} if isinstance(statuses, int) else statuses
        self.assertIn(answer.status, wanted, str(answer))
        said = answer.json
        self.assertIsInstance(said.get("error"), str, str(answer))
        self.assertTrue(said["error"], "an empty sentence")
        self.assertNotIn("Exception", said["error"], "an exception's name is not a sentence")
        self.assertNotIn("\tat ", answer.text, "a stack trace reached the user")
        self.assertRegex(said.get("code", ""), r"^[a-z][a-z0-9_]*$", str(answer))
        if names:
            named = said["error"].lower()
            self.assertIn(names.lower(), named, "the sentence does not name the field")

    def assert_ended(self, ran: Exec, code: int, reason: str, state_kept: bool) -> None:
        ended = (ran.code, ran.reason, ran.state_kept)
        self.assertEqual(ended, (code, reason, state_kept), f"stderr: {ran.stderr[-1500:]}")


class SandboxCase(Case):
    """Tests that share one sandbox. None of them may depend on what another one left in it."""

    template: ClassVar[str] = "default"
    sandbox: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        with at_most(cls.deadline_seconds, f"{cls.__name__}: create"):
            cls.sandbox = cls.rest.create(template=cls.template)
        cls.addClassCleanup(cls.rest.close, cls.sandbox)

    def exec(self, code: str, **request: Any) -> Exec:
        return self.rest.exec(self.sandbox, code, **request)

    def bash(self, code: str, **request: Any) -> Exec:
        return self.rest.bash(self.sandbox, code, **request)

    def stdout(self, code: str, **request: Any) -> str:
        """Runs code that must succeed and returns what it printed."""
        ran = self.exec(code, **request)
        self.assert_ended(ran, 0, "ok", True)
        return ran.stdout


class KillingCase(Case):
    """Stops or kills the suite's server; whatever a test leaves, the next one finds it running."""

    kills_the_server = True

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.assure_that_it_runs)

    def assure_that_it_runs(self) -> None:
        try:
            if self.rest.call("GET", "/v1/healthz", deadline=60).status == 200:
                return
        except OSError as refused:
            print(f"the server does not answer ({refused}); starting it again")
        self.server.start()

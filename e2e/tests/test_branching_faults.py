"""Branching when the disk is full, machines are killed, and the server dies in the middle."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rig import host, outside, suite
from rig.case import Case, KillingCase, slow
from rig.deadline import at_most, eventually
from rig.host import Footprint, Process
from rig.rest import Answer
from rig.server import Server


class MachineFaultTest(Case):
    deadline_seconds = 300.0

    def clones(self) -> dict[str, int]:
        """The process of each machine that is something by now, and not one that waits."""
        journals = {}
        for path in self.server.data_dir.glob("vm/*/journal.json"):
            with contextlib.suppress(FileNotFoundError):  # It may end while we look.
                journals[path.parent.name] = json.loads(path.read_text())
        return {
            machine: journal["process"]["pid"]
            for machine, journal in journals.items()
            if journal["complete"]
        }

    def kill(self, machine: Process) -> None:
        with contextlib.suppress(RuntimeError):  # It may have ended by itself.
            host.kill(machine)

    def test_children_that_are_killed_while_they_wake_are_lost_and_the_parent_goes_on(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "x = 1")
        before = self.clones()
        children = self.fork(parent, 2)
        # Some of the new ones may be the pool's; it makes others.
        for pid in [one for key, one in self.clones().items() if key not in before]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for child in children:
            eventually(f"{child} is lost", lambda c=child: self.is_lost(c))
            path = f"/v1/sandboxes/{child}/exec"
            self.assert_refused(self.rest.call("POST", path, {"code": "1"}), 409)
            self.assertEqual(self.rest.close(child).status, 204)
        self.assertEqual(self.said(parent, "print(x)"), "1\n")
        (another,) = self.fork(parent)
        self.assertEqual(self.said(another, "print(x)"), "1\n")

    def is_lost(self, sandbox: str) -> bool:
        return self.rest.info(sandbox).json["state"] == "lost"

    def test_a_parent_that_is_killed_in_the_fork_leaves_all_children_or_none(self) -> None:
        delays = (0.02, 0.0, 0.005, 0.01, 0.04, 0.1)
        for delay in delays if suite.scale() is not suite.FAST else delays[:2]:
            with self.subTest(delay=delay):
                parent = self.new_sandbox()
                self.said(parent, "import os; x = os.urandom(30 << 20)")
                machine = self.machine_of(parent)
                answers: list[Answer] = []
                before = self.rest.ids()
                forking = threading.Thread(
                    target=lambda p=parent, a=answers: a.append(self.rest.fork(p, n=2))
                )
                forking.start()
                time.sleep(delay)
                self.kill(machine)
                forking.join(90)
                (answer,) = answers
                if answer.status == 200:
                    for child in answer.json["children"]:
                        self.addCleanup(self.rest.close, child)
                        self.assertEqual(self.said(child, "print(len(x) >> 20)"), "30\n")
                else:
                    self.assert_refused(answer, {409, 500, 503})
                    self.assertEqual(self.rest.ids() - before, set())
                eventually(f"{parent} is lost", lambda p=parent: self.is_lost(p))
                self.rest.close(parent)

    def test_a_machine_that_is_killed_while_it_is_frozen_leaves_a_whole_space_or_none(self) -> None:
        for delay in (0.05, 0.0, 0.2) if suite.scale() is not suite.FAST else (0.05,):
            with self.subTest(delay=delay):
                sandbox = self.new_sandbox()
                self.said(sandbox, "import os; x = os.urandom(30 << 20)")
                machine = self.machine_of(sandbox)
                answers: list[Answer] = []
                freezing = threading.Thread(
                    target=lambda s=sandbox, a=answers: a.append(self.rest.freeze(s))
                )
                freezing.start()
                time.sleep(delay)
                self.kill(machine)
                freezing.join(90)
                (answer,) = answers
                if answer.status == 200:
                    self.addCleanup(self.rest.delete_space, answer.json["space"])
                    again = self.resume(answer.json["space"])
                    self.assertEqual(self.said(again, "print(len(x) >> 20)"), "30\n")
                else:
                    self.assert_refused(answer, {409, 500})
                    eventually(f"{sandbox} is lost", lambda s=sandbox: self.is_lost(s))
                    self.rest.close(sandbox)

    @slow
    def test_a_fork_that_may_not_fit_makes_all_children_or_none(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "x = 1")
        before = self.rest.ids()
        # In the fast run as many as fit almost everywhere: all of them, or the refusal, is right.
        answer = self.rest.fork(parent, n=100 if suite.scale() is not suite.FAST else 8, deadline=200)
        if answer.status == 200:
            self.assertEqual(len(self.rest.ids() - before), len(answer.json["children"]))
            for child in answer.json["children"]:
                self.rest.close(child)
        else:
            self.assert_refused(answer, 503)
            self.assertIn("mb", answer.json["error"].lower() + answer.json["hint"].lower())
            self.assertEqual(self.rest.ids(), before)
        self.assertEqual(self.said(parent, "print(x)"), "1\n")


class FullDiskTest(Case):
    """A server of its own on a file system of its own, which the tests fill."""

    deadline_seconds = 300.0
    small: ClassVar[Server]
    filler: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        with at_most(cls.deadline_seconds, cls.__name__):
            temporary = Path(stack.enter_context(
                tempfile.TemporaryDirectory(prefix="pf-e2e-full-", dir="/tmp")
            ))  # fmt: skip
            disk = temporary / "disk"
            disk.mkdir()
            host.as_root("mount", "-t", "tmpfs", "-o", "size=4g,mode=700", "none", str(disk))
            stack.callback(host.as_root, "umount", "-l", str(disk))
            subprocess.run(
                # Not with more holes than these files have: what a machine's memory is mapped from
                # is filled where that must take no room on this disk later.
                ["cp", "-a", "--sparse=auto", str(cls.server.data_dir / "templates"), str(disk)],
                check=True,
            )
            cls.small = Server(disk, temporary / "config")
            cls.filler = disk / "filler"
            stack.callback(host.end_all_of, disk)
            stack.callback(cls.small.stop)
            cls.small.start(200)
            cls.rest = cls.small.rest()

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.filler.unlink, missing_ok=True)

    def leave(self, mebibytes: int) -> None:
        eventually("the disk is full", lambda: self.filled_but(mebibytes))

    def filled_but(self, mebibytes: int) -> bool:
        """Whether that worked: the server may take some room between our look and our deed."""
        self.filler.unlink(missing_ok=True)
        free = shutil.disk_usage(self.filler.parent).free
        with open(self.filler, "wb") as filler:
            try:
                os.posix_fallocate(filler.fileno(), 0, max(1, free - (mebibytes << 20)))
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise
                return False
        return True

    def left_over(self) -> list[str]:
        """What is in the directory of Spaces."""
        spaces = self.small.data_dir / "spaces"
        return [str(path) for path in spaces.iterdir()] if spaces.exists() else []

    def test_memory_is_forked_on_a_full_disk(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "import os; x = os.urandom(100 << 20)")
        self.leave(2)
        for child in self.fork(parent, 2):
            self.assertEqual(self.said(child, "print(len(x) >> 20)"), "100\n")

    def test_a_fork_for_whose_disk_is_no_room_makes_no_child_and_the_parent_goes_on(self) -> None:
        parent = self.new_sandbox()
        # Less than what is shared by a layer: each child gets a copy.
        self.said(parent, "import os; open('x', 'wb').write(os.urandom(5 << 20)); os.sync()")
        before = self.rest.ids()
        self.leave(3)
        answer = self.rest.fork(parent, n=2)
        self.assert_refused(answer, 503)
        self.assertIn("the host's disk is full", answer.json["error"])
        self.assertEqual(self.rest.ids(), before)
        self.assertEqual(self.left_over(), [])
        self.assertEqual(self.said(parent, "print(os.path.getsize('x') >> 20)"), "5\n")
        self.filler.unlink()
        for child in self.fork(parent, 2):
            self.assertEqual(self.said(child, "print(os.path.getsize('x') >> 20)"), "5\n")

    def test_a_sandbox_on_a_full_disk_gets_all_its_memory(self) -> None:
        sandbox = self.new_sandbox()
        self.leave(1)
        self.said(sandbox, "import os; x = os.urandom(100 << 20)")
        self.assertEqual(self.said(sandbox, "print(len(x) >> 20)"), "100\n")

    def test_a_freeze_on_a_full_disk_makes_no_space_and_the_sandbox_goes_on(self) -> None:
        sandbox = self.new_sandbox()
        self.said(sandbox, "import os; x = os.urandom(60 << 20)")
        for free in (5, 20):
            with self.subTest(free=free):
                self.leave(free)
                self.assert_refused(self.rest.freeze(sandbox), {503, 507})
                self.assertEqual(self.rest.spaces(), {})
                self.assertEqual(self.left_over(), [])
                self.assertEqual(self.said(sandbox, "print(len(x) >> 20)"), "60\n")
        self.filler.unlink()
        space = self.freeze(sandbox)
        self.assertEqual(self.said(self.resume(space), "print(len(x) >> 20)"), "60\n")

    @slow
    def test_a_persistent_sandbox_stays_awake_while_the_disk_is_full(self) -> None:
        # Filling the disk takes a while, and shall be done before the sandbox is idle.
        sandbox = self.new_sandbox(persistent=True, idle_timeout_seconds=6)
        self.said(sandbox, "import os; x = os.urandom(60 << 20)")
        self.leave(5)
        time.sleep(10)
        self.assertEqual(self.said(sandbox, "print(len(x) >> 20)"), "60\n")
        self.filler.unlink()
        eventually(
            "it freezes once there is room",
            lambda: any(
                one["id"] == sandbox and one["state"] == "frozen"
                for one in self.rest.list(limit=100).json["sandboxes"]
            ),
            90,
            every=0.2,
        )
        self.assertEqual(self.said(sandbox, "print(len(x) >> 20)"), "60\n")


class CrashTest(KillingCase):
    """Kills the suite's server in the middle of things and starts it again."""

    deadline_seconds = 2400.0

    def cut(self, call: Callable[[], object], after: float) -> None:
        """Kills the server so long after the call was sent, and starts it again."""
        pid = self.server.pid
        calling = threading.Thread(target=self.quietly, args=(call,))
        calling.start()
        time.sleep(after)
        os.kill(pid, 9)
        calling.join(60)
        eventually(f"the end of server {pid}", lambda: not os.path.exists(f"/proc/{pid}/exe"))
        self.server.start()

    @staticmethod
    def quietly(call: Callable[[], object]) -> None:
        with contextlib.suppress(OSError, ValueError, AssertionError):  # Its server is killed.
            call()

    def test_sandboxes_go_on_when_the_server_was_killed(self) -> None:
        with outside.internet():
            self.sandboxes_go_on()

    def sandboxes_go_on(self) -> None:
        parent = self.new_sandbox(metadata={"who": "parent"}, idle_timeout_seconds=600)
        self.said(
            parent,
            "import socket, threading, time\nticks = 0\n"
            "def tick():\n  global ticks\n  while True: ticks += 1; time.sleep(0.02)\n"
            "threading.Thread(target=tick, daemon=True).start()\n"
            f"away = socket.create_connection(('{outside.OUTSIDE}', {outside.PORT}), 5)",
        )
        (child,) = self.fork(parent)
        self.said(child, "x = 'child'")
        told = {one: self.rest.info(one).json for one in (parent, child)}
        family = self.rest.family(child).json
        running = self.new_sandbox()
        stream = self.rest.stream(
            running, "import time\nprint('on')\ntime.sleep(12)\nfinished = True"
        )
        stream.first("stdout")
        machines = self.machines()
        self.server.kill()
        self.quietly(stream.rest)
        stream.close()
        for machine in machines:
            self.assertTrue(host.lives(machine), "a machine died with the server")
        self.server.start()
        steady = ("id", "parent", "family", "generation", "metadata", "template", "memory_mb",
                  "created_at", "egress")  # fmt: skip
        for sandbox, before in told.items():
            after = self.rest.info(sandbox).json
            self.assertEqual(after["state"], "ready")
            self.assertEqual(
                {key: after[key] for key in steady}, {key: before[key] for key in steady}
            )
        self.assertEqual(self.rest.family(child).json, family)
        goes_on = (
            "before, until = ticks, time.monotonic() + 60\n"
            "while ticks == before and time.monotonic() < until: time.sleep(0.02)\n"
            "print(ticks > before)"
        )
        self.assertEqual(self.said(parent, goes_on), "True\n")
        self.assertEqual(self.said(child, "print(x)"), "child\n")
        with self.subTest("it is the same machine: its connections live"):
            self.assertEqual(
                self.said(
                    parent,
                    "away.settimeout(30); away.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
                    "print(b'200' in away.recv(64))",
                ),
                "True\n",
            )
        with self.subTest("code that ran goes on, and the next call waits for it"):
            self.assertEqual(self.said(running, "print(finished)"), "True\n")
        with self.subTest("it can be forked, compared, merged, frozen"):
            (again,) = self.fork(parent)
            self.said(again, "y = 'again'")
            self.assertEqual(self.rest.diff(parent, again).status, 200)
            self.assertEqual(self.rest.merge(parent, again).status, 204)
            self.assertEqual(self.said(parent, "print(y)"), "again\n")
            self.assertEqual(
                self.said(self.resume(self.freeze(child)), "print(x)"), "child\n"
            )
        with self.subTest("machines that nobody names are gone"):
            eventually(
                "the machines of the old pool are gone",
                lambda: sum(host.lives(one) for one in machines) <= 3,
            )

    @slow
    def test_a_crash_in_a_freeze_leaves_the_sandbox_or_the_space(self) -> None:
        sandbox = self.rest.create()
        self.said(sandbox, "import os; x = os.urandom(30 << 20)")
        began = time.monotonic()
        space = self.freeze(sandbox)
        usual = time.monotonic() - began
        self.rest.delete_space(space)
        ends = {"sandbox": 0, "space": 0}
        for round_ in range(suite.scale().crashes):
            sandbox = self.rest.create(idle_timeout_seconds=900)
            self.said(sandbox, "import os; x = os.urandom(30 << 20)")
            known = set(self.rest.spaces())
            after = random.uniform(0, 1.2 * usual)
            self.cut(lambda s=sandbox: self.rest.freeze(s), after)
            with self.subTest(round=round_, after=f"{after:.3f} s"):
                new = [
                    one for one in self.rest.spaces().values()
                    if one["id"] not in known and one["sandbox"] == sandbox
                ]  # fmt: skip
                info = self.rest.info(sandbox)
                self.assertEqual((info.status == 200) + len(new), 1, f"{info} {new}")
                if new:
                    ends["space"] += 1
                    again = self.resume(new[0]["id"])
                    self.assertEqual(self.said(again, "print(len(x) >> 20)"), "30\n")
                    self.rest.close(again)
                    self.rest.delete_space(new[0]["id"])
                else:
                    ends["sandbox"] += 1
                    self.assertEqual(info.json["state"], "ready", str(info))
                    self.assertEqual(self.said(sandbox, "print(len(x) >> 20)"), "30\n")
            self.rest.close(sandbox)
        left = {path.name for path in (self.server.data_dir / "spaces").iterdir()}
        self.assertEqual(left - set(self.rest.spaces()), set(), "halves of Spaces are left")
        print(f"after {sum(ends.values())} crashes: {ends}")

    @slow
    def test_a_crash_in_a_swap_leaves_exactly_one_of_the_two(self) -> None:
        for round_ in range(max(2, suite.scale().crashes // 4)):
            parent = self.rest.create(idle_timeout_seconds=900)
            self.said(parent, "x = 'parent'")
            (winner,) = self.rest.children(parent)
            self.said(winner, "x = 'winner'")
            after = random.uniform(0, 0.05)
            self.cut(lambda p=parent, w=winner: self.rest.merge(p, w), after)
            with self.subTest(round=round_, after=f"{after:.3f} s"):
                merged = self.rest.info(winner).status == 404
                self.assertEqual(
                    self.said(parent, "print(x)"), "winner\n" if merged else "parent\n"
                )
                if not merged:
                    self.assertEqual(self.said(winner, "print(x)"), "winner\n")
                    self.assertEqual(self.rest.merge(parent, winner).status, 204)
            self.rest.close(parent)
            self.rest.close(winner)

    @slow
    def test_a_crash_in_a_fork_leaves_the_parent_and_no_machine_without_a_name(self) -> None:
        parent = self.rest.create(idle_timeout_seconds=900)
        self.addCleanup(self.rest.close, parent)
        self.said(parent, "import os, hashlib\nsum_of = lambda: hashlib.sha256(x).hexdigest()")
        for _ in range(max(2, suite.scale().crashes // 10)):
            self.said(parent, "x = os.urandom(30 << 20); was = sum_of()")
            self.cut(lambda: self.rest.fork(parent, n=3), random.uniform(0, 0.25))
            self.assert_has_its_memory(parent)
            family = self.rest.family(parent).json["sandboxes"]
            alive = [one["id"] for one in family if one["closed_at"] is None]
            self.assertIn(len(alive), (1, 4), "some children, but not all")
            for child in set(alive) - {parent}:
                self.assert_has_its_memory(child)
                self.rest.close(child)
            [child] = self.fork(parent)
            self.assert_has_its_memory(child)
            self.rest.close(child)
        self.rest.close(parent)
        self.assert_machines_are_the_pools()

    def assert_has_its_memory(self, sandbox: str) -> None:
        self.assertEqual(self.said(sandbox, "print(len(x) >> 20, sum_of() == was)"), "30 True\n")

    def assert_machines_are_the_pools(self) -> None:
        """Nothing runs but what a server without sandboxes has."""
        self.server.stop()
        self.server.start()
        clean = self.settled()
        sandbox = self.rest.create(idle_timeout_seconds=900)
        self.cut(lambda: self.rest.fork(sandbox, n=3), 0.2)
        for one in self.rest.ids():
            self.rest.close(one)
        eventually("as many machines as after a fresh start", lambda: self.settled() <= clean, 180)

    def settled(self) -> int:
        """How many machines there are once the pools are full, and nothing more is started."""
        self.await_full_pools()
        seen: list[int] = []

        def steady() -> bool:
            seen.append(len(self.machines()))
            return len(seen) >= 5 and len(set(seen[-5:])) == 1

        eventually("no machine comes or goes", steady, 120, every=1.0)
        return seen[-1]

    def test_down_after_a_crash_leaves_nothing(self) -> None:
        parent = self.rest.create()
        self.said(parent, "x = 1")
        self.rest.children(parent, 2)
        self.server.kill()
        self.server.stop()

        def nothing() -> bool:
            left = Footprint.of(None, self.server.data_dir)
            return (left.processes, left.unix_sockets) == (0, 0)

        eventually("nothing is left", nothing, 20)

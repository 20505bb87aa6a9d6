"""Create and close, again and again: nothing may stay."""

from __future__ import annotations

import contextlib
import dataclasses
import os

from rig import suite
from rig.case import Case, slow
from rig.deadline import DeadlineExceeded, eventually
from rig.host import Footprint


class LeakTest(Case):
    deadline_seconds = 900.0

    def settled(self) -> Footprint:
        """What is held once the pools are full again: looks in a row that agree."""
        self.await_full_pools()
        pid, seen = self.server.pid, []

        def steady() -> bool:
            seen.append(dataclasses.replace(Footprint.of(pid, self.server.data_dir), descriptors=0))
            return len(seen) >= 4 and all(one == seen[-1] for one in seen[-4:])

        eventually("nothing comes or goes", steady, 120, every=1.0)
        return Footprint.of(pid, self.server.data_dir)

    def test_cycles_of_create_and_close_leave_nothing(self) -> None:
        self.cycle()
        before = self.settled()
        for _ in range(suite.scale().leak_cycles):
            self.cycle()
        # Connections of a thread pool and the database's own files may come and go by a few.
        slack = {"descriptors": 8, "files": 2}
        try:
            eventually(
                "nothing more than before", lambda: not self.growth(before, slack), 120, every=0.5
            )
        except DeadlineExceeded:
            self.fail(
                f"grown over {suite.scale().leak_cycles} cycles: {self.growth(before, slack)}"
            )

    def test_cycles_of_fork_merge_freeze_and_resume_leave_nothing(self) -> None:
        self.branching_cycle()
        before, used = self.settled(), self.bytes_in_data_dir()
        cycles = max(3, suite.scale().leak_cycles // 5)
        for _ in range(cycles):
            self.branching_cycle()
        slack = {"descriptors": 8, "files": 2}
        try:
            eventually(
                "nothing more than before", lambda: not self.growth(before, slack), 120, every=0.5
            )
        except DeadlineExceeded:
            self.fail(f"grown over {cycles} cycles: {self.growth(before, slack)}")
        # A cycle's machines write some 30 MiB each; the pool's may have written a little more.
        eventually(
            "the disk is given back",
            lambda: (self.bytes_in_data_dir() - used) >> 20 < 15 * cycles,
            every=0.5,
        )

    def branching_cycle(self) -> None:
        parent = self.rest.create()
        self.rest.exec(parent, "import os; x = os.urandom(4 << 20)")
        first, second, third = self.rest.children(parent, 3)
        (grandchild,) = self.rest.children(first)
        self.assertEqual(self.rest.exec(grandchild, "print(len(x) >> 20)").stdout, "4\n")
        self.assertEqual(self.rest.merge(parent, first).status, 204)
        space = self.rest.freeze(second).json["space"]
        again = self.rest.resume(space).json["id"]
        self.assertEqual(self.rest.exec(again, "print(len(x) >> 20)").stdout, "4\n")
        self.assertEqual(self.rest.diff(parent, again).status, 200)
        self.assertEqual(self.rest.delete_space(space).status, 204)
        for sandbox in (parent, third, grandchild, again):
            self.assertEqual(self.rest.close(sandbox).status, 204)

    def bytes_in_data_dir(self) -> int:
        """What the files occupy, each counted once however many links it has."""
        found = {}
        for folder, _, names in os.walk(self.server.data_dir):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    is_now = os.lstat(os.path.join(folder, name))
                    found[is_now.st_ino] = is_now.st_blocks * 512
        return sum(found.values())

    def growth(self, before: Footprint, slack: dict[str, int]) -> dict[str, int]:
        return Footprint.of(self.server.pid, self.server.data_dir).growth_since(before, slack)

    def cycle(self) -> None:
        sandbox = self.rest.create()
        self.assertEqual(self.rest.exec(sandbox, "print(1)").stdout, "1\n")
        self.assertEqual(self.rest.close(sandbox).status, 204)

    @slow
    def test_a_closed_sandboxs_resources_are_gone_soon(self) -> None:
        made = [self.rest.create() for _ in range(3)]
        machines = self.settled().processes
        for sandbox in made:
            self.rest.close(sandbox)
        eventually("their processes end", lambda: len(self.machines()) <= machines - 3, 20)

    def test_abandoned_streams_leave_no_descriptor(self) -> None:
        sandbox = self.new_sandbox()
        before = self.settled().descriptors
        for _ in range(20):
            stream = self.rest.stream(sandbox, "print('on')")
            stream.first("stdout")
            stream.close()
        eventually(
            "the descriptors are closed",
            lambda: Footprint.of(self.server.pid, self.server.data_dir).descriptors <= before + 4,
        )

    def test_idle_sandboxes_fit_in_their_memory(self) -> None:
        count = suite.scale().idle_sandboxes
        target = 90 if self.server.isolation == "emulated" else 20
        made = [self.new_sandbox() for _ in range(count)]
        for sandbox in made:
            self.rest.exec(sandbox, "1")
        used = [self.rest.info(one).json["memory_used_bytes"] >> 20 for one in made]
        self.assertLessEqual(sorted(used)[len(used) // 2], target, f"MiB each: {used}")

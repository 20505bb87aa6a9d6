"""Spaces: sandboxes frozen to disk and waked again; persistent ones do both by themselves."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rig import host, suite
from rig.case import Case, KillingCase, slow
from rig.deadline import eventually

NEVER = "spc_" + "0" * 32

#: A session with something of everything that has to survive.
STATE = """
import os, subprocess, sys, threading, time
import numpy as np
array = np.arange(500_000)
reader = open("/root/lines", "w+")
reader.write("one\\ntwo\\nthree\\n"); reader.seek(4)
ticks = 0
def tick():
    global ticks
    while True: ticks += 1; time.sleep(0.05)
threading.Thread(target=tick, daemon=True).start()
cat = subprocess.Popen(["cat"], stdin=-1, stdout=-1, text=True, bufsize=1)
os.chdir("/tmp")
monotonic, wall = time.monotonic(), time.time()
"""

LOOK = """
cat.stdin.write("hi\\n")
before, until = ticks, time.monotonic() + 60
while ticks == before and time.monotonic() < until: time.sleep(0.02)
print(int(array.sum()), reader.readline().strip(), cat.stdout.readline().strip(),
      ticks > before, cat.poll(), os.getcwd())
"""

SEEN = "124999750000 two hi True None /tmp\n"


class SpaceCase(Case):
    deadline_seconds = 500.0

    def frozen(self, code: str = "x = 'frozen'", **request: Any) -> tuple[str, str]:
        """A sandbox in which this ran, by now frozen, and its Space."""
        sandbox = self.new_sandbox(**request)
        self.said(sandbox, code)
        return sandbox, self.freeze(sandbox)

    def directory(self, space: str) -> Path:
        return self.server.data_dir / "spaces" / space


class FreezeTest(SpaceCase):
    def test_a_frozen_sandbox_is_gone_and_its_space_is_listed(self) -> None:
        sandbox, space = self.frozen(metadata={"task": "7"})
        self.assertRegex(space, r"^spc_[0-9a-f]{32}$")
        self.assert_refused(self.rest.info(sandbox), 404)
        self.assertNotIn(sandbox, self.rest.ids())
        self.assertEqual(self.rest.close(sandbox).status, 204)
        listed = self.rest.spaces()[space]
        self.assertEqual(listed, self.rest.space(space).json)
        self.assertEqual(
            (listed["sandbox"], listed["held_by"], listed["family"], listed["metadata"]),
            (sandbox, None, sandbox, {"task": "7"}),
        )
        self.assertEqual((listed["template"], listed["generation"]), ("default", 0))

    def test_everything_that_ran_runs_on_after_resume(self) -> None:
        _, space = self.frozen(STATE)
        self.assertEqual(self.said(self.resume(space), LOOK), SEEN)

    def test_freezing_ends_the_machine(self) -> None:
        sandbox = self.new_sandbox()
        self.said(sandbox, "1")
        machine = self.machine_of(sandbox)
        self.freeze(sandbox)
        eventually("the machine's end", lambda: not host.lives(machine))

    def test_a_space_is_resumed_many_times_and_each_is_a_clone(self) -> None:
        _, space = self.frozen(STATE + "import random, uuid, socket, podflare\nrandom.seed(1)")
        made = [self.resume(space) for _ in range(3)]
        self.assertEqual(len(set(made)), 3)
        for sandbox in made:
            self.assertEqual(self.said(sandbox, LOOK), SEEN)
        drawn = "print(random.random(), os.urandom(8).hex(), uuid.uuid4(), socket.gethostname())"
        for values in zip(*(self.said(one, drawn).split() for one in made), strict=True):
            self.assertEqual(len(set(values)), 3, values)
        for number, sandbox in enumerate(made):
            self.said(sandbox, f"mine = {number}; open('/root/mine', 'w').write('{number}')")
        for number, sandbox in enumerate(made):
            self.assertEqual(
                self.said(sandbox, "print(mine, open('/root/mine').read())"), f"{number} {number}\n"
            )
        self.assertIn(space, self.rest.spaces())

    def test_a_sandbox_is_frozen_and_resumed_again_and_again(self) -> None:
        sandbox = self.new_sandbox()
        self.said(sandbox, STATE + "rounds = 0")
        took = []
        for number in range(suite.scale().freezes):
            space = self.freeze(sandbox)
            began = time.monotonic()
            sandbox = self.resume(space)
            self.assertEqual(self.said(sandbox, "rounds += 1; print(rounds)"), f"{number + 1}\n")
            took.append(time.monotonic() - began)
            self.assertEqual(self.rest.delete_space(space).status, 204)
        self.assertEqual(self.said(sandbox, LOOK), SEEN)
        self.assertLess(min(took), 30, took)

    def test_a_session_of_many_cells_survives(self) -> None:
        cells = 1000 if suite.scale() is not suite.FAST else 150
        sandbox = self.new_sandbox()
        self.said(sandbox, "seen = []")
        for cell in range(cells):
            self.assertEqual(
                self.rest.exec(sandbox, f"cell_{cell} = {cell}; seen.append({cell})").code, 0
            )
        sandbox = self.resume(self.freeze(sandbox))
        self.assertEqual(
            self.said(sandbox, "print(len(seen), sum(globals()[f'cell_{n}'] for n in seen))"),
            f"{cells} {sum(range(cells))}\n",
        )

    @slow
    def test_clocks_are_right_after_resume(self) -> None:
        _, space = self.frozen(STATE)
        time.sleep(5)
        sandbox = self.resume(space)
        before = time.time()
        wall, steady, asleep = (
            float(part)
            for part in self.said(
                sandbox,
                "print(time.time(), time.monotonic() - monotonic, time.time() - wall)",
            ).split()
        )
        self.assertTrue(before - 5 <= wall <= time.time() + 5, wall - before)
        self.assertGreater(steady, 0)
        # The monotonic clock is continuous: the time in which there was no machine is not in it.
        self.assertGreater(asleep - steady, 2.5)

    def test_a_timer_goes_on_with_the_time_that_it_had_left(self) -> None:
        _, space = self.frozen(
            "import threading\nfired = threading.Event()\n"
            "timer = threading.Timer(3, fired.set); timer.start()"
        )
        sandbox = self.resume(space)
        self.assertEqual(self.said(sandbox, "print(fired.wait(60))"), "True\n")

    def test_lineage_goes_on_through_a_space(self) -> None:
        parent = self.new_sandbox()
        (child,) = self.fork(parent)
        space = self.freeze(child)
        self.assertEqual(self.rest.space(space).json["family"], parent)
        again = self.resume(space)
        info = self.rest.info(again).json
        self.assertEqual((info["family"], info["parent"]), (parent, child))
        self.assertGreater(info["generation"], 0)
        (grandchild,) = self.fork(again)
        self.assertEqual(self.rest.info(grandchild).json["family"], parent)
        rows = {one["id"]: one for one in self.rest.family(parent).json["sandboxes"]}
        self.assertEqual(rows[child]["end"], "frozen")
        self.said(again, "x = 'thawed'")
        self.assertEqual(self.rest.merge(parent, again).status, 204)
        self.assertEqual(self.said(parent, "print(x)"), "thawed\n")

    def test_a_freeze_waits_for_the_code_that_runs(self) -> None:
        sandbox = self.new_sandbox()
        with self.rest.stream(sandbox, "import time\nprint('on')\ntime.sleep(2)\ndone = 1") as run:
            run.first("stdout")
            space = self.freeze(sandbox)
            ran = run.rest()
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(self.said(self.resume(space), "print(done)"), "1\n")

    def test_two_freezes_at_once_make_one_space(self) -> None:
        sandbox = self.new_sandbox()
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: self.rest.freeze(sandbox), range(2)))
        spaces = [one.json["space"] for one in answers if one.status == 200]
        for space in spaces:
            self.addCleanup(self.rest.delete_space, space)
        self.assertEqual(len(spaces), 1, [str(one) for one in answers])
        for answer in answers:
            if answer.status != 200:
                self.assert_refused(answer, {404, 409})

    def test_a_disk_that_was_written_survives(self) -> None:
        _, space = self.frozen(
            "import hashlib, os\nblock = os.urandom(50 << 20)\n"
            "open('/root/large', 'wb').write(block)\ndigest = hashlib.sha256(block).hexdigest()"
        )
        self.assertEqual(
            self.said(
                self.resume(space),
                "print(hashlib.sha256(open('/root/large', 'rb').read()).hexdigest() == digest,"
                " hashlib.sha256(block).hexdigest() == digest)",
            ),
            "True True\n",
        )

    def test_a_space_is_small(self) -> None:
        _, space = self.frozen("x = bytearray(200 << 20); del x")
        told = self.rest.space(space).json["disk_bytes"]
        # A machine of 1 GiB; what nobody wrote and what is zero take no room.
        self.assertLess(told >> 20, 250)
        self.assertGreater(told, 1 << 20)

    def test_a_resumed_sandbox_lives_on_when_its_space_is_deleted(self) -> None:
        _, space = self.frozen(STATE)
        sandbox = self.resume(space)
        self.assertEqual(self.rest.delete_space(space).status, 204)
        self.assertFalse(self.directory(space).exists())
        self.assertEqual(self.said(sandbox, LOOK), SEEN)
        (child,) = self.fork(sandbox)
        self.assertEqual(self.said(child, "print(int(array.sum()))"), "124999750000\n")

    def test_a_deleted_space_is_gone_and_deleting_it_again_is_fine(self) -> None:
        _, space = self.frozen()
        self.assertEqual(self.rest.delete_space(space).status, 204)
        self.assertNotIn(space, self.rest.spaces())
        self.assert_refused(self.rest.resume(space), 404)
        self.assert_refused(self.rest.space(space), 404)
        self.assertEqual(self.rest.delete_space(space).status, 204)

    def test_another_keys_space_is_not_found(self) -> None:
        _, space = self.frozen()
        other = self.server.rest(self.server.keys[1])
        self.assertNotIn(space, other.spaces())
        for answer in (other.space(space), other.resume(space), other.delete_space(space)):
            self.assert_refused(answer, 404)
            self.assertEqual(answer.json["error"], "space not found")
        self.assertIn(space, self.rest.spaces())

    def test_a_space_that_is_being_written_is_not_there_yet(self) -> None:
        sandbox = self.new_sandbox()
        self.said(sandbox, "import os\nhoard = os.urandom(150 << 20)")
        spaces = self.server.data_dir / "spaces"
        before = set(os.listdir(spaces)) if spaces.exists() else set()
        met: list[int] = []
        early: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            freezing = pool.submit(self.rest.freeze, sandbox)
            while not freezing.done():
                new = set(os.listdir(spaces)) - before if spaces.exists() else set()
                for name in new:
                    if name.startswith("spc_"):
                        answer = self.rest.resume(name[:36])
                        if answer.status == 200:
                            # It is there: its own answer is on the way.
                            self.addCleanup(self.rest.close, answer.json["id"])
                            early.append(answer.json["id"])
                        else:
                            met.append(answer.status)
                if early:
                    break
                time.sleep(0.01)
            answer = freezing.result()
        self.assertEqual(answer.status, 200, str(answer))
        self.addCleanup(self.rest.delete_space, answer.json["space"])
        self.assertTrue(met, "the Space was never seen while it was written")
        self.assertLessEqual(set(met), {404, 409})
        for sandbox in early:
            self.assertEqual(self.said(sandbox, "print(len(hoard) >> 20)"), "150\n")

    def test_deleting_a_space_while_it_is_resumed_leaves_a_whole_sandbox_or_none(self) -> None:
        for _ in range(3):
            _, space = self.frozen()
            with ThreadPoolExecutor(2) as pool:
                resuming = pool.submit(self.rest.resume, space)
                deleting = pool.submit(self.rest.delete_space, space)
                resumed, deleted = resuming.result(), deleting.result()
            self.assertEqual(deleted.status, 204, str(deleted))
            if resumed.status == 200:
                self.addCleanup(self.rest.close, resumed.json["id"])
                self.assertEqual(self.said(resumed.json["id"], "print(x)"), "frozen\n")
            else:
                self.assert_refused(resumed, {404, 409})


class DamagedSpaceTest(SpaceCase):
    """The files of a Space are changed behind the server's back."""

    def files(self, space: str) -> list[Path]:
        return sorted(path for path in self.directory(space).rglob("*") if path.is_file())

    @contextlib.contextmanager
    def in_place_of(self, path: Path) -> Iterator[Path]:
        """A copy to spoil: the file itself may be shared with the template by a hard link."""
        aside = path.with_name(path.name + ".aside")
        os.rename(path, aside)
        subprocess.run(["cp", "-p", "--sparse=always", str(aside), str(path)], check=True)
        os.chmod(path, 0o600)
        try:
            yield path
        finally:
            os.replace(aside, path)

    def assert_refused_to_wake(self, space: str, what: str) -> None:
        with self.subTest(what):
            before = self.rest.ids()
            answer = self.rest.resume(space)
            if answer.status == 200:
                self.rest.close(answer.json["id"])
            self.assert_refused(answer, 409)
            self.assertIn(answer.json["code"], ("space_damaged", "space_unfit"))
            self.assertTrue(answer.json["hint"])
            self.assertEqual(self.rest.ids() - before, set(), "half waked")

    def test_a_file_that_is_missing_cut_or_altered_is_refused(self) -> None:
        _, space = self.frozen("x = 'whole'; import os; hoard = os.urandom(5 << 20)")
        files = self.files(space)
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            name = str(path.relative_to(self.directory(space)))
            shared = path.stat().st_nlink > 1 and path.name in ("rootfs", "disk")
            size = path.stat().st_size
            with self.in_place_of(path):
                with open(path, "r+b") as spoiled:
                    spoiled.truncate(size // 2)
                self.assert_refused_to_wake(space, f"{name} cut in half")
                path.unlink()
                self.assert_refused_to_wake(space, f"{name} missing")
            if not shared:
                with self.in_place_of(path):
                    flip(path, first_data(path))
                    self.assert_refused_to_wake(space, f"{name}: a bit of it turned")
        sandbox = self.resume(space)
        self.assertEqual(self.said(sandbox, "print(x)"), "whole\n")

    def test_a_space_of_another_engine_is_refused_with_what_to_do(self) -> None:
        _, space = self.frozen()
        named = [
            path
            for path in self.files(space)
            if path.stat().st_size < 1 << 20 and b"qemu" in path.read_bytes().lower()
        ]
        self.assertTrue(named, "no manifest names the engine")
        for path in named:
            with self.in_place_of(path):
                text = path.read_bytes()
                at = text.lower().index(b"qemu")
                path.write_bytes(text[:at] + b"Q\xc2\xa1mu"[:4] + text[at + 4 :])
                self.assert_refused_to_wake(space, str(path))

    def test_a_damaged_space_can_still_be_deleted(self) -> None:
        _, space = self.frozen()
        for path in self.files(space):
            path.unlink()
        self.assert_refused(self.rest.resume(space), 409)
        self.assertEqual(self.rest.delete_space(space).status, 204)
        self.assertNotIn(space, self.rest.spaces())

    def test_what_does_not_belong_to_spaces_does_not_stop_the_server(self) -> None:
        odd = self.server.data_dir / "spaces" / "what-is-this"
        odd.mkdir(parents=True, exist_ok=True)
        self.addCleanup(odd.rmdir)
        self.rest.spaces()
        _, space = self.frozen()
        self.assertEqual(self.said(self.resume(space), "print(x)"), "frozen\n")


def first_data(path: Path) -> int:
    """Where there is data: in the middle of a small file, near the start of a large one."""
    with open(path, "rb") as file:
        try:
            at = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        except OSError:
            return 0
    return at + min(100, (path.stat().st_size - at) // 2)


def flip(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


class PersistentTest(SpaceCase):
    def asleep(self, sandbox: str) -> bool:
        """Looks by the list, as looking at one sandbox could count as a call to it."""
        page = self.rest.list(limit=100, state="frozen").json["sandboxes"]
        return any(one["id"] == sandbox for one in page)

    def sleeping(self, code: str, idle: float = 1.0) -> str:
        """A persistent sandbox in which this ran, by now frozen."""
        sandbox = self.new_sandbox(persistent=True, idle_timeout_seconds=idle)
        self.said(sandbox, code)
        eventually(f"{sandbox} freezes", lambda: self.asleep(sandbox), 120, every=0.1)
        return sandbox

    def test_it_is_frozen_when_idle_and_wakes_as_if_nothing_had_happened(self) -> None:
        # It must not sleep again before it is looked at.
        sandbox = self.sleeping(STATE, idle=6)
        self.assertTrue(self.rest.info(sandbox).json["persistent"])
        self.assertEqual(self.said(sandbox, LOOK), SEEN)
        self.assertIn(self.rest.info(sandbox).json["state"], ("ready", "running"))
        eventually("it sleeps again", lambda: self.asleep(sandbox), 120, every=0.1)
        self.assertEqual(self.said(sandbox, "print(int(array.sum()))"), "124999750000\n")

    def test_while_it_sleeps_it_has_no_machine_and_its_space_is_held(self) -> None:
        sandbox = self.new_sandbox(persistent=True, idle_timeout_seconds=6)
        self.said(sandbox, "x = 1")
        machine = self.machine_of(sandbox)
        eventually(f"{sandbox} freezes", lambda: self.asleep(sandbox), 120, every=0.1)
        eventually("its machine is gone", lambda: not host.lives(machine))
        held = [one for one in self.rest.spaces().values() if one["held_by"] == sandbox]
        self.assertEqual(len(held), 1)
        refusal = self.rest.delete_space(held[0]["id"])
        self.assert_refused(refusal, 409)
        self.assertEqual(refusal.json["code"], "space_in_use")
        self.said(sandbox, "print(x)")
        self.assertNotIn(held[0]["id"], self.rest.spaces())

    def test_a_file_call_wakes_it(self) -> None:
        sandbox = self.sleeping("open('/root/f', 'w').write('file')")
        self.assertEqual(self.rest.get(sandbox, "/root/f").body, b"file")

    def test_a_fork_and_a_diff_wake_it(self) -> None:
        sandbox = self.sleeping("x = 3")
        (child,) = self.fork(sandbox)
        self.assertEqual(self.said(child, "print(x)"), "3\n")
        eventually(f"{sandbox} freezes", lambda: self.asleep(sandbox), 120, every=0.1)
        self.assertEqual(self.rest.diff(sandbox, child).status, 200)

    def test_it_can_be_merged_into_while_it_sleeps(self) -> None:
        parent = self.new_sandbox(persistent=True, idle_timeout_seconds=2)
        self.said(parent, "x = 'parent'")
        (winner,) = self.fork(parent)
        self.said(winner, "x = 'winner'")
        eventually("the parent freezes", lambda: self.asleep(parent), 120, every=0.1)
        answer = self.rest.merge(parent, winner)
        self.assertEqual(answer.status, 204, str(answer))
        self.assertEqual(self.said(parent, "print(x)"), "winner\n")

    def test_it_can_be_frozen_by_hand_while_it_sleeps(self) -> None:
        sandbox = self.sleeping("x = 5")
        space = self.freeze(sandbox)
        self.assertIsNone(self.rest.space(space).json["held_by"])
        self.assertEqual(self.said(self.resume(space), "print(x)"), "5\n")

    def test_calls_that_come_together_all_wake_it_once(self) -> None:
        sandbox = self.sleeping("woken = 0")
        with ThreadPoolExecutor(5) as pool:
            said = list(
                pool.map(lambda _: self.said(sandbox, "woken += 1; print(woken)"), range(5))
            )
        self.assertEqual(sorted(said), [f"{n}\n" for n in range(1, 6)])

    def test_calls_at_the_moment_when_it_freezes_never_fail(self) -> None:
        sandbox = self.new_sandbox(persistent=True, idle_timeout_seconds=1)
        for number in range(1, 7):
            self.assertEqual(
                self.said(sandbox, "n = globals().get('n', 0) + 1; print(n)"), f"{number}\n"
            )
            time.sleep(0.9 + 0.05 * number)

    def test_closing_it_while_it_sleeps_leaves_nothing(self) -> None:
        sandbox = self.sleeping("x = 1")
        self.assertEqual(self.rest.close(sandbox).status, 204)
        self.assertFalse([one for one in self.rest.spaces().values() if one["held_by"] == sandbox])
        self.assert_refused(self.rest.info(sandbox), 404)
        eventually(
            "its files are gone",
            lambda: not [
                path for path in self.server.data_dir.glob("spaces/*/*.json")
                if sandbox in path.read_text(errors="replace")
            ],
        )  # fmt: skip

    @slow
    def test_its_lifetime_is_final_though_it_sleeps(self) -> None:
        sandbox = self.new_sandbox(
            persistent=True, idle_timeout_seconds=1, max_lifetime_seconds=25
        )
        began = time.monotonic()
        eventually("it freezes", lambda: self.asleep(sandbox), 24, every=0.1)
        eventually("it is gone", lambda: sandbox not in self.rest.ids(), 90)
        self.assertGreater(time.monotonic() - began, 22)
        self.assert_refused(
            self.rest.call("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"}), 404
        )

    def test_a_sleeping_sandbox_whose_files_are_damaged_says_so(self) -> None:
        sandbox = self.sleeping("x = 1")
        (held,) = (one for one in self.rest.spaces().values() if one["held_by"] == sandbox)
        manifests = sorted(self.directory(held["id"]).rglob("*.json"))
        self.assertTrue(manifests)
        kept = manifests[0].read_bytes()
        manifests[0].write_bytes(kept[: len(kept) // 2])
        answer = self.rest.call("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"})
        self.assert_refused(answer, 409)
        manifests[0].write_bytes(kept)
        self.assertEqual(self.said(sandbox, "print(x)"), "1\n", "the next call did not try again")


class SpaceAfterRestartTest(KillingCase, SpaceCase):
    """Stops, or kills, the suite's server and starts it again."""

    deadline_seconds = 600.0

    def persistent(self) -> str:
        sandbox = self.rest.create(persistent=True, idle_timeout_seconds=1)
        self.rest.exec(sandbox, STATE)
        eventually(
            "it freezes",
            lambda: any(
                one["id"] == sandbox and one["state"] == "frozen"
                for one in self.rest.list(limit=100, state="frozen").json["sandboxes"]
            ),
            120,
            every=0.1,
        )
        return sandbox

    def test_spaces_and_sleepers_outlive_an_orderly_stop_and_a_crash(self) -> None:
        sandbox = self.rest.create()
        self.rest.exec(sandbox, STATE)
        space = self.rest.freeze(sandbox).json["space"]
        sleeper = self.persistent()
        before = self.rest.space(space).json
        for end in (self.server.stop, self.server.kill):
            with self.subTest(end.__name__):
                end()
                self.server.start()
                self.assertEqual(self.rest.space(space).json, before)
                again = self.resume(space)
                self.assertEqual(self.said(again, LOOK), SEEN)
                states = {one["id"]: one["state"] for one in self.rest.list().json["sandboxes"]}
                self.assertEqual(states.get(sleeper), "frozen")
        self.assertEqual(self.said(sleeper, LOOK), SEEN)
        self.rest.close(sleeper)
        self.assertEqual(self.rest.delete_space(space).status, 204)

    def test_an_orderly_stop_freezes_persistent_sandboxes(self) -> None:
        sandbox = self.rest.create(persistent=True, idle_timeout_seconds=600)
        self.rest.exec(sandbox, STATE)
        said = self.server.stop()
        self.assertEqual(said.returncode, 0, said.stderr)
        eventually(
            "no process is left",
            lambda: host.Footprint.of(None, self.server.data_dir).processes == 0,
            20,
        )
        self.server.start()
        self.assertEqual(self.said(sandbox, LOOK), SEEN)
        self.rest.close(sandbox)

    def test_half_a_space_of_a_dead_server_is_cleared_away(self) -> None:
        self.server.stop()
        half = self.server.data_dir / "spaces" / ("spc_" + "1" * 32) / "machine"
        half.mkdir(parents=True)
        (half / "memory").write_bytes(b"x" * 100_000)
        self.server.start()
        self.assertFalse(half.parent.exists())
        self.assert_refused(self.rest.resume("spc_" + "1" * 32), 404)

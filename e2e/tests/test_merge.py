"""merge_into: the winner of a family takes its parent's place, or gives it its files."""

from __future__ import annotations

import threading
import time
from typing import Any

from rig.case import SMALL, Case, slow
from rig.deadline import eventually
from rig.rest import Refused


class MergeCase(Case):
    deadline_seconds = 400.0

    def family(self, setup: str = "x = 'parent'", n: int = 1) -> list[str]:
        parent = self.new_sandbox()
        self.said(parent, setup)
        return [parent, *self.fork(parent, n)]

    def swap(self, parent: str, winner: str) -> None:
        answer = self.rest.merge(parent, winner)
        self.assertEqual((answer.status, answer.body), (204, b""), str(answer))

    def merge_files(self, parent: str, winner: str, **request: Any) -> dict[str, Any]:
        answer = self.rest.merge(parent, winner, mode="files", **request)
        self.assertEqual(answer.status, 200, str(answer))
        return answer.json

    def content(self, sandbox: str, path: str) -> bytes | None:
        answer = self.rest.get(sandbox, path)
        return answer.body if answer.status == 200 else None


class SwapTest(MergeCase):
    def test_the_parents_id_drives_the_winners_machine(self) -> None:
        parent, winner, sibling = self.family(n=2)
        self.said(winner, "x = 'winner'")
        self.rest.put(winner, "/root/won", b"won")
        self.swap(parent, winner)
        self.assertEqual(self.said(parent, "print(x)"), "winner\n")
        self.assertEqual(self.content(parent, "/root/won"), b"won")
        self.assert_refused(self.rest.info(winner), 404)
        self.assert_refused(
            self.rest.call("POST", f"/v1/sandboxes/{winner}/exec", {"code": "1"}), 404
        )
        self.assertNotIn(winner, self.rest.ids())
        self.assertEqual(self.rest.close(winner).status, 204)
        self.assertEqual(self.said(parent, "print(x)"), "winner\n", "closing the loser's id hurt")
        self.assertEqual(self.said(sibling, "print(x)"), "parent\n")
        rows = {one["id"]: one for one in self.rest.family(parent).json["sandboxes"]}
        self.assertEqual(rows[winner]["end"], "merged")
        self.assertIsNone(rows[parent]["closed_at"])

    def test_a_merge_with_no_body_is_a_swap(self) -> None:
        parent, winner = self.family()
        answer = self.rest.call("POST", f"/v1/sandboxes/{parent}/merge_into/{winner}")
        self.assertEqual(answer.status, 204, str(answer))

    def test_a_dry_run_says_whether_it_would_work_and_does_nothing(self) -> None:
        parent, winner = self.family()
        said = self.rest.merge(parent, winner, dry_run=True)
        self.assertEqual(said.status, 200, str(said))
        self.assertEqual((said.json["mode"], said.json["applied"]), ("swap", False))
        self.assertTrue({parent, winner} <= self.rest.ids())

    def test_threads_and_processes_of_the_winner_run_on(self) -> None:
        parent, winner = self.family()
        self.said(
            winner,
            "import subprocess, threading, time\nticks = 0\n"
            "def tick():\n  global ticks\n  while True: ticks += 1; time.sleep(0.02)\n"
            "threading.Thread(target=tick, daemon=True).start()\n"
            "cat = subprocess.Popen(['cat'], stdin=-1, stdout=-1, text=True, bufsize=1)",
        )
        self.swap(parent, winner)
        self.assertEqual(
            self.said(
                parent,
                "cat.stdin.write('hi\\n'); print(cat.stdout.readline(), end='')\n"
                "before, until = ticks, time.monotonic() + 60\n"
                "while ticks == before and time.monotonic() < until: time.sleep(0.02)\n"
                "print(ticks > before)",
            ),
            "hi\nTrue\n",
        )

    def test_a_merged_sandbox_can_be_forked_and_merged_again(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "path = []")
        for level in range(4):
            children = self.fork(parent, 2)
            for number, child in enumerate(children):
                self.said(child, f"path.append({10 * level + number})")
            self.swap(parent, children[1])
            self.rest.close(children[0])
        self.assertEqual(self.said(parent, "print(path)"), "[1, 11, 21, 31]\n")

    def test_a_grandchild_and_a_sibling_can_be_winners(self) -> None:
        parent, first, second = self.family(n=2)
        (grandchild,) = self.fork(first)
        self.said(grandchild, "x = 'grandchild'")
        self.said(second, "x = 'second'")
        self.swap(first, second)
        self.assertEqual(self.said(first, "print(x)"), "second\n")
        self.swap(parent, grandchild)
        self.assertEqual(self.said(parent, "print(x)"), "grandchild\n")

    def test_calls_during_swaps_meet_the_old_machine_or_the_new_one(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "era = 0")
        stop, seen, failures = threading.Event(), [], []

        def keep_calling(number: int) -> None:
            latest = -1
            while not stop.is_set():
                try:
                    if number == 0:
                        answer = self.rest.files(parent, "/root")
                        if answer.status != 200:
                            failures.append(str(answer))
                        continue
                    ran = self.rest.exec(parent, "print(era)")
                    if ran.reason != "ok":
                        failures.append(ran.events[-3:])
                        return
                    era = int(ran.stdout)
                    if era < latest:
                        failures.append(f"era {era} after {latest}")
                    latest = era
                    seen.append(era)
                except (OSError, ValueError, AssertionError) as broken:
                    failures.append(repr(broken))
                    return

        callers = [threading.Thread(target=keep_calling, args=(n,)) for n in range(4)]
        for caller in callers:
            caller.start()
        try:
            for era in range(1, 7):
                (child,) = self.fork(parent)
                self.said(child, f"era = {era}")
                self.swap(parent, child)
                eventually(f"era {era} is seen", lambda e=era: failures or e in seen)
        finally:
            stop.set()
            for caller in callers:
                caller.join(60)
        self.assertEqual(failures, [])

    def test_a_swap_waits_for_the_code_that_runs(self) -> None:
        parent, winner = self.family()
        self.said(winner, "x = 'winner'")
        code = "import time\nprint('on')\ntime.sleep(2)\nprint(x)"
        with self.rest.stream(parent, code) as stream:
            first = stream.first("stdout")
            self.swap(parent, winner)
            ran = stream.rest()
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(first.data + ran.stdout, "on\nparent\n")
        self.assertEqual(self.said(parent, "print(x)"), "winner\n")

    def test_merges_in_opposite_directions_end_with_one_machine(self) -> None:
        one, other = self.family()
        self.said(other, "x = 'other'")
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda a=a, b=b: answers.append(self.rest.merge(a, b).status))
            for a, b in ((one, other), (other, one))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(sorted(answers), [204, 404])
        self.assertEqual(len({one, other} & self.rest.ids()), 1)

    def test_a_merge_twice_into_itself_or_with_a_stranger_is_refused(self) -> None:
        parent, winner = self.family()
        stranger = self.new_sandbox()
        self.assert_refused(self.rest.merge(parent, parent), 400)
        refusal = self.rest.merge(parent, stranger)
        self.assert_refused(refusal, 409)
        self.assertEqual(refusal.json["code"], "not_a_relative")
        self.swap(parent, winner)
        self.assert_refused(self.rest.merge(parent, winner), 404)
        self.assertEqual(self.said(parent, "print(x)"), "parent\n")

    def test_a_merge_with_another_keys_sandbox_is_not_found(self) -> None:
        parent, winner = self.family()
        other = self.server.rest(self.server.keys[1])
        theirs = other.create()
        self.addCleanup(other.close, theirs)
        self.assert_refused(self.rest.merge(parent, theirs), 404)
        self.assert_refused(self.rest.merge(theirs, winner), 404)
        self.assert_refused(other.merge(parent, winner), 404)
        self.assert_refused(self.rest.diff(parent, theirs), 404)
        self.assert_refused(other.diff(parent, winner), 404)
        self.assert_refused(other.fork(parent), 404)
        self.assert_refused(other.family(parent), 404)
        self.assert_refused(other.freeze(parent), 404)

    def test_a_merge_of_a_dead_or_closed_one_is_refused_and_the_parent_goes_on(self) -> None:
        parent, dead, closed = self.family(n=2)
        panic = "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60"
        self.rest.bash(dead, panic)
        self.rest.close(closed)
        for mode in ("swap", "files"):
            self.assert_refused(self.rest.merge(parent, dead, mode=mode), {404, 409})
            self.assert_refused(self.rest.merge(parent, closed, mode=mode), 404)
        self.assert_refused(self.rest.diff(parent, closed), 404)
        self.assert_refused(self.rest.diff(closed, parent), 404)
        self.assert_refused(self.rest.diff(parent, dead), {404, 409})
        self.assertEqual(self.said(parent, "print(x)"), "parent\n")


class FileMergeTest(MergeCase):
    SETUP = (
        "import os, subprocess\nx = 'parent'\n"
        "subprocess.run(['bash', '-ec', '''\n"
        "cd /root; for f in kept changed gone both parents same; do echo $f > $f; done\n"
        "mkdir -p dir/deep gonedir; echo d > dir/deep/file; echo g > gonedir/file\n"
        "ln -s kept link\n"
        "'''], check=True)"
    )

    def test_the_winners_changes_reach_the_parents_live_machine(self) -> None:
        parent, winner = self.family(self.SETUP)
        self.said(parent, "x = 'still the parent'; reader = open('/root/kept')")
        ran = self.rest.bash(
            winner,
            "cd /root; echo new > new; echo won > changed; rm gone; rm -r gonedir; chmod 751 kept;"
            " ln -sfn changed link; mkdir -p fresh/deep; echo f > fresh/deep/file;"
            " chmod 2700 fresh; echo won > dir/deep/file; ln -s new another",
        )
        self.assert_ended(ran, 0, "ok", True)
        report = self.merge_files(parent, winner)
        self.assertEqual((report["mode"], report["applied"]), ("files", True))
        self.assertEqual(report["conflicts"], [])
        self.assertLessEqual({"/root/new", "/root/fresh/deep/file"}, set(report["added"]))
        self.assertLessEqual({"/root/changed", "/root/kept", "/root/link"}, set(report["modified"]))
        self.assertLessEqual({"/root/gone", "/root/gonedir/file"}, set(report["removed"]))
        look = "cd /root; find . -printf '%P %y %m %l\\n' | sort; cat new changed dir/deep/file"
        self.assertEqual(
            self.rest.bash(parent, look).stdout, self.rest.bash(winner, look).stdout
        )
        self.assertEqual(
            self.said(parent, "print(x, reader.read(), end='')"), "still the parent kept\n"
        )
        self.assertIn(winner, self.rest.ids())
        difference = self.rest.diff(parent, winner, variables=False).json
        self.assertEqual(
            [difference[kind] for kind in ("added", "removed", "modified")], [[], [], []]
        )

    def test_a_dry_run_lists_the_same_and_changes_nothing(self) -> None:
        parent, winner = self.family(self.SETUP)
        self.rest.bash(winner, "cd /root; echo new > new; echo won > changed; rm gone")
        planned = self.merge_files(parent, winner, dry_run=True)
        self.assertFalse(planned["applied"])
        self.assertEqual(
            (planned["added"], planned["modified"], planned["removed"]),
            (["/root/new"], ["/root/changed"], ["/root/gone"]),
        )
        self.assertIsNone(self.content(parent, "/root/new"))
        self.assertEqual(self.content(parent, "/root/changed"), b"changed\n")
        done = self.merge_files(parent, winner)
        for kind in ("added", "modified", "removed", "conflicts"):
            self.assertEqual(done[kind], planned[kind])

    def test_what_only_the_parent_changed_stays(self) -> None:
        parent, winner = self.family(self.SETUP)
        self.rest.bash(parent, "cd /root; echo mine > parents; echo own > own; rm same")
        self.rest.bash(winner, "cd /root; echo won > changed")
        report = self.merge_files(parent, winner)
        self.assertEqual(
            (report["added"], report["modified"], report["removed"]), ([], ["/root/changed"], [])
        )
        self.assertEqual(self.content(parent, "/root/parents"), b"mine\n")
        self.assertEqual(self.content(parent, "/root/own"), b"own\n")
        self.assertIsNone(self.content(parent, "/root/same"))

    def conflict(self) -> tuple[str, str]:
        parent, winner = self.family(self.SETUP)
        self.rest.bash(parent, "cd /root; echo parents > both; rm gone; echo p > twice")
        self.rest.bash(
            winner, "cd /root; echo winners > both; echo kept-alive > gone; echo w > twice;"
            " echo new > new"
        )  # fmt: skip
        return parent, winner

    def test_a_conflict_is_listed_and_nothing_is_applied(self) -> None:
        parent, winner = self.conflict()
        answer = self.rest.merge(parent, winner, mode="files")
        self.assert_refused(answer, 409)
        self.assertEqual(answer.json["code"], "merge_conflict")
        listed = {one["path"]: (one["parent"], one["winner"]) for one in answer.json["conflicts"]}
        self.assertEqual(
            listed,
            {
                "/root/both": ("modified", "modified"),
                "/root/gone": ("removed", "modified"),
                "/root/twice": ("added", "added"),
            },
        )
        self.assertEqual(self.content(parent, "/root/both"), b"parents\n")
        self.assertIsNone(self.content(parent, "/root/new"))
        planned = self.merge_files(parent, winner, dry_run=True)
        self.assertEqual(
            sorted(one["path"] for one in planned["conflicts"]), sorted(listed), "the dry run"
        )

    def test_on_conflict_winner_takes_the_winners_files(self) -> None:
        parent, winner = self.conflict()
        self.assertTrue(self.merge_files(parent, winner, on_conflict="winner")["applied"])
        for path, content in (("both", b"winners\n"), ("gone", b"kept-alive\n"), ("twice", b"w\n")):
            self.assertEqual(self.content(parent, f"/root/{path}"), content)
        self.assertEqual(self.content(parent, "/root/new"), b"new\n")

    def test_on_conflict_parent_keeps_the_parents_files(self) -> None:
        parent, winner = self.conflict()
        self.assertTrue(self.merge_files(parent, winner, on_conflict="parent")["applied"])
        for path, content in (("both", b"parents\n"), ("gone", None), ("twice", b"p\n")):
            self.assertEqual(self.content(parent, f"/root/{path}"), content)
        self.assertEqual(self.content(parent, "/root/new"), b"new\n")

    def test_the_same_change_on_both_sides_is_no_conflict(self) -> None:
        parent, winner = self.family(self.SETUP)
        for sandbox in (parent, winner):
            self.rest.bash(sandbox, "cd /root; echo agreed > both; rm gone; echo same > fresh")
        report = self.merge_files(parent, winner)
        self.assertEqual(report["conflicts"], [])
        self.assertEqual(self.content(parent, "/root/both"), b"agreed\n")

    def test_only_the_paths_that_were_named_are_merged(self) -> None:
        parent, winner = self.family(self.SETUP)
        self.rest.bash(winner, "cd /root; echo won > changed; echo won > dir/deep/file")
        report = self.merge_files(parent, winner, paths=["/root/dir"])
        self.assertEqual(report["modified"], ["/root/dir/deep/file"])
        self.assertEqual(self.content(parent, "/root/changed"), b"changed\n")

    def test_a_large_file_and_an_odd_name_arrive_whole(self) -> None:
        parent, winner = self.family(self.SETUP)
        self.said(
            winner,
            "import hashlib, os\nblock = os.urandom(1 << 20)\n"
            "with open('/root/large', 'wb') as f:\n  for n in range(20): f.write(block)\n"
            "open('/root/na me \\u00e9\\n', 'w').write('odd')\n"
            "open('/root/empty', 'w').close()",
        )
        self.merge_files(parent, winner)
        look = (
            "import hashlib, os\n"
            "print(hashlib.sha256(open('/root/large', 'rb').read()).hexdigest(),"
            " open('/root/na me \\u00e9\\n').read(), os.path.getsize('/root/empty'))"
        )
        self.assertEqual(self.said(parent, look), self.said(winner, look))

    def test_after_a_merge_another_sibling_can_be_merged(self) -> None:
        parent, first, second = self.family(self.SETUP, 2)
        self.rest.bash(first, "echo 1 > /root/first")
        self.rest.bash(second, "echo 2 > /root/second; echo won > /root/changed")
        self.merge_files(parent, first)
        self.merge_files(parent, second)
        self.assertEqual(self.content(parent, "/root/first"), b"1\n")
        self.assertEqual(self.content(parent, "/root/changed"), b"won\n")

    @slow
    def test_a_full_disk_of_the_parent_refuses_the_merge_and_changes_nothing(self) -> None:
        parent = self.new_sandbox(**SMALL)
        (winner,) = self.fork(parent)
        self.rest.bash(parent, "dd if=/dev/zero of=/root/filler bs=1M count=150 status=none")
        ran = self.rest.bash(
            winner, "dd if=/dev/urandom of=/root/load bs=1M count=150 status=none; echo 1 > /root/a"
        )
        self.assert_ended(ran, 0, "ok", True)
        self.assert_refused(self.rest.merge(parent, winner, mode="files"), {409, 413})
        self.assertIsNone(self.content(parent, "/root/a"))
        self.assertEqual(self.rest.bash(parent, "ls /root").stdout, "filler\n")

    def test_a_parents_changes_can_be_merged_into_its_child(self) -> None:
        parent, child = self.family(self.SETUP)
        self.rest.bash(parent, "echo won > /root/changed")
        self.assertTrue(self.merge_files(child, parent)["applied"])
        self.assertEqual(self.content(child, "/root/changed"), b"won\n")

    def test_a_merge_into_a_parent_that_runs_code_is_done_or_refused_but_never_half(self) -> None:
        parent, winner = self.family(self.SETUP)
        self.rest.bash(winner, "echo won > /root/changed; echo new > /root/new")
        with self.rest.stream(parent, "import time\nprint('on')\ntime.sleep(3)") as stream:
            stream.first("stdout")
            answer = self.rest.merge(parent, winner, mode="files")
            stream.rest()
        self.assertIn(answer.status, (200, 409), str(answer))
        applied = answer.status == 200
        self.assertEqual(self.content(parent, "/root/new"), b"new\n" if applied else None)
        self.assertEqual(
            self.content(parent, "/root/changed"), b"won\n" if applied else b"changed\n"
        )


class MergeRaceTest(MergeCase):
    def test_a_parent_that_is_closed_during_the_merge_leaves_no_machine_without_an_id(self) -> None:
        for _ in range(3):
            parent, winner = self.family()
            closing = threading.Thread(target=self.rest.close, args=(parent,))
            closing.start()
            try:
                answer = self.rest.merge(parent, winner)
            except (OSError, Refused) as cut:
                self.fail(f"the merge had no answer: {cut}")
            closing.join(90)
            self.assertIn(answer.status, (204, 404, 409), str(answer))
            began = time.monotonic()
            if answer.status == 204:
                self.assertNotIn(winner, self.rest.ids())
            else:
                self.assertEqual(self.said(winner, "print(x)"), "parent\n")
            self.assertLess(time.monotonic() - began, 60)

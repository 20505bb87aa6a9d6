"""Branching from the command line: what each command prints, and with which exit code it ends."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from rig.case import Case

SANDBOX = re.compile(r"sbx_[0-9a-f]{32}")
SPACE = re.compile(r"spc_[0-9a-f]{32}")


class BranchingCliTest(Case):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # The command line calls with the server's own key.
        cls.rest = cls.server.rest(cls.server.own_key)

    def run_command(self, *arguments: str) -> str:
        """Runs a command that must succeed and returns what it printed."""
        ran = self.server.command(*arguments)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def refused(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command that must fail with a sentence and without a stack trace."""
        ran = self.server.command(*arguments)
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertTrue(ran.stderr.startswith("podflare: "), ran.stderr)
        self.assertNotIn("\tat ", ran.stderr)
        return ran

    def fork(self, sandbox: str, n: int = 1) -> list[str]:
        children = self.run_command("fork", sandbox, "-n", str(n)).split()
        for child in children:
            self.addCleanup(self.rest.close, child)
        return children

    def exec(self, sandbox: str, code: str) -> str:
        return self.run_command("exec", "--sandbox", sandbox, code)

    def from_json(self, *arguments: str) -> Any:
        return json.loads(self.run_command(*arguments, "--json"))

    def test_a_sandbox_is_created_listed_and_closed(self) -> None:
        made = self.run_command("create", "--metadata", "made-by=cli", "--idle-timeout", "60")
        self.assertRegex(made, rf"^{SANDBOX.pattern}\n$")
        sandbox = made.strip()
        self.addCleanup(self.rest.close, sandbox)
        info = self.rest.info(sandbox).json
        self.assertEqual(info["metadata"], {"made-by": "cli"})
        self.assertEqual(info["idle_timeout_seconds"], 60)
        self.assertIn(sandbox, self.run_command("list", "--ids").split())
        self.assertIn(sandbox[:10], self.run_command("list"))
        self.assertIn(sandbox, [listed["id"] for listed in self.from_json("list")])
        self.assertEqual(self.run_command("close", sandbox[4:16]), "")
        self.assertEqual(self.rest.info(sandbox).status, 404)

    def test_fork_prints_the_ids_of_children_that_have_the_parents_state(self) -> None:
        parent = self.new_sandbox()
        self.exec(parent, "x = 41")
        ran = self.server.command("fork", parent[:14], "-n", "2")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        children = ran.stdout.split()
        for child in children:
            self.addCleanup(self.rest.close, child)
            self.assertRegex(child, f"^{SANDBOX.pattern}$")
        self.assertEqual(len(set(children)), 2)
        self.assertRegex(ran.stderr, r"2 running after [\d.]+ ms; the parent stood still for")
        self.assertEqual(self.exec(children[1], "print(x + 1)"), "42\n")

    def test_fork_in_json_tells_what_it_cost(self) -> None:
        parent = self.new_sandbox()
        fork = self.from_json("fork", parent)
        self.addCleanup(self.rest.close, fork["children"][0])
        self.assertEqual(len(fork["children"]), 1)
        self.assertGreater(fork["pause_ms"], 0)
        self.assertGreaterEqual(fork["running_ms"], fork["pause_ms"])

    def test_diff_shows_files_and_variables(self) -> None:
        parent = self.new_sandbox()
        self.exec(parent, "x = 1; open('/root/notes', 'w').write('one\\n'); None")
        child = self.fork(parent)[0]
        self.exec(child, "x = 2; y = 'new'; open('/root/notes', 'w').write('two\\n'); None")
        shown = self.run_command("diff", parent, child, "--text")
        for words in ("~ /root/notes  (content", "-one", "+two", "~ x: int 1 → int 2", "+ y: str"):
            self.assertIn(words, shown)
        told = self.from_json("diff", parent, child, "--path", "/root", "--files-only")
        self.assertIn("/root/notes", told["modified"])
        self.assertIsNone(told["variables"])
        self.assertEqual(
            self.run_command("diff", parent, child, "--path", "/tmp", "--files-only"),
            "no difference\n",
        )

    def test_what_a_guest_names_its_files_does_not_control_the_terminal(self) -> None:
        parent = self.new_sandbox()
        child = self.fork(parent)[0]
        self.exec(child, "open('/root/\\x1b]0;owned\\x07', 'w').close()")
        shown = self.run_command("diff", parent, child)
        self.assertIn("\\x1b]0;owned\\x07", shown)
        self.assertNotIn("\x1b", shown)

    def test_merge_makes_the_parents_id_drive_the_winner(self) -> None:
        parent = self.new_sandbox()
        self.exec(parent, "x = 1")
        winner = self.fork(parent)[0]
        self.exec(winner, "x = 2")
        dry = self.server.command("merge", parent, winner, "--dry-run")
        self.assertEqual((dry.returncode, dry.stdout), (0, ""), dry.stderr)
        self.assertIn("dry run", dry.stderr)
        self.assertEqual(self.exec(parent, "print(x)"), "1\n")
        self.assertEqual(self.run_command("merge", parent, winner), "")
        self.assertEqual(self.exec(parent, "print(x)"), "2\n")
        self.assertIn("sandbox not found", self.refused("merge", parent, winner).stderr)

    def test_merge_of_files_lists_conflicts_and_applies_what_it_is_told(self) -> None:
        parent = self.new_sandbox()
        self.exec(parent, "open('/root/both', 'w').write('start'); None")
        winner = self.fork(parent)[0]
        self.exec(parent, "open('/root/both', 'w').write('parent'); None")
        self.exec(winner, "open('/root/both', 'w').write('winner'); open('/root/new', 'w'); None")
        refused = self.refused("merge", parent, winner, "--files")
        conflict = "! /root/both  (modified by the parent, modified by the winner)"
        self.assertIn(conflict, refused.stdout)
        self.assertIn("nothing was merged", refused.stderr)
        shown = self.run_command("merge", parent, winner, "--files", "--dry-run")
        self.assertIn("+ /root/new", shown)
        self.run_command("merge", parent, winner, "--files", "--on-conflict", "winner")
        self.assertEqual(self.exec(parent, "print(open('/root/both').read())"), "winner\n")
        self.assertEqual(self.rest.info(winner).status, 200)

    def test_a_sandbox_is_frozen_listed_resumed_and_deleted(self) -> None:
        sandbox = self.new_sandbox()
        self.exec(sandbox, "x = 41")
        space = self.run_command("freeze", sandbox).strip()
        self.assertRegex(space, f"^{SPACE.pattern}$")
        self.addCleanup(self.rest.call, "DELETE", f"/v1/spaces/{space}")
        self.assertIn(space[:10], self.run_command("spaces"))
        listed = [one for one in self.from_json("spaces") if one["id"] == space]
        self.assertEqual([one["sandbox"] for one in listed], [sandbox])
        for _ in range(2):
            resumed = self.run_command("resume", space[:16]).strip()
            self.addCleanup(self.rest.close, resumed)
            self.assertEqual(self.exec(resumed, "print(x + 1)"), "42\n")
        self.assertEqual(self.run_command("spaces", "delete", space), "")
        self.assertIn("space not found", self.refused("resume", space).stderr)

    def test_tree_draws_who_was_forked_from_whom_and_how_it_ended(self) -> None:
        parent = self.new_sandbox()
        first, second = self.fork(parent, 2)
        grandchild = self.fork(first)[0]
        self.run_command("merge", parent, first)
        self.run_command("close", second)
        drawn = self.run_command("tree", parent).splitlines()
        self.assertEqual(len(drawn), 4, drawn)
        for line, (sandbox, words) in zip(
            drawn,
            (
                (parent, "gen"),
                (first, "✔ merged"),
                (grandchild, "ready"),
                (second, "closed"),
            ),
            strict=True,
        ):
            self.assertIn(sandbox[:10], line)
            self.assertIn(words, line)
        self.assertTrue(drawn[1].startswith("├─ "), drawn)
        self.assertTrue(drawn[2].startswith("│  └─ "), drawn)
        self.assertTrue(drawn[3].startswith("└─ "), drawn)
        self.assertIn(parent[:10], self.run_command("tree"))
        family = self.from_json("tree", grandchild)[0]
        self.assertEqual(family["family"], parent)

    def test_an_id_that_means_none_is_refused(self) -> None:
        self.assertIn("podflare list", self.refused("fork", "f" * 31).stderr)
        self.assertIn("podflare spaces", self.refused("resume", "spc_" + "f" * 31).stderr)
        self.assertIn("not the beginning of an id", self.refused("freeze", "../etc").stderr)

    def test_what_the_server_refuses_is_said_with_what_to_do(self) -> None:
        sandbox = self.new_sandbox()
        self.assertIn("1 to 100", self.refused("fork", sandbox, "-n", "101").stderr)
        self.assertIn("into itself", self.refused("merge", sandbox, sandbox).stderr)
        other = self.new_sandbox()
        self.assertIn("famil", self.refused("merge", sandbox, other).stderr)
        self.assertIn("absolute", self.refused("diff", sandbox, other, "--path", "root").stderr)
        self.assertIn("sandbox not found", self.refused("freeze", "sbx_" + "0" * 32).stderr)

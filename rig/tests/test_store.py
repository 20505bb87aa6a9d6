"""What is kept between runs."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emulated import machine  # noqa: E402
from emulated.store import Store  # noqa: E402


class StoreTest(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.store = Store(self.directory)
        self.built: list[str] = []

    def get(self, key: str) -> Path:
        def build(place: Path) -> None:
            self.built.append(key)
            (place / "content").write_text(key)

        return self.store.get("part", key, build)

    def test_a_part_is_built_once_for_its_inputs(self) -> None:
        first, second = self.get("a"), self.get("a")
        self.assertEqual(first, second)
        self.assertEqual(self.built, ["a"])
        self.assertEqual((first / "content").read_text(), "a")

    def test_a_part_with_other_inputs_takes_the_place_of_its_predecessor(self) -> None:
        before = self.get("a")
        after = self.get("b")
        self.assertFalse(before.exists())
        self.assertEqual(self.store.latest("part"), after)

    def test_a_build_that_fails_leaves_its_predecessor_and_nothing_else(self) -> None:
        before = self.get("a")

        def fails(place: Path) -> None:
            (place / "half").touch()
            raise RuntimeError("no")

        with self.assertRaises(RuntimeError):
            self.store.get("part", "b", fails)
        self.assertEqual(list(self.directory.iterdir()), [before])

    def test_what_killed_builds_and_runs_left_goes_when_the_store_is_locked(self) -> None:
        (self.directory / ".new-part-x").mkdir()
        dead = os.fork()
        if dead == 0:
            os._exit(0)
        os.waitpid(dead, 0)
        (self.directory / f"run-{dead}-x").mkdir()
        with machine.room(self.directory) as ours, self.store.locked():
            self.assertEqual(sorted(self.directory.glob("*un*")), [ours])
            self.assertEqual(list(self.directory.glob(".new-*")), [])


if __name__ == "__main__":
    unittest.main()

"""What a machine changes about itself when it becomes a clone."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "agent"))

from podflare_agent.machine import is_off, rename_in_hosts  # noqa: E402


class HostsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.fd, self.path = tempfile.mkstemp()
        self.addCleanup(os.unlink, self.path)
        self.addCleanup(os.close, self.fd)

    def renamed(self, table: bytes, before: str, name: str) -> bytes:
        Path(self.path).write_bytes(table)
        rename_in_hosts(self.fd, before, name)
        return Path(self.path).read_bytes()

    def test_the_new_name_takes_the_place_of_the_old_one(self) -> None:
        table = b"127.0.0.1 localhost\n127.0.1.1 a-long-name\n"
        self.assertEqual(
            self.renamed(table, "a-long-name", "b"), b"127.0.0.1 localhost\n127.0.1.1 b\n"
        )
        self.assertEqual(
            self.renamed(table, "a-long-name", "a-still-longer-name"),
            b"127.0.0.1 localhost\n127.0.1.1 a-still-longer-name\n",
        )

    def test_the_same_name_changes_nothing(self) -> None:
        table = b"127.0.0.1 localhost\n127.0.1.1 a\n"
        self.assertEqual(self.renamed(table, "a", "a"), table)

    def test_what_user_code_has_written_stays(self) -> None:
        table = b"127.0.1.1 a\n192.0.2.1 db\n127.0.1.1 mine.example mine\n# the end"
        self.assertEqual(
            self.renamed(table, "a", "b"),
            b"192.0.2.1 db\n127.0.1.1 mine.example mine\n# the end\n127.0.1.1 b\n",
        )

    def test_a_table_that_user_code_has_emptied_gets_the_name(self) -> None:
        self.assertEqual(self.renamed(b"", "a", "b"), b"127.0.1.1 b\n")

    def test_a_table_that_user_code_has_made_huge_is_left_alone(self) -> None:
        table = b"192.0.2.1 x\n" * 10_000
        self.assertEqual(self.renamed(table, "a", "b"), table)


class ClockTest(unittest.TestCase):
    HOST = 1_700_000_000_000_000_000

    def test_a_clock_that_was_stopped_is_set(self) -> None:
        for behind in (0.02, 0.5, 3600.0):
            self.assertTrue(is_off(self.HOST - int(behind * 1e9), self.HOST), behind)

    def test_one_that_is_right_is_left_alone_however_long_the_hosts_word_took(self) -> None:
        for ahead in (-0.01, 0.0, 0.001, 1.0, 4.9):
            self.assertFalse(is_off(self.HOST + int(ahead * 1e9), self.HOST), ahead)

    def test_one_that_was_set_ahead_is_set_back(self) -> None:
        for ahead in (5.0, 3600.0):
            self.assertTrue(is_off(self.HOST + int(ahead * 1e9), self.HOST), ahead)


if __name__ == "__main__":
    unittest.main()

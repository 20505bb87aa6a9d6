"""Which package index pip in the sandboxes asks, and what of its address goes there."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from recipe import pip_index
from recipe.failure import BuildFailure


class TheHostsIndex(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.etc = Path(folder.name, "etc")
        self.home = Path(folder.name, "home")
        (self.home / ".config/pip").mkdir(parents=True)
        self.etc.mkdir()
        self.said: list[str] = []

    def settings(self, found: str | None, explicit: str | None = None) -> str:
        with mock.patch.object(pip_index, "of_host", return_value=found):
            return pip_index.settings(explicit, self.said.append)

    def test_the_environment_goes_before_the_users_file_and_that_before_the_systems(self) -> None:
        self.assertIsNone(pip_index.of_host({}, self.etc, self.home))
        (self.etc / "pip.conf").write_text("[global]\nindex-url = https://system.example/simple\n")
        self.assertEqual(
            pip_index.of_host({}, self.etc, self.home), "https://system.example/simple"
        )
        (self.home / ".config/pip/pip.conf").write_text(
            "[global]\nindex-url=https://all.example/%20\n"
            "[install]\nindex-url=https://user.example\n"
        )
        self.assertEqual(pip_index.of_host({}, self.etc, self.home), "https://user.example")
        environment = {"PIP_INDEX_URL": "https://environment.example/simple"}
        self.assertEqual(
            pip_index.of_host(environment, self.etc, self.home), environment["PIP_INDEX_URL"]
        )

    def test_a_file_that_pip_could_not_read_names_none(self) -> None:
        (self.etc / "pip.conf").write_bytes(b"no section\n\xff")
        self.assertIsNone(pip_index.of_host({}, self.etc, self.home))

    def test_a_password_stays_on_the_host_unless_it_is_named(self) -> None:
        secret = "https://me:secret@index.example/simple"
        settings = self.settings(secret)
        self.assertIn("index-url = https://index.example/simple\n", settings)
        self.assertNotIn("secret", settings)
        self.assertIn("--pip-index", self.said[0])
        self.assertNotIn("secret", self.said[0])
        self.assertIn(secret, self.settings(None, explicit=secret))

    def test_what_no_sandbox_can_reach_is_left_out(self) -> None:
        for found in (
            "http://localhost:3141/simple",
            "http://127.0.0.1/simple",
            "http://[::1]:80/simple",
            "file:///srv/simple",
            "https://host/simple\nevil = 1",
        ):
            with self.subTest(found):
                self.assertNotIn("index-url", self.settings(found))
        self.assertEqual(len(self.said), 5)

    def test_none_is_none(self) -> None:
        self.assertNotIn("index", self.settings(None))
        self.assertEqual(self.said, [])

    def test_plain_http_is_trusted(self) -> None:
        self.assertIn(
            "trusted-host = index.example:8080\n",
            self.settings(None, explicit="http://index.example:8080/simple"),
        )

    def test_what_is_no_address_is_refused(self) -> None:
        for explicit in ("index.example", "https://a b", "https://h:99999/", "https:///simple"):
            with self.subTest(explicit), self.assertRaisesRegex(BuildFailure, "package index"):
                self.settings(None, explicit=explicit)

"""The list of packages, and what is said of them."""

import tempfile
import unittest
from pathlib import Path

from recipe import packages
from recipe.failure import BuildFailure
from recipe.packages import Request

HERE = Path(__file__).resolve().parent.parent


def requested(text: str, *, slim: bool = False) -> list[Request]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "packages.txt")
        path.write_text(text, encoding="utf-8")
        return packages.requested(path, slim=slim)


class AList(unittest.TestCase):
    LIST = "# about\n[slim]\none # why\n\n[full]\ntwo?\nthree\n"

    def test_sections_comments_and_optional_names(self) -> None:
        self.assertEqual(
            requested(self.LIST), [Request("one"), Request("two", optional=True), Request("three")]
        )

    def test_slim_leaves_the_second_section_out(self) -> None:
        self.assertEqual(requested(self.LIST, slim=True), [Request("one")])

    def test_a_name_outside_of_a_section_is_refused(self) -> None:
        with self.assertRaisesRegex(BuildFailure, "one stands before"):
            requested("one\n[slim]\n")

    def test_an_optional_name_is_a_pattern_that_may_match_nothing(self) -> None:
        self.assertEqual(Request("two", optional=True).pattern(), "?exact-name(two)")
        self.assertEqual(Request("two").pattern(), "two")

    def test_the_images_own_list_has_each_package_once(self) -> None:
        names = [one.name for one in packages.requested(HERE / "packages.txt", slim=False)]
        self.assertEqual(len(names), len(set(names)))
        slim = {one.name for one in packages.requested(HERE / "packages.txt", slim=True)}
        self.assertLess(slim, set(names))
        self.assertIn("python3-pandas", slim)


class Versions(unittest.TestCase):
    def test_what_only_the_distribution_counts_is_left_out(self) -> None:
        for version, upstream in [
            ("2.32.3+dfsg-5+deb13u1", "2.32.3"),
            ("1:2.47.3-0+deb13u1", "2.47.3"),
            ("6.0.2-1+b2", "6.0.2"),
            ("1.25.4+ds1-3", "1.25.4"),
            ("2025.2", "2025.2"),
            ("1.4.2+ds1-2+b1", "1.4.2"),
        ]:
            with self.subTest(version):
                self.assertEqual(packages.upstream_version(version), upstream)

    def test_python_packages_have_the_names_of_pypi(self) -> None:
        requests = [Request(f"python3-{name}") for name in ("pil", "venv", "pptx", "numpy")]
        versions = {"python3-pil": "11.1.0-5", "python3-numpy": "1:2.2.4+ds-1", "git": "2"}
        self.assertEqual(
            packages.python_packages(requests, versions), {"numpy": "2.2.4", "pillow": "11.1.0"}
        )

"""An image gets to its place whole or not at all."""

import tempfile
import unittest
from pathlib import Path

from recipe.failure import BuildFailure
from recipe.manifest import Manifest
from recipe.workshop import Workshop

NAMES = {"kernel", "disk"}


class Publishing(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.out = Path(directory.name) / "image"

    def publish(self, **files: str) -> None:
        with Workshop(self.out, NAMES) as shop:
            for name, text in files.items():
                (shop.image / name).write_text(text)
            shop.publish()

    def content(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.out.iterdir()}

    def leftovers(self) -> list[str]:
        names = [path.name for path in self.out.parent.iterdir()]
        return [name for name in names if name not in ("image", ".image.lock")]

    def test_a_second_image_replaces_the_first_and_leaves_nothing_behind(self) -> None:
        self.publish(kernel="old", disk="old")
        self.publish(kernel="new")
        self.assertEqual(self.content(), {"kernel": "new"})
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.out.stat().st_mode & 0o777, 0o755)
        self.assertEqual((self.out / "kernel").stat().st_mode & 0o777, 0o644)

    def test_a_failed_build_leaves_the_image_as_it_was(self) -> None:
        self.publish(kernel="old")
        with self.assertRaises(BuildFailure), Workshop(self.out, NAMES) as shop:
            (shop.image / "kernel").write_text("half")
            raise BuildFailure("no network")
        self.assertEqual(self.content(), {"kernel": "old"})
        self.assertEqual(self.leftovers(), [])

    def test_what_a_killed_build_left_is_cleared_by_the_next(self) -> None:
        remains = self.out.with_name(".image.building") / "rootfs"
        remains.mkdir(parents=True)
        (remains / "file").write_text("half")
        self.publish(kernel="new")
        self.assertEqual(self.content(), {"kernel": "new"})
        self.assertEqual(self.leftovers(), [])

    def test_two_builds_of_one_image_at_a_time_are_refused(self) -> None:
        with Workshop(self.out, NAMES):
            with self.assertRaisesRegex(BuildFailure, "another build"), Workshop(self.out, NAMES):
                self.fail("the second build began")

    def test_a_directory_with_other_files_is_not_replaced(self) -> None:
        self.out.mkdir()
        (self.out / "thesis.tex").write_text("years of work")
        with self.assertRaisesRegex(BuildFailure, "thesis.tex"), Workshop(self.out, NAMES):
            self.fail("the build began")
        self.assertEqual(self.content(), {"thesis.tex": "years of work"})


class SkippingSteps(unittest.TestCase):
    def test_a_step_is_done_only_with_the_same_inputs_and_whole_outputs(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "disk").write_text("content")
            manifest = Manifest(inputs={"rootfs": "key"})
            manifest.add_output(directory / "disk")
            manifest.write(directory)
            read = Manifest.read(directory)
            self.assertEqual(read, manifest)
            self.assertTrue(read.has(directory, "rootfs", "key", ["disk"]))
            self.assertFalse(read.has(directory, "rootfs", "other", ["disk"]))
            (directory / "disk").write_text("cont")
            self.assertFalse(read.has(directory, "rootfs", "key", ["disk"]))

    def test_an_unreadable_manifest_counts_as_none(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "image.json").write_text('{"inputs": {')
            self.assertEqual(Manifest.read(directory), Manifest())


if __name__ == "__main__":
    unittest.main()

"""Archives as the cpio program and the kernel read them."""

import io
import tempfile
import unittest
from pathlib import Path

from recipe import cpio


class Archives(unittest.TestCase):
    def archive(self) -> bytes:
        out = io.BytesIO()
        archive = cpio.Archive(out)
        archive.directory("bin")
        archive.file("bin/tool", b"x" * 5, 0o755)
        archive.symlink("bin/sh", "tool")
        archive.close()
        return out.getvalue()

    def test_entries_have_the_fields_of_the_newc_format(self) -> None:
        data, offset = self.archive(), 0
        names: list[tuple[str, int, int]] = []
        while not names or names[-1][0] != "TRAILER!!!":
            self.assertEqual(offset % 4, 0)
            self.assertEqual(data[offset : offset + 6], b"070701")
            fields = [
                int(data[offset + 6 + 8 * i : offset + 14 + 8 * i], 16) for i in range(13)
            ]
            mode, size, name_size = fields[1], fields[6], fields[11]
            name = data[offset + 110 : offset + 110 + name_size - 1].decode()
            names.append((name, mode, size))
            offset += -(-(110 + name_size) // 4) * 4
            offset += -(-size // 4) * 4
        self.assertEqual(
            names,
            [
                ("bin", 0o40755, 0),
                ("bin/tool", 0o100755, 5),
                ("bin/sh", 0o120777, 4),
                ("TRAILER!!!", 0, 0),
            ],
        )
        self.assertEqual(offset, len(data))

    def test_the_same_tree_gives_the_same_bytes_and_no_caches(self) -> None:
        archives = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as directory:
                root = Path(directory)
                (root / "b.py").write_text("b")
                (root / "a").mkdir()
                (root / "a" / "run").write_text("a")
                (root / "__pycache__").mkdir()
                (root / "__pycache__" / "b.pyc").write_text("cache")
                out = io.BytesIO()
                archive = cpio.Archive(out)
                archive.tree("podflare", root)
                archive.close()
                archives.append(out.getvalue())
        self.assertEqual(archives[0], archives[1])
        self.assertIn(b"podflare/a/run\0", archives[0])
        self.assertNotIn(b"pycache", archives[0])


if __name__ == "__main__":
    unittest.main()

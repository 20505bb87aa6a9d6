"""The code of the guide and of the README compiles; the e2e suite runs it."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

import podflare

ROOT = Path(podflare.__file__).parents[2]


class GuideTest(unittest.TestCase):
    def test_every_python_block_compiles_and_imports_what_it_uses(self) -> None:
        docs = ROOT.parents[1] / "docs"
        names = ("python.md", "branching.md", "anthropic.md", "integrations.md")
        guides = [ROOT / "README.md", *(docs / name for name in names)]
        for guide in guides:
            blocks = re.findall(r"^```python\n(.*?)^```", guide.read_text(), re.M | re.S)
            self.assertTrue(blocks, guide)
            for number, block in enumerate(blocks):
                with self.subTest(guide=guide.name, block=number):
                    compile(block, f"{guide.name} block {number}", "exec")
                    self.assertRegex(block, r"from podflare[.\w]* import")


if __name__ == "__main__":
    unittest.main()

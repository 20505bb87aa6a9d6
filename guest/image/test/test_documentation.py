"""docs/image.md and the list of packages name the same things."""

import re
import unittest
from pathlib import Path

from recipe import packages, settings

IMAGE = Path(__file__).resolve().parent.parent
PAGE = (IMAGE.parent.parent / "docs" / "image.md").read_text(encoding="utf-8")

# What a package is called on the page, where that is not its own name.
NAMES = {
    "7zip": "7z",
    "e2fsprogs": "mkfs.ext4",
    "fd-find": "fd",
    "fonts-symbola": "Symbola",
    "fonts-wqy-microhei": "WenQuanYi Micro Hei",
    "iproute2": "ip",
    "iputils-ping": "ping",
    "locales": "en_US",
    "netcat-openbsd": "nc",
    "nodejs": "node",
    "openssh-client": "ssh",
    "poppler-utils": "pdftotext",
    "procps": "ps",
    "psmisc": "killall",
    "python-is-python3": "python",
    "python3-pil": "PIL",
    "python3-tz": "pytz",
    "ripgrep": "rg",
    "tzdata-legacy": "US/Eastern",
    "vim-tiny": "vim",
    "xz-utils": "xz",
}
# What nobody calls by a name.
SILENT = {
    "bash",
    "ca-certificates",
    "libc6-dev",
    "python3-dev",
    "python3-pip",
    "python3-venv",
    "tzdata",
}


class ThePage(unittest.TestCase):
    def test_it_names_every_package(self) -> None:
        for request in packages.requested(IMAGE / "packages.txt", slim=False):
            if request.name in SILENT:
                continue
            name = NAMES.get(request.name, request.name.removeprefix("python3-"))
            with self.subTest(request.name):
                self.assertRegex(PAGE, rf"(?<![\w-]){re.escape(name)}(?![\w-])")

    def test_it_names_every_locale_and_directory(self) -> None:
        for name in settings._LOCALES:
            self.assertIn(f"`{name}`", PAGE)
        for directory in settings._DIRECTORIES:
            self.assertIn(f"`/{directory}`", PAGE)

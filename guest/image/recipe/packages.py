"""What dpkg's database of a root directory says is installed there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .failure import BuildFailure

_PYTHON = "python3-"
# Where PyPI's name is not the distribution's without its prefix.
_ON_PYPI = {
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "pdfminer": "pdfminer.six",
    "pil": "pillow",
    "pptx": "python-pptx",
    "sklearn": "scikit-learn",
    "tz": "pytz",
    "yaml": "pyyaml",
}
_NOT_ON_PYPI = ("dev", "venv")


@dataclass(frozen=True)
class Request:
    """A package that an image is to have; an optional one if the distribution has it."""

    name: str
    optional: bool = False

    def pattern(self) -> str:
        """What apt is asked for. It passes over a pattern that matches nothing."""
        return f"?exact-name({self.name})" if self.optional else self.name


def installed(root: Path) -> dict[str, str]:
    """Version by package name, in the order of names."""
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    versions: dict[str, str] = {}
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Version: "))
        )
        if "Package" in fields and "Version" in fields:
            versions[fields["Package"]] = fields["Version"]
    return dict(sorted(versions.items()))


def requested(path: Path, *, slim: bool) -> list[Request]:
    """The packages of a list, in its order.

    A line has one name, and `#` begins a comment. Sections begin with their name in brackets:
    `[slim]` for every image, `[full]` for those that are not slim. A question mark after a name
    means that the package is taken only if the distribution has it.
    """
    requests: list[Request] = []
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        word = line.split("#", 1)[0].strip()
        if word in ("[slim]", "[full]"):
            section = word
        elif word and not section:
            raise BuildFailure(f"{path.name}: {word} stands before the first section")
        elif word and not (slim and section == "[full]"):
            requests.append(Request(word.removesuffix("?"), optional=word.endswith("?")))
    return requests


def python_packages(requests: Sequence[Request], versions: Mapping[str, str]) -> dict[str, str]:
    """Version by name of the Python packages among those asked for, as PyPI has both."""
    found: dict[str, str] = {}
    for request in requests:
        name = request.name.removeprefix(_PYTHON)
        if name == request.name or name in _NOT_ON_PYPI or request.name not in versions:
            continue
        found[_ON_PYPI.get(name, name)] = upstream_version(versions[request.name])
    return dict(sorted(found.items()))


def upstream_version(version: str) -> str:
    """A distribution's version without what only the distribution counts."""
    without_revision = version.partition(":")[2] or version
    without_revision = without_revision.rpartition("-")[0] or without_revision
    return re.sub(r"[+~](dfsg|ds|repack|really).*", "", without_revision)

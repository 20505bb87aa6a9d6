"""What dpkg's database of a root directory says is installed there."""

from __future__ import annotations

from pathlib import Path


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


def requested(path: Path) -> list[str]:
    """Package names of a list with one a line and `#` comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = (line.split("#", 1)[0].strip() for line in lines)
    return [name for name in names if name]

"""The first file system of a microVM: drivers, `init`, and the agent."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from . import cpio


def build(
    drivers: Path, init: Path, agent: Path, output: Path, settings: Mapping[str, str]
) -> None:
    """Appends `init` and the directory `agent`, as `/podflare`, to the archive `drivers`.

    `settings` are files beside the agent's: their text by name.
    """
    with drivers.open("rb") as first, output.open("wb") as out:
        shutil.copyfileobj(first, out)
        archive = cpio.Archive(out)
        archive.file("init", init.read_bytes(), 0o755)
        archive.tree("podflare", agent)
        for name, text in settings.items():
            archive.file(f"podflare/{name}", text.encode(), 0o644)
        archive.close()

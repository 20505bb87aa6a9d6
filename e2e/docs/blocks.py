"""Finds the programs in a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: A block is shown, not run, if the line above it is a comment of Markdown that says so and why. A
#: reader does not see it, and nobody copies it along.
_NOT_RUN = re.compile(r"^\s*<!-- not run: .+ -->$")

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([A-Za-z0-9_+-]*)[^\n]*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and where it stands."""

    path: Path
    line: int
    language: str
    text: str
    is_run: bool

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a file, in order."""
    opened: tuple[int, str, str, str, bool] | None = None
    content: list[str] = []
    above = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if opened is None:
            fence = _FENCE.match(line)
            if fence:
                is_run = _NOT_RUN.match(above) is None
                opened = (number, fence[1], fence[2], fence[3].lower(), is_run)
                content = []
            above = line
            continue
        start, indent, mark, language, is_run = opened
        stripped = line.strip()
        if stripped.startswith(mark) and not stripped.strip(mark[0]):
            yield Block(path, start, language, "\n".join(content) + "\n", is_run)
            opened = None
            above = ""
        else:
            content.append(line[len(indent) :] if line.startswith(indent) else line)
    if opened is not None:
        raise ValueError(f"{path.name}:{opened[0]}: the block is never closed")

"""SHA-256 of what goes in and of what comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20


def of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def of_tree(directory: Path) -> str:
    """Of the names and contents of all files below, without Python's caches."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return of_words(
        word
        for path in sorted(files)
        if "__pycache__" not in path.parts
        for word in (str(path.relative_to(directory)), of_file(path))
    )


def of_words(words: Iterable[str]) -> str:
    """Of a sequence of strings; where one ends and the next begins counts too."""
    digest = hashlib.sha256()
    for word in words:
        encoded = word.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()

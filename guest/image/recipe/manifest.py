"""`image.json`: what an image is, what it was made of, and so what need not be made again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import digest

NAME = "image.json"


@dataclass
class Manifest:
    """All hashes are SHA-256, in hexadecimal.

    `inputs` has a key for each step (`rootfs`, `kernel`, `initramfs`) that changes when anything
    changes that the step reads, and `agent`, the hash of the agent's files. `outputs` has
    `{"sha256", "size"}` by file name, `packages` the version by package name, `python_packages` that
    of the Python packages that were asked for, as PyPI names and counts them. `created` is UTC.
    """

    created: str = ""
    distribution: str = ""
    kernel_version: str = ""
    python_version: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str | int]] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    python_packages: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(directory: Path) -> Manifest:
        """The manifest of the image in `directory`; an empty one if there is none to read."""
        try:
            return Manifest(**json.loads((directory / NAME).read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return Manifest()

    def write(self, directory: Path) -> None:
        text = json.dumps(asdict(self), indent=2) + "\n"
        (directory / NAME).write_text(text, encoding="utf-8")

    def add_output(self, path: Path) -> None:
        self.outputs[path.name] = {"sha256": digest.of_file(path), "size": path.stat().st_size}

    def has(self, directory: Path, step: str, key: str, names: Sequence[str]) -> bool:
        """Whether the step's outputs in `directory` are those that inputs with `key` give."""
        return self.inputs.get(step) == key and all(
            name in self.outputs
            and (directory / name).is_file()
            and (directory / name).stat().st_size == self.outputs[name]["size"]
            for name in names
        )

    def take_over(self, other: Manifest, step: str, names: Sequence[str]) -> None:
        """What another image says of a step whose outputs were taken from it."""
        self.inputs[step] = other.inputs[step]
        for name in names:
            self.outputs[name] = other.outputs[name]
        if step == "rootfs":
            self.python_version, self.packages = other.python_version, other.packages
        elif step == "kernel":
            self.kernel_version = other.kernel_version

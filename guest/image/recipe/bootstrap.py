"""Calls mmdebstrap so that it reaches the mirrors as the host's own apt does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .distribution import Distribution

# Settings that say how to reach a mirror. mmdebstrap does not read them from the host by itself.
_NETWORK_SETTINGS = ("http::", "https::", "Retries", "Check-Valid-Until", "Check-Date")
_SETTINGS_IN_ROOT = "etc/apt/apt.conf.d/00host"


@dataclass(frozen=True)
class Bootstrap:
    """The source of all packages of one build."""

    distribution: Distribution
    sources: Sequence[str]
    lock: int

    def unpack(
        self,
        root: Path,
        *,
        variant: str,
        packages: Sequence[str],
        options: Sequence[str] = (),
        purpose: str,
    ) -> None:
        """Fills the new directory `root` with `packages` and what they depend on."""
        settings = root.with_name(root.name + ".apt.conf")
        settings.write_text(_network_settings(), encoding="utf-8")
        settings_in_root = f'"$1"/{_SETTINGS_IN_ROOT}'
        tools.run(
            [
                "mmdebstrap",
                "--mode=root",
                "--format=directory",
                f"--variant={variant}",
                f"--include={','.join(packages)}",
                f"--setup-hook=cp {shlex.quote(str(settings))} {settings_in_root}",
                *options,
                self.distribution.suite,
                root,
                "-",
            ],
            purpose=purpose,
            advice="If the mirror is the reason: its address is the host's own in /etc/apt;"
            " --mirror names another one.",
            stdin="".join(f"{line}\n" for line in self.sources).encode(),
            inherited_descriptors=(self.lock,),
        )
        # Proxies may have passwords in their addresses: nothing of them stays in the image.
        (root / _SETTINGS_IN_ROOT).unlink(missing_ok=True)


def _network_settings() -> str:
    dump = tools.run(["apt-config", "dump", "Acquire"], purpose="read the host's apt settings")
    wanted = tuple(f"Acquire::{name}" for name in _NETWORK_SETTINGS)
    lines = dump.decode(errors="replace").splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith(wanted))

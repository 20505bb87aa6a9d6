"""The two distributions that an image can be made of, and which of them the host belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .failure import BuildFailure


@dataclass(frozen=True)
class Distribution:
    """A release that guests run; `name` is its ID in os-release."""

    name: str
    suite: str
    components: tuple[str, ...]
    keyring: Path
    keyring_package: str
    # Signed-By of the distribution's own entries in apt configuration names a file that starts so
    keyring_prefix: str
    kernel_package: str
    # suites that stand for the current release of a host, besides its codename
    suite_aliases: tuple[str, ...]


DEBIAN = Distribution(
    name="debian",
    suite="trixie",
    components=("main",),
    keyring=Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    keyring_package="debian-archive-keyring",
    keyring_prefix="debian-archive-",
    kernel_package="linux-image-cloud-amd64",
    suite_aliases=("stable", "oldstable", "testing", "unstable", "sid"),
)

UBUNTU = Distribution(
    name="ubuntu",
    suite="noble",
    # numpy and pandas are in universe
    components=("main", "universe"),
    keyring=Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
    keyring_package="ubuntu-keyring",
    keyring_prefix="ubuntu-archive-",
    kernel_package="linux-image-virtual",
    suite_aliases=(),
)


def parse_os_release(text: str) -> dict[str, str]:
    """The variables of an os-release file."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def of_host(os_release: Mapping[str, str]) -> tuple[Distribution, str]:
    """The guest distribution for a host, and the codename under which its apt sources stand."""
    names = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    if "ubuntu" in names:
        codename = os_release.get("UBUNTU_CODENAME", "") or os_release.get("VERSION_CODENAME", "")
        return UBUNTU, codename
    if "debian" in names:
        codename = os_release.get("DEBIAN_CODENAME", "") or os_release.get("VERSION_CODENAME", "")
        return DEBIAN, codename
    raise BuildFailure(
        f"this host is {os_release.get('PRETTY_NAME', 'of an unknown distribution')}; the image"
        " is built from the packages of Debian or Ubuntu, so build it on such a host"
    )

"""Which packages an image is made of: those that the host itself would get."""

from __future__ import annotations

from pathlib import Path

from . import apt, distribution
from .distribution import Distribution
from .failure import BuildFailure


def of_packages(mirror: str | None) -> tuple[Distribution, list[str]]:
    """The guest's distribution and the lines of its sources.list.

    `mirror` replaces the address of the distribution's archive in the host's apt configuration.
    """
    os_release = distribution.parse_os_release(Path("/etc/os-release").read_text(encoding="utf-8"))
    release, codename = distribution.of_host(os_release)
    if not release.keyring.is_file():
        raise BuildFailure(
            f"{release.keyring}, the keys of {release.name}, is missing; install it:"
            f" apt-get install {release.keyring_package}"
        )
    archive = apt.find_archive(apt.read_entries(Path("/etc/apt")), release, codename)
    if mirror:
        security = archive.security_uri if archive else None
        archive = apt.Archive(apt.check_address(mirror), False, security)
    if archive is None:
        raise BuildFailure(
            f"/etc/apt names no mirror of {release.name}'s own archive; name one with --mirror"
        )
    return release, apt.sources(archive, release)

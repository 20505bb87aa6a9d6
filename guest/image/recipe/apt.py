"""Finds the distribution's own archive in the host's apt configuration.

An image is built from where the host itself gets its packages: that works behind a company's mirror
and needs no host name in this repository. Entries of third parties (other keys, other suites, other
components) are never taken. What is found here is only where to ask; that the packages are the
distribution's is proven by apt with the distribution's keyring.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from .distribution import Distribution
from .failure import BuildFailure

_UNUSABLE_METHODS = ("cdrom:", "file:", "copy:")


@dataclass(frozen=True)
class Entry:
    """One archive in apt configuration, of binary packages."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True)
class Archive:
    """Where the packages of an image come from. `security` and `updates` may be absent."""

    uri: str
    updates: bool
    security_uri: str | None


def parse_list(text: str) -> Iterator[Entry]:
    """Entries of a one-line-style file (`*.list`)."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<rest>[^#]+)", line)
        if not match:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        uri, *words = match["rest"].split()
        if words:
            yield Entry((uri,), (words[0],), tuple(words[1:]), options.get("signed-by", ""))


def parse_deb822(text: str) -> Iterator[Entry]:
    """Entries of a deb822-style file (`*.sources`)."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for paragraph in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off", "without")
        if enabled and "deb" in fields.get("types", "").split():
            yield Entry(
                tuple(fields.get("uris", "").split()),
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )


def read_entries(apt_directory: Path) -> list[Entry]:
    """All entries of the apt configuration in a directory such as `/etc/apt`."""
    entries: list[Entry] = []
    parts = apt_directory / "sources.list.d"
    for path in [apt_directory / "sources.list", *sorted(parts.glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            entries.extend(parse_list(text))
        elif path.suffix == ".sources":
            entries.extend(parse_deb822(text))
    return entries


def find_archive(
    entries: Sequence[Entry],
    distribution: Distribution,
    codename: str,
    read_mirror_list: Callable[[Path], str] = lambda path: path.read_text(encoding="utf-8"),
) -> Archive | None:
    """The distribution's own archive among the entries of a host whose release is `codename`.

    `read_mirror_list` reads the file behind a `mirror+file:` address, as cloud images have it.
    """
    releases = [name for name in (codename, *distribution.suite_aliases) if name]
    own = [entry for entry in entries if _belongs_to(entry, distribution)]

    def addresses(suffix: str) -> list[str]:
        suites = {release + suffix for release in releases}
        found = [
            _first_of_mirror_list(uri, read_mirror_list)
            for entry in own
            if suites.intersection(entry.suites)
            for uri in entry.uris
        ]
        return [uri for uri in found if uri and not uri.startswith(_UNUSABLE_METHODS)]

    archives = addresses("")
    if not archives:
        return None
    # A third party may use the distribution's suite and component names without a Signed-By; the
    # distribution's own archive ends in its name on nearly every mirror.
    archives.sort(key=lambda uri: uri.rstrip("/").rsplit("/", 1)[-1] != distribution.name)
    security = addresses("-security")
    return Archive(archives[0], bool(addresses("-updates")), security[0] if security else None)


def sources(archive: Archive, distribution: Distribution) -> list[str]:
    """The lines of the image's sources.list."""
    origins = [(archive.uri, distribution.suite)]
    if archive.updates:
        origins.append((archive.uri, distribution.suite + "-updates"))
    if archive.security_uri:
        origins.append((archive.security_uri, distribution.suite + "-security"))
    components = " ".join(distribution.components)
    return [
        f"deb [signed-by={distribution.keyring}] {uri} {suite} {components}"
        for uri, suite in origins
    ]


def without_credentials(source: str) -> str:
    """The same line of a sources.list without user and password in its address."""
    return " ".join(_strip_user(word) if "://" in word else word for word in source.split(" "))


def check_address(uri: str) -> str:
    """`uri` if it is fit to stand in a sources.list."""
    if not re.fullmatch(r"[a-z+]+:/[^\s\[\]]+", uri):
        raise BuildFailure(
            f"{uri!r} is no address of a package mirror; it looks like https://HOST/debian"
        )
    return uri


def _belongs_to(entry: Entry, distribution: Distribution) -> bool:
    if "main" not in entry.components:
        return False
    if not entry.signed_by:
        return True
    return Path(entry.signed_by).name.startswith(distribution.keyring_prefix)


def _first_of_mirror_list(uri: str, read_mirror_list: Callable[[Path], str]) -> str | None:
    match = re.fullmatch(r"mirror\+file:(?://)?(/.*)", uri)
    if not match:
        return uri
    for line in read_mirror_list(Path(match[1])).splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            return words[0]
    return None


def _strip_user(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

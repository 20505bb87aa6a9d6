"""The settings of pip in every sandbox, and which package index they name.

An image that was built behind a company's mirror of packages is used behind it too. So pip asks the
index that the host's own pip asks; of the host's settings nothing but that address is taken, and no
password that stands in it, since code in a sandbox can read the file.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from .failure import BuildFailure

# Two tries of ten seconds: without a network pip is to say so, not to wait.
_SETTINGS = """\
[global]
root-user-action = ignore
disable-pip-version-check = true
timeout = 10
retries = 1
"""
_OWN_HOST = re.compile(r"localhost|127\.[0-9.]+|\[?::1\]?|0\.0\.0\.0", re.IGNORECASE)


def settings(explicit: str | None, say: Callable[[str], None]) -> str:
    """The text of the sandboxes' pip.conf. `explicit` is the address that the operator named."""
    if explicit:
        if _address(explicit) is None:
            raise BuildFailure(
                f"{explicit!r} is no address of a package index; it looks like"
                " https://HOST/simple"
            )
        return with_index(explicit)
    found = of_host(os.environ, Path("/etc"), Path.home())
    if found is None:
        return _SETTINGS
    address = _address(found)
    if address is None:
        say("pip: the host's package index is not taken over, as it is no http address")
        return _SETTINGS
    if _OWN_HOST.fullmatch(address.hostname or ""):
        say("pip: the host's package index is not taken over, as only this host can reach it")
        return _SETTINGS
    if address.username is not None:
        say(
            "pip: the host's package index is taken over without its password, which every sandbox"
            " could read; to give it to them, name the whole address with --pip-index"
        )
    return with_index(
        urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
    )


def with_index(address: str) -> str:
    """pip's settings with an index. One by plain http is trusted, as pip would refuse it."""
    # pip expands % in values of its settings no more than configparser's raw reader does
    text = f"{_SETTINGS}index-url = {address}\n"
    parts = urlsplit(address)
    if parts.scheme == "http":
        text += f"trusted-host = {parts.netloc.rpartition('@')[2]}\n"
    return text


def of_host(environment: Mapping[str, str], etc: Path, home: Path) -> str | None:
    """The index of the host's own pip: from its environment, the user's files, or the system's."""
    named = environment.get("PIP_INDEX_URL", "").strip()
    if named:
        return named
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    for path in (configuration / "pip/pip.conf", home / ".pip/pip.conf", etc / "pip.conf"):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, PermissionError):
            continue  # pip itself could not read it either
        for section in ("install", "global"):
            address = parser.get(section, "index-url", fallback="").strip()
            if address:
                return address
    return None


def _address(text: str) -> SplitResult | None:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        return None
    try:
        parts = urlsplit(text)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None

"""Where the server is and which key opens it: the first one found wins.

Host and key are looked up each on its own: the argument, then the environment
(`PODFLARE_HOSTD_URL`, its older name `PODFLARE_HOST`, and `PODFLARE_API_KEY`), then the file
`podflare/config.json` below `$XDG_CONFIG_HOME` (`~/.config`) that a server writes on its machine.
One exception, for safety: the key in that file opens the server which wrote it, so it is never
sent to another host.
"""

from __future__ import annotations

import json
import os
from urllib.parse import urlsplit

from .errors import AuthenticationError, InvalidRequestError, PodflareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "http://127.0.0.1:7070"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings:
    """The resolved configuration of one client. Immutable by convention."""

    __slots__ = ("api_key", "host", "key_source", "traceparent")

    def __init__(
        self, host: str, api_key: str | None, key_source: str, traceparent: str | None
    ) -> None:
        self.host = host
        self.api_key = api_key
        self.key_source = key_source
        self.traceparent = traceparent


class _Credentials:
    """What the credentials file says; both are None when there is no such file."""

    __slots__ = ("api_key", "host")

    def __init__(self, host: str | None = None, api_key: str | None = None) -> None:
        self.host = host
        self.api_key = api_key


def resolve(
    host: str | None = None,
    api_key: str | None = None,
    traceparent: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Finds host and key.

    Raises:
        AuthenticationError: neither a host nor a key is configured anywhere.
        InvalidRequestError: the host is no address, or the key has characters that no header may.
        PodflareError: the credentials file is there but can't be read.
    """
    env = os.environ if environ is None else environ
    asked_host = host or env.get("PODFLARE_HOSTD_URL") or env.get("PODFLARE_HOST")
    key = api_key or env.get("PODFLARE_API_KEY")
    source = "the api_key argument" if api_key else "PODFLARE_API_KEY"

    url = normal_host(asked_host) if asked_host else None
    if url is None or key is None:
        path = credentials_path(env)
        saved = _read(path)
        if url is None and saved.host:
            url = normal_host(saved.host)
        if key is None and saved.api_key:
            saved_host = normal_host(saved.host or DEFAULT_HOST)
            if url is None or _same_server(url, saved_host):
                key, source = saved.api_key, path
        if url is None and key is None:
            raise AuthenticationError(
                "no Podflare server and no API key are configured",
                code="no_api_key",
                hint=how_to_get_a_key(env),
            )
    if key is not None and not _is_one_word(key):
        raise InvalidRequestError(
            f"the API key from {source} has a blank or a character that can't be part of a key",
            code="invalid_api_key",
            hint="copy the key again",
        )
    trace = traceparent or env.get("PODFLARE_TRACEPARENT") or None
    return Settings(url or DEFAULT_HOST, key, source if key else "", valid_traceparent(trace))


def how_to_get_a_key(environ: Mapping[str, str] | None = None) -> str:
    """The sentence for somebody who has no key."""
    return (
        f"on the server's machine `./podflare up` writes one to {credentials_path(environ)}; "
        "elsewhere set PODFLARE_HOSTD_URL and PODFLARE_API_KEY, or pass host= and api_key="
    )


def credentials_path(environ: Mapping[str, str] | None = None) -> str:
    """Where the server on this machine leaves its address and first key."""
    env = os.environ if environ is None else environ
    base = env.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # As the XDG specification says: a relative one is ignored.
        base = os.path.join(env.get("HOME") or os.path.expanduser("~"), ".config")
    return os.path.join(base, "podflare", "config.json")


def valid_traceparent(value: str | None) -> str | None:
    """The value itself, if it may be a header.

    Raises:
        InvalidRequestError: it has a blank or a character that no trace context has.
    """
    if value is not None and not _is_one_word(value):
        raise InvalidRequestError(
            f"{value!r} is no trace context",
            code="invalid_traceparent",
            hint="a traceparent looks like 00-<32 hex>-<16 hex>-01",
        )
    return value


def normal_host(host: str) -> str:
    """`scheme://name:port/prefix` without a trailing slash; a bare `name:port` means http."""
    url = host.strip()
    if "://" not in url:
        url = "http://" + url
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not _is_one_word(url) or parts.username or parts.query or parts.fragment:
        raise InvalidRequestError(
            f"{host!r} is not the address of a server",
            code="invalid_host",
            hint="write it like http://127.0.0.1:7070",
        )
    return url.rstrip("/")


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _same_server(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    if (a.scheme, a.port, a.path) != (b.scheme, b.port, b.path):
        return False
    return a.hostname == b.hostname or (a.hostname in _LOOPBACK and b.hostname in _LOOPBACK)


def _read(path: str) -> _Credentials:
    try:
        with open(path, "rb") as file:
            saved = json.loads(file.read(65536))
    except (FileNotFoundError, NotADirectoryError):
        return _Credentials()
    except (OSError, ValueError) as error:
        raise PodflareError(
            f"can't read the credentials in {path}: {error}",
            code="unreadable_config",
            hint="mend or remove the file, or set PODFLARE_HOSTD_URL and PODFLARE_API_KEY",
        ) from error
    if not isinstance(saved, dict):
        saved = {}
    host, api_key = saved.get("host"), saved.get("api_key")
    return _Credentials(
        host if isinstance(host, str) and host else None,
        api_key if isinstance(api_key, str) and api_key else None,
    )

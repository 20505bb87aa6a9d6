"""Templates: what sandboxes are cloned from."""

from __future__ import annotations

from . import _calls, client as _client
from ._events import Transcript, listener
from .errors import TemplateBuildError
from .results import Record
from .stream import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from ._events import OnText
    from .client import Client
    from .results import ExecResult

    # Inside the class `list` is its method.
    Templates: TypeAlias = list["Template"]


class Template(Record):
    """A template that this key may create sandboxes from: `Sandbox(template=name)`.

    Attributes:
        name: its name.
        base: the template that it was built on, None for the image itself.
        version: counts the builds under this name; sandboxes of an older one live on.
        state: `ready`, `building` or `failed`.
        builtin: whether it belongs to Podflare; such a one can't be built or deleted.
        stale: whether what it stands on has changed since: build it again.
        created_at: milliseconds since 1970, or None.
        error: why the last build failed, or None.
        python: the version of Python in it, like `3.13.5`; None for one that this key has built.
        python_packages: version by name, as PyPI has both, of the main packages of Python in it;
            empty for one that this key has built, which may have installed others.
    """

    name: str
    base: str | None
    version: int
    state: str
    builtin: bool
    stale: bool
    created_at: int | None
    error: str | None
    python: str | None
    python_packages: dict[str, str]

    @classmethod
    def list(
        cls, host: str | None = None, api_key: str | None = None, client: Client | None = None
    ) -> Templates:
        """The templates that are built in and those that this key has built."""
        client = client or _client.shared_client(host, api_key)
        answer = client._json(_calls.list_templates())
        return [cls(one) for one in answer.get("templates", ())]

    @classmethod
    def build(
        cls,
        name: str,
        script: str | None = None,
        packages: Sequence[str] | None = None,
        warm: str | None = None,
        base: str = "default",
        timeout: float | None = None,
        on_stdout: OnText | None = None,
        on_stderr: OnText | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
    ) -> ExecResult:
        """Builds a template, or the next version of it, and waits until it is ready.

        Args:
            name: lower-case letters, digits and hyphens, a letter first.
            script: bash, run as root with a network.
            packages: Debian or Ubuntu packages that are installed before.
            warm: Python run last, in the process that sandboxes find: what it imports is there.
            base: the template to start from.
            timeout: seconds that the build may take; 1800 by default.
            on_stdout, on_stderr: called with each piece of its output.

        Returns:
            what the build wrote.

        Raises:
            TemplateBuildError: it failed; `.result` has what it wrote.
            ConflictError: the name is built in, or a build of it runs.
            InvalidRequestError: the name, the base or a package makes no sense.
        """
        transcript = Transcript()
        with cls.build_stream(
            name, script, packages, warm, base, timeout, host, api_key, client
        ) as events:
            for event in events:
                transcript.add(event)
                listen = listener(event, on_stdout, on_stderr, None)
                if listen is not None:
                    listen(event.data)
        return built(name, transcript.result())

    @classmethod
    def build_stream(
        cls,
        name: str,
        script: str | None = None,
        packages: Sequence[str] | None = None,
        warm: str | None = None,
        base: str = "default",
        timeout: float | None = None,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
    ) -> EventStream:
        """Builds like `build`, and answers its events; the template is ready after an exit of 0."""
        client = client or _client.shared_client(host, api_key)
        call = _calls.build_template(name, base, script, packages, warm, timeout)
        return EventStream(client._open(call), None, None)

    @classmethod
    def delete(
        cls,
        name: str,
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
    ) -> None:
        """Deletes a template. Sandboxes that were created from it live on.

        Raises:
            NotFoundError: there is none of this name.
            ConflictError: it is built in.
        """
        client = client or _client.shared_client(host, api_key)
        client._json(_calls.delete_template(name))


def built(name: str, result: ExecResult) -> ExecResult:
    """The result of a build that succeeded; raises for one that did not."""
    if result.exit_code == 0:
        return result
    last = (result.stderr or result.stdout).strip().splitlines()[-1:]
    said = f": {last[0][:500]}" if last else ""
    error = TemplateBuildError(
        f"the template {name!r} was not built, its exit code is {result.exit_code}{said}",
        code="template_build_failed",
        hint="mend the script and build again; `.result` has all that it wrote",
    )
    error.result = result
    raise error

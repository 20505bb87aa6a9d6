"""The user's Python globals, as its process describes them, on their way to the host."""

from __future__ import annotations

from collections.abc import Callable

from podflare_agent.channel import Channel
from podflare_agent.exchange import Reply, Steps
from podflare_agent.loop import Loop
from podflare_agent.python import Python
from podflare_agent.refusals import refusal


class Variables(Reply):
    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        stream: int,
        python: Python,
        on_closed: Callable[[int], None],
    ) -> None:
        self._told = False
        super().__init__(loop, channel, stream, iter(()), on_closed)
        python.describe_variables(self._on_told)

    def _work(self) -> None:
        if self._told:
            super()._work()

    def _on_told(self, description: bytes | None) -> None:
        if description is None:
            self._close(refusal("lost", "Python ended while it described its variables"))
        elif self._open:
            self._told = True
            self._steps = _send(description)
            self._work()


def _send(description: bytes) -> Steps:
    yield description
    yield {}

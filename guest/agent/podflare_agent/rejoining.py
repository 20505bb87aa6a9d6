"""`rejoin`: a host that has taken over the channel follows what ran before."""

from __future__ import annotations

from collections.abc import Callable

from podflare_agent.calls import Call
from podflare_agent.channel import Channel
from podflare_agent.refusals import Refusal
from podflare_wire.frames import CLOSED


def rejoin(
    channel: Channel, stream: int, calls: list[Call], on_closed: Callable[[int], None]
) -> Rejoined:
    if not calls:
        raise Refusal("not_running", "nothing of before runs")
    return Rejoined(channel, stream, calls, on_closed)


class Rejoined:
    """Calls whose own streams were lost, as one: it ends with the last of them, and as that did."""

    def __init__(
        self, channel: Channel, stream: int, calls: list[Call], on_closed: Callable[[int], None]
    ) -> None:
        self._channel = channel
        self._stream = stream
        self._calls = calls
        self._on_closed = on_closed
        for call in calls:
            call.follow(self._on_end)

    def on_credit(self, size: int) -> None:
        """It sends nothing that counts."""

    def on_cancel(self, reason: str) -> None:
        # Their output is thrown away as it is; so `gone` changes nothing.
        for call in list(self._calls):
            call.on_cancel(reason)

    def _on_end(self, call: Call, closed: bytes) -> None:
        self._calls.remove(call)
        if not self._calls:
            self._channel.send(CLOSED, self._stream, closed)
            self._on_closed(self._stream)

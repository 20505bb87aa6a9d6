"""The tutorial that this product comes from: an agent that asks an exchange for a price.

The model is recorded, the exchange stands in the outside of `rig/outside.py`, all else is real: the program is
the one of examples/, its sandbox is a new one, and the code in it resolves a name and goes out through NAT.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from rig import outside
from rig.case import Case
from rig.server import REPOSITORY

sys.path.append(str(REPOSITORY / "sdk" / "conformance"))

from messages_api import MessagesApi  # noqa: E402

CONVERSATIONS = Path(__file__).resolve().parents[1] / "conversations"
DEADLINE = 180

#: What the exchange answers, by path.
EXCHANGE = {
    "v2/prices/BTC-USD/spot": {"data": {"base": "BTC", "currency": "USD", "amount": "67412.50"}},
    "v2/prices/BTC-USD/historic": {
        "data": {"prices": [{"price": f"{price}.00"} for price in range(64_500, 68_000, 500)]}
    },
}


class TutorialTest(Case):
    deadline_seconds = 2.0 * DEADLINE

    def test_an_agent_asks_an_exchange_for_the_price_of_bitcoin(self) -> None:
        pages = {path: json.dumps(answer).encode() for path, answer in EXCHANGE.items()}
        with contextlib.ExitStack() as stack:
            stack.enter_context(outside.internet(pages))
            self.server.name_resolvers(outside.RESOLVER)
            stack.callback(self.server.name_resolvers)
            api = stack.enter_context(MessagesApi(CONVERSATIONS))
            base = api.base("bitcoin")
            ran = subprocess.run(
                [
                    sys.executable,
                    str(REPOSITORY / "examples" / "tutorial_loop.py"),
                    "What is the current price of Bitcoin, and what are 0.35 BTC worth?",
                ],
                env={
                    **self.server.client_environment(),
                    "ANTHROPIC_API_KEY": "a-key",
                    "ANTHROPIC_BASE_URL": base,
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
            with urllib.request.urlopen(base + "/failures", timeout=10) as answer:
                self.assertEqual(json.load(answer), [], ran.stdout + ran.stderr)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("2.1% above the mean of the last week.\n", ran.stdout)

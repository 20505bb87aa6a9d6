"""What the tests share: no configuration of the person who runs them gets in."""

from __future__ import annotations

import json
import os
import tempfile
import unittest
from unittest import mock

from podflare import Client

from .scripted_server import CREATED, Request, Script, ScriptedServer, answer, json_answer

NOT_FOUND = json_answer(
    {"error": "sandbox not found", "code": "sandbox_not_found", "hint": "list them"}, 404
)


class PodflareTestCase(unittest.TestCase):
    """A test with an empty home and a scripted server on request."""

    def setUp(self) -> None:
        self.home = self.enterContext310(tempfile.TemporaryDirectory())
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PODFLARE_", "XDG_"))}
        clean["HOME"] = self.home
        self.enterContext310(mock.patch.dict(os.environ, clean, clear=True))

    def enterContext310(self, context):
        """`enterContext`, which Python 3.10 does not have."""
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def serve(self, script: Script) -> ScriptedServer:
        """A server that creates and deletes sandboxes; all else is up to the script."""

        def with_life_cycle(request: Request):
            if request.method == "POST" and request.target == "/v1/sandboxes":
                return CREATED
            if request.method == "DELETE" and request.target.count("/") == 3:
                return answer(204)
            return script(request)

        return self.enterContext310(ScriptedServer(with_life_cycle))

    def client_of(self, server: ScriptedServer, **options) -> Client:
        return self.enterContext310(Client(server.host, "pf_live_test", **options))

    def write_config(self, text: str | None = None, **fields: object) -> str:
        """Writes the credentials file where the XDG specification puts it by default."""
        path = os.path.join(self.home, ".config", "podflare", "config.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(json.dumps(fields) if text is None else text)
        return path

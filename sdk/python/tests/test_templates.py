"""Templates of one's own."""

from __future__ import annotations

import asyncio
import unittest

from podflare import AsyncClient, AsyncTemplate, ConflictError, Template, TemplateBuildError

from .scripted_server import answer, events, exit_line, json_answer, line
from .support import PodflareTestCase

ONE = {"name": "mine", "base": "default", "version": 2, "state": "ready", "builtin": False}
PACKAGES = {"python": "3.13.5", "python_packages": {"pandas": "2.2.3"}}


class TemplateTest(PodflareTestCase):
    def use(self, script, sync, asynchronous) -> list[object]:
        """What both clients make of the same answers; they must send the same."""
        server = self.serve(script)
        outcomes: list[object] = [_outcome(lambda: sync(self.client_of(server)))]

        async def main() -> object:
            async with AsyncClient(server.host, "pf_live_test") as client:
                return await asynchronous(client)

        outcomes.append(_outcome(lambda: asyncio.run(main())))
        first, second = server.requests
        self.assertEqual(
            (first.method, first.target, first.body), (second.method, second.target, second.body)
        )
        self.request = first
        return outcomes

    def test_they_are_listed(self) -> None:
        for found in self.use(
            lambda request: json_answer({"templates": [ONE | PACKAGES]}),
            lambda client: Template.list(client=client),
            lambda client: AsyncTemplate.list(client=client),
        ):
            [one] = found
            self.assertEqual((one.name, one.version, one.builtin), ("mine", 2, False))
            self.assertEqual((one.python, one.python_packages["pandas"]), ("3.13.5", "2.2.3"))
        self.assertEqual(self.request.target, "/v1/templates")

    def test_a_build_tells_its_output_as_it_comes(self) -> None:
        heard: list[str] = []
        arguments = {
            "script": "make",
            "packages": ["git"],
            "warm": "import x",
            "timeout": 60,
            "on_stdout": heard.append,
        }
        for result in self.use(
            lambda request: events(line("stdout", "one\n"), line("stdout", "two\n", 1), exit_line()),
            lambda client: Template.build("mine", client=client, **arguments),
            lambda client: AsyncTemplate.build("mine", client=client, **arguments),
        ):
            self.assertEqual(result.stdout, "one\ntwo\n")
        self.assertEqual(heard, ["one\n", "two\n"] * 2)
        self.assertEqual(
            self.request.json,
            {
                "name": "mine",
                "from": "default",
                "script": "make",
                "packages": ["git"],
                "warm": "import x",
                "timeout_seconds": 60,
            },
        )

    def test_a_build_that_fails_is_an_error_with_its_last_words(self) -> None:
        for error in self.use(
            lambda request: events(line("stderr", "one\nno such package\n"), exit_line(7)),
            lambda client: Template.build("mine", "x", client=client),
            lambda client: AsyncTemplate.build("mine", "x", client=client),
        ):
            self.assertIsInstance(error, TemplateBuildError)
            self.assertIn("no such package", str(error))
            self.assertEqual((error.result.exit_code, error.result.stderr[:3]), (7, "one"))

    def test_they_are_deleted_and_refusals_are_raised(self) -> None:
        self.assertEqual(
            self.use(
                lambda request: answer(204),
                lambda client: Template.delete("a b", client=client),
                lambda client: AsyncTemplate.delete("a b", client=client),
            ),
            [None, None],
        )
        self.assertEqual(self.request.target, "/v1/templates/a%20b")
        refused = json_answer({"error": "it is built in", "code": "template_builtin"}, 409)
        for error in self.use(
            lambda request: refused,
            lambda client: Template.build("default", "x", client=client),
            lambda client: AsyncTemplate.build("default", "x", client=client),
        ):
            self.assertIsInstance(error, ConflictError)


def _outcome(use):
    try:
        return use()
    except Exception as failure:
        return failure


if __name__ == "__main__":
    unittest.main()

"""Whole conversations with a model, replayed by a fake of the Messages API; the tools run in a real sandbox.

The client is the `anthropic` package where that is installed, else the small one of examples/, whose answers are objects of
the same attributes. Every conversation is had plain and streamed, with objects and with dicts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import Callable
from typing import Any, ClassVar
from unittest import mock

from rig.case import Case
from rig.server import REPOSITORY

sys.path += [str(REPOSITORY / "sdk" / "conformance"), str(REPOSITORY / "examples")]

from messages_api import FOLDER, MessagesApi  # noqa: E402

try:
    from anthropic import Anthropic
except ImportError:
    from small_client import Anthropic

MODEL = "a-model"
MOST_TURNS = 10
#: Those whose tools are not the ones of `run_tools`, or that need files; they have tests of their own.
APART = {"tutorial", "code_execution", "files", "review"}


class ConversationsTest(Case):
    api: ClassVar[MessagesApi]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.api = MessagesApi().__enter__()
        cls.addClassCleanup(cls.api.__exit__)

    def setUp(self) -> None:
        super().setUp()
        environment = mock.patch.dict("os.environ", self.server.client_environment())
        environment.start()
        self.addCleanup(environment.stop)

    def client(self, name: str) -> Any:
        return Anthropic(api_key="a-key", base_url=self.api.base(name))

    def assert_had(self, name: str, messages: list[dict[str, Any]]) -> None:
        """Every turn was had, and the API, which checks each answer, refused none."""
        with urllib.request.urlopen(self.api.base(name) + "/failures", timeout=10) as answer:
            self.assertEqual(json.load(answer), [])
        turns = json.loads((FOLDER / f"{name}.json").read_text())["turns"]
        self.assertEqual(sum(one["role"] == "assistant" for one in messages), len(turns))

    def converse(self, say: Callable[[list[dict[str, Any]]], Any], answer: Callable[[Any], Any]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
        for _ in range(MOST_TURNS):
            response = say(messages)
            messages.append({"role": "assistant", "content": _content(response)})
            results = answer(response)
            if results is not None:
                messages.append(results)
            elif _field(response, "stop_reason") != "pause_turn":
                return messages
        self.fail("the conversation does not end")

    def each(self) -> list[str]:
        names = {path.stem for path in FOLDER.glob("*.json")}
        self.assertGreater(len(names), 10)
        return sorted(names - APART)

    def test_every_conversation_is_had_to_its_end(self) -> None:
        from podflare import Sandbox
        from podflare.integrations.anthropic import TOOLS, run_tools

        for name in self.each():
            client = self.client(name)
            with self.subTest(name), Sandbox(template="python-datasci") as sandbox:
                messages = self.converse(
                    lambda said: client.messages.create(model=MODEL, max_tokens=1024, tools=TOOLS, messages=said),
                    lambda message: run_tools(message, sandbox),
                )
                self.assert_had(name, messages)

    def test_streamed_ones_too(self) -> None:
        from podflare import Sandbox
        from podflare.integrations.anthropic import TOOLS, run_tools

        def say(said: list[dict[str, Any]]) -> Any:
            with client.messages.stream(model=MODEL, max_tokens=1024, tools=TOOLS, messages=said) as stream:
                list(stream.text_stream)
                return stream.get_final_message()

        for name in ("plain", "parallel", "pause", "server_blocks"):
            client = self.client(name)
            with self.subTest(name), Sandbox() as sandbox:
                self.assert_had(name, self.converse(say, lambda message: run_tools(message, sandbox)))

    def test_messages_may_be_dicts_and_the_sandbox_asynchronous(self) -> None:
        from podflare import AsyncSandbox
        from podflare.integrations.anthropic import run_tools_async

        async def have(name: str) -> list[dict[str, Any]]:
            client = self.client(name)
            async with AsyncSandbox() as sandbox:
                messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
                while True:
                    response = await asyncio.to_thread(
                        client.messages.create, model=MODEL, max_tokens=1024, messages=messages
                    )
                    as_dict = json.loads(json.dumps(response, default=vars))
                    messages.append({"role": "assistant", "content": as_dict["content"]})
                    results = await run_tools_async(as_dict, sandbox)
                    if results is None and as_dict["stop_reason"] != "pause_turn":
                        return messages
                    messages += [results] if results else []

        for name in ("plain", "parallel", "pause", "editor", "shell", "sub_tools", "cut_off"):
            with self.subTest(name):
                self.assert_had(name, asyncio.run(have(name)))

    def test_the_tool_loop_of_the_tutorial_unchanged(self) -> None:
        from podflare import Sandbox

        client = self.client("tutorial")
        tools = [{
            "name": "run_python",
            "description": "Run Python in a persistent sandbox.",
            "input_schema": {
                "type": "object",
                "properties": {"code": {"type": "string"}},
                "required": ["code"],
            },
        }]  # fmt: skip
        sb = Sandbox()
        messages: list[dict[str, Any]] = [{"role": "user", "content": "What is 6 times 7?"}]
        while True:
            resp = client.messages.create(
                model=MODEL, max_tokens=1024, tools=tools, messages=messages
            )
            messages.append({"role": "assistant", "content": resp.content})
            if resp.stop_reason != "tool_use":
                break
            results = []
            for block in resp.content:
                if block.type == "tool_use":
                    r = sb.run_code(block.input["code"])
                    results.append({
                        "type": "tool_result",
                        "tool_use_id": block.id,
                        "content": f"{r.stdout}{r.stderr}",
                        "is_error": r.exit_code != 0,
                    })  # fmt: skip
            messages.append({"role": "user", "content": results})
        sb.close()
        self.assert_had("tutorial", messages)

    def test_the_code_execution_loop_unchanged(self) -> None:
        from podflare import Sandbox
        from podflare.integrations.anthropic import handle_code_execution_tool_use

        client = self.client("code_execution")
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
        with Sandbox() as sandbox:
            while True:
                resp = client.messages.create(
                    model=MODEL,
                    max_tokens=1024,
                    tools=[{"type": "code_execution_20250825", "name": "code_execution"}],
                    messages=messages,
                )
                messages.append({"role": "assistant", "content": resp.content})
                results = [
                    handle_code_execution_tool_use(block, sandbox)
                    for block in resp.content
                    if block.type == "tool_use"
                ]
                if not results:
                    break
                messages.append({"role": "user", "content": results})
        self.assert_had("code_execution", messages)

    def test_files_come_from_the_files_api_and_go_back_to_it(self) -> None:
        from podflare import Sandbox
        from podflare.integrations.anthropic import file_ids, put_files, run_tools, take_files

        client = self.client("files")
        question = [{"type": "text", "text": "Sum up."}, {"type": "container_upload", "file_id": "file_in1"}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
        with Sandbox() as sandbox:
            self.assertEqual(file_ids(messages), ["file_in1"])
            paths = put_files(client, sandbox, file_ids(messages))
            self.assertEqual(paths, ["/root/prices.csv"], "the name of a file must not lead out of the folder")
            response = client.messages.create(model=MODEL, max_tokens=1024, messages=messages)
            messages.append({"role": "assistant", "content": response.content})
            messages.append(run_tools(response, sandbox))
            response = client.messages.create(model=MODEL, max_tokens=1024, messages=messages)
            messages.append({"role": "assistant", "content": response.content})
            [id] = take_files(client, sandbox, ["/root/sum.txt"])
        self.assertEqual(client.beta.files.download(id).read(), b"6.0")
        self.assertEqual(client.beta.files.retrieve_metadata(id).filename, "sum.txt")
        self.assert_had("files", messages)


def _content(response: Any) -> Any:
    return _field(response, "content")


def _field(thing: Any, name: str) -> Any:
    return thing[name] if isinstance(thing, dict) else getattr(thing, name)

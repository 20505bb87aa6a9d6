"""The adapters for other frameworks, and the parts of Anthropic's that need no conversation.

Debian has none of these frameworks, so their classes are stood in for by recorded ones: the fields and calls that the real
ones have are written down here, from their published sources. Where a real one is installed, it is used.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.util
import inspect
import json
import sys
import types
import unittest
from types import SimpleNamespace
from typing import Any
from unittest import mock

from podflare import AsyncClient, AsyncSandbox, Sandbox
from podflare.integrations.anthropic import TOOLS, file_ids, run_tools, run_tools_async
from podflare.integrations.gemini import (
    podflare_function_declaration,
    run_function_call,
    run_function_call_async,
)

from .scripted_server import Request, events, exit_line, line
from .support import NOT_FOUND, PodflareTestCase
from .test_speech import PNG


@dataclasses.dataclass
class FunctionTool:
    """The first fields of `agents.FunctionTool`, in their order."""

    name: str
    description: str
    params_json_schema: dict[str, Any]
    on_invoke_tool: Any
    strict_json_schema: bool = True
    is_enabled: Any = True


class BaseTool:
    """What `langchain_core.tools.BaseTool` does with a subclass: fields from keyword arguments,
    `invoke` with a tool call, `_run` for it."""

    name: str
    description: str
    args_schema: Any = None
    response_format: str = "content"

    def __init__(self, **fields: Any) -> None:
        known = {name for kind in type(self).__mro__ for name in getattr(kind, "__annotations__", {})}
        for name, value in fields.items():
            if name not in known:
                raise ValueError(f"no field {name}")
            setattr(self, name, value)

    def _message(self, call: dict[str, Any], answer: Any) -> Any:
        content, artifact = answer if self.response_format == "content_and_artifact" else (answer, None)
        return SimpleNamespace(content=content, artifact=artifact, tool_call_id=call["id"])

    def invoke(self, call: dict[str, Any]) -> Any:
        return self._message(call, self._run(**call["args"], run_manager=None))

    async def ainvoke(self, call: dict[str, Any]) -> Any:
        return self._message(call, await self._arun(**call["args"], run_manager=None))


def installed_or(name: str, recorded: dict[str, Any]) -> Any:
    """The real package, or a module of recorded classes under its name."""
    if importlib.util.find_spec(name.split(".")[0]) is not None:
        return mock.patch.dict(sys.modules, {})
    modules = {}
    for part in (name.split(".")[0], name):
        modules[part] = types.ModuleType(part)
    modules[name].__dict__.update(recorded)
    return mock.patch.dict(sys.modules, modules)


class AdapterCase(PodflareTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.answer = events(
            line("stdout", "42\n"), line("result", {"text/plain": "f", "image/png": PNG}), exit_line()
        )
        self.server = self.serve(lambda request: self.answer)
        self.sandbox = Sandbox(client=self.client_of(self.server))

    def asynchronous(self, use: Any) -> Any:
        async def main() -> Any:
            async with AsyncClient(self.server.host, "pf_live_test") as client:
                return await use(await AsyncSandbox.create(client=client))

        return asyncio.run(main())

    def ran(self) -> Request:
        return self.server.requests[-1]


class OpenAiAgentsTest(AdapterCase):
    def tool(self, sandbox: Any = None, more: dict[str, Any] | None = None, **options: Any) -> Any:
        recorded = {"FunctionTool": FunctionTool, **(more or {})}
        with installed_or("agents", recorded):
            from podflare.integrations.openai_agents import podflare_code_interpreter

            return podflare_code_interpreter(sandbox, **options)

    def call(self, tool: Any, **given: Any) -> Any:
        return asyncio.run(tool.on_invoke_tool(None, json.dumps(given)))

    def test_it_is_a_function_tool_with_a_strict_schema(self) -> None:
        tool = self.tool(self.sandbox)
        schema = tool.params_json_schema
        self.assertEqual(sorted(schema["required"]), sorted(schema["properties"]))
        self.assertIs(schema["additionalProperties"], False)
        self.assertTrue(tool.strict_json_schema)
        self.assertTrue(inspect.iscoroutinefunction(tool.on_invoke_tool))

    def test_code_runs_and_pictures_are_passed_on_where_the_sdk_can(self) -> None:
        old = self.call(self.tool(self.sandbox), code="plot()", language="python")
        self.assertTrue(old.startswith("42\n[what was drawn can't be shown"))
        new = self.call(self.tool(self.sandbox, {"ToolOutputImage": object}), code="plot()", language="bash")
        self.assertEqual(new[0], {"type": "text", "text": "42"})
        self.assertEqual(new[1]["image_url"], f"data:image/png;base64,{PNG}")
        self.assertEqual(self.ran().json["language"], "bash")

    def test_failures_are_words_and_never_raised(self) -> None:
        tool = self.tool(self.sandbox)
        self.assertIn("Call again with JSON", asyncio.run(tool.on_invoke_tool(None, "{oops")))
        self.assertIn("needs 'code'", self.call(tool))
        self.answer = NOT_FOUND
        self.assertIn("sandbox not found", self.call(tool, code="1", language="python"))

    def test_without_a_sandbox_it_makes_one_at_the_first_call_only(self) -> None:
        self.enterContext310(mock.patch("atexit.register"))  # This server ends before the process.
        client = self.client_of(self.server)
        before = len(self.server.requests)
        tool = self.tool(client=client, template="python-datasci")
        self.assertEqual(len(self.server.requests), before)
        self.call(tool, code="1", language="python")
        self.call(tool, code="2", language="python")
        created = [request for request in self.server.requests[before:] if request.target == "/v1/sandboxes"]
        self.assertEqual([request.json["template"] for request in created], ["python-datasci"])

    def test_an_asynchronous_sandbox_is_used_as_it_is(self) -> None:
        async def use(sandbox: AsyncSandbox) -> str:
            return await self.tool(sandbox).on_invoke_tool(None, '{"code": "1", "language": "python"}')

        self.assertTrue(self.asynchronous(use).startswith("42"))


class LangChainTest(AdapterCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext310(installed_or("langchain_core.tools", {"BaseTool": BaseTool}))
        sys.modules.pop("podflare.integrations.langchain", None)
        self.addCleanup(sys.modules.pop, "podflare.integrations.langchain", None)
        self.kind = importlib.import_module("podflare.integrations.langchain").PodflareTool

    def test_it_answers_a_tool_call_with_text_and_pictures_beside_it(self) -> None:
        tool = self.kind(sandbox=self.sandbox)
        call = {"name": tool.name, "args": {"code": "plot()"}, "id": "call_1", "type": "tool_call"}
        for message in (tool.invoke(call), asyncio.run(tool.ainvoke(call))):
            self.assertTrue(message.content.startswith("42\n"))
            self.assertEqual(message.artifact, [{"media_type": "image/png", "data": PNG}])
            self.assertEqual(message.tool_call_id, "call_1")
        self.assertEqual(tool.args_schema["required"], ["code"])

    def test_an_asynchronous_sandbox_is_used_as_it_is(self) -> None:
        call = {"name": "x", "args": {"code": "1", "language": "bash"}, "id": "c", "type": "tool_call"}
        message = self.asynchronous(lambda sandbox: self.kind(sandbox=sandbox).ainvoke(call))
        self.assertTrue(message.content.startswith("42"))

    def test_without_langchain_the_import_says_what_to_install(self) -> None:
        sys.modules.pop("podflare.integrations.langchain")
        with mock.patch.dict(sys.modules, {"langchain_core.tools": None}):
            with self.assertRaisesRegex(ImportError, "pip install langchain-core"):
                importlib.import_module("podflare.integrations.langchain")


class GeminiTest(AdapterCase):
    def test_the_declaration_is_one_of_the_api(self) -> None:
        declared = podflare_function_declaration()
        self.assertRegex(declared["name"], r"^[a-zA-Z_][\w.:-]{0,63}$")
        self.assertEqual(declared["parameters"]["required"], ["code"])
        if importlib.util.find_spec("google") and importlib.util.find_spec("google.genai"):
            from google.genai import types as real

            real.FunctionDeclaration(**declared)

    def test_a_call_is_answered_as_an_object_and_as_a_dict(self) -> None:
        given = {"name": "podflare_code_interpreter", "args": {"code": "6 * 7"}}
        expected = {"name": given["name"]}
        for call in (given, SimpleNamespace(**given)):
            answer = run_function_call(call, self.sandbox)
            self.assertTrue(answer["response"]["output"].startswith("42"))
            self.assertEqual(answer | {"response": None}, expected | {"response": None})
        answer = self.asynchronous(lambda sandbox: run_function_call_async(given, sandbox))
        self.assertTrue(answer["response"]["output"].startswith("42"))
        failed = run_function_call({"name": "x", "args": {}}, self.sandbox)
        self.assertIn("needs 'code'", failed["response"]["error"])


class RunToolsTest(AdapterCase):
    def message(self, *calls: dict[str, Any], stop_reason: str = "tool_use") -> dict[str, Any]:
        blocks = [
            {"type": "tool_use", "id": f"toolu_{number}", "name": call.pop("name"), "input": call}
            for number, call in enumerate(calls)
        ]
        return {"role": "assistant", "content": blocks, "stop_reason": stop_reason}

    def results(self, answer: dict[str, Any]) -> list[tuple[str, bool]]:
        return [(one["content"][0]["text"], one["is_error"]) for one in answer["content"]]

    def test_definitions_have_what_the_api_asks_for(self) -> None:
        for tool in TOOLS:
            self.assertTrue("input_schema" in tool and "description" in tool or "type" in tool)
        json.dumps(TOOLS)

    def test_pictures_follow_the_text(self) -> None:
        answer = run_tools(self.message({"name": "run_python", "code": "plot()"}), self.sandbox)
        [result] = answer["content"]
        self.assertEqual(
            result["content"],
            [
                {"type": "text", "text": "42"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        )

    def test_the_time_limit_and_the_size_limit_are_the_callers(self) -> None:
        self.answer = events(line("stdout", "x" * 5000), exit_line())
        message = self.message({"name": "run_bash", "command": "x"})
        answer = run_tools(message, self.sandbox, timeout=7, limit=100)
        self.assertEqual(self.ran().json, {"code": "x", "language": "bash", "timeout_seconds": 7})
        self.assertLess(len(self.results(answer)[0][0]), 300)

    def test_a_turn_without_calls_needs_no_answer(self) -> None:
        for message in (
            {"content": [{"type": "text", "text": "Done."}]},
            {"content": "Done."},
            {"content": [{"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}}]},
            SimpleNamespace(content=[], stop_reason="pause_turn"),
            [],
        ):
            self.assertIsNone(run_tools(message, self.sandbox))

    def test_tools_of_the_program_itself_are_called_too(self) -> None:
        async def later(given: Any) -> str:
            return f"later in {given['city']}"

        def fails(given: Any) -> str:
            raise KeyError("no such city")

        picture = [{"type": "text", "text": "a map"}]
        others = {"weather": lambda given: f"sun in {given['city']}", "fails": fails, "map": lambda _: picture}
        message = self.message(
            {"name": "weather", "city": "Paris"}, {"name": "fails"}, {"name": "map"}, {"name": "nobody"}
        )
        answer = run_tools(message, self.sandbox, others=others)
        weather, failed, shown, unknown = self.results(answer)
        self.assertEqual((weather, failed), (("sun in Paris", False), ("error: KeyError: 'no such city'", True)))
        self.assertEqual(shown, ("a map", False))
        self.assertIn("weather", unknown[0])
        message = self.message({"name": "weather", "city": "Rome"}, {"name": "run_python", "code": "1"})
        answer = self.asynchronous(lambda sandbox: run_tools_async(message, sandbox, others={"weather": later}))
        self.assertEqual([text for text, _ in self.results(answer)], ["later in Rome", "42"])

    def test_file_ids_are_found_wherever_they_stand(self) -> None:
        messages = [
            {"role": "user", "content": [{"type": "container_upload", "file_id": "file_a"}]},
            SimpleNamespace(
                content=[
                    SimpleNamespace(
                        type="bash_code_execution_tool_result",
                        content=SimpleNamespace(content=[SimpleNamespace(file_id="file_b")]),
                    )
                ]
            ),
            {"content": [{"type": "document", "source": {"type": "file", "file_id": "file_c"}}]},
            {"content": [{"type": "container_upload", "file_id": "file_a"}]},
        ]
        self.assertEqual(file_ids(messages), ["file_a", "file_b", "file_c"])
        endless: list[Any] = []
        endless.append(endless)
        self.assertEqual(file_ids(endless), [])


if __name__ == "__main__":
    unittest.main()

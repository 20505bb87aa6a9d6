"""The answers to Anthropic's code execution tool calls, and the hosted service's programs."""

from __future__ import annotations

import os
import unittest
from types import SimpleNamespace
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from podflare import Sandbox
from podflare.integrations.anthropic import handle_code_execution_tool_use

from .scripted_server import Request, answer, events, exit_line, json_answer, line
from .support import NOT_FOUND, PodflareTestCase


def tool_use(name: str, **given: object) -> dict[str, object]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def as_object(block: dict) -> SimpleNamespace:
    """The block as the SDK's objects have it: attributes, with a dict as input."""
    return SimpleNamespace(**block)


class AnthropicTest(PodflareTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.files: dict[str, bytes] = {}
        self.exec_answer = events(line("stdout", "42\n"), exit_line())
        self.server = self.serve(self.script)
        self.sandbox = Sandbox(client=self.client_of(self.server))

    def script(self, request: Request):
        url = urlsplit(request.target)
        if url.path.endswith("/exec"):
            return self.exec_answer
        (path,) = parse_qs(url.query)["path"]
        if request.method == "PUT":
            self.files[path] = request.body
            return json_answer({"path": path, "size": len(request.body)})
        if path not in self.files:
            return json_answer({"error": f"no such file: {path}", "code": "file_not_found"}, 404)
        return answer(200, self.files[path], "application/octet-stream")

    def handle(self, block: dict):
        """What a block is answered with, as a dict and as an object alike."""
        as_dict = handle_code_execution_tool_use(block, self.sandbox)
        self.assertEqual(as_dict["tool_use_id"], "toolu_1")
        (content,) = as_dict["content"]
        self.assertEqual(content["type"], "text")
        return content["text"], as_dict["is_error"]

    def test_code_execution_is_answered_exactly_as_the_contract_says(self) -> None:
        block = tool_use("code_execution", code="print(42)")
        expected = {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [{"type": "text", "text": "stdout:\n42\n\nstderr:\n\nexit_code: 0"}],
            "is_error": False,
        }
        for form in (block, as_object(block), as_object({**block, "input": as_object({"code": "x"})})):
            self.assertEqual(handle_code_execution_tool_use(form, self.sandbox), expected)
        asked = {"code": "print(42)", "language": "python"}
        self.assertEqual(self.server.requests[1].json, {**asked, "timeout_seconds": 300})
        handle_code_execution_tool_use(block, self.sandbox, timeout=None)
        self.assertEqual(self.server.requests[-1].json, asked)

    def test_an_exit_code_that_is_not_zero_is_an_error(self) -> None:
        self.exec_answer = events(line("stderr", "Traceback…"), exit_line(1))
        text, is_error = self.handle(tool_use("code_execution", code="1/0"))
        self.assertEqual(text, "stdout:\n\nstderr:\nTraceback…\nexit_code: 1")
        self.assertIs(is_error, True)

    def test_a_lost_process_is_told_to_the_model(self) -> None:
        self.exec_answer = events(exit_line(137, reason="oom", state_kept=False))
        text, is_error = self.handle(tool_use("code_execution", code="x"))
        self.assertIn("variables and imports are gone", text)
        self.assertTrue(text.endswith("\nexit_code: 137"))
        self.assertTrue(is_error)

    def test_bash_code_execution_runs_its_command_in_bash(self) -> None:
        text, is_error = self.handle(tool_use("bash_code_execution", command="ls"))
        self.assertEqual((text, is_error), ("stdout:\n42\n\nstderr:\n\nexit_code: 0", False))
        self.assertEqual(self.server.requests[-1].json, {"code": "ls", "language": "bash", "timeout_seconds": 300})

    def edit(self, **given: object):
        return self.handle(tool_use("text_editor_code_execution", **given))

    def test_the_text_editor_creates_views_and_replaces(self) -> None:
        _, failed = self.edit(command="create", path="/root/a", file_text="eins\nzwei ü\n")
        self.assertFalse(failed)
        self.assertEqual(self.edit(command="view", path="/root/a"), ("eins\nzwei ü\n", False))
        _, failed = self.edit(command="str_replace", path="/root/a", old_str="eins", new_str="one")
        self.assertFalse(failed)
        self.assertEqual(self.files["/root/a"], "one\nzwei ü\n".encode())
        part = self.edit(command="view", path="/root/a", view_range=[2, -1])
        self.assertEqual(part, ("zwei ü\n", False))

    def test_what_the_editor_can_not_do_is_an_error_result_and_changes_nothing(self) -> None:
        self.files.update({"a": b"x x", "b": b"\xff\xfe"})
        before = dict(self.files)
        for given in (
            {"command": "view", "path": "missing"},
            {"command": "view", "path": "b"},
            {"command": "view", "path": "a", "view_range": [0, 1]},
            {"command": "view", "path": "a", "view_range": "all"},
            {"command": "str_replace", "path": "a", "old_str": "y", "new_str": "z"},
            {"command": "str_replace", "path": "a", "old_str": "x", "new_str": "z"},
            {"command": "str_replace", "path": "a", "old_str": "", "new_str": "z"},
            {"command": "str_replace", "path": "a", "old_str": "x"},
            {"command": "create", "path": "a"},
            {"command": "delete", "path": "a"},
            {"command": "create", "path": "", "file_text": "x"},
            {"path": "a"},
        ):
            with self.subTest(given):
                text, is_error = self.edit(**given)
                self.assertTrue(is_error)
                self.assertTrue(text.startswith("error: "))
        self.assertEqual(self.files, before)

    def test_a_string_that_is_there_twice_is_not_replaced_and_the_count_is_told(self) -> None:
        self.files["a"] = b"x x"
        text, _ = self.edit(command="str_replace", path="a", old_str="x", new_str="z")
        self.assertIn("2 times", text)

    def test_bad_input_and_unknown_tools_are_error_results(self) -> None:
        for block in (
            tool_use("code_execution"),
            tool_use("code_execution", code=7),
            {**tool_use("code_execution"), "input": None},
            {**tool_use("code_execution"), "input": "print(1)"},
            tool_use("bash_code_execution", code="ls"),
            tool_use("get_weather", city="Paris"),
            {**tool_use("x"), "name": None},
        ):
            with self.subTest(block):
                text, is_error = self.handle(block)
                self.assertTrue(is_error)
                self.assertTrue(text.startswith("error: "))
        self.assertEqual(len(self.server.requests), 1)

    def test_a_sandbox_that_fails_is_an_error_result_with_the_reason(self) -> None:
        self.exec_answer = NOT_FOUND
        text, is_error = self.handle(tool_use("code_execution", code="x"))
        self.assertTrue(is_error)
        self.assertIn("sandbox not found", text)

    def test_a_block_that_takes_no_answer_is_refused_with_the_reason(self) -> None:
        for kind, why in (("server_tool_use", "provider has run it"), ("text", "no tool call")):
            block = {**tool_use("code_execution", code="x"), "type": kind}
            for form in (block, as_object(block)):
                with self.subTest(kind), self.assertRaises(ValueError) as caught:
                    handle_code_execution_tool_use(form, self.sandbox)
                self.assertIn(why, str(caught.exception))
        self.assertEqual(len(self.server.requests), 1)


class HostedProgramsTest(PodflareTestCase):
    """The two agent loops of the hosted service's documentation, with a scripted model."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve(lambda request: events(line("stdout", "42\n"), exit_line()))
        env = {"PODFLARE_HOSTD_URL": self.server.host, "PODFLARE_API_KEY": "pf_live_x"}
        self.enterContext310(mock.patch.dict(os.environ, env))

    def test_the_code_execution_loop_runs(self) -> None:
        call = as_object(tool_use("code_execution", code="print(6*7)"))
        turns = [
            SimpleNamespace(stop_reason="tool_use", content=[call]),
            SimpleNamespace(
                stop_reason="end_turn", content=[SimpleNamespace(type="text", text="It is 42.")]
            ),
        ]
        messages: list[dict] = [{"role": "user", "content": "What is 6*7?"}]
        with Sandbox() as sbx:
            while True:
                response = turns.pop(0)
                messages.append({"role": "assistant", "content": response.content})
                if response.stop_reason != "tool_use":
                    break
                results = [
                    handle_code_execution_tool_use(b, sbx)
                    for b in response.content
                    if b.type == "tool_use" and b.name == "code_execution"
                ]
                messages.append({"role": "user", "content": results})
        self.assertEqual(response.content[0].text, "It is 42.")
        self.assertIn("42", messages[2]["content"][0]["content"][0]["text"])

    def test_the_run_python_loop_runs(self) -> None:
        sandbox = Sandbox()
        try:
            block = as_object(tool_use("run_python", code="print(6*7)"))
            result = sandbox.run_code(block.input["code"])
            output = result.stdout or result.stderr or f"exit {result.exit_code}"
        finally:
            sandbox.close()
        self.assertEqual(output, "42\n")
        self.assertEqual([t.split()[0] for t in self.server.targets()], ["POST", "POST", "DELETE"])


if __name__ == "__main__":
    unittest.main()

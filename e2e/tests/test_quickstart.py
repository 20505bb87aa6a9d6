"""The programs of the hosted service's documentation, unchanged."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import types
from typing import Any
from unittest import mock

from rig.case import Case

MODEL = "a-model"


class ScriptedModel:
    """Stands for the provider's client: answers `messages.create` with what was written before, and
    keeps what it was sent."""

    def __init__(self, *turns: list[dict[str, Any]]):
        self._turns = list(turns)
        self.sent: list[list[Any]] = []
        self.messages = self

    def create(self, *, messages: list[Any], **_: Any) -> types.SimpleNamespace:
        self.sent.append(list(messages))
        content = [types.SimpleNamespace(**block) for block in self._turns.pop(0)]
        calls = any(block.type == "tool_use" for block in content)
        return types.SimpleNamespace(
            content=content, stop_reason="tool_use" if calls else "end_turn"
        )


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def tool_use(number: int, name: str, code: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {"code": code}}


class QuickStartTest(Case):
    def setUp(self) -> None:
        super().setUp()
        environment = mock.patch.dict("os.environ", self.server.client_environment())
        environment.start()
        self.addCleanup(environment.stop)

    def test_the_first_program_prints_42(self) -> None:
        from podflare import Sandbox

        sb = Sandbox()
        r = sb.run_code("print(42)")
        self.assertEqual(r.stdout, "42\n")
        self.assertEqual(r.stderr, "")
        self.assertEqual(r.exit_code, 0)
        sb.close()

    def test_state_stays_between_calls(self) -> None:
        from podflare import Sandbox

        with Sandbox(template="python-datasci") as sb:
            sb.run_code("import pandas as pd; df = pd.DataFrame({'x': [1, 2, 3]})")
            self.assertEqual(sb.run_code("print(df.x.sum())").stdout, "6\n")

    def test_a_closed_sandbox_is_gone_and_closing_twice_is_fine(self) -> None:
        from podflare import NotFoundError, Sandbox

        sb = Sandbox()
        sb.close()
        sb.close()
        self.assertEqual(self.rest.close(sb.id).status, 204)
        self.assertEqual(self.rest.info(sb.id).status, 404)
        with self.assertRaises(NotFoundError) as refused:
            Sandbox.connect(sb.id).run_code("1")
        self.assertEqual(refused.exception.status, 404)

    def test_output_streams_to_the_callback_while_the_code_runs(self) -> None:
        from podflare import Sandbox

        heard: list[str] = []
        with Sandbox() as sb:
            ran = sb.run_code("for i in range(3): print(i)", on_stdout=heard.append)
        self.assertEqual("".join(heard), "0\n1\n2\n")
        self.assertEqual(ran.stdout, "0\n1\n2\n")

    def test_the_stream_of_events_ends_with_exit_and_its_code(self) -> None:
        from podflare import Sandbox

        with Sandbox() as sb:
            events = list(sb.run_code_stream("print('a'); raise SystemExit(3)"))
        self.assertEqual({one.type for one in events[:-1]}, {"stdout"})
        self.assertEqual(events[-1].type, "exit")
        self.assertEqual(events[-1].data, 3)
        self.assertEqual(events[-1].code, 3)
        self.assertEqual([one.seq for one in events], list(range(len(events))))

    def test_files_go_up_and_come_down_with_either_order_of_arguments(self) -> None:
        from podflare import Sandbox

        with Sandbox() as sb:
            sb.upload("/root/a.bin", b"\0\1\2")
            sb.upload(b"\3\4", "/root/b.bin")
            self.assertEqual(sb.download("/root/a.bin"), b"\0\1\2")
            self.assertEqual(sb.download("/root/b.bin"), b"\3\4")

    def test_bash_runs_in_the_same_file_system(self) -> None:
        from podflare import Sandbox

        with Sandbox() as sb:
            sb.run_code("open('/root/x', 'w').write('hi')")
            ran = sb.run_code("cat x; echo err >&2; exit 7", language="bash")
        self.assertEqual((ran.stdout, ran.stderr, ran.exit_code), ("hi", "err\n", 7))

    def test_one_client_serves_many_sandboxes(self) -> None:
        from podflare import Client, Sandbox

        client = Client()
        with Sandbox(client=client) as one, Sandbox(client=client) as other:
            one.run_code("x = 1")
            other.run_code("x = 2")
            self.assertEqual(one.run_code("x").result, {"text/plain": "1"})
            self.assertEqual(other.run_code("x").result, {"text/plain": "2"})

    def test_a_sandbox_can_be_found_again_by_its_id(self) -> None:
        from podflare import Sandbox

        with Sandbox(metadata={"job": "again"}) as sb:
            sb.run_code("x = 41")
            self.assertEqual(Sandbox.connect(sb.id).run_code("print(x + 1)").stdout, "42\n")
            self.assertIn(sb.id, [one.id for one in Sandbox.list()])

    def test_a_timeout_keeps_the_state_and_says_so(self) -> None:
        from podflare import Sandbox

        with Sandbox() as sb:
            sb.run_code("x = 1")
            ran = sb.run_code("while True: pass", timeout=0.5)
            self.assertNotEqual(ran.exit_code, 0)
            self.assertTrue(ran.state_kept)
            self.assertEqual(sb.run_code("x").result, {"text/plain": "1"})

    def test_the_tool_loop_of_the_tutorial(self) -> None:
        from podflare import Sandbox

        client = ScriptedModel(
            [text("I compute."), tool_use(1, "run_python", "x = 6 * 7\nprint(x)")],
            [tool_use(2, "run_python", "print(x + 1)\n1/0")],
            [text("It is 42.")],
        )
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
        first, second = (client.sent[turn][-1]["content"][0] for turn in (1, 2))
        self.assertEqual((first["content"], first["is_error"]), ("42\n", False))
        self.assertTrue(second["content"].startswith("43\n"), second["content"])
        self.assertIn("ZeroDivisionError: division by zero", second["content"])
        self.assertTrue(second["is_error"])

    def test_the_code_execution_loop(self) -> None:
        from podflare import Sandbox
        from podflare.integrations.anthropic import handle_code_execution_tool_use

        client = ScriptedModel(
            [tool_use(1, "code_execution", "n = 10\nprint(n)")],
            [tool_use(2, "code_execution", "import sys\nprint(n, file=sys.stderr)\nsys.exit(2)")],
            [text("Done.")],
        )
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
        with Sandbox() as sandbox:
            while True:
                resp = client.messages.create(model=MODEL, max_tokens=1024, messages=messages)
                messages.append({"role": "assistant", "content": resp.content})
                results = [
                    handle_code_execution_tool_use(block, sandbox)
                    for block in resp.content
                    if block.type == "tool_use"
                ]
                if not results:
                    break
                messages.append({"role": "user", "content": results})
        self.assertEqual(
            [client.sent[turn][-1]["content"] for turn in (1, 2)],
            [
                [{
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "stdout:\n10\n\nstderr:\n\nexit_code: 0"}
                    ],
                    "is_error": False,
                }],
                [{
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [
                        {"type": "text", "text": "stdout:\n\nstderr:\n10\n\nexit_code: 2"}
                    ],
                    "is_error": True,
                }],
            ],
        )  # fmt: skip

    def test_the_asynchronous_client_runs_sandboxes_side_by_side(self) -> None:
        from podflare import AsyncSandbox

        async def one(number: int) -> str:
            async with AsyncSandbox() as sb:
                await sb.run_code(f"x = {number}")
                return (await sb.run_code("print(x * x)")).stdout

        async def several() -> list[str]:
            return await asyncio.gather(*(one(number) for number in range(4)))

        self.assertEqual(asyncio.run(several()), ["0\n", "1\n", "4\n", "9\n"])

    def test_without_a_key_the_error_says_how_to_get_one(self) -> None:
        environment = self.server.client_environment()
        for name in ("PODFLARE_HOSTD_URL", "PODFLARE_API_KEY"):
            del environment[name]
        environment["XDG_CONFIG_HOME"] = "/nonexistent"
        program = textwrap.dedent(
            """
            import podflare
            try:
                podflare.Sandbox()
            except podflare.PodflareError as refused:
                print(type(refused).__name__, refused, refused.hint)
        """
        )
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(ran.stderr, "")
        self.assertIn("podflare up", ran.stdout)

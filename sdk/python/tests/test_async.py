"""AsyncSandbox. Needs httpx, see test-packages.txt."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import unittest
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from podflare import (
    AsyncClient,
    AsyncSandbox,
    AuthenticationError,
    ConnectionError,
    NotFoundError,
    PodflareError,
    QuotaError,
    TimeoutError,
)

from .scripted_server import (
    CLOSE,
    SANDBOX_ID,
    STREAM_END,
    STREAM_HEAD,
    Request,
    ScriptedServer,
    answer,
    chunk,
    events,
    exit_line,
    json_answer,
    line,
)
from .support import NOT_FOUND, PodflareTestCase


class AsyncTest(PodflareTestCase):
    def run_with(self, script, use: Callable[[AsyncSandbox], Awaitable[Any]], **options) -> Any:
        """Runs `use` with a sandbox on a server of this script."""
        self.server = self.serve(script)

        async def main() -> Any:
            async with AsyncClient(self.server.host, "pf_live_test", **options) as client:
                return await use(await AsyncSandbox.create(client=client))

        return asyncio.run(main())

    def test_each_way_to_create_one_sends_what_the_synchronous_one_sends(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        options = {"host": server.host, "api_key": "k", "idle_timeout_seconds": 9}

        async def main() -> None:
            async with AsyncSandbox("python-datasci", **options) as sb:
                self.assertEqual(sb.id, SANDBOX_ID)
            sb = await AsyncSandbox.create("python-datasci", **options)
            await sb.close()
            await sb.close()
            sb = await AsyncSandbox("python-datasci", **options)
            await sb.close()

        asyncio.run(main())
        self.assertEqual([t.split()[0] for t in server.targets()], ["POST", "DELETE"] * 3)
        body = {"template": "python-datasci", "egress": True, "idle_timeout_seconds": 9}
        self.assertEqual([r.json for r in server.requests[::2]], [body] * 3)
        self.assertEqual(server.requests[0].headers["authorization"], "Bearer k")

    def test_one_that_was_not_created_has_no_id_and_says_so(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        with self.assertRaises(PodflareError) as caught:
            AsyncSandbox(host=server.host, api_key="k").id
        self.assertEqual(caught.exception.code, "not_created")
        self.assertEqual(server.requests, [])

    def test_run_code_gathers_the_events_and_calls_functions_and_coroutines(self) -> None:
        seen: list[object] = []

        async def on_result(value: object) -> None:
            await asyncio.sleep(0)
            seen.append(value)

        result = self.run_with(
            lambda request: events(
                line("stdout", "ü"),
                line("hologram", 1),
                line("result", {"text/plain": "2"}),
                exit_line(3),
            ),
            lambda sb: sb.run_code("x", on_stdout=seen.append, on_result=on_result, timeout=5),
        )
        self.assertEqual((result.stdout, result.exit_code), ("ü", 3))
        self.assertEqual(result.result, {"text/plain": "2"})
        self.assertEqual(seen, ["ü", {"text/plain": "2"}])
        self.assertEqual(
            self.server.requests[-1].json,
            {"code": "x", "language": "python", "timeout_seconds": 5},
        )

    def test_events_are_yielded_as_they_happen(self) -> None:
        go_on = threading.Event()

        def script(request: Request):
            yield STREAM_HEAD
            yield chunk(line("stdout", "first"))
            go_on.wait(60)
            yield chunk(exit_line())
            yield STREAM_END

        async def use(sb: AsyncSandbox) -> list[str]:
            kinds = []
            async for event in sb.run_code_stream("x"):
                kinds.append(event.type)
                go_on.set()
            return kinds

        self.assertEqual(self.run_with(script, use), ["stdout", "exit"])
        self.assertTrue(go_on.is_set())

    def test_a_server_that_dies_in_the_middle_leaves_the_outcome_unknown(self) -> None:
        for pieces in (
            [STREAM_HEAD, chunk(line("stdout", "a")), CLOSE],
            [CLOSE],
            events(line("stdout", "a")),
        ):
            with self.subTest(len(pieces)), self.assertRaises(ConnectionError) as caught:
                self.run_with(lambda request: pieces, lambda sb: sb.run_code("x"))
            self.assertEqual(caught.exception.code, "outcome_unknown")
            self.assertEqual(len(self.server.requests), 2)

    def test_a_repeatable_call_is_sent_again_when_its_connection_dies(self) -> None:
        def script(request: Request):
            return [CLOSE] if request.connection == 0 else json_answer({"id": SANDBOX_ID})

        info = self.run_with(script, lambda sb: sb.info())
        self.assertEqual(info.id, SANDBOX_ID)

    def test_files_go_in_from_anything_and_out_to_anything(self) -> None:
        stored: dict[str, bytes] = {}

        def script(request: Request):
            if request.method == "PUT":
                stored["f"] = request.body
                return json_answer({"path": "f", "size": len(request.body)})
            if "/files/list" in request.target:
                return json_answer({"entries": [{"name": "f"}], "truncated": False})
            if request.method in ("DELETE", "POST"):
                return answer(204)
            return answer(200, stored["f"], "application/octet-stream")

        async def pieces():
            yield b"async "
            yield "pieces"

        async def use(sb: AsyncSandbox) -> None:
            large = memoryview(os.urandom(700_000))
            for data, expected in (
                (b"bytes", b"bytes"),
                ("text", b"text"),
                (io.BytesIO(b"file"), b"file"),
                (iter([b"it", b"er"]), b"iter"),
                (pieces(), b"async pieces"),
                (large, bytes(large)),
            ):
                self.assertEqual(await sb.upload("f", data), len(expected))
                self.assertEqual(stored["f"], expected)
                self.assertEqual(await sb.download("f"), expected)
            await sb.upload(b"swapped", "f")
            target = Path(self.home, "copy")
            self.assertEqual(await sb.download_to("f", target), 7)
            self.assertEqual(target.read_bytes(), b"swapped")
            listed = await sb.files.list()
            self.assertEqual((listed[0].name, listed.truncated), ("f", False))
            await sb.files.remove("f", recursive=True)
            await sb.interrupt()

        self.run_with(script, use)

    def test_errors_are_the_same_as_those_of_the_synchronous_one(self) -> None:
        with self.assertRaises(NotFoundError) as missing:
            self.run_with(lambda request: NOT_FOUND, lambda sb: sb.info())
        self.assertEqual(missing.exception.hint, "list them")
        with self.assertRaises(QuotaError) as quota:
            self.run_with(
                lambda request: json_answer({"error": "enough"}, 429, Retry_After="3"),
                lambda sb: sb.run_code("x"),
            )
        self.assertEqual(quota.exception.retry_after, 3.0)
        with self.assertRaises(AuthenticationError):
            AsyncSandbox()

    def test_a_silent_server_ends_in_a_time_out(self) -> None:
        released = threading.Event()

        def script(request: Request):
            released.wait(60)
            return [CLOSE]

        async def use(sb: AsyncSandbox) -> None:
            try:
                await sb.info()
            finally:
                released.set()

        with self.assertRaises(TimeoutError):
            self.run_with(script, use, timeout=2)

    def test_a_server_that_is_not_there_is_named_with_what_to_do(self) -> None:
        with ScriptedServer(lambda request: []) as server:
            pass
        with self.assertRaises(ConnectionError) as caught:
            asyncio.run(AsyncSandbox.create(host=server.host, api_key="k"))
        self.assertIn(server.host, str(caught.exception))
        self.assertIn("./podflare up", str(caught.exception))

    def test_connect_and_list_find_what_is_there(self) -> None:
        def script(request: Request):
            if "?" in request.target:
                following = None if "cursor=2" in request.target else "2"
                return json_answer({"sandboxes": [{"id": "sbx_1"}], "next_cursor": following})
            return json_answer({"id": SANDBOX_ID, "state": "ready"})

        server = self.serve(script)
        at = {"host": server.host, "api_key": "k"}

        async def main() -> None:
            sb = await AsyncSandbox.connect(SANDBOX_ID, **at)
            self.assertEqual((await sb.info()).state, "ready")
            await sb.close()
            found = await AsyncSandbox.list(**at)
            self.assertEqual([sb.id for sb in found], ["sbx_1", "sbx_1"])
            for sb in found:
                await sb.close()

        asyncio.run(main())

    def test_many_at_once_do_not_mix_up(self) -> None:
        def script(request: Request):
            return events(line("stdout", request.json["code"]), exit_line())

        async def use(sb: AsyncSandbox) -> list[str]:
            results = await asyncio.gather(*(sb.run_code(str(i)) for i in range(50)))
            return [result.stdout for result in results]

        self.assertEqual(self.run_with(script, use), [str(i) for i in range(50)])

    def test_the_exception_of_the_block_is_raised_even_if_closing_fails(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)

        async def main() -> None:
            async with AsyncSandbox(host=server.host, api_key="k"):
                server.script = lambda request: answer(500, b"broken", "text/plain")
                raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            asyncio.run(main())


if __name__ == "__main__":
    unittest.main()

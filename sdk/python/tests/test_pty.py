"""Terminals, against a server whose frames a test scripts."""

from __future__ import annotations

import asyncio
import json
import threading
import unittest

from podflare import (
    AsyncClient,
    AsyncSandbox,
    AuthenticationError,
    ConflictError,
    ConnectionError,
    InvalidRequestError,
    NotFoundError,
    Sandbox,
    ServerError,
    TimeoutError,
)
from podflare._websocket import Frames, frame

from .scripted_server import (
    CLOSE,
    Request,
    answer,
    chunk,
    json_answer,
    upgraded,
    ws_frame,
    ws_read,
    ws_text,
)
from .support import NOT_FOUND, PodflareTestCase

PTY = "pty_" + "cd" * 16
BEGUN = ws_text(pty=PTY, pid=42)
BYE = ws_frame(8, (1000).to_bytes(2, "big"))


def ended(code: int, **more: object) -> bytes:
    return ws_text(exit={"code": code, **more}) + BYE


class PtyCase(PodflareTestCase):
    def sandbox(self, frames) -> Sandbox:
        """A sandbox on a server that opens a terminal, then does what `frames(request)` yields."""

        def script(request: Request):
            yield upgraded(request)
            yield from frames(request)

        self.server = self.serve(script)
        return Sandbox(client=self.client_of(self.server), traceparent="00-a-b-01")

    def says(self, *pieces: bytes) -> Sandbox:
        return self.sandbox(lambda request: pieces)


class PtyTest(PtyCase):
    def test_output_is_iterated_over_and_the_exit_code_comes_last(self) -> None:
        sb = self.says(BEGUN, ws_frame(2, b"a\r\n"), ws_frame(2, b"\xff"), ended(3))
        terminal = sb.pty.create("ls", 100, 30, cwd="/tmp")
        self.assertEqual((terminal.id, terminal.pid), (PTY, 42))
        self.assertEqual(b"".join(terminal), b"a\r\n\xff")
        self.assertEqual((terminal.wait(), terminal.exit_code, terminal.reason), (3, 3, None))
        request = self.server.requests[-1]
        self.assertEqual(
            request.target, f"/v1/sandboxes/{sb.id}/pty?cmd=ls&cols=100&rows=30&cwd=/tmp"
        )
        self.assertEqual(request.headers["authorization"], "Bearer pf_live_test")
        self.assertEqual(request.headers["sec-websocket-version"], "13")
        self.assertEqual(request.headers["traceparent"], "00-a-b-01")

    def test_output_goes_to_the_callback_and_wait_waits_for_the_last_byte(self) -> None:
        seen: list[bytes] = []
        sb = self.says(BEGUN, ws_frame(2, b"a"), ws_frame(2, b"b"), ended(0))
        self.assertEqual(sb.pty.create("x", on_data=seen.append).wait(60), 0)
        self.assertEqual(b"".join(seen), b"ab")

    def test_an_exception_of_the_callback_is_raised_by_wait(self) -> None:
        def fail(data: bytes) -> None:
            raise KeyError(data)

        sb = self.says(BEGUN, ws_frame(2, b"a"), ended(0))
        terminal = sb.pty.create("x", on_data=fail)
        with self.assertRaises(KeyError):
            terminal.wait(60)
        terminal.close()

    def test_what_is_typed_resized_signalled_and_killed_arrives(self) -> None:
        heard: list[object] = []

        def frames(request: Request):
            yield BEGUN
            while True:
                code, payload = ws_read(request.incoming)
                heard.append(payload if code == 2 else json.loads(payload))
                if heard[-1] == {"kill": True}:
                    break
            yield ended(137)

        sb = self.sandbox(frames)
        terminal = sb.pty.create()
        terminal.send_input("grüße\n")
        sb.pty.send_input(terminal.id, b"\x03")
        sb.pty.resize(terminal, 132, 43)
        terminal.signal("SIGINT")
        terminal.send_input(b"x" * 200_000)
        terminal.kill()
        self.assertEqual(sb.pty.wait(terminal.id, 60), 137)
        typed = b"".join(one for one in heard if isinstance(one, bytes))
        self.assertEqual(typed, "grüße\n".encode() + b"\x03" + b"x" * 200_000)
        self.assertTrue(all(len(one) <= 65536 for one in heard if isinstance(one, bytes)))
        self.assertEqual(
            [one for one in heard if isinstance(one, dict)],
            [{"resize": {"cols": 132, "rows": 43}}, {"signal": "SIGINT"}, {"kill": True}],
        )
        terminal.kill()  # Harmless by now.

    def test_pings_are_answered_and_fragments_put_together(self) -> None:
        pongs: list[tuple[int, bytes]] = []

        def frames(request: Request):
            yield BEGUN + ws_frame(9, b"are you there")
            pongs.append(ws_read(request.incoming))
            yield ws_frame(2, b"one", final=False)
            yield ws_frame(9, b"")
            yield ws_frame(0, b"two", final=False)
            yield ws_frame(0, b"three")
            yield ended(0)

        sb = self.sandbox(frames)
        self.assertEqual(b"".join(sb.pty.create()), b"onetwothree")
        self.assertEqual(pongs, [(10, b"are you there")])

    def test_frames_may_arrive_in_any_pieces(self) -> None:
        def frames(request: Request):
            for byte in BEGUN + ws_frame(2, b"b" * 300) + ended(5):
                yield bytes((byte,))

        terminal = self.sandbox(frames).pty.create()
        self.assertEqual(b"".join(terminal), b"b" * 300)
        self.assertEqual(terminal.wait(), 5)

    def test_attaching_names_the_terminal_and_gets_the_replay(self) -> None:
        sb = self.says(BEGUN, ws_frame(2, b"before"), ended(0))
        with sb.pty.attach(PTY) as terminal:
            self.assertEqual(terminal.read(), b"before")
        self.assertTrue(self.server.targets()[-1].endswith(f"/pty?pty={PTY}"))

    def test_detaching_says_goodbye_and_leaves_the_terminal_running(self) -> None:
        said: list[tuple[int, bytes]] = []
        heard = threading.Event()

        def frames(request: Request):
            yield BEGUN
            said.append(ws_read(request.incoming))
            heard.set()

        terminal = self.sandbox(frames).pty.create(on_data=lambda data: None)
        terminal.close()
        terminal.close()
        self.assertTrue(heard.wait(60))
        self.assertEqual(said, [(8, b"\x03\xe8")])
        for call in (lambda: terminal.send_input("x"), lambda: terminal.wait(60)):
            with self.assertRaises(ConnectionError) as caught:
                call()
            self.assertEqual(caught.exception.code, "pty_detached")

    def test_a_terminal_that_another_program_takes_over_is_a_conflict(self) -> None:
        taken = ws_frame(8, (4001).to_bytes(2, "big"))
        terminal = self.says(BEGUN, ws_frame(2, b"mine"), taken).pty.create()
        self.assertEqual(terminal.read(), b"mine")
        with self.assertRaises(ConflictError) as caught:
            terminal.read()
        self.assertEqual(caught.exception.code, "pty_taken_over")

    def test_a_connection_that_breaks_says_that_the_terminal_goes_on(self) -> None:
        terminal = self.says(BEGUN, CLOSE).pty.create()
        with self.assertRaises(ConnectionError) as caught:
            terminal.wait()
        self.assertEqual(caught.exception.code, "pty_broken")
        self.assertIn("attach", str(caught.exception))

    def test_the_end_of_the_machine_is_an_exit_with_its_reason(self) -> None:
        terminal = self.says(BEGUN, ended(137, reason="killed")).pty.create()
        self.assertEqual((terminal.wait(), terminal.reason), (137, "killed"))

    def test_waiting_has_a_limit_and_a_timeout_kills(self) -> None:
        def frames(request: Request):
            yield BEGUN
            while ws_read(request.incoming)[1] != b'{"kill": true}':
                pass
            yield ended(137)

        sb = self.sandbox(frames)
        for on_data in (None, lambda data: None):
            terminal = sb.pty.create(on_data=on_data)
            with self.assertRaises(TimeoutError):
                terminal.wait(0.05)
            terminal.kill()
            self.assertEqual(terminal.wait(60), 137)
        self.assertEqual(sb.pty.create(timeout_ms=30).wait(60), 137)

    def test_refusals_are_the_errors_of_every_call(self) -> None:
        unauthorized = json_answer({"error": "invalid api key"}, 401)
        body = b'{"error": "sandbox not found", "code": "sandbox_not_found"}'
        chunked = [
            b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n",
            chunk(body[:9]) + chunk(body[9:]),
            b"0\r\n\r\n",
        ]
        for pieces, kind in (
            (NOT_FOUND, NotFoundError),
            (unauthorized, AuthenticationError),
            (chunked, NotFoundError),
            (answer(200, b"hello", "text/plain"), ServerError),
            (json_answer({"error": "too many", "code": "x"}, 409), ConflictError),
            ([CLOSE], ConnectionError),
            ([b"SSH-2.0-OpenSSH\r\n\r\n"], ServerError),
        ):
            with self.subTest(kind), self.assertRaises(kind):
                server = self.serve(lambda request, pieces=pieces: pieces)
                Sandbox(client=self.client_of(server)).pty.create()

    def test_an_answer_that_proves_nothing_and_frames_that_are_none_are_refused(self) -> None:
        server = self.serve(lambda request: [upgraded(request, "another key")])
        with self.assertRaises(ServerError):
            Sandbox(client=self.client_of(server)).pty.create()
        for nonsense in (
            ws_frame(2, b"")[:1] + b"\x7f" + (1 << 40).to_bytes(8, "big"),  # Too large.
            b"\xc2\x00",  # An extension.
            b"\x82\x81\0\0\0\0x",  # Masked.
            ws_frame(0, b"x"),  # Goes on with what never began.
            ws_frame(3, b"x"),  # Of no kind.
            ws_frame(9, b"x" * 126),
            ws_frame(1, b"{oops"),
            ws_frame(1, b"[1]"),
            ws_frame(2, b"x", final=False) + ws_frame(2, b"x"),
        ):
            with self.subTest(nonsense[:20]), self.assertRaises(ServerError):
                with self.says(BEGUN, nonsense).pty.create() as terminal:
                    terminal.read()

    def test_list_and_kill_are_calls_of_their_own(self) -> None:
        def script(request: Request):
            if request.target.endswith("/ptys"):
                return json_answer({"ptys": [{"id": PTY, "attached": False}]})
            return answer(204)

        server = self.serve(script)
        sb = Sandbox(client=self.client_of(server))
        self.assertEqual([one.id for one in sb.pty.list()], [PTY])
        sb.pty.kill(PTY)
        self.assertEqual(server.targets()[-1], f"DELETE /v1/sandboxes/{sb.id}/ptys/{PTY}")
        with self.assertRaises(InvalidRequestError):
            sb.pty.send_input(PTY, "x")


class FramesTest(unittest.TestCase):
    def test_a_frame_of_any_size_is_masked_and_readable(self) -> None:
        import io

        for size in (0, 1, 125, 126, 65535, 65536, 70_000):
            with self.subTest(size):
                payload = bytes(at % 251 for at in range(size))
                self.assertEqual(ws_read(io.BytesIO(frame(2, payload))), (2, payload))

    def test_a_message_of_many_fragments_is_bounded(self) -> None:
        frames = Frames()
        frames.feed(ws_frame(2, b"x" * (3 << 20), final=False))
        with self.assertRaises(ServerError):
            frames.feed(ws_frame(0, b"x" * (2 << 20)))


class AsyncPtyTest(PtyCase):
    def use(self, frames, use, **options):
        self.sandbox(frames)

        async def main():
            async with AsyncClient(self.server.host, "pf_live_test") as client:
                return await use(await AsyncSandbox.create(client=client))

        return asyncio.run(main())

    def test_it_is_iterated_over(self) -> None:
        async def use(sb):
            terminal = await sb.pty.create("ls")
            seen = [data async for data in terminal]
            return b"".join(seen), await terminal.wait()

        frames = lambda request: [BEGUN, ws_frame(2, b"a"), ws_frame(2, b"b"), ended(4)]
        self.assertEqual(self.use(frames, use), (b"ab", 4))

    def test_callbacks_may_be_coroutines_and_all_that_is_said_arrives(self) -> None:
        heard: list[bytes] = []
        seen: list[bytes] = []

        def frames(request: Request):
            yield BEGUN + ws_frame(9, b"?")
            while not heard or heard[-1] != b'{"kill": true}':
                heard.append(ws_read(request.incoming)[1])
            yield ws_frame(2, b"bye") + ended(137)

        async def on_data(data: bytes) -> None:
            await asyncio.sleep(0)
            seen.append(data)

        async def use(sb):
            terminal = await sb.pty.create(on_data=on_data)
            with self.assertRaises(TimeoutError):
                await terminal.wait(0.05)
            await terminal.send_input("hi")
            await sb.pty.resize(terminal.id, 9, 8)
            await terminal.kill()
            return await sb.pty.wait(terminal, 60)

        self.assertEqual(self.use(frames, use), 137)
        self.assertEqual(seen, [b"bye"])
        self.assertEqual(
            sorted(heard), sorted([b"?", b"hi", b'{"resize": {"cols": 9, "rows": 8}}', b'{"kill": true}'])
        )

    def test_failures_are_those_of_the_synchronous_one(self) -> None:
        async def waits(sb):
            terminal = await sb.pty.create()
            await terminal.wait()

        for frames, kind in (
            ([BEGUN, CLOSE], ConnectionError),
            ([BEGUN, ws_frame(8, (4001).to_bytes(2, "big"))], ConflictError),
            ([CLOSE], ConnectionError),
            ([ws_frame(3, b"")], ServerError),
        ):
            with self.subTest(kind), self.assertRaises(kind):
                self.use(lambda request, frames=frames: frames, waits)

    def test_a_timeout_kills(self) -> None:
        def frames(request: Request):
            yield BEGUN
            ws_read(request.incoming)
            yield ended(137)

        async def use(sb):
            return await (await sb.pty.create(timeout_ms=20)).wait(60)

        self.assertEqual(self.use(frames, use), 137)


if __name__ == "__main__":
    unittest.main()

"""Execs by their id: detach, attach, list, and streams that go on after a break."""

from __future__ import annotations

import asyncio
import re
import unittest
from unittest import mock

from podflare import AsyncClient, AsyncSandbox, ConnectionError, InvalidRequestError, Sandbox

from .scripted_server import (
    CLOSE,
    CREATED,
    STREAM_END,
    STREAM_HEAD,
    answer,
    chunk,
    events,
    exit_line,
    json_answer,
    line,
    stream_head,
)
from .support import NOT_FOUND, PodflareTestCase

EXEC = "exe_" + "ab" * 16
HEAD = stream_head(X_Exec_Id=EXEC)
INFO = {"id": EXEC, "state": "running", "code": "x", "events": 3, "first_seq": 0}


def at(seq: int, text: str) -> bytes:
    return line("stdout", text, seq)


def end(seq: int) -> bytes:
    return exit_line(0, seq=seq)


class ExecsCase(PodflareTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("podflare.stream.RETRY_PAUSES", "podflare.aio.execs.RETRY_PAUSES"):
            self.enterContext310(mock.patch(name, (0.0, 0.0, 0.01)))

    def answers(self, *answers) -> None:
        """A server that gives these answers in turn, for all but the life cycle."""
        left = list(answers)
        self.server = self.serve(lambda request: left.pop(0))

    def both(self, use, *answers):
        """What `use` makes of a sandbox, which must be the same for both clients."""
        self.answers(*answers)
        outcomes = [_outcome(lambda: use(Sandbox(client=self.client_of(self.server))))]
        targets = self.server.targets()
        self.answers(*answers)

        async def main():
            async with AsyncClient(self.server.host, "pf_live_test") as client:
                outcome = use(await AsyncSandbox.create(client=client))
                return await outcome if hasattr(outcome, "__await__") else outcome

        outcomes.append(_outcome(lambda: asyncio.run(main())))
        same = [re.sub(r"Async|http://[^ ]*|: the answer.*?;", "", str(one)) for one in outcomes]
        self.assertEqual(same[0], same[1])
        self.assertEqual(self.server.targets(), targets)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]


def _outcome(use):
    try:
        return use()
    except Exception as failure:
        return failure


class ResumeTest(ExecsCase):
    def test_a_stream_that_breaks_goes_on_where_it_was(self) -> None:
        result = self.both(
            lambda sb: sb.run_code("x"),
            [HEAD, chunk(at(0, "a")), chunk(at(1, "b")), CLOSE],
            [STREAM_HEAD, chunk(at(2, "c") + end(3)), STREAM_END],
        )
        self.assertEqual((result.stdout, result.exit_code), ("abc", 0))
        resumed = self.server.requests[-1]
        self.assertEqual(resumed.method, "GET")
        self.assertTrue(resumed.target.endswith(f"/execs/{EXEC}/stream?from=2"), resumed.target)

    def test_half_an_event_is_told_once_and_whole(self) -> None:
        result = self.both(
            lambda sb: sb.run_code("x"),
            [HEAD, chunk(at(0, "a") + at(1, "bcdef")[:30]), CLOSE],
            [STREAM_HEAD, chunk(at(1, "bcdef") + end(2)), STREAM_END],
        )
        self.assertEqual(result.stdout, "abcdef")

    def test_events_of_unknown_types_count_too(self) -> None:
        self.both(
            lambda sb: sb.run_code("x"),
            [HEAD, chunk(line("hologram", 1, 0) + line("hologram", 1, 1)), CLOSE],
            [STREAM_HEAD, chunk(end(2)), STREAM_END],
        )
        self.assertTrue(self.server.requests[-1].target.endswith("?from=2"))

    def test_it_goes_on_after_many_breaks_as_long_as_something_comes(self) -> None:
        breaks = [[STREAM_HEAD, chunk(at(n, str(n))), CLOSE] for n in range(1, 9)]
        result = self.both(
            lambda sb: sb.run_code("x"),
            [HEAD, chunk(at(0, "0")), CLOSE],
            *breaks,
            [STREAM_HEAD, chunk(end(9)), STREAM_END],
        )
        self.assertEqual(result.stdout, "012345678")

    def test_a_server_that_is_not_back_yet_is_asked_again(self) -> None:
        busy = json_answer({"error": "shutting down", "code": "shutting_down"}, 503)
        result = self.both(
            lambda sb: sb.run_code("x"),
            [HEAD, chunk(at(0, "a")), CLOSE],
            busy,
            [CLOSE],
            [CLOSE],  # A repeatable call on a connection that was kept may be sent once more.
            [STREAM_HEAD, chunk(end(1)), STREAM_END],
        )
        self.assertEqual(result.exit_code, 0)

    def test_one_that_never_goes_on_leaves_the_outcome_unknown(self) -> None:
        with self.assertRaises(ConnectionError) as caught:
            self.both(
                lambda sb: sb.run_code("x"),
                [HEAD, chunk(at(0, "a")), CLOSE],
                *[[STREAM_HEAD, CLOSE] for _ in range(6)],
            )
        self.assertEqual(caught.exception.code, "outcome_unknown")

    def test_one_that_the_server_has_forgotten_leaves_the_outcome_unknown(self) -> None:
        with self.assertRaises(ConnectionError) as caught:
            self.both(lambda sb: sb.run_code("x"), [HEAD, chunk(at(0, "a")), CLOSE], NOT_FOUND)
        self.assertEqual(caught.exception.code, "outcome_unknown")

    def test_lost_output_is_said_in_stderr_and_is_an_event(self) -> None:
        gap = line("gap", {"from": 1, "to": 4}, 1)
        pieces = [STREAM_HEAD, chunk(gap + at(5, "f") + end(6)), STREAM_END]
        result = self.both(
            lambda sb: sb.run_code("x"), [HEAD, chunk(at(0, "a")), CLOSE], pieces
        )
        self.assertEqual(result.stdout, "af")
        self.assertIn("4 events of the output are no longer kept", result.stderr)
        self.answers(pieces)
        sb = Sandbox(client=self.client_of(self.server))
        first, *_ = sb.attach(EXEC, 1)
        self.assertEqual((first.type, first.data), ("gap", {"from": 1, "to": 4}))

    def test_the_stream_tells_its_execs_id(self) -> None:
        self.answers([HEAD, chunk(end(0)), STREAM_END], events(exit_line()))
        sb = Sandbox(client=self.client_of(self.server))
        with sb.run_code_stream("x") as stream:
            self.assertEqual(stream.exec_id, EXEC)
        with sb.run_code_stream("x") as stream:
            self.assertIsNone(stream.exec_id)


class DetachTest(ExecsCase):
    def test_detached_code_is_found_by_its_id(self) -> None:
        job = self.both(lambda sb: sb.detach("x", timeout=5), json_answer({"exec": EXEC}, 202))
        self.assertEqual(job.id, EXEC)
        self.assertEqual(
            self.server.requests[-1].json,
            {"code": "x", "language": "python", "timeout_seconds": 5, "detach": True},
        )

    def test_a_background_command_is_bash_beside_everything(self) -> None:
        self.both(lambda sb: sb.run_background("serve", cwd="/tmp"), json_answer({"exec": EXEC}))
        self.assertEqual(
            self.server.requests[-1].json,
            {
                "code": "serve",
                "language": "bash",
                "cwd": "/tmp",
                "detach": True,
                "background": True,
            },
        )

    def test_waiting_gathers_all_events_and_calls_back(self) -> None:
        seen: list[str] = []
        result = self.both(
            lambda sb: sb.exec(EXEC).wait(on_stdout=seen.append),
            events(at(0, "a"), at(1, "b"), end(2)),
        )
        self.assertEqual((result.stdout, seen), ("ab", ["a", "b"] * 2))
        self.assertTrue(self.server.targets()[-1].endswith(f"/execs/{EXEC}/stream"))

    def test_a_replay_begins_where_it_is_asked_to_and_resumes_from_there(self) -> None:
        self.answers(
            [STREAM_HEAD, CLOSE],
            events(at(7, "h"), end(8)),
        )
        sb = Sandbox(client=self.client_of(self.server))
        self.assertEqual([event.seq for event in sb.attach(EXEC, 7)], [7, 8])
        self.assertEqual(
            [request.target.split("?")[1] for request in self.server.requests[1:]],
            ["from=7", "from=7"],
        )

    def test_info_list_and_interrupt(self) -> None:
        info = self.both(lambda sb: sb.exec(EXEC).info(), json_answer(INFO))
        self.assertEqual((info.state, info.events), ("running", 3))
        self.assertEqual(
            [one.id for one in self.both(lambda sb: sb.execs(), json_answer({"execs": [INFO]}))],
            [EXEC],
        )
        self.both(lambda sb: sb.exec(EXEC).interrupt(), answer(204))
        self.assertTrue(self.server.targets()[-1].endswith(f"/execs/{EXEC}/interrupt"))


class IdempotencyTest(PodflareTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("podflare.client.RETRY_PAUSES", "podflare.aio.client.RETRY_PAUSES"):
            self.enterContext310(mock.patch(name, (0.0, 0.0)))

    def keys(self, server) -> list[str]:
        return [request.headers.get("idempotency-key", "") for request in server.requests]

    def server_that_fails_first(self, times: int, then):
        count = [0]

        def script(request):
            count[0] += 1
            return [CLOSE] if count[0] <= times else then

        server = self.serve(lambda request: [])
        server.script = script
        return server

    def test_a_creation_whose_connection_breaks_is_sent_again_under_the_same_key(self) -> None:
        server = self.server_that_fails_first(2, CREATED)
        Sandbox(client=self.client_of(server))
        keys = self.keys(server)
        self.assertEqual((len(keys), len(set(keys))), (3, 1))
        self.assertRegex(keys[0], r"^[0-9a-f]{32}$")

        server = self.server_that_fails_first(2, CREATED)

        async def main() -> None:
            async with AsyncClient(server.host, "pf_live_test") as client:
                await AsyncSandbox.create(client=client)

        asyncio.run(main())
        self.assertEqual(len(set(self.keys(server))), 1)

    def test_an_answer_that_is_cut_off_counts_as_a_break(self) -> None:
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
        answers = [[cut, CLOSE], CREATED]
        server = self.serve(lambda request: [])
        server.script = lambda request: answers.pop(0)
        Sandbox(client=self.client_of(server))
        self.assertEqual(len(server.requests), 2)

    def test_a_refusal_is_not_tried_again(self) -> None:
        server = self.serve(lambda request: [])
        server.script = lambda request: json_answer({"error": "no room"}, 503)
        with self.assertRaises(Exception):
            Sandbox(client=self.client_of(server))
        self.assertEqual(len(server.requests), 1)

    def test_after_the_last_try_the_first_failure_is_told(self) -> None:
        server = self.server_that_fails_first(99, CREATED)
        with self.assertRaises(ConnectionError) as caught:
            Sandbox(client=self.client_of(server))
        self.assertEqual(caught.exception.code, "outcome_unknown")
        self.assertEqual(len(server.requests), 3)

    def test_forks_and_resumes_have_a_key_and_running_code_has_none(self) -> None:
        def script(request):
            if request.target.endswith("/fork"):
                return json_answer({"children": ["sbx_c"]})
            if request.target.endswith("/freeze"):
                return json_answer({"space": "spc_1"})
            if request.target.endswith("/resume"):
                return CREATED
            return events(exit_line())

        server = self.serve(script)
        sb = Sandbox(client=self.client_of(server), idempotency_key="mine-1")
        sb.run_code("x")
        sb.fork(2, idempotency_key="mine-2")
        sb.fork()
        space = sb.freeze()
        space.resume(idempotency_key="mine-3")
        space.resume()
        create, run, fork, other, freeze, resume, again = self.keys(server)
        self.assertEqual((create, run, fork, freeze, resume), ("mine-1", "", "mine-2", "", "mine-3"))
        self.assertNotEqual(other, again)
        self.assertTrue(other and again)

    def test_a_key_that_can_be_no_header_is_refused_before_anything_is_sent(self) -> None:
        server = self.serve(lambda request: [])
        client = self.client_of(server)
        for bad in ("", "a b", "ü", "a\r\nX: y", "k" * 256):
            with self.subTest(bad), self.assertRaises(InvalidRequestError):
                Sandbox(client=client, idempotency_key=bad)
        self.assertEqual(server.requests, [])


if __name__ == "__main__":
    unittest.main()

"""Execs by their id: detach, attach, list, and streams that go on after a break."""

from __future__ import annotations

import asyncio
import re
import threading
import time
import unittest
from unittest import mock

from podflare import AsyncClient, AsyncSandbox, ConnectionError, InvalidRequestError, Sandbox

from .scripted_server import (
    CLOSE,
    CREATED,
    SANDBOX_ID,
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
        """A server that gives these answers in turn, for all but the life cycle; one that is not
        known beforehand is a function."""
        left = list(answers)

        def script(request):
            next_one = left.pop(0)
            return next_one() if callable(next_one) else next_one

        self.server = self.serve(script)

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
        self.answers([HEAD, chunk(end(0)), STREAM_END], answer(204), events(exit_line()))
        sb = Sandbox(client=self.client_of(self.server))
        with sb.run_code_stream("x") as stream:
            self.assertEqual(stream.exec_id, EXEC)
        with sb.run_code_stream("x") as stream:
            self.assertIsNone(stream.exec_id)


INTERRUPT = f"POST /v1/sandboxes/{SANDBOX_ID}/execs/{EXEC}/interrupt"


class LeavingTest(ExecsCase):
    """A call that is left early takes its code along, unless it was to be left running."""

    def setUp(self) -> None:
        super().setUp()
        self.interrupted = threading.Event()

        def script(request):
            if request.target.endswith("/interrupt"):
                self.interrupted.set()
                return answer(204)
            return self.running()

        self.server = self.serve(script)

    def running(self):
        """An exec that has said something and says nothing more."""
        yield HEAD
        yield chunk(at(0, "a"))
        self.assertTrue(self.interrupted.wait(60))
        yield chunk(exit_line(130, seq=1, reason="interrupted"))
        yield STREAM_END

    def sandbox(self) -> Sandbox:
        return Sandbox(client=self.client_of(self.server))

    def in_async(self, use) -> None:
        async def main():
            async with AsyncClient(self.server.host, "pf_live_test") as client:
                await use(await AsyncSandbox.create(client=client))

        asyncio.run(main())

    def assert_interrupted_once(self) -> None:
        self.assertTrue(self.interrupted.wait(60))
        self.assertEqual(self.server.targets().count(INTERRUPT), 1)

    def test_a_callback_that_raises(self) -> None:
        for failure in (KeyError, KeyboardInterrupt):
            self.interrupted.clear()
            self.server.requests.clear()
            with self.subTest(failure), self.assertRaises(failure):
                self.sandbox().run_code("x", on_stdout=mock.Mock(side_effect=failure))
            self.assert_interrupted_once()

    def test_a_stream_that_is_closed_or_only_dropped(self) -> None:
        with self.sandbox().run_code_stream("x") as events:
            next(events)
        self.assert_interrupted_once()
        self.interrupted.clear()
        self.server.requests.clear()
        for _ in self.sandbox().run_code_stream("x"):
            break
        self.assert_interrupted_once()

    def test_a_task_that_is_cancelled(self) -> None:
        async def use(sb):
            began = asyncio.Event()

            async def note(text):
                began.set()

            call = asyncio.ensure_future(sb.run_code("x", on_stdout=note))
            await began.wait()
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call

        self.in_async(use)
        self.assert_interrupted_once()

    def test_a_time_out_around_the_call(self) -> None:
        async def use(sb):
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(sb.run_code("x"), 0.2)

        self.in_async(use)
        self.assert_interrupted_once()

    def test_a_task_that_is_cancelled_before_the_answer_has_begun(self) -> None:
        asked, go_on = threading.Event(), threading.Event()

        def late():
            asked.set()
            go_on.wait(60)
            yield from LeavingTest.running(self)

        self.running = late

        async def use(sb):
            call = asyncio.ensure_future(sb.run_code("x"))
            await asyncio.get_running_loop().run_in_executor(None, asked.wait, 60)
            call.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with self.assertRaises(asyncio.CancelledError):
                await call

        self.in_async(use)
        self.assert_interrupted_once()

    def test_a_callback_of_a_task_that_raises_and_a_generator_that_is_closed(self) -> None:
        async def fail(sb):
            with self.assertRaises(KeyError):
                await sb.run_code("x", on_stdout=mock.Mock(side_effect=KeyError))

        async def leave(sb):
            events = sb.run_code_stream("x")
            await events.__anext__()
            await events.aclose()

        for use in (fail, leave):
            self.interrupted.clear()
            self.server.requests.clear()
            with self.subTest(use.__name__):
                self.in_async(use)
                self.assert_interrupted_once()

    def test_a_server_that_does_not_answer_the_interrupt_keeps_nobody_for_long(self) -> None:
        never = threading.Event()

        def script(request):
            if request.target.endswith("/interrupt"):
                never.wait(60)
                return answer(204)
            return self.running()

        async def leave(sb):
            with self.assertRaises(KeyError):
                await sb.run_code("x", on_stdout=mock.Mock(side_effect=KeyError))

        self.server = self.serve(script)
        self.addCleanup(self.interrupted.set)  # After it, so that it is done before its end.
        self.addCleanup(never.set)
        for name in ("podflare.stream", "podflare.aio.execs"):
            self.enterContext310(mock.patch(f"{name}.INTERRUPT_SECONDS", 0.2))
        began = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            self.sandbox().run_code("x", on_stdout=mock.Mock(side_effect=KeyboardInterrupt))
        self.in_async(leave)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(self.server.targets().count(INTERRUPT), 2)

    def test_code_that_was_to_be_left_running_is(self) -> None:
        async def leave(sb):
            events = sb.run_code_stream("x", detach=True)
            await events.__anext__()
            await events.aclose()
            attached = sb.attach(EXEC)
            await attached.__anext__()
            await attached.aclose()

        with self.assertRaises(KeyError):
            self.sandbox().run_code("x", on_stdout=mock.Mock(side_effect=KeyError), detach=True)
        with self.sandbox().attach(EXEC) as events:
            next(events)
        self.in_async(leave)
        self.assertNotIn(INTERRUPT, self.server.targets())
        self.interrupted.set()

    def test_a_stream_that_another_thread_closes_says_so_to_its_reader(self) -> None:
        events = self.sandbox().run_code_stream("x")
        next(events)
        closing = threading.Timer(0.1, events.close)
        closing.start()
        with self.assertRaises(ConnectionError) as caught:
            next(events)
        self.assertEqual(caught.exception.code, "closed")
        closing.join()
        self.assert_interrupted_once()

    def test_a_client_that_another_task_closes_says_so(self) -> None:
        async def use(sb):
            events = sb.run_code_stream("x")
            await events.__anext__()
            await sb._client.close()
            with self.assertRaises(ConnectionError) as caught:
                await events.__anext__()
            self.assertEqual(caught.exception.code, "closed")

        self.in_async(use)
        self.interrupted.set()


class SilenceTest(ExecsCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("podflare.stream.SILENCE_SECONDS", "podflare.aio.execs.SILENCE_SECONDS"):
            self.enterContext310(mock.patch(name, 0.5))

    def test_a_heartbeat_keeps_a_silent_stream(self) -> None:
        def beating():
            yield HEAD
            yield chunk(b" ")
            for _ in range(8):
                time.sleep(0.1)
                yield chunk(b"\n")
            yield chunk(end(0))
            yield STREAM_END

        self.assertEqual(self.both(lambda sb: sb.run_code("x"), beating).exit_code, 0)
        self.assertEqual(len([one for one in self.server.targets() if "/exec" in one]), 1)

    def test_a_peer_that_is_dead_without_a_word_is_left_for_another_connection(self) -> None:
        done = threading.Event()
        self.addCleanup(done.set)

        def dead():
            yield HEAD
            yield chunk(at(0, "a"))
            done.wait(2)

        result = self.both(
            lambda sb: sb.run_code("x"), dead, [STREAM_HEAD, chunk(end(1)), STREAM_END]
        )
        self.assertEqual((result.stdout, result.exit_code), ("a", 0))

    def test_a_relay_that_cuts_every_silence_does_not_end_code_that_runs(self) -> None:
        cut = [STREAM_HEAD, CLOSE]
        result = self.both(
            lambda sb: sb.run_code("x"),
            [HEAD, CLOSE],
            *[cut] * 3,
            json_answer({**INFO, "state": "running"}),
            cut,
            json_answer({**INFO, "state": "running"}),
            [STREAM_HEAD, chunk(at(0, "done") + end(1)), STREAM_END],
        )
        self.assertEqual(result.stdout, "done")

    def test_a_relay_that_cuts_and_code_that_is_gone_leaves_the_outcome_unknown(self) -> None:
        with self.assertRaises(ConnectionError) as caught:
            self.both(
                lambda sb: sb.run_code("x"),
                [HEAD, CLOSE],
                *[[STREAM_HEAD, CLOSE]] * 3,
                json_answer({**INFO, "state": "ended"}),
            )
        self.assertEqual(caught.exception.code, "outcome_unknown")


class WaitingTest(ExecsCase):
    def test_a_call_that_waits_says_behind_what(self) -> None:
        waiting = line("waiting", {"behind": EXEC}, 0)
        result = self.both(lambda sb: sb.run_code("x"), events(waiting, at(1, "a"), end(2)))
        self.assertEqual((result.stdout, result.exit_code), ("a", 0))
        self.answers(events(waiting, end(1)))
        first, last = Sandbox(client=self.client_of(self.server)).run_code_stream("x")
        self.assertEqual((first.type, first.data), ("waiting", {"behind": EXEC}))
        self.assertEqual(last.type, "exit")

    def test_what_is_no_id_of_an_exec_is_refused_before_it_looks_as_if_it_ran(self) -> None:
        with self.assertRaises(InvalidRequestError) as caught:
            self.both(lambda sb: sb.exec("ls -la"))
        self.assertIn("run_code", str(caught.exception))
        with self.assertRaises(InvalidRequestError):
            self.both(lambda sb: sb.execs.get("exe_1"))
        self.assertEqual(self.both(lambda sb: sb.execs.get(EXEC)).id, EXEC)


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

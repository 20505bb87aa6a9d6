"""run_code and run_code_stream."""

from __future__ import annotations

import threading
import time
import unittest

from podflare import (
    ConnectionError,
    ExecResult,
    NotFoundError,
    PodflareError,
    Sandbox,
    ServerError,
)

from .scripted_server import (
    CLOSE,
    STREAM_END,
    STREAM_HEAD,
    answer,
    chunk,
    events,
    exit_line,
    line,
)
from .support import NOT_FOUND, PodflareTestCase


class ExecTest(PodflareTestCase):
    def sandbox_that_answers(self, pieces) -> Sandbox:
        self.server = self.serve(lambda request: pieces)
        return Sandbox(client=self.client_of(self.server))

    def test_the_result_has_all_output_and_the_exit_code(self) -> None:
        sb = self.sandbox_that_answers(
            events(
                line("stdout", "4", 0),
                line("stderr", "careful\n", 1),
                line("stdout", "2\n", 2),
                exit_line(0, duration_ms=7),
            )
        )
        result = sb.run_code("print(42)")
        self.assertIsInstance(result, ExecResult)
        self.assertEqual((result.stdout, result.stderr), ("42\n", "careful\n"))
        self.assertEqual((result.exit_code, result.reason, result.state_kept), (0, "ok", True))
        self.assertEqual(result.duration_ms, 7)
        self.assertEqual((result.result, result.results, result.error), (None, [], None))

    def test_the_request_has_code_and_language_and_only_what_was_asked_for(self) -> None:
        sb = self.sandbox_that_answers(events(exit_line()))
        sb.run_code("ls", language="bash")
        sb.run_code("x", timeout=2.5, env={"A": "b"}, cwd="/tmp")
        plain, full = self.server.requests[1:]
        self.assertEqual(plain.method, "POST")
        self.assertEqual(plain.target, f"/v1/sandboxes/{sb.id}/exec")
        self.assertEqual(plain.json, {"code": "ls", "language": "bash"})
        self.assertEqual(
            full.json,
            {
                "code": "x",
                "language": "python",
                "timeout_seconds": 2.5,
                "env": {"A": "b"},
                "cwd": "/tmp",
            },
        )

    def test_every_shown_value_is_in_results_and_the_last_one_is_the_result(self) -> None:
        figure = {"text/plain": "<Figure>", "image/png": "aWNvbg=="}
        value = {"text/plain": "2"}
        sb = self.sandbox_that_answers(
            events(line("result", figure), line("result", value), exit_line())
        )
        result = sb.run_code("plot(); 1+1")
        self.assertEqual(result.results, [figure, value])
        self.assertEqual(result.result, value)
        self.assertEqual(result.text, "2")
        self.assertIsNone(ExecResult().text)

    def test_an_exception_in_the_code_is_in_the_result_and_is_not_raised(self) -> None:
        error = {"name": "ZeroDivisionError", "value": "division by zero", "traceback": "Trace…"}
        sb = self.sandbox_that_answers(events(line("error", error), exit_line(1)))
        result = sb.run_code("1/0")
        self.assertEqual((result.exit_code, result.reason), (1, "error"))
        self.assertEqual(result.error.name, "ZeroDivisionError")
        self.assertEqual(result.error["value"], "division by zero")

    def test_a_lost_process_is_told(self) -> None:
        sb = self.sandbox_that_answers(
            events(exit_line(137, reason="oom", state_kept=False))
        )
        result = sb.run_code("x")
        self.assertEqual((result.exit_code, result.reason, result.state_kept), (137, "oom", False))

    def test_callbacks_get_the_data_as_it_comes(self) -> None:
        seen = []
        sb = self.sandbox_that_answers(
            events(
                line("stdout", "a"),
                line("stderr", "b"),
                line("result", {"text/plain": "c"}),
                exit_line(),
            )
        )
        sb.run_code(
            "x",
            on_stdout=lambda text: seen.append(("out", text)),
            on_stderr=lambda text: seen.append(("err", text)),
            on_result=lambda value: seen.append(("result", value)),
        )
        self.assertEqual(
            seen, [("out", "a"), ("err", "b"), ("result", {"text/plain": "c"})]
        )

    def test_an_exception_of_a_callback_is_raised_and_the_sandbox_stays_usable(self) -> None:
        sb = self.sandbox_that_answers(events(line("stdout", "a"), exit_line()))

        def fail(text: str) -> None:
            raise KeyError(text)

        with self.assertRaises(KeyError):
            sb.run_code("x", on_stdout=fail)
        self.assertEqual(sb.run_code("x").stdout, "a")

    def test_events_are_yielded_while_the_code_still_runs(self) -> None:
        go_on = threading.Event()

        def pieces():
            yield STREAM_HEAD
            yield chunk(line("stdout", "first", 0))
            self.assertTrue(go_on.wait(60), "the client did not read the first event")
            yield chunk(exit_line(3))
            yield STREAM_END

        server = self.serve(lambda request: pieces())
        stream = Sandbox(client=self.client_of(server)).run_code_stream("x")
        first = next(stream)
        self.assertEqual((first.type, first.data, first.seq), ("stdout", "first", 0))
        self.assertEqual((first.ts, first.code), (1776510028036, None))
        go_on.set()
        (last,) = stream
        self.assertEqual((last.type, last.data, last.code), ("exit", 3, 3))
        self.assertEqual((last.reason, last.state_kept, last.duration_ms), ("error", True, 1))

    def test_unknown_event_types_and_empty_lines_are_ignored(self) -> None:
        sb = self.sandbox_that_answers(
            events(line("hologram", {"x": 1}), b"\n", line("stdout", "a"), exit_line())
        )
        self.assertEqual([e.type for e in sb.run_code_stream("x")], ["stdout", "exit"])
        self.assertEqual(sb.run_code("x").stdout, "a")

    def test_an_event_cut_anywhere_by_the_network_is_put_together_again(self) -> None:
        text = "grüße 🎉 日本"
        data = line("stdout", text) + exit_line()
        pieces = [STREAM_HEAD, *(chunk(bytes([byte])) for byte in data), STREAM_END]
        sb = self.sandbox_that_answers(pieces)
        self.assertEqual(sb.run_code("x").stdout, text)

    def test_many_events_in_one_packet_come_in_order(self) -> None:
        data = b"".join(line("stdout", f"{i},", i) for i in range(1000)) + exit_line()
        sb = self.sandbox_that_answers([STREAM_HEAD + chunk(data) + STREAM_END])
        seqs = [event.seq for event in sb.run_code_stream("x")]
        self.assertEqual(seqs[:-1], list(range(1000)))

    def test_a_large_event_arrives_whole(self) -> None:
        image = "A" * (3 * 1024 * 1024)
        sb = self.sandbox_that_answers(
            events(line("result", {"text/plain": "f", "image/png": image}), exit_line())
        )
        self.assertEqual(sb.run_code("x").result["image/png"], image)

    def test_a_server_that_dies_in_the_middle_leaves_the_outcome_unknown(self) -> None:
        beginnings = {
            "after an event": [STREAM_HEAD, chunk(line("stdout", "a")), CLOSE],
            "inside an event": [STREAM_HEAD, chunk(line("stdout", "a")[:9]), CLOSE],
            "inside a chunk": [STREAM_HEAD, chunk(line("stdout", "a"))[:9], CLOSE],
            "after the headers": [STREAM_HEAD, CLOSE],
            "before the headers": [CLOSE],
            "with a proper end": events(line("stdout", "a")),
        }
        for when, pieces in beginnings.items():
            with self.subTest(when):
                sb = self.sandbox_that_answers(pieces)
                with self.assertRaises(ConnectionError) as caught:
                    sb.run_code("x")
                self.assertEqual(caught.exception.code, "outcome_unknown")
                self.assertIn("unknown", str(caught.exception))

    def test_an_exit_event_counts_even_if_the_connection_breaks_right_after(self) -> None:
        sb = self.sandbox_that_answers([STREAM_HEAD, chunk(exit_line(5)), CLOSE])
        self.assertEqual(sb.run_code("x").exit_code, 5)

    def test_nonsense_in_the_stream_is_a_server_error(self) -> None:
        for nonsense in (
            b"{oops\n",
            b"[1]\n",
            b"\xff\xfe\n",
            line("stdout", 7),
            line("exit", "x"),
            line("result", "x"),
            line("error", ["x"]),
            b"[" * 100_000 + b"\n",
        ):
            with self.subTest(nonsense[:20]):
                sb = self.sandbox_that_answers(events(nonsense, exit_line()))
                with self.assertRaises(ServerError):
                    sb.run_code("x")

    def test_a_refused_exec_is_raised_at_once_by_the_stream_too(self) -> None:
        sb = self.sandbox_that_answers(NOT_FOUND)
        with self.assertRaises(NotFoundError):
            sb.run_code_stream("x")
        with self.assertRaises(NotFoundError):
            sb.run_code("x")

    def test_a_stream_that_is_closed_early_does_not_disturb_the_next_call(self) -> None:
        answer = events(line("stdout", "a"), line("stdout", "b"), exit_line())
        sb = self.sandbox_that_answers(answer)
        with sb.run_code_stream("x") as stream:
            self.assertEqual(next(stream).data, "a")
        self.assertEqual(list(stream), [])
        self.assertEqual(sb.run_code("x").stdout, "ab")

    def test_an_argument_that_is_no_json_is_named_and_nothing_is_sent(self) -> None:
        sb = self.sandbox_that_answers(events(exit_line()))
        for bad in (float("nan"), float("inf"), object()):
            with self.subTest(bad), self.assertRaises(PodflareError):
                sb.run_code("x", timeout=bad)
        self.assertEqual(len(self.server.requests), 1)

    def test_lone_surrogates_in_the_code_are_sent_as_escapes(self) -> None:
        sb = self.sandbox_that_answers(events(exit_line()))
        sb.run_code("print('\ud800')")
        self.assertEqual(self.server.requests[-1].json["code"], "print('\ud800')")

    def test_a_server_that_never_ends_the_stream_does_not_hold_the_caller(self) -> None:
        def pieces():
            yield STREAM_HEAD + chunk(exit_line(4))
            finished.wait(30)
            yield STREAM_END

        finished = threading.Event()
        server = self.serve(lambda request: pieces())
        self.addCleanup(finished.set)
        sb = Sandbox(client=self.client_of(server))
        start = time.monotonic()
        self.assertEqual(sb.run_code("x").exit_code, 4)
        self.assertLess(time.monotonic() - start, 25)

    def test_interrupt_posts_and_answers_nothing(self) -> None:
        sb = self.sandbox_that_answers(answer(204))
        self.assertIsNone(sb.interrupt())
        self.assertEqual(self.server.targets()[-1], f"POST /v1/sandboxes/{sb.id}/interrupt")


if __name__ == "__main__":
    unittest.main()

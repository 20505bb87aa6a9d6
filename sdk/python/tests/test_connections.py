"""Kept-alive connections: when they are used again, and when a call is sent twice."""

from __future__ import annotations

import gc
import os
import socket
import statistics
import threading
import time
import unittest
import warnings

from podflare import Client, ConnectionError, Sandbox

from .scripted_server import (
    CLOSE,
    SANDBOX_ID,
    STREAM_END,
    STREAM_HEAD,
    Request,
    answer,
    chunk,
    events,
    exit_line,
    json_answer,
    line,
)
from .support import PodflareTestCase


class ConnectionsTest(PodflareTestCase):
    def test_one_connection_serves_all_calls_of_a_thread(self) -> None:
        server = self.serve(lambda request: events(line("stdout", "a"), exit_line()))
        with Sandbox(client=self.client_of(server)) as sb:
            for _ in range(10):
                sb.run_code("x")
        self.assertEqual(server.connections, 1)

    def test_an_error_answer_does_not_cost_the_connection(self) -> None:
        server = self.serve(lambda request: json_answer({"error": "no"}, 409))
        sb = Sandbox(client=self.client_of(server))
        for _ in range(3):
            with self.assertRaises(Exception):
                sb.info()
        self.assertEqual(server.connections, 1)

    def test_calls_at_the_same_time_have_a_connection_each_and_do_not_mix_up(self) -> None:
        together = threading.Barrier(8)

        def script(request: Request):
            yield STREAM_HEAD
            yield chunk(line("stdout", request.json["code"]))
            together.wait(90)
            yield chunk(exit_line())
            yield STREAM_END

        server = self.serve(script)
        sb = Sandbox(client=self.client_of(server))
        outputs: dict[str, set[str]] = {}

        def run(name: str) -> None:
            outputs[name] = {sb.run_code(name).stdout for _ in range(20)}

        threads = [threading.Thread(target=run, args=(f"thread {i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(180)
        self.assertEqual(outputs, {f"thread {i}": {f"thread {i}"} for i in range(8)})
        self.assertEqual(server.connections, 8)

    def test_code_is_run_once_although_the_server_closed_the_idle_connection(self) -> None:
        server = self.serve(lambda request: events(line("stdout", "a"), exit_line()))
        sb = Sandbox(client=self.client_of(server))
        server.drop_connections()
        self.assertEqual(sb.run_code("x").stdout, "a")
        self.assertEqual(len(server.requests), 2)
        self.assertEqual(server.connections, 2)

    def test_a_repeatable_call_is_sent_again_when_its_kept_connection_dies(self) -> None:
        def script(request: Request):
            return [CLOSE] if request.connection == 0 else json_answer({"id": SANDBOX_ID})

        server = self.serve(script)
        sb = Sandbox(client=self.client_of(server))
        self.assertEqual(sb.info().id, SANDBOX_ID)
        self.assertEqual([request.connection for request in server.requests], [0, 0, 1])

    def test_an_upload_from_memory_is_sent_again_whole(self) -> None:
        for data in (b"small", b"large" * 100_000):

            def script(request: Request):
                if request.connection == 0:
                    return [CLOSE]
                return json_answer({"path": "f", "size": len(request.body)})

            server = self.serve(script)
            sb = Sandbox(client=self.client_of(server))
            self.assertEqual(sb.upload("f", data), len(data))
            self.assertEqual(server.requests[-1].body, data)

    def test_calls_that_must_not_happen_twice_are_not_sent_again(self) -> None:
        calls = {
            "code": lambda sb: sb.run_code("x"),
            "interrupt": lambda sb: sb.interrupt(),
            "file removal": lambda sb: sb.files.remove("f"),
            "upload of a stream": lambda sb: sb.upload("f", iter([b"a"])),
        }
        for name, call in calls.items():
            with self.subTest(name):
                server = self.serve(lambda request: [CLOSE])
                sb = Sandbox(client=self.client_of(server))
                with self.assertRaises(ConnectionError) as caught:
                    call(sb)
                self.assertEqual(caught.exception.code, "outcome_unknown")
                self.assertEqual(len(server.requests), 2)

    def test_a_call_on_a_new_connection_is_never_sent_again(self) -> None:
        server = self.serve(lambda request: [CLOSE])
        with self.assertRaises(ConnectionError):
            Sandbox.connect(SANDBOX_ID, client=self.client_of(server))
        self.assertEqual(len(server.requests), 1)

    def test_a_second_try_is_the_last(self) -> None:
        server = self.serve(lambda request: [CLOSE])
        sb = Sandbox(client=self.client_of(server))
        with self.assertRaises(ConnectionError):
            sb.info()
        self.assertEqual([request.connection for request in server.requests], [0, 0, 1])

    def test_an_answer_that_began_is_never_asked_for_again(self) -> None:
        beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"
        server = self.serve(lambda request: [beginning, CLOSE])
        sb = Sandbox(client=self.client_of(server))
        with self.assertRaises(ConnectionError) as caught:
            sb.info()
        self.assertEqual(caught.exception.code, "cut_off")
        self.assertEqual(len(server.requests), 2)

    def test_a_connection_that_the_server_wants_closed_is_not_used_again(self) -> None:
        server = self.serve(lambda request: json_answer({"id": "x"}, Connection="close"))
        sb = Sandbox(client=self.client_of(server))
        for _ in range(3):
            sb.info()
        self.assertEqual([r.connection for r in server.requests], [0, 0, 1, 2])

    def test_a_closed_client_goes_on_with_a_new_connection(self) -> None:
        server = self.serve(lambda request: json_answer({"id": "x"}))
        client = self.client_of(server)
        sb = Sandbox(client=client)
        client.close()
        self.assertEqual(sb.info().id, "x")
        self.assertEqual(server.connections, 2)

    def test_a_forked_process_does_not_speak_on_its_parents_connection(self) -> None:
        server = self.serve(lambda request: json_answer({"id": "x"}))
        sb = Sandbox(client=self.client_of(server))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # The server has threads.
            child = os.fork()
        if child == 0:
            os._exit(0 if sb.info().id == "x" else 1)
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)
        self.assertEqual(sb.info().id, "x")
        self.assertEqual([r.connection for r in server.requests], [0, 1, 0])

    def test_a_stream_that_nobody_reads_leaves_no_connection_behind(self) -> None:
        released = threading.Event()

        def script(request: Request):
            yield STREAM_HEAD
            released.wait(20)

        server = self.serve(script)
        self.addCleanup(released.set)
        sb = Sandbox(client=self.client_of(server))
        streams = [sb.run_code_stream("x") for _ in range(5)]
        self.assertEqual(_connections_to(server), 5)
        del streams
        gc.collect()
        # Sandbox creation left one idle connection, which the first stream took and closed.
        self.assertEqual(_connections_to(server), 0)


class SpeedTest(PodflareTestCase):
    def test_head_and_body_of_a_small_request_leave_in_one_send(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            first_packets = []

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    first_packets.append(connection.recv(1 << 20))
                    connection.sendall(json_answer({"id": SANDBOX_ID})[0])
                    first_packets.append(connection.recv(1 << 20))
                    connection.sendall(b"".join(events(exit_line())))

            thread = threading.Thread(target=serve)
            thread.start()
            with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "key") as client:
                code = "x = 1\n" * 1000
                Sandbox(client=client).run_code(code)
            thread.join(10)
        self.assertTrue(first_packets[0].endswith(b"}"), first_packets[0])
        self.assertIn(b'"code"', first_packets[1])
        self.assertTrue(first_packets[1].endswith(b"}"))

    def test_events_in_packets_of_their_own_meet_no_delayed_acknowledgement(self) -> None:
        server = self.serve(lambda request: events(line("stdout", "a"), exit_line()))
        sb = Sandbox(client=self.client_of(server))
        times = [1.0]
        until = time.monotonic() + 60
        while statistics.median(times[-50:]) >= 0.02 and time.monotonic() < until:
            for _ in range(50):
                start = time.perf_counter()
                sb.run_code("1")
                times.append(time.perf_counter() - start)
        # A delayed acknowledgement costs 40 ms in each; a busy machine spoils some rounds.
        self.assertLess(statistics.median(times[-50:]), 0.02)


def _connections_to(server) -> int:
    """How many established connections to the server there are."""
    port = int(server.host.rsplit(":", 1)[1])
    with open("/proc/net/tcp") as table:
        rows = [row.split() for row in list(table)[1:]]
    remote = f"0100007F:{port:04X}"
    return sum(row[2] == remote and row[3] == "01" for row in rows)


if __name__ == "__main__":
    unittest.main()

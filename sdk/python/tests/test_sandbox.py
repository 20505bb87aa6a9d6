"""Creating, finding, describing and closing sandboxes."""

from __future__ import annotations

import threading
import unittest
from urllib.parse import parse_qs, urlsplit

from podflare import (
    AsyncSandbox,
    AuthenticationError,
    CapacityError,
    Client,
    ConflictError,
    ConnectionError,
    InvalidRequestError,
    NotFoundError,
    PodflareError,
    QuotaError,
    Sandbox,
    ServerError,
    TimeoutError,
)

from .scripted_server import SANDBOX_ID, ScriptedServer, answer, json_answer
from .support import NOT_FOUND, PodflareTestCase

INFO = {
    "id": SANDBOX_ID,
    "state": "ready",
    "template": "default",
    "isolation": "emulated",
    "memory_mb": 1024,
    "metadata": {"owner": "me"},
    "a_field_of_tomorrow": [1],
}


class LifeCycleTest(PodflareTestCase):
    def test_a_list_as_egress_is_told_its_shape(self) -> None:
        server = self.serve(lambda request: answer(500))
        for kind in (Sandbox, AsyncSandbox):
            with self.assertRaisesRegex(InvalidRequestError, "allow"):
                kind(egress=["pypi.example"], host=server.host, api_key="k")
        self.assertEqual(server.requests, [])

    def test_the_id_is_the_servers(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        self.assertEqual(Sandbox(client=self.client_of(server)).id, SANDBOX_ID)

    def test_the_plain_form_asks_for_the_default_template_with_internet(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        Sandbox(client=self.client_of(server))
        self.assertEqual(server.requests[0].json, {"template": "default", "egress": True})

    def test_every_argument_reaches_the_server(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        Sandbox(
            template="python-datasci",
            egress={"allow": ["*.example.org"]},
            persistent=True,
            idle_timeout_seconds=60,
            max_lifetime_seconds=3600,
            host=server.host,
            api_key="k",
            region="eu",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            cpus=2,
            memory_mb=2048,
            disk_mb=4096,
            env={"A": "b"},
            metadata={"owner": "me"},
        )
        (request,) = server.requests
        self.assertEqual(
            request.json,
            {
                "template": "python-datasci",
                "egress": {"allow": ["*.example.org"]},
                "persistent": True,
                "idle_timeout_seconds": 60,
                "max_lifetime_seconds": 3600,
                "cpus": 2,
                "memory_mb": 2048,
                "disk_mb": 4096,
                "env": {"A": "b"},
                "metadata": {"owner": "me"},
            },
        )
        self.assertEqual(request.headers["authorization"], "Bearer k")
        self.assertEqual(request.headers["traceparent"][:9], "00-4bf92f")
        self.assertEqual(request.headers["content-type"], "application/json")

    def test_the_trace_context_goes_with_every_call_of_its_sandbox(self) -> None:
        server = self.serve(lambda request: json_answer(INFO))
        client = self.client_of(server, traceparent="00-client")
        Sandbox(client=client, traceparent="00-sandbox").info()
        Sandbox(client=client).info()
        sent = [request.headers["traceparent"] for request in server.requests]
        self.assertEqual(sent, ["00-sandbox", "00-sandbox", "00-client", "00-client"])

    def test_no_configuration_is_needed_beside_the_file_of_the_server(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        self.write_config(host=server.host, api_key="pf_live_file")
        with Sandbox():
            pass
        sent = {request.headers["authorization"] for request in server.requests}
        self.assertEqual(sent, {"Bearer pf_live_file"})

    def test_the_block_closes_the_sandbox_and_a_second_close_sends_nothing(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        with Sandbox(client=self.client_of(server)) as sb:
            pass
        sb.close()
        self.assertEqual(
            server.targets(), ["POST /v1/sandboxes", f"DELETE /v1/sandboxes/{SANDBOX_ID}"]
        )

    def test_the_exception_of_the_block_is_raised_even_if_closing_fails(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        with self.assertRaises(ZeroDivisionError) as caught:
            with Sandbox(client=self.client_of(server)):
                server.script = lambda request: answer(500, b"broken", "text/plain")
                raise ZeroDivisionError
        if hasattr(caught.exception, "__notes__"):
            self.assertIn("could not be closed: broken", caught.exception.__notes__[0])

    def test_a_block_that_ends_well_raises_what_closing_raises(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        with self.assertRaises(ServerError):
            with Sandbox(client=self.client_of(server)) as sb:
                server.script = lambda request: answer(500, b"broken", "text/plain")
        server.script = lambda request: answer(204)
        sb.close()
        self.assertEqual(server.targets()[-1], f"DELETE /v1/sandboxes/{SANDBOX_ID}")

    def test_info_has_its_fields_by_attribute_and_by_key_and_keeps_unknown_ones(self) -> None:
        server = self.serve(lambda request: json_answer(INFO))
        info = Sandbox(client=self.client_of(server)).info()
        self.assertEqual((info.state, info["state"]), ("ready", "ready"))
        self.assertEqual(info.metadata, {"owner": "me"})
        self.assertEqual(info["a_field_of_tomorrow"], [1])
        self.assertEqual(info, INFO)
        with self.assertRaises(AttributeError):
            info.colour

    def test_connect_finds_a_sandbox_by_its_id(self) -> None:
        server = self.serve(lambda request: json_answer(INFO))
        sb = Sandbox.connect(SANDBOX_ID, host=server.host, api_key="k")
        self.assertEqual(sb.id, SANDBOX_ID)
        self.assertEqual(server.targets(), [f"GET /v1/sandboxes/{SANDBOX_ID}"])

    def test_connect_to_one_that_is_not_there_says_so(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        with self.assertRaises(NotFoundError):
            Sandbox.connect(SANDBOX_ID, client=self.client_of(server))

    def test_an_id_can_not_leave_its_place_in_the_path(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        client = self.client_of(server)
        for bad in ("../healthz", "a/b?c#d", "x\r\nHost: y", "ü"):
            with self.subTest(bad), self.assertRaises(NotFoundError):
                Sandbox.connect(bad, client=client)
            target = server.requests[-1].target
            self.assertTrue(target.startswith("/v1/sandboxes/"))
            self.assertEqual(target.count("/"), 3)

    def test_list_answers_sandboxes_and_follows_the_pages(self) -> None:
        pages = {
            None: {"sandboxes": [{"id": "sbx_1"}, {"id": "sbx_2"}], "next_cursor": "c 2&"},
            "c 2&": {"sandboxes": [{"id": "sbx_3"}], "next_cursor": None},
        }

        def script(request):
            query = parse_qs(urlsplit(request.target).query)
            return json_answer(pages[query.get("cursor", [None])[0]])

        server = self.serve(script)
        found = Sandbox.list(client=self.client_of(server))
        self.assertEqual([sb.id for sb in found], ["sbx_1", "sbx_2", "sbx_3"])
        found[2].close()
        self.assertEqual(server.targets()[-1], "DELETE /v1/sandboxes/sbx_3")

    def test_list_passes_its_filters_on(self) -> None:
        server = self.serve(lambda request: json_answer({"sandboxes": [], "next_cursor": None}))
        Sandbox.list("default", "ready", {"owner": "a&b"}, client=self.client_of(server))
        query = parse_qs(urlsplit(server.requests[0].target).query)
        self.assertEqual(query["template"], ["default"])
        self.assertEqual(query["state"], ["ready"])
        self.assertEqual(query["metadata.owner"], ["a&b"])

    def test_a_list_that_never_ends_is_an_error(self) -> None:
        server = self.serve(lambda request: json_answer({"sandboxes": [], "next_cursor": "same"}))
        with self.assertRaises(ServerError):
            Sandbox.list(client=self.client_of(server))

    def test_sandboxes_with_the_same_configuration_share_their_connections(self) -> None:
        server = self.serve(lambda request: json_answer(INFO))
        for _ in range(3):
            with Sandbox(host=server.host, api_key="k") as sb:
                sb.info()
        self.assertEqual(server.connections, 1)


class ErrorTest(PodflareTestCase):
    def error_for(self, pieces) -> PodflareError:
        server = self.serve(lambda request: pieces)
        sb = Sandbox(client=self.client_of(server))
        with self.assertRaises(PodflareError) as caught:
            sb.info()
        return caught.exception

    def test_each_status_has_its_exception(self) -> None:
        kinds = {
            400: InvalidRequestError,
            401: AuthenticationError,
            403: AuthenticationError,
            404: NotFoundError,
            405: InvalidRequestError,
            409: ConflictError,
            413: InvalidRequestError,
            422: InvalidRequestError,
            429: QuotaError,
            500: ServerError,
            502: ServerError,
            503: CapacityError,
            301: ServerError,
        }
        for status, kind in kinds.items():
            with self.subTest(status):
                error = self.error_for(json_answer({"error": "a sentence"}, status))
                self.assertIs(type(error), kind)
                self.assertEqual((error.status, error.message), (status, "a sentence"))

    def test_an_error_carries_code_hint_and_request_id_and_shows_what_helps(self) -> None:
        body = {"error": "no room on this host", "code": "no_capacity", "hint": "close some"}
        error = self.error_for(json_answer(body, 503, X_Request_Id="r-17", Retry_After="12"))
        self.assertEqual(
            (error.status, error.code, error.hint, error.request_id, error.retry_after),
            (503, "no_capacity", "close some", "r-17", 12.0),
        )
        for part in ("no room on this host", "close some", "503", "r-17"):
            self.assertIn(part, str(error))

    def test_an_error_body_that_is_not_json_survives(self) -> None:
        error = self.error_for(answer(502, b"<h1>Bad\n Gateway</h1>", "text/html"))
        self.assertEqual(error.message, "<h1>Bad Gateway</h1>")

    def test_odd_error_bodies_still_give_a_sentence(self) -> None:
        for body in (b"", b"[]", b'{"error": 7}', b"\xff\xfe", b"{", b"[" * 100_000):
            with self.subTest(body[:10]):
                error = self.error_for(answer(500, body))
                self.assertTrue(error.message)
                self.assertLess(len(str(error)), 1000)

    def test_a_success_that_is_no_json_object_is_a_server_error(self) -> None:
        for body in (b"ok", b"[]", b"[" * 100_000):
            with self.subTest(body[:10]):
                self.assertIsInstance(self.error_for(answer(200, body)), ServerError)

    def test_a_create_answer_without_an_id_is_a_server_error(self) -> None:
        server = self.enterContext310(ScriptedServer(lambda request: json_answer({})))
        with self.assertRaises(ServerError):
            Sandbox(client=self.client_of(server))

    def test_connection_and_time_out_errors_are_the_built_in_ones_too(self) -> None:
        import builtins

        self.assertTrue(issubclass(ConnectionError, builtins.ConnectionError))
        self.assertTrue(issubclass(TimeoutError, builtins.TimeoutError))
        self.assertTrue(issubclass(ConnectionError, PodflareError))

    def test_errors_survive_pickling(self) -> None:
        import pickle

        for kind in (QuotaError, ConnectionError, TimeoutError):
            error = kind("sentence", status=429, code="c", hint="h", retry_after=1.0)
            again = pickle.loads(pickle.dumps(error))
            self.assertIs(type(again), kind)
            self.assertEqual(str(again), str(error))
            self.assertEqual(again.retry_after, 1.0)

    def test_a_server_that_is_not_there_is_named_with_what_to_do(self) -> None:
        with ScriptedServer(lambda request: []) as server:
            pass
        with self.assertRaises(ConnectionError) as caught:
            Sandbox(host=server.host, api_key="k")
        self.assertIn(server.host, str(caught.exception))
        self.assertIn("./podflare up", str(caught.exception))

    def test_a_silent_server_ends_in_a_time_out(self) -> None:
        released = threading.Event()

        def script(request):
            released.wait(60)
            return []

        server = self.serve(script)
        self.addCleanup(released.set)
        client = self.client_of(server, timeout=2)
        with self.assertRaises(TimeoutError) as caught:
            Sandbox(client=client).info()
        self.assertIn("2 s", str(caught.exception))

    def test_something_that_is_no_http_server_is_reported(self) -> None:
        for greeting in (b"220 mail ready\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\r\n" * 3):
            server = self.enterContext310(ScriptedServer(lambda request: [greeting]))
            with self.subTest(greeting), self.assertRaises(ConnectionError):
                Client(server.host, "k")._json(_info_call())


def _info_call():
    from podflare._calls import sandbox_info

    return sandbox_info(SANDBOX_ID)


if __name__ == "__main__":
    unittest.main()

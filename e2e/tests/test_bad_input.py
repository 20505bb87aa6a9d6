"""Requests that must be refused: right status, the field named, nothing created."""

from __future__ import annotations

import json
from typing import Any

from rig.case import Case, SandboxCase
from rig.rest import Answer

JSON = {"Content-Type": "application/json"}
NEVER = "sbx_" + "0" * 32

#: Body of `POST /v1/sandboxes`, status, what the sentence must name.
CREATE: list[tuple[dict[str, Any], int | set[int], str]] = [
    ({"template": 5}, 400, "template"),
    ({"template": ["default"]}, 400, "template"),
    ({"template": "no-such-template"}, {404, 422}, "template"),
    ({"template": "../../etc"}, {404, 422}, "template"),
    ({"template": ""}, {404, 422}, "template"),
    ({"template": "x" * 10_000}, {404, 422}, "template"),
    ({"egress": "yes"}, 400, "egress"),
    ({"egress": 1}, 400, "egress"),
    ({"egress": []}, 400, "egress"),
    ({"egress": {"allow": ["example.org"]}}, 422, "egress"),
    ({"persistent": "yes"}, 400, "persistent"),
    ({"idle_timeout_seconds": "60"}, 400, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": True}, 400, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": {}}, 400, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": 0}, 422, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": -1}, 422, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": 10**9}, 422, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": 10**400}, {400, 422}, "idle_timeout_seconds"),
    ({"idle_timeout_seconds": 1e308}, {400, 422}, "idle_timeout_seconds"),
    ({"max_lifetime_seconds": "1 h"}, 400, "max_lifetime_seconds"),
    ({"max_lifetime_seconds": 0}, 422, "max_lifetime_seconds"),
    ({"max_lifetime_seconds": -(2**63)}, 422, "max_lifetime_seconds"),
    ({"cpus": "two"}, 400, "cpus"),
    ({"cpus": 1.5}, {400, 422}, "cpus"),
    ({"cpus": 0}, 422, "cpus"),
    ({"cpus": 100_000}, 422, "cpus"),
    ({"cpus": 2**31}, {400, 422}, "cpus"),
    ({"memory_mb": "1 GB"}, 400, "memory_mb"),
    ({"memory_mb": 1}, 422, "memory_mb"),
    ({"memory_mb": -1}, 422, "memory_mb"),
    ({"memory_mb": 10**9}, 422, "memory_mb"),
    ({"memory_mb": 10**30}, {400, 422}, "memory_mb"),
    ({"disk_mb": [1]}, 400, "disk_mb"),
    ({"disk_mb": 0}, 422, "disk_mb"),
    ({"disk_mb": 2**63}, {400, 422}, "disk_mb"),
    ({"env": ["A=1"]}, 400, "env"),
    ({"env": {"A": 1}}, 400, "env"),
    ({"env": {"A": None}}, 400, "env"),
    ({"env": {"": "x"}}, 422, "env"),
    ({"env": {"1A": "x"}}, 422, "env"),
    ({"env": {"A=B": "x"}}, 422, "env"),
    ({"env": {"A": "\0"}}, 422, "env"),
    ({"env": {f"N{i}": "x" for i in range(300)}}, 422, "env"),
    ({"env": {"A": "x" * 40_000}}, 422, "env"),
    ({"metadata": "m"}, 400, "metadata"),
    ({"metadata": {"k": {}}}, 400, "metadata"),
    ({"metadata": {f"k{i}": "v" for i in range(100)}}, 422, "metadata"),
    ({"metadata": {"k" * 200: "v"}}, 422, "metadata"),
    ({"metadata": {"k": "v" * 2000}}, 422, "metadata"),
]

#: Bytes that are no acceptable JSON object.
NOT_A_BODY = [
    b"{",
    b'{"template":"default"',
    b"{'template':'default'}",
    b'{"template":"default",}',
    b'{"template":"default"} trailing',
    b'{"template":"default","template":"default"}',
    b'{"idle_timeout_seconds":NaN}',
    b'{"idle_timeout_seconds":Infinity}',
    b'{"metadata":{"k":"\xff\xfe"}}',
    b"[]",
    b'"default"',
    b"17",
    b"null",
    b"\0\0\0\0",
    b'{"metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    b"[" * 100_000,
]

EXEC: list[tuple[dict[str, Any], int | set[int], str]] = [
    ({}, 400, "code"),
    ({"code": 5}, 400, "code"),
    ({"code": None}, 400, "code"),
    ({"code": ["print(1)"]}, 400, "code"),
    ({"code": "1", "language": 3}, 400, "language"),
    ({"code": "1", "language": "cobol"}, 422, "language"),
    ({"code": "1", "timeout_seconds": "5"}, 400, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": 0}, 422, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": -3}, 422, "timeout_seconds"),
    ({"code": "1", "timeout_seconds": 1e300}, {400, 422}, "timeout_seconds"),
    ({"code": "1", "env": "A=1"}, 400, "env"),
    ({"code": "1", "env": {"A": 1}}, 400, "env"),
    ({"code": "1", "env": {"A B": "1"}}, 422, "env"),
    ({"code": "1", "cwd": 5}, 400, "cwd"),
    ({"code": "1", "cwd": "/\0"}, {400, 422}, "cwd"),
    ({"code": "x" * (1 << 20) + "x"}, 413, ""),
]

BAD_IDS = [
    "x", "sbx_", "spc_" + "0" * 32, "x" * 10_000, "*", "..;", "%20",
    "sbx_" + "0" * 31, "sbx_" + "0" * 33, "sbx_" + "A" * 32, "sbx_" + "g" * 32, "sbx_" + "%30" * 31,
    "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", NEVER + "%2f", NEVER + "%00",
    "%F0%9F%98%80", "%ff", "%zz", "'%20OR%20'1'%3D'1",
]  # fmt: skip

#: Method, path, the methods that `Allow` must name.
WRONG_METHODS = [
    ("PUT", "/v1/sandboxes", {"GET", "POST"}),
    ("DELETE", "/v1/sandboxes", {"GET", "POST"}),
    ("PATCH", "/v1/sandboxes/" + NEVER, {"GET", "DELETE"}),
    ("POST", "/v1/sandboxes/" + NEVER, {"GET", "DELETE"}),
    ("GET", f"/v1/sandboxes/{NEVER}/exec", {"POST"}),
    ("PUT", f"/v1/sandboxes/{NEVER}/interrupt", {"POST"}),
    ("POST", f"/v1/sandboxes/{NEVER}/files", {"GET", "PUT", "DELETE"}),
    ("POST", f"/v1/sandboxes/{NEVER}/files/list", {"GET"}),
    ("POST", "/v1/healthz", {"GET"}),
    ("DELETE", "/v1/capacity", {"GET"}),
]


class BadRequestTest(Case):
    def setUp(self) -> None:
        super().setUp()
        no_sandbox_is_left = self.nothing_created()
        no_sandbox_is_left.__enter__()
        self.addCleanup(no_sandbox_is_left.__exit__, None, None, None)

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        return self.rest.call("POST", path, body, JSON if headers is None else headers)

    def test_create_names_the_field_that_is_wrong(self) -> None:
        for body, status, field in CREATE:
            with self.subTest(str(body)[:60]):
                answer = self.post("/v1/sandboxes", json.dumps(body).encode())
                self.assert_refused(answer, status, field)

    def test_an_allow_list_is_refused_with_its_own_code_and_a_hint(self) -> None:
        body = json.dumps({"egress": {"allow": ["example.org"]}}).encode()
        refusal = self.post("/v1/sandboxes", body).json
        self.assertEqual(refusal["code"], "egress_allow_list_unsupported")
        self.assertTrue(refusal["hint"])

    def test_what_is_no_json_object_is_refused(self) -> None:
        for body in NOT_A_BODY:
            with self.subTest(repr(body[:40])):
                self.assert_refused(self.post("/v1/sandboxes", body), 400)

    def test_malformed_json_is_told_by_line_and_column(self) -> None:
        answer = self.post("/v1/sandboxes", b'{\n  "template": oops\n}')
        self.assert_refused(answer, 400, "line 2")

    def test_a_body_beyond_a_mebibyte_is_too_large(self) -> None:
        body = json.dumps({"metadata": {"k": "x" * (2 << 20)}}).encode()
        self.assert_refused(self.post("/v1/sandboxes", body), 413)

    def test_a_body_of_another_kind_is_refused(self) -> None:
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ):
            self.assert_refused(self.post("/v1/sandboxes", b"{}", {"Content-Type": kind}), 415)

    def test_fields_that_are_not_known_are_refused_and_those_of_the_hosted_service_are_not(self) -> None:
        answer = self.post("/v1/sandboxes", b'{"templte":"red","idle_timeout_seconds":60}', {})
        self.assert_refused(answer, 400)
        self.assertIn("Did you mean template?", answer.json["hint"])
        answer = self.post("/v1/sandboxes", b'{"region":"us","idle_timeout_seconds":60}', {})
        self.assertEqual(answer.status, 200, str(answer))
        self.rest.close(answer.json["id"])

    def test_ids_that_never_were_are_not_found(self) -> None:
        for sandbox in (NEVER, *BAD_IDS):
            for method, path in (
                ("GET", ""),
                ("DELETE", ""),
                ("POST", "/exec"),
                ("GET", "/files?path=/x"),
            ):
                with self.subTest(f"{method} {sandbox[:40]}{path}"):
                    body = b'{"code":"1"}' if method == "POST" else None
                    answer = self.rest.call(method, f"/v1/sandboxes/{sandbox}{path}", body, JSON)
                    allowed = {404} if len(sandbox) < 1000 else {404, 414}
                    if "%zz" in sandbox or "%ff" in sandbox or "%00" in sandbox:
                        allowed |= {400}
                    self.assertIn(answer.status, allowed, str(answer))
                    self.assertIn("error", answer.json)

    def test_paths_that_climb_reach_nothing(self) -> None:
        for path in (
            "/v1/sandboxes/../../etc/passwd",
            "/v1/../metrics/..",
            "//etc/passwd",
            "/v1/sandboxes/./..",
            "/",
        ):
            answer = self.rest.call("GET", path)
            self.assertIn(answer.status, {400, 404}, path)

    def test_a_wrong_method_is_told_the_right_ones(self) -> None:
        for method, path, allowed in WRONG_METHODS:
            with self.subTest(f"{method} {path}"):
                answer = self.rest.call(method, path)
                self.assert_refused(answer, 405)
                named = {one.strip() for one in answer.headers.get("Allow", "").split(",")}
                self.assertTrue(allowed <= named, f"Allow: {named}")

    def test_what_is_not_http_harms_nothing(self) -> None:
        for request in (
            b"\0" * 1000,
            b"GET",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GARBAGE\r\n\r\n",
            b"POST /v1/sandboxes HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            b"POST /v1/sandboxes HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
            b"POST /v1/sandboxes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
            b"GET /v1/healthz HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
            b"GET /" + b"z" * 200_000 + b" HTTP/1.1\r\n\r\n",
        ):
            with self.subTest(repr(request[:40])):
                answer = self.rest.raw(request)
                self.assertNotIn(b" 200 ", answer[:20])
                self.assertNotIn(b" 500 ", answer[:20])
                self.assertEqual(self.rest.call("GET", "/v1/healthz").status, 200)

    def test_a_body_that_ends_too_early_creates_nothing(self) -> None:
        request = (
            f"POST /v1/sandboxes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.rest.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{}"
        )
        self.assertNotIn(b" 200 ", self.rest.raw(request.encode())[:20])


class BadExecTest(SandboxCase):
    def test_exec_names_the_field_that_is_wrong(self) -> None:
        for body, status, field in EXEC:
            with self.subTest(str(body)[:60]):
                answer = self.rest.call("POST", f"/v1/sandboxes/{self.sandbox}/exec", body)
                self.assert_refused(answer, status, field)

    def test_refused_execs_leave_the_sandbox_ready(self) -> None:
        self.rest.call("POST", f"/v1/sandboxes/{self.sandbox}/exec", {"code": 5})
        self.assertEqual(self.rest.info(self.sandbox).json["state"], "ready")
        self.assertEqual(self.stdout("print('well')"), "well\n")

    def test_a_file_call_without_a_path_names_it(self) -> None:
        for method in ("GET", "PUT", "DELETE"):
            answer = self.rest.call(
                method, f"/v1/sandboxes/{self.sandbox}/files", b"x" if method == "PUT" else None
            )
            self.assert_refused(answer, 400, "path")

    def test_code_that_is_no_utf8_or_holds_a_lone_surrogate_is_answered(self) -> None:
        path = f"/v1/sandboxes/{self.sandbox}/exec"
        self.assert_refused(self.rest.call("POST", path, b'{"code":"\xff"}', JSON), 400)
        answer = self.rest.call("POST", path, b'{"code":"print(\'\\ud800\')"}', JSON)
        self.assertIn(answer.status, {200, 400})
        self.assertEqual(self.stdout("print('well')"), "well\n")

    def test_a_working_directory_that_is_not_there_is_told_and_nothing_runs(self) -> None:
        ran = self.exec("print('ran')", cwd="/no/such/directory")
        self.assert_ended(ran, 1, "error", True)
        self.assertIn("/no/such/directory", ran.stderr)
        self.assertEqual(ran.stdout, "")

    def test_a_null_byte_in_code_is_a_python_error(self) -> None:
        ran = self.exec("print(1)\0")
        self.assertEqual((ran.code, ran.state_kept), (1, True))

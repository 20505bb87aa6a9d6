"""Who may call, and what one key sees of another's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rig.case import Case, slow


class AuthTest(Case):
    def test_without_a_key_nothing_but_healthz_answers(self) -> None:
        nobody = self.server.rest(key=None)
        self.assertEqual(nobody.call("GET", "/v1/healthz").text.strip(), "ok")
        with self.nothing_created():
            for method, path in (
                ("GET", "/v1/sandboxes"),
                ("POST", "/v1/sandboxes"),
                ("GET", "/v1/capacity"),
                ("GET", "/metrics"),
                ("GET", "/v1/sandboxes/sbx_" + "0" * 32),
                ("DELETE", "/v1/sandboxes/sbx_" + "0" * 32),
            ):
                answer = nobody.call(method, path, {} if method == "POST" else None)
                self.assert_refused(answer, 401)
                self.assertEqual(answer.json["error"], "missing Authorization: Bearer <key>", path)

    def test_a_wrong_key_is_refused_in_the_known_words(self) -> None:
        good = self.server.keys[0]
        for key in ("wrong", good[:-1], good + "x", good.upper(), "pf_live_", "'; drop table"):
            answer = self.server.rest(key).call("GET", "/v1/sandboxes")
            self.assert_refused(answer, 401)
            self.assertEqual(answer.json["error"], "invalid api key", key)

    def test_other_schemes_and_empty_credentials_are_refused(self) -> None:
        nobody = self.server.rest(key=None)
        for value in ("", "Bearer", "Bearer ", f"Basic {self.server.keys[0]}", self.server.keys[0]):
            answer = nobody.call("GET", "/v1/sandboxes", headers={"Authorization": value})
            self.assert_refused(answer, 401)

    def test_the_scheme_is_read_without_regard_to_case(self) -> None:
        nobody = self.server.rest(key=None)
        bearer = {"Authorization": f"bearer {self.server.keys[0]}"}
        self.assertEqual(nobody.call("GET", "/v1/sandboxes", headers=bearer).status, 200)

    def test_a_key_in_the_address_is_not_taken(self) -> None:
        nobody = self.server.rest(key=None)
        self.assert_refused(nobody.call("GET", f"/v1/sandboxes?api_key={self.server.keys[0]}"), 401)

    def test_another_keys_sandbox_does_not_exist(self) -> None:
        other = self.server.rest(self.server.keys[1])
        sandbox = self.new_sandbox()
        never = "sbx_" + "f" * 32
        calls = (
            ("GET", "", None),
            ("POST", "/exec", {"code": "1"}),
            ("POST", "/interrupt", None),
            ("GET", "/files?path=/etc/passwd", None),
            ("PUT", "/files?path=/root/x", b"x"),
            ("DELETE", "/files?path=/root/x", None),
            ("GET", "/files/list?path=/", None),
            ("DELETE", "", None),
        )
        for method, path, body in calls:
            theirs = other.call(method, f"/v1/sandboxes/{sandbox}{path}", body)
            unknown = other.call(method, f"/v1/sandboxes/{never}{path}", body)
            self.assert_refused(theirs, 404)
            self.assertEqual(theirs.json, unknown.json, "the two can be told apart")
            self.assertEqual(theirs.json["error"], "sandbox not found")
        self.assertNotIn(sandbox, other.ids())
        self.assertEqual(self.rest.info(sandbox).status, 200, "another key has closed it")

    def test_no_key_stands_in_any_file_of_the_server(self) -> None:
        for key in self.server.keys:
            self.assertEqual(self.server.files_with(key), [])

    def test_every_answer_carries_a_request_id(self) -> None:
        for path in ("/v1/healthz", "/v1/sandboxes", "/v1/sandboxes/none", "/nowhere"):
            self.assertTrue(self.rest.call("GET", path).headers.get("X-Request-Id"), path)


@slow
class FirstKeyTest(Case):
    """Starts the suite's server as a user does the first time: with no key and no settings."""

    kills_the_server = True
    deadline_seconds = 300.0

    def setUp(self) -> None:
        super().setUp()
        self.settings = (self.server.extra, self.server.config_home)
        self.addCleanup(self.restore)
        self.server.stop()
        self.server.extra = {}
        self.server.config_home = Path(self.server.config_home, "first-start")
        self.server.start()

    def restore(self) -> None:
        self.server.stop()
        self.server.extra, self.server.config_home = self.settings
        self.server.start()

    def program(self) -> subprocess.CompletedProcess[str]:
        environment = self.server.client_environment()
        for name in ("PODFLARE_HOSTD_URL", "PODFLARE_API_KEY"):
            del environment[name]
        return subprocess.run(
            [
                sys.executable,
                "-c",
                "from podflare import Sandbox\nprint(Sandbox().run_code('print(42)').stdout)",
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_a_first_key_is_made_and_a_program_on_this_machine_needs_no_configuration(self) -> None:
        credentials = self.server.credentials
        said = json.loads(credentials.read_text())
        self.assertEqual(credentials.stat().st_mode & 0o777, 0o600)
        self.assertRegex(said["api_key"], r"^pf_live_[-\w]{32,}$")
        self.assertIn(self.server.address, said["host"])
        ran = self.program()
        self.assertEqual((ran.stdout, ran.stderr), ("42\n\n", ""))
        self.assert_refused(self.server.rest(key=None).call("GET", "/v1/sandboxes"), 401)
        with self.subTest("the key stays the same at the next start"):
            self.server.stop()
            self.server.start()
            self.assertEqual(json.loads(credentials.read_text()), said)
            self.assertEqual(self.program().stdout, "42\n\n")
        with self.subTest("the key is kept as a hash only"):
            found = self.server.files_with(said["api_key"])
            # The commands' own way in; its owner could as well read the user's file.
            self.assertEqual(found, [self.server.data_dir / "credentials.json"])
            self.assertEqual(found[0].stat().st_mode & 0o777, 0o600)

"""Where host and key come from."""

from __future__ import annotations

import os
import unittest
from unittest import mock

from podflare import AuthenticationError, InvalidRequestError, PodflareError, Sandbox
from podflare._config import resolve

from .scripted_server import json_answer
from .support import PodflareTestCase

FILE = {"host": "http://127.0.0.1:7171", "api_key": "pf_live_file"}


class ConfigurationTest(PodflareTestCase):
    def found(self, host: str | None = None, api_key: str | None = None, **env: str):
        with mock.patch.dict(os.environ, env):
            settings = resolve(host, api_key)
        return settings.host, settings.api_key

    def test_the_argument_wins_over_the_environment_and_the_file(self) -> None:
        self.write_config(**FILE)
        found = self.found(
            "http://one:1", "key1", PODFLARE_HOSTD_URL="http://two:2", PODFLARE_API_KEY="key2"
        )
        self.assertEqual(found, ("http://one:1", "key1"))

    def test_the_environment_wins_over_the_file(self) -> None:
        self.write_config(**FILE)
        found = self.found(PODFLARE_HOSTD_URL="http://two:2", PODFLARE_API_KEY="key2")
        self.assertEqual(found, ("http://two:2", "key2"))

    def test_the_older_name_of_the_host_variable_works_and_is_second_to_the_new_one(self) -> None:
        key = {"PODFLARE_API_KEY": "key"}
        self.assertEqual(self.found(PODFLARE_HOST="http://old:3", **key)[0], "http://old:3")
        both = self.found(PODFLARE_HOST="http://old:3", PODFLARE_HOSTD_URL="http://new:4", **key)
        self.assertEqual(both[0], "http://new:4")

    def test_the_file_alone_is_enough(self) -> None:
        self.write_config(**FILE)
        self.assertEqual(self.found(), ("http://127.0.0.1:7171", "pf_live_file"))

    def test_the_file_is_looked_for_below_xdg_config_home(self) -> None:
        self.write_config(host="http://wrong:1", api_key="wrong")
        other = os.path.join(self.home, "elsewhere")
        os.makedirs(os.path.join(other, "podflare"))
        with open(os.path.join(other, "podflare", "config.json"), "w") as file:
            file.write('{"host": "http://right:2", "api_key": "right"}')
        self.assertEqual(self.found(XDG_CONFIG_HOME=other), ("http://right:2", "right"))

    def test_a_relative_xdg_config_home_is_ignored(self) -> None:
        self.write_config(**FILE)
        self.assertEqual(self.found(XDG_CONFIG_HOME="elsewhere")[1], "pf_live_file")

    def test_a_key_without_a_host_goes_to_port_7070_of_this_machine(self) -> None:
        self.assertEqual(self.found(api_key="key"), ("http://127.0.0.1:7070", "key"))

    def test_nothing_configured_is_an_error_that_says_how_to_get_a_key(self) -> None:
        with self.assertRaises(AuthenticationError) as caught:
            Sandbox()
        text = str(caught.exception)
        for part in ("./podflare up", "PODFLARE_API_KEY", "config.json", "api_key="):
            self.assertIn(part, text)

    def test_the_key_in_the_file_is_not_sent_to_another_host(self) -> None:
        self.write_config(**FILE)
        self.assertEqual(self.found("http://elsewhere:7171"), ("http://elsewhere:7171", None))
        self.assertEqual(self.found("http://127.0.0.1:9")[1], None)

    def test_the_key_in_the_file_is_sent_to_its_own_host_by_any_loopback_name(self) -> None:
        self.write_config(**FILE)
        self.assertEqual(self.found("http://localhost:7171")[1], "pf_live_file")
        self.assertEqual(self.found("127.0.0.1:7171")[1], "pf_live_file")

    def test_a_refused_key_is_named_by_where_it_came_from(self) -> None:
        server = self.serve(lambda request: [])
        server.script = lambda request: json_answer({"error": "invalid api key"}, 401)
        env = {"PODFLARE_HOSTD_URL": server.host, "PODFLARE_API_KEY": "wrong"}
        with mock.patch.dict(os.environ, env), self.assertRaises(AuthenticationError) as caught:
            Sandbox()
        self.assertIn("invalid api key", str(caught.exception))
        self.assertIn("PODFLARE_API_KEY", str(caught.exception))
        self.assertNotIn("wrong", str(caught.exception))

    def test_a_host_without_a_key_is_asked_and_its_refusal_says_how_to_get_one(self) -> None:
        server = self.serve(lambda request: [])
        missing = {"error": "missing Authorization: Bearer <key>"}
        server.script = lambda request: json_answer(missing, 401)
        with self.assertRaises(AuthenticationError) as caught:
            Sandbox(host=server.host)
        self.assertNotIn("authorization", server.requests[0].headers)
        self.assertIn("./podflare up", str(caught.exception))

    def test_a_file_that_is_not_json_is_named(self) -> None:
        path = self.write_config("{oops")
        with self.assertRaises(PodflareError) as caught:
            resolve()
        self.assertIn(path, str(caught.exception))

    def test_a_file_with_other_content_counts_as_empty(self) -> None:
        for text in ("[]", '"x"', '{"host": 7, "api_key": ["x"]}', "{}"):
            self.write_config(text)
            with self.subTest(text), self.assertRaises(AuthenticationError):
                resolve()

    def test_a_host_that_is_no_address_is_refused(self) -> None:
        for host in (
            "ftp://x",
            "http://",
            "http://x:port",
            "http://x y",
            "http://x\r\nHost: y",
            "http://me:secret@x",
            "http://x/?q",
            "http://x:99999",
        ):
            with self.subTest(host), self.assertRaises(InvalidRequestError):
                resolve(host, "key")

    def test_a_key_that_could_smuggle_a_header_is_refused_without_being_shown(self) -> None:
        for key in ("a\r\nX: y", "se cret", "schlüssel"):
            with self.subTest(key), self.assertRaises(InvalidRequestError) as caught:
                resolve("http://x", key)
            self.assertNotIn(key, str(caught.exception))

    def test_a_trace_context_that_could_smuggle_a_header_is_refused(self) -> None:
        for trace in ("a\r\nX: y", "a b", "ü"):
            with self.subTest(trace), self.assertRaises(InvalidRequestError):
                resolve("http://x", "key", trace)
            with self.subTest(trace), self.assertRaises(InvalidRequestError):
                Sandbox(host="http://x", api_key="key", traceparent=trace)

    def test_an_address_may_have_a_path_before_v1(self) -> None:
        self.assertEqual(self.found("https://x/podflare/", "k")[0], "https://x/podflare")


if __name__ == "__main__":
    unittest.main()

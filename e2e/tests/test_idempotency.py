"""Calls that are made twice with the same key, and done once."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from rig.case import Case, KillingCase
from rig.rest import Answer, Rest


def call(rest: Rest, path: str, key: str, body: dict[str, Any] | None = None) -> Answer:
    return rest.call("POST", path, body or {}, headers={"Idempotency-Key": key})


class IdempotencyTest(Case):
    def setUp(self) -> None:
        super().setUp()
        self.key = str(uuid.uuid4())

    def created(self, key: str, **request: Any) -> Answer:
        answer = call(self.rest, "/v1/sandboxes", key, request)
        self.assertEqual(answer.status, 200, str(answer))
        self.addCleanup(self.rest.close, answer.json["id"])
        return answer

    def test_a_create_that_is_sent_again_answers_the_first_sandbox(self) -> None:
        first, again = self.created(self.key), self.created(self.key)
        self.assertEqual(again.body, first.body)
        self.assertNotIn("Idempotency-Replayed", first.headers)
        self.assertEqual(again.headers["Idempotency-Replayed"], "true")
        self.assertNotEqual(self.created(self.key + "2").json["id"], first.json["id"])
        self.rest.close(first.json["id"])
        self.assertEqual(self.created(self.key).body, first.body)

    def test_a_fork_and_a_resume_are_done_once(self) -> None:
        sandbox = self.new_sandbox()
        path = f"/v1/sandboxes/{sandbox}/fork"
        first, again = (call(self.rest, path, self.key, {"n": 2}) for _ in range(2))
        for child in first.json["children"]:
            self.addCleanup(self.rest.close, child)
        self.assertEqual((again.status, again.body), (200, first.body))
        self.assertEqual(len(self.rest.family(sandbox).json["sandboxes"]), 3)
        resume = f"/v1/spaces/{self.freeze(sandbox)}/resume"
        first, again = (call(self.rest, resume, self.key) for _ in range(2))
        self.addCleanup(self.rest.close, first.json["id"])
        self.assertEqual((again.status, again.body), (200, first.body))
        self.assertEqual(len(self.rest.family(sandbox).json["sandboxes"]), 4)

    def test_calls_at_the_same_time_wait_for_the_first(self) -> None:
        before = self.rest.ids()
        answers: list[Answer] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(call(self.rest, "/v1/sandboxes", self.key))
            )
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        self.assertEqual({answer.status for answer in answers}, {200})
        ids = {answer.json["id"] for answer in answers}
        for sandbox in ids:
            self.addCleanup(self.rest.close, sandbox)
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.rest.ids() - before, ids)
        self.assertEqual(sum("Idempotency-Replayed" in answer.headers for answer in answers), 9)

    def test_the_same_key_with_another_body_is_refused(self) -> None:
        self.created(self.key)
        with self.nothing_created():
            refused = call(self.rest, "/v1/sandboxes", self.key, {"persistent": True})
        self.assert_refused(refused, 422, "Idempotency-Key")
        self.assertEqual(refused.json["code"], "idempotency_key_reused")

    def test_a_call_that_failed_does_not_use_the_key_up(self) -> None:
        refused = call(self.rest, "/v1/sandboxes", self.key, {"template": "nowhere"})
        self.assert_refused(refused, 422)
        self.assertNotIn("Idempotency-Replayed", self.created(self.key).headers)

    def test_a_key_is_its_owners(self) -> None:
        first = self.created(self.key)
        other = self.server.rest(self.server.own_key)
        answer = call(other, "/v1/sandboxes", self.key)
        self.addCleanup(other.close, answer.json["id"])
        self.assertEqual(answer.status, 200)
        self.assertNotEqual(answer.json["id"], first.json["id"])

    def test_what_is_no_key_is_refused(self) -> None:
        with self.nothing_created():
            for key in ("", "two words", "x" * 256, "tab\tbed"):
                self.assert_refused(call(self.rest, "/v1/sandboxes", key), 400, "Idempotency-Key")


class RestartTest(KillingCase):
    deadline_seconds = 300.0

    def test_a_key_is_known_after_the_server_was_killed(self) -> None:
        key = str(uuid.uuid4())
        first = call(self.rest, "/v1/sandboxes", key)
        self.assertEqual(first.status, 200, str(first))
        sandbox = first.json["id"]
        self.addCleanup(self.rest.close, sandbox)
        fork = call(self.rest, f"/v1/sandboxes/{sandbox}/fork", key)
        self.assertEqual(fork.status, 200, str(fork))
        self.addCleanup(self.rest.close, fork.json["children"][0])
        self.server.kill()
        self.server.start()
        again = call(self.rest, "/v1/sandboxes", key)
        self.assertEqual((again.status, again.body), (200, first.body))
        self.assertEqual(again.headers["Idempotency-Replayed"], "true")
        again = call(self.rest, f"/v1/sandboxes/{sandbox}/fork", key)
        self.assertEqual((again.status, again.body), (200, fork.body))
        self.assertLessEqual({sandbox, *fork.json["children"]}, self.rest.ids())

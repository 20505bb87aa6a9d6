"""Forks, differences, merges and Spaces, of both clients."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import unittest
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from podflare import (
    AsyncClient,
    AsyncSandbox,
    AsyncSpace,
    CapacityError,
    ConflictError,
    InvalidRequestError,
    MergeConflictError,
    NotFoundError,
    PodflareError,
    Sandbox,
    ServerError,
    Space,
)

from .scripted_server import SANDBOX_ID, Request, ScriptedServer, answer, json_answer
from .support import NOT_FOUND, PodflareTestCase

CHILDREN = ["sbx_" + letter * 32 for letter in "abc"]
SPACE_ID = "spc_" + "7" * 32
RESUMED_ID = "sbx_" + "d" * 32
CONFLICTS = [{"path": "/root/plan", "parent": "modified", "winner": "removed"}]
DIFFERENCE = {
    "added": ["/root/new"],
    "removed": [],
    "modified": ["/tmp/x"],
    "details": {"/tmp/x": {"changed": ["mode"]}},
    "variables": {"added": {"y": {"type": "int", "repr": "1"}}, "removed": {}, "modified": {}},
    "truncated": False,
}
REPORT = {
    "mode": "files",
    "applied": True,
    "added": ["/root/new"],
    "modified": [],
    "removed": [],
    "conflicts": [],
}
SPACE = {"id": SPACE_ID, "sandbox": SANDBOX_ID, "held_by": None, "disk_bytes": 40_000_000}


def branching(request: Request):
    """A server that does all of it well."""
    path = urlsplit(request.target).path
    if path.endswith("/fork"):
        return json_answer({"children": CHILDREN[: request.json.get("n", 1)], "pause_ms": 12.5})
    if path.endswith("/family"):
        first = {"id": SANDBOX_ID, "parent": None, "generation": 0}
        return json_answer({"family": SANDBOX_ID, "sandboxes": [first]})
    if "/diff/" in path:
        return json_answer(DIFFERENCE)
    if "/merge_into/" in path:
        whole = not request.body or request.json["mode"] == "swap" and not request.json["dry_run"]
        return answer(204) if whole else json_answer(REPORT)
    if path.endswith("/freeze"):
        return json_answer({"space": SPACE_ID, **SPACE})
    if path.endswith("/resume"):
        return json_answer({"id": RESUMED_ID, "state": "ready"})
    if path == "/v1/spaces":
        return json_answer({"spaces": [SPACE]})
    return json_answer(SPACE if "/spaces/" in path else {"id": SANDBOX_ID, "state": "ready"})


class Both(PodflareTestCase):
    """Runs the same calls by the synchronous and by the asynchronous client."""

    def requests_of(
        self, use: Callable[[Any], Any], use_async: Callable[[Any], Awaitable[Any]]
    ) -> list[tuple[str, str, bytes]]:
        """What the synchronous calls sent, after the asynchronous ones have sent the same."""
        server, async_server = self.serve(branching), self.serve(branching)
        use(Sandbox(client=self.client_of(server)))

        async def main() -> None:
            async with AsyncClient(async_server.host, "pf_live_test") as client:
                await use_async(await AsyncSandbox.create(client=client))

        asyncio.run(main())
        sent, sent_too = (
            [(request.method, request.target, request.body) for request in each.requests[1:]]
            for each in (server, async_server)
        )
        self.assertEqual(sent, sent_too)
        return sent


class ForkTest(Both):
    def test_a_fork_answers_the_children_in_their_order_and_each_is_closed_by_itself(self) -> None:
        def use(sb: Sandbox) -> None:
            children = sb.fork(3)
            self.assertEqual([child.id for child in children], CHILDREN)
            children[1].close()

        async def use_async(sb: AsyncSandbox) -> None:
            children = await sb.fork(3)
            self.assertEqual([child.id for child in children], CHILDREN)
            await children[1].close()

        sent = self.requests_of(use, use_async)
        self.assertEqual(sent[0], ("POST", f"/v1/sandboxes/{SANDBOX_ID}/fork", b'{"n": 3}'))
        self.assertEqual(sent[1][:2], ("DELETE", f"/v1/sandboxes/{CHILDREN[1]}"))

    def test_without_a_number_it_is_one_and_still_a_list(self) -> None:
        sb = Sandbox(client=self.client_of(self.serve(branching)))
        self.assertEqual([child.id for child in sb.fork()], CHILDREN[:1])

    def test_a_child_sends_its_parents_trace_context(self) -> None:
        server = self.serve(branching)
        sb = Sandbox(client=self.client_of(server), traceparent="00-parent")
        sb.fork()[0].info()
        self.assertEqual(server.requests[-1].headers["traceparent"], "00-parent")

    def test_an_async_child_lives_on_when_its_parent_is_closed(self) -> None:
        server = self.serve(branching)

        async def main() -> None:
            async with AsyncSandbox(host=server.host, api_key="k") as sb:
                [child] = await sb.fork()
            await child.info()
            await child.close()

        asyncio.run(main())
        self.assertEqual(server.targets()[-1], f"DELETE /v1/sandboxes/{CHILDREN[0]}")

    def test_a_host_without_room_says_so(self) -> None:
        body = {"error": "no room for 3 forks", "code": "no_room", "hint": "900 MiB are free"}
        server = self.serve(lambda request: json_answer(body, 503))
        with self.assertRaises(CapacityError) as caught:
            Sandbox(client=self.client_of(server)).fork(3)
        self.assertIn("900 MiB", str(caught.exception))

    def test_an_answer_without_ids_is_a_server_error(self) -> None:
        for body in ({}, {"children": None}, {"children": [1]}, {"children": [""]}):
            server = self.serve(lambda request, body=body: json_answer(body))
            with self.subTest(body), self.assertRaises(ServerError):
                Sandbox(client=self.client_of(server)).fork()

    def test_a_fork_is_never_sent_twice(self) -> None:
        server = self.serve(lambda request: [b"HTTP/1.1 "])
        sb = Sandbox(client=self.client_of(server, timeout=2))
        with self.assertRaises(PodflareError):
            sb.fork()
        self.assertEqual(server.targets()[1:], [f"POST /v1/sandboxes/{SANDBOX_ID}/fork"])

    def test_the_family_has_its_fields_by_attribute(self) -> None:
        def use(sb: Sandbox) -> None:
            self.assertEqual([(one.id, one.generation) for one in sb.family()], [(SANDBOX_ID, 0)])

        async def use_async(sb: AsyncSandbox) -> None:
            self.assertIsNone((await sb.family())[0].parent)

        sent = self.requests_of(use, use_async)
        self.assertEqual(sent[0][:2], ("GET", f"/v1/sandboxes/{SANDBOX_ID}/family"))


class DiffTest(Both):
    def query_of(self, sent: tuple[str, str, bytes]) -> list[tuple[str, str]]:
        parts = urlsplit(sent[1])
        self.assertEqual(parts.path, f"/v1/sandboxes/{SANDBOX_ID}/diff/{CHILDREN[0]}")
        return parse_qsl(parts.query)

    def test_programs_of_the_hosted_service_find_added_removed_and_modified(self) -> None:
        def use(sb: Sandbox) -> None:
            found = sb.diff(sb.fork()[0])
            self.assertIsInstance(found, dict)
            self.assertEqual(found["added"], ["/root/new"])
            self.assertEqual((found["removed"], found.modified), ([], ["/tmp/x"]))
            self.assertEqual(found, DIFFERENCE)

        async def use_async(sb: AsyncSandbox) -> None:
            [child] = await sb.fork()
            self.assertEqual(await sb.diff(child), DIFFERENCE)

        sent = self.requests_of(use, use_async)
        self.assertEqual(
            self.query_of(sent[1]),
            [("path", "/root"), ("path", "/tmp"), ("text", "false"), ("variables", "true")],
        )

    def test_an_id_is_as_good_as_an_object_and_one_path_as_good_as_a_list(self) -> None:
        def use(sb: Sandbox) -> None:
            sb.diff(CHILDREN[0], "/srv/ü b", text=True, variables=False)

        async def use_async(sb: AsyncSandbox) -> None:
            await sb.diff(CHILDREN[0], ["/srv/ü b"], text=True, variables=False)

        sent = self.requests_of(use, use_async)
        self.assertEqual(
            self.query_of(sent[0]),
            [("path", "/srv/ü b"), ("text", "true"), ("variables", "false")],
        )

    def test_what_is_no_sandbox_is_refused_before_it_is_sent(self) -> None:
        server = self.serve(branching)
        sb = Sandbox(client=self.client_of(server))
        for bad in (None, 5, "", b"sbx_"):
            with self.subTest(bad), self.assertRaises(InvalidRequestError):
                sb.diff(bad)
            with self.subTest(bad), self.assertRaises(InvalidRequestError):
                sb.merge_into(bad)
        self.assertEqual(len(server.requests), 1)

    def test_an_id_can_not_leave_its_place_in_the_path(self) -> None:
        server = self.serve(lambda request: NOT_FOUND)
        with self.assertRaises(NotFoundError):
            Sandbox(client=self.client_of(server)).diff("../../healthz?")
        self.assertIn("/diff/..%2F..%2Fhealthz%3F?", server.requests[-1].target)


class MergeTest(Both):
    def test_a_swap_sends_what_the_hosted_service_knows_and_ends_the_winners_object(self) -> None:
        def use(sb: Sandbox) -> None:
            [child] = sb.fork()
            self.assertIsNone(sb.merge_into(child))
            child.close()
            self.assertEqual(sb.id, SANDBOX_ID)

        async def use_async(sb: AsyncSandbox) -> None:
            [child] = await sb.fork()
            self.assertIsNone(await sb.merge_into(child))
            await child.close()

        sent = self.requests_of(use, use_async)
        merge = ("POST", f"/v1/sandboxes/{SANDBOX_ID}/merge_into/{CHILDREN[0]}", b"")
        self.assertEqual(sent[1:], [merge])

    def test_files_and_dry_runs_answer_a_report_and_leave_the_winner_open(self) -> None:
        def use(sb: Sandbox) -> None:
            [child] = sb.fork()
            report = sb.merge_into(child, "files", paths=("/root",), on_conflict="winner")
            self.assertEqual((report.applied, report["added"]), (True, ["/root/new"]))
            self.assertEqual(sb.merge_into(child, dry_run=True), REPORT)
            child.close()

        async def use_async(sb: AsyncSandbox) -> None:
            [child] = await sb.fork()
            report = await sb.merge_into(child, "files", paths="/root", on_conflict="winner")
            self.assertEqual(report, REPORT)
            await sb.merge_into(child, dry_run=True)
            await child.close()

        sent = self.requests_of(use, use_async)
        self.assertEqual(
            [body for _, _, body in sent[1:3]],
            [
                b'{"mode": "files", "dry_run": false, "paths": ["/root"], "on_conflict": "winner"}',
                b'{"mode": "swap", "dry_run": true, "on_conflict": "fail"}',
            ],
        )
        self.assertEqual(sent[3][:2], ("DELETE", f"/v1/sandboxes/{CHILDREN[0]}"))

    def test_a_merge_that_is_refused_leaves_the_winner_open(self) -> None:
        body = {"error": "not a relative", "code": "not_a_relative"}
        server = self.serve(branching)
        sb = Sandbox(client=self.client_of(server))
        [child] = sb.fork()
        server.script = lambda request: (
            json_answer(body, 409) if request.method == "POST" else answer(204)
        )
        with self.assertRaises(ConflictError) as caught:
            sb.merge_into(child)
        self.assertNotIsInstance(caught.exception, MergeConflictError)
        child.close()
        self.assertEqual(server.targets()[-1], f"DELETE /v1/sandboxes/{CHILDREN[0]}")

    def test_conflicts_are_told_by_their_own_exception(self) -> None:
        body = {"error": "1 file", "code": "merge_conflict", "hint": "h", "conflicts": CONFLICTS}
        server = self.serve(lambda request: json_answer(body, 409))
        with self.assertRaises(MergeConflictError) as caught:
            Sandbox(client=self.client_of(server)).merge_into(CHILDREN[0], "files")
        error = caught.exception
        self.assertIsInstance(error, ConflictError)
        self.assertEqual((error.code, error.conflicts), ("merge_conflict", CONFLICTS))
        self.assertEqual(pickle.loads(pickle.dumps(error)).conflicts, CONFLICTS)


class SpaceTest(Both):
    def test_freezing_ends_the_sandbox_and_resuming_gives_another(self) -> None:
        def use(sb: Sandbox) -> None:
            space = sb.freeze()
            self.assertEqual(space.id, SPACE_ID)
            sb.close()
            with space.resume() as again:
                self.assertEqual(again.id, RESUMED_ID)
            self.assertEqual(space.info().disk_bytes, 40_000_000)
            space.delete()

        async def use_async(sb: AsyncSandbox) -> None:
            space = await sb.freeze()
            await sb.close()
            async with await space.resume() as again:
                self.assertEqual(again.id, RESUMED_ID)
            self.assertEqual((await space.info()).sandbox, SANDBOX_ID)
            await space.delete()

        sent = self.requests_of(use, use_async)
        self.assertEqual(
            [f"{method} {target}" for method, target, _ in sent],
            [
                f"POST /v1/sandboxes/{SANDBOX_ID}/freeze",
                f"POST /v1/spaces/{SPACE_ID}/resume",
                f"DELETE /v1/sandboxes/{RESUMED_ID}",
                f"GET /v1/spaces/{SPACE_ID}",
                f"DELETE /v1/spaces/{SPACE_ID}",
            ],
        )

    def test_a_freeze_that_fails_leaves_the_sandbox_open(self) -> None:
        server = self.serve(lambda request: json_answer({"error": "disk full"}, 503))
        sb = Sandbox(client=self.client_of(server))
        with self.assertRaises(CapacityError):
            sb.freeze()
        sb.close()
        self.assertEqual(server.targets()[-1], f"DELETE /v1/sandboxes/{SANDBOX_ID}")

    def test_an_answer_without_a_space_is_a_server_error(self) -> None:
        server = self.serve(lambda request: json_answer({"space": None}))
        with self.assertRaises(ServerError):
            Sandbox(client=self.client_of(server)).freeze()

    def test_spaces_are_found_by_id_and_listed(self) -> None:
        server = self.serve(branching)
        client = self.client_of(server)
        self.assertEqual(Space.get(SPACE_ID, client=client).id, SPACE_ID)
        self.assertEqual([each.id for each in Space.list(client=client)], [SPACE_ID])

        async def main() -> None:
            given = {"host": server.host, "api_key": "k"}
            self.assertEqual((await AsyncSpace.get(SPACE_ID, **given)).id, SPACE_ID)
            [space] = await AsyncSpace.list(**given)
            again = await space.resume()
            await again.close()

        asyncio.run(main())
        self.assertEqual(
            server.targets()[:4], [f"GET /v1/spaces/{SPACE_ID}", "GET /v1/spaces"] * 2
        )

    def test_a_space_that_is_not_there_is_not_found(self) -> None:
        missing = json_answer({"error": "space not found", "code": "space_not_found"}, 404)
        server = self.enterContext310(ScriptedServer(lambda request: missing))
        client = self.client_of(server)
        with self.assertRaises(NotFoundError):
            Space.get("spc_../../healthz", client=client)
        self.assertEqual(server.targets(), ["GET /v1/spaces/spc_..%2F..%2Fhealthz"])

    def test_spaces_are_not_made_by_hand(self) -> None:
        for kind in (Space, AsyncSpace):
            with self.subTest(kind), self.assertRaises(TypeError):
                kind()


class TwinsTest(unittest.TestCase):
    def test_each_call_of_the_one_client_is_a_call_of_the_other(self) -> None:
        for one, other in ((Sandbox, AsyncSandbox), (Space, AsyncSpace)):
            for name, call in inspect.getmembers(one, inspect.isroutine):
                if name.startswith("_"):
                    continue
                with self.subTest(one=one.__name__, call=name):
                    mine = inspect.signature(call).parameters
                    its = inspect.signature(getattr(other, name)).parameters
                    self.assertEqual(
                        [(each.name, each.default) for each in mine.values()],
                        [(each.name, each.default) for each in its.values()],
                    )


if __name__ == "__main__":
    unittest.main()

"""Branching calls that must be refused: what is wrong is named, nothing is made or changed."""

from __future__ import annotations

import json
from typing import Any, ClassVar
from urllib.parse import urlencode

from rig.case import Case
from tests.test_bad_input import BAD_IDS, JSON, NEVER

NEVER_SPACE = "spc_" + "0" * 32

#: `n` of a fork, what is answered.
NUMBERS: list[tuple[Any, int | set[int]]] = [
    (0, {400, 422}),
    (-1, {400, 422}),
    (101, {400, 422}),
    (10**9, {400, 422}),
    (2**63, {400, 422}),
    (10**400, {400, 422}),
    ("5", 400),
    ("", 400),
    (2.5, {400, 422}),
    (1e308, {400, 422}),
    (True, 400),
    ([], 400),
    ([3], 400),
    ({}, 400),
]

#: Body of a merge, status, what the sentence must name.
MERGES: list[tuple[dict[str, Any], int | set[int], str]] = [
    ({"mode": 5}, 400, "mode"),
    ({"mode": "exchange"}, {400, 422}, "mode"),
    ({"mode": ""}, {400, 422}, "mode"),
    ({"mode": ["swap"]}, 400, "mode"),
    ({"dry_run": "yes"}, 400, "dry_run"),
    ({"dry_run": 1}, 400, "dry_run"),
    ({"mode": "files", "paths": "/root"}, 400, "paths"),
    ({"mode": "files", "paths": [5]}, 400, "paths"),
    ({"mode": "files", "paths": []}, {400, 422}, "path"),
    ({"mode": "files", "paths": ["/x\0y"]}, {400, 422}, "path"),
    ({"mode": "files", "paths": ["x" * 5000]}, {400, 422}, "path"),
    ({"mode": "files", "paths": ["/a"] * 1000}, {400, 422}, "path"),
    ({"mode": "files", "on_conflict": "guess"}, {400, 422}, "on_conflict"),
    ({"mode": "files", "on_conflict": None, "paths": None, "dry_run": "x"}, 400, "dry_run"),
    ({"mode": "files", "on_conflict": 7}, 400, "on_conflict"),
]

#: Query of a diff, status, what the sentence must name.
DIFFS: list[tuple[list[tuple[str, str]], int | set[int], str]] = [
    ([("path", "")], {400, 422}, "path"),
    ([("path", "/x\0y")], {400, 422}, "path"),
    ([("path", "/" + "x" * 5000)], {400, 422}, "path"),
    ([("path", f"/{n}") for n in range(1000)], {400, 422}, "path"),
    ([("text", "maybe")], {400, 422}, "text"),
    ([("variables", "2")], {400, 422}, "variables"),
]


class BadBranchingTest(Case):
    parent: ClassVar[str]
    child: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.parent = cls.rest.create()
        cls.addClassCleanup(cls.rest.close, cls.parent)
        cls.rest.exec(cls.parent, "x = 'parent'")
        (cls.child,) = cls.rest.children(cls.parent)
        cls.addClassCleanup(cls.rest.close, cls.child)
        cls.rest.exec(cls.child, "x = 'child'")

    def setUp(self) -> None:
        super().setUp()
        nothing_is_made = self.nothing_created()
        nothing_is_made.__enter__()
        self.addCleanup(nothing_is_made.__exit__, None, None, None)
        self.addCleanup(self.both_are_well)

    def both_are_well(self) -> None:
        for sandbox, expected in ((self.parent, "parent\n"), (self.child, "child\n")):
            self.assertEqual(self.said(sandbox, "print(x)"), expected)
        self.assertEqual(self.rest.spaces(), {})

    def test_a_number_of_children_that_makes_no_sense_is_refused(self) -> None:
        for n, statuses in NUMBERS:
            with self.subTest(repr(n)[:30]):
                self.assert_refused(self.rest.fork(self.parent, n=n), statuses, "n")

    def test_a_body_that_is_no_json_object_is_refused(self) -> None:
        for path in (
            f"/v1/sandboxes/{self.parent}/fork",
            f"/v1/sandboxes/{self.parent}/merge_into/{self.child}",
        ):
            for body in (b"{", b"[]", b"5", b'"x"', b'{"n":NaN}', b"\0\0", b'{"n":1,"n":2}'):
                with self.subTest(f"{path[-40:]} {body!r}"):
                    self.assert_refused(self.rest.call("POST", path, body, JSON), 400)
            large = json.dumps({"x": "y" * (2 << 20)}).encode()
            self.assert_refused(self.rest.call("POST", path, large, JSON), 413)

    def test_a_merge_names_the_field_that_is_wrong(self) -> None:
        for body, statuses, names in MERGES:
            with self.subTest(str(body)[:60]):
                answer = self.rest.merge(self.parent, self.child, **body)
                self.assert_refused(answer, statuses, names)

    def test_a_diff_names_what_is_wrong(self) -> None:
        for query, statuses, names in DIFFS:
            with self.subTest(str(query)[:60]):
                path = f"/v1/sandboxes/{self.parent}/diff/{self.child}?" + urlencode(query)
                self.assert_refused(self.rest.call("GET", path), statuses, names)

    def test_paths_that_climb_out_reach_nothing(self) -> None:
        for path in ("/root/../etc", "/tmp/../../..", "//", "/proc", "/sys", "/dev", "/run"):
            answer = self.rest.diff(self.parent, self.child, path, variables=False)
            with self.subTest(path):
                self.assertIn(answer.status, {200, 400, 422}, str(answer))
                if answer.status != 200:
                    self.assert_refused(answer, {400, 422})
        merge = self.rest.merge(
            self.parent, self.child, mode="files", dry_run=True, paths=["/root/../proc"]
        )
        self.assertIn(merge.status, {200, 400, 422}, str(merge))

    def test_ids_that_never_were_are_not_found(self) -> None:
        for other in (NEVER, *BAD_IDS):
            calls = [
                ("POST", f"/v1/sandboxes/{other}/fork"),
                ("GET", f"/v1/sandboxes/{other}/family"),
                ("POST", f"/v1/sandboxes/{other}/freeze"),
                ("GET", f"/v1/sandboxes/{other}/diff/{self.child}"),
                ("GET", f"/v1/sandboxes/{self.child}/diff/{other}"),
                ("POST", f"/v1/sandboxes/{other}/merge_into/{self.child}"),
                ("POST", f"/v1/sandboxes/{self.child}/merge_into/{other}"),
            ]
            for method, path in calls:
                with self.subTest(f"{method} {path[:90]}"):
                    self.assert_not_found(self.rest.call(method, path), path)

    def test_spaces_that_never_were_are_not_found(self) -> None:
        bad = [one.replace("sbx_", "spc_") for one in BAD_IDS if "spc_" not in one]
        for space in (NEVER_SPACE, NEVER, *bad):
            for method, rest in (("GET", ""), ("POST", "/resume"), ("DELETE", "")):
                with self.subTest(f"{method} {space[:60]}{rest}"):
                    path = f"/v1/spaces/{space}{rest}"
                    self.assert_not_found(self.rest.call(method, path), path)

    def assert_not_found(self, answer: Any, path: str) -> None:
        allowed = {404, 414} if len(path) > 1000 else {404}
        if any(odd in path for odd in ("%zz", "%ff", "%00")):
            allowed |= {400}
        self.assertIn(answer.status, allowed, str(answer))
        self.assertIn("error", answer.json)

    def test_a_merge_into_itself_is_a_bad_request(self) -> None:
        for request in ({}, {"mode": "files"}, {"dry_run": True}):
            self.assert_refused(self.rest.merge(self.parent, self.parent, **request), 400)

    def test_without_a_key_nothing_is_done(self) -> None:
        nobody = self.server.rest(key=None)
        for answer in (
            nobody.fork(self.parent),
            nobody.family(self.parent),
            nobody.diff(self.parent, self.child),
            nobody.merge(self.parent, self.child),
            nobody.freeze(self.parent),
            nobody.call("GET", "/v1/spaces"),
            nobody.resume(NEVER_SPACE),
            nobody.delete_space(NEVER_SPACE),
        ):
            self.assert_refused(answer, 401)

    def test_a_wrong_method_is_told_the_right_ones(self) -> None:
        for method, path, allowed in (
            ("GET", f"/v1/sandboxes/{self.parent}/fork", "POST"),
            ("POST", f"/v1/sandboxes/{self.parent}/family", "GET"),
            ("PUT", f"/v1/sandboxes/{self.parent}/freeze", "POST"),
            ("POST", f"/v1/sandboxes/{self.parent}/diff/{self.child}", "GET"),
            ("GET", f"/v1/sandboxes/{self.parent}/merge_into/{self.child}", "POST"),
            ("POST", "/v1/spaces", "GET"),
            ("GET", f"/v1/spaces/{NEVER_SPACE}/resume", "POST"),
            ("POST", f"/v1/spaces/{NEVER_SPACE}", "DELETE"),
        ):
            with self.subTest(f"{method} {path}"):
                answer = self.rest.call(method, path)
                self.assert_refused(answer, 405)
                self.assertIn(allowed, answer.headers.get("Allow", ""))

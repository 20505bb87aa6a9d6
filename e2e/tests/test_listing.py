"""Lists, filters and pages; what is told of one sandbox."""

from __future__ import annotations

import time

from rig.case import SMALL, Case, slow
from rig.deadline import eventually


class ListingTest(Case):
    def test_a_sandbox_tells_what_it_is(self) -> None:
        before = time.time() * 1000
        sandbox = self.new_sandbox(
            idle_timeout_seconds=120,
            max_lifetime_seconds=600,
            metadata={"who": "me"},
            env={"S": "secret-value"},
        )
        self.rest.exec(sandbox, "sum(range(100000))")
        answer = self.rest.info(sandbox)
        info = answer.json
        self.assertEqual((info["id"], info["state"]), (sandbox, "ready"))
        self.assertEqual(info["template"], "default")
        self.assertEqual(info["isolation"], self.server.isolation)
        self.assertEqual((info["idle_timeout_seconds"], info["max_lifetime_seconds"]), (120, 600))
        self.assertEqual(info["metadata"], {"who": "me"})
        self.assertEqual((info["egress"], info["parent"], info["family"]), (True, None, sandbox))
        self.assertLessEqual(before - 1000, info["created_at"])
        self.assertLessEqual(info["created_at"], info["last_used_at"])
        for limit in ("cpus", "memory_mb", "disk_mb", "memory_used_bytes", "cpu_time_ms"):
            self.assertGreater(info[limit], 0, limit)
        self.assertNotIn("secret-value", answer.text)

    def test_create_answers_the_id_first_and_that_it_is_ready(self) -> None:
        answer = self.rest.call("POST", "/v1/sandboxes", {})
        self.addCleanup(self.rest.close, answer.json["id"])
        self.assertEqual(list(answer.json)[:2], ["id", "state"])
        self.assertRegex(answer.json["id"], r"^sbx_[0-9a-f]{32}$")
        self.assertEqual(answer.json["state"], "ready")

    def test_defaults_are_five_idle_minutes_and_no_end(self) -> None:
        info = self.rest.info(self.new_sandbox()).json
        self.assertEqual((info["idle_timeout_seconds"], info["max_lifetime_seconds"]), (300, None))

    def test_the_list_is_filtered_by_metadata_state_and_template(self) -> None:
        mark = f"m{time.time_ns()}"
        red = self.new_sandbox(metadata={"run": mark, "colour": "red"})
        blue = self.new_sandbox(metadata={"run": mark, "colour": "blue & grün"})

        def ids(**query: str) -> list[str]:
            answer = self.rest.list(**{"metadata.run": mark, **query})
            self.assertEqual(answer.status, 200, str(answer))
            return [one["id"] for one in answer.json["sandboxes"]]

        self.assertEqual(ids(), [red, blue], "oldest first")
        self.assertEqual(ids(**{"metadata.colour": "blue & grün"}), [blue])
        self.assertEqual(ids(**{"metadata.colour": "green"}), [])
        self.assertEqual(ids(template="default"), [red, blue])
        self.assertEqual(ids(template="python-datasci"), [])
        self.assertEqual(ids(state="running"), [])
        with self.rest.stream(red, "import time\nprint('on')\ntime.sleep(80)") as running:
            running.first("stdout")
            self.assertEqual(ids(state="running"), [red])
            self.assertEqual(ids(state="ready"), [blue])
            self.rest.interrupt(red)
            running.rest()

    def test_pages_follow_each_other_without_gap_or_double(self) -> None:
        mark = f"p{time.time_ns()}"
        made = [self.new_sandbox(metadata={"run": mark}) for _ in range(5)]
        seen, cursor = [], None
        for _ in range(5):
            query = {"metadata.run": mark, "limit": 2} | ({"cursor": cursor} if cursor else {})
            page = self.rest.list(**query).json
            self.assertLessEqual(len(page["sandboxes"]), 2)
            seen += [one["id"] for one in page["sandboxes"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        self.assertEqual(seen, made)

    def test_a_page_may_begin_after_a_sandbox_that_was_closed_meanwhile(self) -> None:
        mark = f"c{time.time_ns()}"
        first, second, third = (self.new_sandbox(metadata={"run": mark}) for _ in range(3))
        page = self.rest.list(**{"metadata.run": mark, "limit": 2}).json
        self.rest.close(second)
        after = self.rest.list(**{"metadata.run": mark, "limit": 2, "cursor": page["next_cursor"]})
        self.assertEqual([one["id"] for one in after.json["sandboxes"]], [third])
        self.assertNotIn(first, str(after.json))

    def test_bad_queries_are_refused_and_named(self) -> None:
        for query, names in (
            ({"limit": "0"}, "limit"),
            ({"limit": "-1"}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"limit": "9" * 40}, "limit"),
            ({"limit": "1001"}, "limit"),
            ({"cursor": "../../etc/passwd"}, "cursor"),
            ({"cursor": "x" * 2000}, "cursor"),
            ({"state": "sleepy"}, "state"),
        ):
            self.assert_refused(self.rest.list(**query), {400, 422}, names)

    @slow
    def test_limits_that_are_asked_for_are_what_the_guest_gets(self) -> None:
        sandbox = self.new_sandbox(**SMALL)
        ran = self.rest.exec(
            sandbox,
            "import os, shutil\n"
            "print(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20)\n"
            "print(shutil.disk_usage('/root').total >> 20)\n"
            "print(os.cpu_count())",
        )
        memory, disk, cpus = (int(line) for line in ran.stdout.split())
        info = self.rest.info(sandbox).json
        self.assertEqual({key: info[key] for key in SMALL}, SMALL)
        self.assertTrue(380 <= memory <= 512, memory)
        self.assertTrue(150 <= disk <= 256, disk)
        self.assertEqual(cpus, info["cpus"])

    def test_capacity_and_metrics_tell_of_the_pool(self) -> None:
        capacity = self.rest.call("GET", "/v1/capacity")
        self.assertEqual(capacity.status, 200, str(capacity))
        self.assertIn("pool_hit_rate_bp", capacity.text)
        metrics = self.rest.call("GET", "/metrics")
        self.assertEqual(metrics.status, 200)
        self.assertRegex(
            metrics.text, r"(?m)^# TYPE podflare_\w+ (counter|gauge|histogram|summary)$"
        )

    def test_machines_are_prepared_again_after_a_fork_took_them(self) -> None:
        def prepared() -> bool:
            capacity = self.rest.call("GET", "/v1/capacity").json
            return bool(0 < capacity["prepared_target"] <= capacity["prepared_ready"])

        sandbox = self.new_sandbox()
        eventually("machines are prepared", prepared, 120)
        for child in self.rest.children(sandbox, 3):
            self.addCleanup(self.rest.close, child)
        eventually("machines are prepared again", prepared, 120)

    def test_the_description_of_the_api_is_served(self) -> None:
        answer = self.rest.call("GET", "/openapi.yaml")
        self.assertEqual(answer.status, 200)
        for path in ("/v1/sandboxes", "/v1/sandboxes/{id}/exec", "/v1/healthz"):
            self.assertIn(path, answer.text)

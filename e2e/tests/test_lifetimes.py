"""When sandboxes end by themselves, to the second."""

from __future__ import annotations

import time

from rig.case import Case
from rig.deadline import eventually


class LifetimeTest(Case):
    """The list is used to look, because looking at one sandbox could count as a call to it."""

    #: How late an end may be seen: PRODUCT.md says to the second; the list call takes part of it.
    LATE = 1.2

    def gone_after(self, sandbox: str, since: float, limit: float) -> float:
        eventually(f"{sandbox} is gone", lambda: sandbox not in self.rest.ids(), limit + 10)
        return time.monotonic() - since

    def test_an_idle_sandbox_ends_when_its_time_is_over(self) -> None:
        sandbox = self.rest.create(idle_timeout_seconds=3)
        self.rest.exec(sandbox, "1")
        since = time.monotonic()
        lasted = self.gone_after(sandbox, since, 3)
        self.assertTrue(2.8 <= lasted <= 3 + self.LATE, lasted)
        self.assert_refused(
            self.rest.call("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"}), 404
        )

    def test_a_sandbox_that_is_never_used_ends_too(self) -> None:
        sandbox = self.rest.create(idle_timeout_seconds=2)
        since = time.monotonic()
        lasted = self.gone_after(sandbox, since, 2)
        self.assertTrue(1.8 <= lasted <= 2 + self.LATE, lasted)

    def test_idle_time_counts_from_the_end_of_the_last_call(self) -> None:
        sandbox = self.rest.create(idle_timeout_seconds=3)
        began = time.monotonic()
        for _ in range(4):
            self.rest.exec(sandbox, "import time; time.sleep(1.2)")
        since = time.monotonic()
        self.assertGreater(since - began, 4.5)
        lasted = self.gone_after(sandbox, since, 3)
        self.assertTrue(2.8 <= lasted <= 3 + self.LATE, lasted)

    def test_a_long_call_is_not_idle_time(self) -> None:
        sandbox = self.new_sandbox(idle_timeout_seconds=2)
        ran = self.rest.exec(sandbox, "import time; time.sleep(5); print('whole')")
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(ran.stdout, "whole\n")

    def test_file_calls_keep_a_sandbox_alive(self) -> None:
        sandbox = self.new_sandbox(idle_timeout_seconds=2)
        for _ in range(3):
            time.sleep(1.3)
            self.assertEqual(self.rest.put(sandbox, "/root/x", b"x").status, 200)
        self.assertIn(sandbox, self.rest.ids())

    def test_the_lifetime_is_final_though_code_runs(self) -> None:
        began = time.monotonic()
        sandbox = self.rest.create(max_lifetime_seconds=4)
        made = time.monotonic()
        ran = self.rest.exec(sandbox, "import time\nwhile True: print('on'); time.sleep(0.2)")
        ended = time.monotonic()
        self.assertLessEqual(ended - made, 4 + self.LATE)
        self.assertGreaterEqual(ended - began, 3.8)
        self.assertEqual((ran.reason, ran.state_kept), ("killed", False))
        eventually("it is gone", lambda: sandbox not in self.rest.ids(), 2)

    def test_calls_do_not_prolong_the_lifetime(self) -> None:
        began = time.monotonic()
        sandbox = self.rest.create(max_lifetime_seconds=4, idle_timeout_seconds=60)
        made = time.monotonic()
        while self.rest.call("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"}).status == 200:
            self.assertLess(time.monotonic() - made, 8)
        self.assertGreaterEqual(time.monotonic() - began, 3.8)
        self.assertLessEqual(time.monotonic() - made, 4 + self.LATE)

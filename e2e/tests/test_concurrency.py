"""Many at once: nothing mixes, and each sandbox keeps its order."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from rig import suite
from rig.case import Case, SandboxCase
from rig.deadline import eventually


class ConcurrencyTest(Case):
    deadline_seconds = 900.0

    def test_many_execs_over_many_sandboxes_do_not_mix_up(self) -> None:
        scale = suite.scale()
        with ThreadPoolExecutor(8) as pool:
            sandboxes = list(
                pool.map(
                    lambda _: self.rest.create(deadline=300), range(scale.concurrent_sandboxes)
                )
            )
        for sandbox in sandboxes:
            self.addCleanup(self.rest.close, sandbox)

        def run(number: int) -> None:
            sandbox = sandboxes[number % len(sandboxes)]
            code = (
                f"seen = globals().get('seen', []) + [{number}]\n"
                f"for i in range(50): print('{sandbox}', {number}, i)\n"
                f"import sys; print('{number}', file=sys.stderr)"
            )
            ran = self.rest.exec(sandbox, code, deadline=600)
            self.assertEqual(ran.stdout, "".join(f"{sandbox} {number} {i}\n" for i in range(50)))
            self.assertEqual(ran.stderr, f"{number}\n")
            self.assertEqual([one["seq"] for one in ran.events], list(range(len(ran.events))))

        with ThreadPoolExecutor(scale.concurrent_execs) as pool:
            list(pool.map(run, range(scale.concurrent_execs)))
        for place, sandbox in enumerate(sandboxes):
            expected = set(range(place, scale.concurrent_execs, len(sandboxes)))
            said = self.rest.exec(sandbox, "print(sorted(seen))").stdout
            self.assertEqual(said, f"{sorted(expected)}\n")

    def test_sandboxes_created_at_once_are_all_different_and_all_work(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: self.rest.create(deadline=300), range(8)))
        for sandbox in made:
            self.addCleanup(self.rest.close, sandbox)
        self.assertEqual(len(set(made)), 8)
        hosts = {self.rest.exec(one, "import os; print(os.urandom(8))").stdout for one in made}
        self.assertEqual(len(hosts), 8)


class QueueTest(SandboxCase):
    def await_queued(self, count: int) -> None:
        """Until so many execs have come to the sandbox and wait for their turn."""
        eventually(
            f"{count} wait",
            lambda: [e["state"] for e in self.rest.execs(self.sandbox)].count("queued") == count,
        )

    def test_execs_of_one_sandbox_run_one_after_the_other_in_order(self) -> None:
        self.stdout("order = []")
        threads = []
        code = "import os, time\nprint('on')\nwhile not os.path.exists('/tmp/go'): time.sleep(0.05)"
        with self.rest.stream(self.sandbox, code) as first:
            first.first("stdout")
            for number in range(5):
                thread = threading.Thread(
                    target=self.exec, args=(f"order.append({number}); time.sleep(0.05)",)
                )
                thread.start()
                threads.append(thread)
                # The order is that of arrival at the server; two that are sent at once have none.
                self.await_queued(number + 1)
            self.assertEqual(self.rest.put(self.sandbox, "/tmp/go", b"").status, 200)
            first.rest()
        for thread in threads:
            thread.join(60)
        self.assertEqual(self.stdout("print(order)"), "[0, 1, 2, 3, 4]\n")

    def test_a_queued_exec_whose_client_goes_away_does_not_hold_up_the_next(self) -> None:
        with self.rest.stream(self.sandbox, "import time\nprint('on')\ntime.sleep(2)") as first:
            first.first("stdout")
            connection = self.rest.connect()
            body = b'{"code":"print(1)"}'
            headers = self.rest.headers({"Content-Type": "application/json"})
            connection.request("POST", f"/v1/sandboxes/{self.sandbox}/exec", body, headers)
            connection.close()
            first.rest()
        began = time.monotonic()
        self.assertEqual(self.stdout("print('next')"), "next\n")
        self.assertLess(time.monotonic() - began, 30)

    def test_an_interrupt_stops_the_running_exec_only(self) -> None:
        queued: list[str] = []
        with self.rest.stream(self.sandbox, "import time\nprint('on')\ntime.sleep(60)") as first:
            first.first("stdout")
            thread = threading.Thread(target=lambda: queued.append(self.stdout("print('queued')")))
            thread.start()
            self.await_queued(1)
            self.rest.interrupt(self.sandbox)
            self.assertEqual(first.rest().reason, "interrupted")
        thread.join(60)
        self.assertEqual(queued, ["queued\n"])

    def test_a_sandbox_that_runs_code_says_so(self) -> None:
        with self.rest.stream(self.sandbox, "import time\nprint('on')\ntime.sleep(60)") as running:
            running.first("stdout")
            self.assertEqual(self.rest.info(self.sandbox).json["state"], "running")
            self.rest.interrupt(self.sandbox)
            running.rest()
        self.assertEqual(self.rest.info(self.sandbox).json["state"], "ready")

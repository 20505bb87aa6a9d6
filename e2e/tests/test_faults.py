"""What happens when a guest, a machine or the server dies."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from rig import host
from rig.case import Case, KillingCase, slow
from rig.deadline import DeadlineExceeded, eventually
from rig.host import Process
from rig.rest import Exec, Refused


class GuestFaultTest(Case):
    deadline_seconds = 300.0

    def assert_lost(self, sandbox: str, machine: Process) -> None:
        """Soon the sandbox is marked and its machine gone; calls say what happened."""
        eventually("the machine's end", lambda: not host.lives(machine), 30)
        eventually("the sandbox is marked", lambda: self.is_marked(sandbox), 30)
        answer = self.rest.call("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"})
        self.assert_refused(answer, {404, 409})
        self.assertEqual(self.rest.close(sandbox).status, 204)

    def is_marked(self, sandbox: str) -> bool:
        info = self.rest.info(sandbox)
        return info.status == 404 or info.json["state"] == "lost"

    def dies_by(self, code: str, language: str = "bash") -> Exec:
        sandbox = self.new_sandbox()
        machine = self.machine_of(sandbox)
        ran = self.rest.exec(sandbox, code, language=language)
        self.assertEqual((ran.reason, ran.state_kept), ("killed", False), ran.events[-3:])
        self.assertNotEqual(ran.code, 0)
        self.assert_lost(sandbox, machine)
        return ran

    def test_a_kernel_panic_ends_the_call_and_the_machine(self) -> None:
        self.dies_by("echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60")

    def test_a_guest_that_powers_off_ends_the_call_and_the_machine(self) -> None:
        self.dies_by("echo 1 > /proc/sys/kernel/sysrq; echo o > /proc/sysrq-trigger; sleep 60")

    def test_a_guest_that_reboots_ends_the_call_and_the_machine(self) -> None:
        self.dies_by("echo 1 > /proc/sys/kernel/sysrq; echo b > /proc/sysrq-trigger; sleep 60")

    def test_an_agent_that_is_killed_ends_the_machine(self) -> None:
        self.dies_by(
            "import ctypes, os\n"
            "# Process 1 ignores signals, so it is stopped by writing over its memory.\n"
            "for line in open('/proc/1/maps'):\n"
            "    place, mode = line.split()[:2]\n"
            "    if mode.startswith('rw'):\n"
            "        start, end = (int(part, 16) for part in place.split('-'))\n"
            "        with open('/proc/1/mem', 'r+b', 0) as memory:\n"
            "            memory.seek(start)\n"
            "            try: memory.write(b'\\xff' * (end - start))\n"
            "            except OSError: pass\n"
            "import time; time.sleep(5)",
            language="python",
        )

    def assert_within_a_second(self, taken: Callable[[], float]) -> None:
        """A busy host makes one try late, hardly all."""
        tries = [taken()]
        while tries[-1] > 1 and len(tries) < 5:
            tries.append(taken())
        self.assertLessEqual(tries[-1], 1, tries)

    def test_a_machine_that_is_killed_ends_the_call_within_a_second(self) -> None:
        def taken() -> float:
            sandbox = self.new_sandbox()
            machine = self.machine_of(sandbox)
            with self.rest.stream(sandbox, "import time\nprint('on')\ntime.sleep(60)") as stream:
                stream.first("stdout")
                killed = time.monotonic()
                host.kill(machine)
                ran = stream.rest()
            self.assertEqual((ran.reason, ran.state_kept), ("killed", False))
            self.assert_lost(sandbox, machine)
            return ran.arrived[-1].at - killed

        self.assert_within_a_second(taken)

    def test_a_machine_that_is_killed_while_idle_is_noticed_within_a_second(self) -> None:
        def taken() -> float:
            sandbox = self.new_sandbox()
            machine = self.machine_of(sandbox)
            host.kill(machine)
            killed = time.monotonic()
            eventually("the sandbox is marked", lambda: self.is_marked(sandbox), 30)
            noticed = time.monotonic() - killed
            self.assert_lost(sandbox, machine)
            return noticed

        self.assert_within_a_second(taken)

    def test_exhausted_memory_ends_the_process_and_says_oom(self) -> None:
        sandbox = self.new_sandbox()
        ran = self.rest.exec(sandbox, "hog = []\nwhile True: hog.append(bytes([1]) * (16 << 20))")
        self.assertIn(
            (ran.reason, ran.state_kept), [("oom", False), ("error", True)], ran.events[-3:]
        )
        if ran.reason == "error":
            assert ran.error is not None
            self.assertEqual(ran.error["name"], "MemoryError")
        self.assertEqual(self.rest.exec(sandbox, "print('well')").stdout, "well\n")

    @slow
    def test_a_process_bomb_does_not_reach_the_host(self) -> None:
        sandbox = self.new_sandbox()
        # The server's own: what else the host runs is not the bomb's, and comes and goes.
        before = len(host.processes_of(self.server.pid, self.server.data_dir))
        self.rest.bash(sandbox, "b() { b | b & }; b; sleep 5", timeout_seconds=10)
        after = len(host.processes_of(self.server.pid, self.server.data_dir))
        self.assertLess(after - before, 20)
        self.assertEqual(self.rest.call("GET", "/v1/healthz").status, 200)
        self.assertEqual(self.rest.close(sandbox).status, 204)

    def test_a_sandbox_that_is_closed_while_code_runs_ends_the_stream(self) -> None:
        sandbox = self.new_sandbox()
        with self.rest.stream(sandbox, "import time\nprint('on')\ntime.sleep(60)") as stream:
            stream.first("stdout")
            self.assertEqual(self.rest.close(sandbox).status, 204)
            ran = stream.rest()
        self.assertEqual((ran.reason, ran.state_kept), ("killed", False))
        self.assert_refused(self.rest.info(sandbox), 404)

    @slow
    def test_a_guest_that_floods_its_console_fills_nothing(self) -> None:
        sandbox = self.new_sandbox()
        before = host.bytes_of(self.server.data_dir)
        self.rest.bash(
            sandbox, "head -c 20000000 /dev/zero | tr '\\0' x > /dev/console", timeout_seconds=60
        )
        # Of 20 MB; what the registry and the pools write meanwhile is in it.
        self.assertLess(host.bytes_of(self.server.data_dir) - before, 12 << 20)


class ServerFaultTest(KillingCase):
    """Kills the suite's server and starts it again at the same address."""

    deadline_seconds = 300.0

    def test_after_a_crash_and_a_restart_sandboxes_go_on_and_end_when_they_are_closed(
        self,
    ) -> None:
        sandboxes = [self.rest.create() for _ in range(2)]
        for sandbox in sandboxes:
            self.rest.exec(sandbox, "x = 41")
        machines = self.machines()
        self.server.kill()
        self.server.start()
        for sandbox in sandboxes:
            self.assertEqual(self.rest.exec(sandbox, "print(x + 1)").stdout, "42\n")
            self.assertEqual(self.rest.info(sandbox).json["state"], "ready")
            self.assertEqual(self.rest.close(sandbox).status, 204)
            self.assert_refused(self.rest.info(sandbox), 404)
        for machine in machines:
            eventually(f"the end of machine {machine.pid}", lambda m=machine: not host.lives(m))
        with self.subTest("new sandboxes work"):
            self.assertEqual(self.rest.exec(self.new_sandbox(), "print('well')").stdout, "well\n")

    def test_the_server_is_ready_soon_when_everything_is_built(self) -> None:
        self.server.stop()
        began = time.monotonic()
        self.server.start()
        # PRODUCT.md asks 5 s of the second `up`, the bench measures it; building takes minutes.
        self.assertLess(time.monotonic() - began, 40)
        self.assertEqual(self.rest.exec(self.new_sandbox(), "print('well')").stdout, "well\n")

    def test_down_ends_running_streams_and_leaves_nothing(self) -> None:
        sandbox = self.rest.create()
        pid = self.server.pid
        with self.rest.stream(sandbox, "import time\nprint('on')\ntime.sleep(100)") as stream:
            stream.first("stdout")
            said = self.server.stop()
            self.assertEqual(said.returncode, 0, said.stderr)
            try:
                last = stream.rest().events[-1:]
            except (OSError, ValueError, Refused) as cut:
                self.fail(f"the stream was cut without an exit event: {cut}")
        self.assertEqual([one["type"] for one in last], ["exit"])
        eventually("the server's end", lambda: not os.path.exists(f"/proc/{pid}"), 20)

        def nothing() -> bool:
            left = host.Footprint.of(None, self.server.data_dir)
            mounts = Path("/proc/self/mountinfo").read_text()
            return (left.processes, left.unix_sockets) == (0, 0) and str(
                self.server.data_dir
            ) not in mounts

        eventually("nothing is left", nothing, 20)

    def test_down_twice_is_fine(self) -> None:
        self.assertEqual(self.server.stop().returncode, 0)
        self.assertEqual(self.server.stop().returncode, 0)

    def test_stopping_leaves_the_host_as_it_was_before_starting(self) -> None:
        self.server.stop()
        before = host.Footprint.of(None, self.server.data_dir)
        self.server.start()
        self.rest.exec(self.rest.create(), "1")
        self.server.stop()


        def growth() -> dict[str, int]:
            # A log may be a new file; everything else must be as before.
            after = host.Footprint.of(None, self.server.data_dir)
            return after.growth_since(before, {"files": 2})

        # The kernel takes a network namespace down some time after the last process has left it.
        with contextlib.suppress(DeadlineExceeded):
            eventually("nothing more than before", lambda: not growth(), every=0.5)
        self.assertEqual(growth(), {})

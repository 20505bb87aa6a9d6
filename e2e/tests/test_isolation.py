"""What one sandbox has of another, and of the host."""

from __future__ import annotations

import time
from pathlib import Path

from rig import host
from rig.case import Case


class IsolationTest(Case):
    def pair(self) -> tuple[str, str]:
        return self.new_sandbox(), self.new_sandbox()

    def test_variables_files_and_processes_are_a_sandboxs_own(self) -> None:
        one, other = self.pair()
        self.rest.exec(one, "secret = 1; open('/root/secret', 'w').write('s')")
        self.rest.bash(one, "sleep 876 & echo on")
        self.assertEqual(self.rest.exec(other, "print('secret' in globals())").stdout, "False\n")
        self.assertEqual(
            self.rest.bash(other, "ls /root/secret; pgrep -fc 'sleep 87[6]'").stdout, "0\n"
        )

    def test_each_has_its_own_kernel(self) -> None:
        one, other = self.pair()
        code = "print(open('/proc/sys/kernel/random/boot_id').read().strip())"
        host = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.assertNotEqual(self.rest.exec(one, code).stdout.strip(), host)
        self.rest.bash(one, "sysctl -qw kernel.hostname=renamed || hostname renamed")
        self.assertNotIn("renamed", self.rest.bash(other, "cat /proc/sys/kernel/hostname").stdout)
        self.assertEqual(self.rest.bash(one, "id -u").stdout, "0\n")

    def test_no_two_draw_the_same_random_numbers(self) -> None:
        code = (
            "import os, random, secrets, uuid\n"
            "print(os.urandom(8).hex(), random.random(), secrets.token_hex(8), uuid.uuid4())"
        )
        drawn = [self.rest.exec(self.new_sandbox(), code).stdout.split() for _ in range(3)]
        for kind, values in zip(("urandom", "random", "secrets", "uuid"), zip(*drawn)):
            self.assertEqual(len(set(values)), 3, f"{kind}: {values}")

    def test_the_clock_is_the_hosts(self) -> None:
        # A busy host delays the message that sets the clock; the template's own clock is older by far.
        off = 5.0
        sandbox = self.new_sandbox()
        for _ in range(3):
            before = time.time()
            inside = float(self.rest.exec(sandbox, "import time; print(time.time())").stdout)
            self.assertTrue(before - off <= inside <= time.time() + off, inside - before)

    def test_a_clock_that_has_stood_still_is_right_again_at_the_next_call(self) -> None:
        sandbox = self.new_sandbox()
        for wrong in ("-1 hour", "+1 hour"):
            self.rest.bash(sandbox, f"date -s '{wrong}'")
            before = time.time()
            inside = float(self.rest.exec(sandbox, "import time; print(time.time())").stdout)
            self.assertTrue(before - 1 <= inside <= time.time() + 6, (wrong, inside - before))

    def test_it_has_what_programs_take_for_granted_on_a_machine(self) -> None:
        sandbox = self.new_sandbox()
        steps = {
            "ulimit -n": "65536",
            "ulimit -c": "0",
            "echo $IS_SANDBOX $TERM": "1 dumb",
            "tr '\\0' '\\n' </proc/1/environ | grep IS_SANDBOX": "IS_SANDBOX=1",
            "truncate -s 1M /tmp/disk && losetup -f --show /tmp/disk": "/dev/loop0",
            "ip link add one type veth peer name other && echo made": "made",
            "ip link add between type bridge && echo made": "made",
        }
        for step, said in steps.items():
            with self.subTest(step):
                ran = self.rest.bash(sandbox, step)
                self.assertEqual(ran.stdout, f"{said}\n", ran.stderr)
        with self.subTest("Landlock"):
            version = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0)"
            self.assertEqual(self.said(sandbox, version), "True\n")
        with self.subTest("many open files"):
            many = "files = [open('/dev/null') for _ in range(5000)]; print(len(files)); del files"
            self.assertEqual(self.said(sandbox, many), "5000\n")

    def test_the_environment_is_its_own_and_permanent(self) -> None:
        sandbox = self.new_sandbox(env={"API_BASE": "x y", "LANG": "C.UTF-8"})
        other = self.new_sandbox()
        code = "import os; print(os.environ.get('API_BASE'))"
        self.assertEqual(self.rest.exec(sandbox, code).stdout, "x y\n")
        self.assertEqual(self.rest.bash(sandbox, 'echo "$API_BASE"').stdout, "x y\n")
        self.rest.exec(sandbox, "import os; os._exit(1)")
        self.assertEqual(self.rest.exec(sandbox, code).stdout, "x y\n", "a new process lost it")
        self.assertEqual(self.rest.exec(other, code).stdout, "None\n")

    def test_nothing_of_the_host_is_seen_inside(self) -> None:
        ran = self.rest.bash(
            self.new_sandbox(),
            "env; cat /proc/cmdline /proc/mounts /etc/hostname; cat /proc/*/cmdline | tr '\\0' ' '",
        )
        said = ran.stdout
        for own in (
            str(self.server.data_dir),
            Path("/proc/sys/kernel/hostname").read_text().strip(),
            *self.server.keys,
        ):
            self.assertNotIn(own, said)

    def test_a_monitor_can_write_to_no_path_and_has_no_right_left(self) -> None:
        sandbox = self.new_sandbox()
        self.rest.exec(sandbox, "1")
        for one in (sandbox, *self.fork(sandbox, 2)):
            process = Path("/proc", str(host.machine_of(self.server.data_dir, one).pid))
            mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
            # A node of a device is no file; it is the way to KVM where that is used.
            writable = [
                mount
                for mount in mounts
                if "ro" not in mount[5].split(",") and mount[4] != "/dev/kvm"
            ]
            self.assertEqual(writable, [])
            said = dict(
                line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
            )
            self.assertNotIn("0", said["Uid"].split() + said["Gid"].split())
            self.assertEqual(said["Groups"].strip(), "")
            for rights in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(said[rights], 16), 0, rights)
            self.assertEqual((said["NoNewPrivs"], said["Seccomp"]), ("1", "2"))

    def test_a_busy_sandbox_does_not_stop_another(self) -> None:
        one, other = self.pair()
        with self.rest.stream(one, "print('on')\nwhile True: pass", timeout_seconds=80) as busy:
            busy.first("stdout")
            began = time.monotonic()
            self.assertEqual(self.rest.exec(other, "print('through')").stdout, "through\n")
            self.assertLess(time.monotonic() - began, 60)
            self.rest.interrupt(one)
            self.assertEqual(busy.rest().reason, "interrupted")

"""Templates that users build: what is in their sandboxes, whose they are, and what outlives what."""

from __future__ import annotations

import contextlib
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rig import outside, suite
from rig.case import Case, KillingCase, slow
from rig.deadline import eventually
from rig.rest import Exec, Refused, Rest

#: An archive of one package on the guest's own disk, so that apt needs no network.
ARCHIVE = r"""
set -e
mkdir -p /srv/archive /tmp/p/DEBIAN /tmp/p/usr/bin
printf 'Package: hello-template\nVersion: 1.5\nArchitecture: all\nMaintainer: e2e <e2e@example.org>\nDescription: says hello\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\necho hello from a package\n' > /tmp/p/usr/bin/hello-template
chmod 755 /tmp/p/usr/bin/hello-template
dpkg-deb --root-owner-group --build /tmp/p /srv/archive/hello-template.deb
cd /srv/archive
{ cat /tmp/p/DEBIAN/control; echo Filename: ./hello-template.deb
  echo Size: $(stat -c %s hello-template.deb); echo SHA256: $(sha256sum hello-template.deb | cut -d' ' -f1); } > Packages
echo 'deb [trusted=yes] file:/srv/archive ./' > /etc/apt/sources.list
"""

SCRIPT = """
set -e
echo installed > /opt/tool.txt
echo 'echo a tool' > /usr/local/bin/tool && chmod 755 /usr/local/bin/tool
nohup python3 -c 'import time; time.sleep(100000)' > /dev/null 2>&1 &
echo out; echo err >&2
"""

WARM = """
import decimal, random, uuid
import numpy as np
answer = 41
np.random.rand(), uuid.uuid1()
print("warm")
"""

IDENTITY = """
import os, random, socket, uuid
import numpy as np
print(socket.gethostname(), open('/sys/class/net/eth0/address').read().strip(), random.random(),
      np.random.rand(), uuid.uuid1(), uuid.uuid4(), os.urandom(8).hex(),
      open('/proc/sys/kernel/random/uuid').read().strip())
"""


class TemplateCase(Case):
    deadline_seconds = 400.0

    def build(self, name: str, rest: Rest | None = None, **request: Any) -> Exec:
        """A template that is deleted when the test ends."""
        by = rest or self.rest
        self.addCleanup(by.delete_template, name)
        built = by.build(name, **request)
        self.assertEqual((built.code, built.reason), (0, "ok"), built.stderr[-1500:])
        return built

    def refused(self, **request: Any) -> Any:
        """The answer to a build that must not begin."""
        with self.assertRaises(Refused) as refusal:
            self.rest.build(**request)
        return refusal.exception.answer

    def state(self, name: str) -> str:
        known = self.rest.templates().get(name)
        return known["state"] if known else "none"

    def directories(self) -> set[str]:
        """What the server keeps of users' templates."""
        return {one.name for one in (self.server.data_dir / "custom-templates").iterdir()}


class TemplateTest(TemplateCase):
    def test_a_sandbox_of_it_has_what_script_and_warm_up_left(self) -> None:
        built = self.build("whole", script=SCRIPT, warm=WARM)
        self.assertIn("out\n", built.stdout)
        self.assertIn("warm\n", built.stdout)
        self.assertIn("err\n", built.stderr)
        self.assertEqual([one["seq"] for one in built.events], list(range(len(built.events))))
        sandbox = self.new_sandbox(template="whole")
        self.assertEqual(self.rest.info(sandbox).json["template"], "whole")
        self.assertEqual(self.said(sandbox, "print(answer + 1, 'decimal' in globals())"), "42 True\n")
        ran = self.rest.bash(sandbox, "cat /opt/tool.txt; tool; pgrep -fc 'sleep\\(100000\\)'")
        self.assertEqual(ran.stdout, "installed\na tool\n1\n")

    @slow
    def test_packages_are_installed_before_the_script_runs(self) -> None:
        self.build("archive", script=ARCHIVE)
        self.build(
            "packaged",
            from_="archive",
            packages=["hello-template=1.5"],
            script="hello-template > /opt/said",
        )
        sandbox = self.new_sandbox(template="packaged")
        ran = self.rest.bash(sandbox, "cat /opt/said; hello-template")
        self.assertEqual(ran.stdout, "hello from a package\n" * 2, ran.stderr)

    def test_each_sandbox_of_it_is_one_of_its_own(self) -> None:
        self.build("own", script=SCRIPT, warm=WARM)
        sandboxes = [self.new_sandbox(template="own", idle_timeout_seconds=600) for _ in range(3)]
        said = [self.said(sandbox, IDENTITY).split() for sandbox in sandboxes]
        for values in zip(*said, strict=True):
            self.assertEqual(len(set(values)), 3, f"shared: {values}")
        for sandbox, words in zip(sandboxes, said, strict=True):
            self.assertTrue(words[0].startswith("sbx-"), f"{sandbox}: {words[0]}")

    def test_its_sandboxes_are_forked_frozen_and_merged_like_any_other(self) -> None:
        self.build("branching", script=SCRIPT, warm=WARM)
        parent = self.new_sandbox(template="branching")
        self.said(parent, "answer += 1")
        one, other = self.fork(parent, 2)
        self.said(one, "answer += 10; open('/root/new', 'w').write('x')")
        self.assertEqual(self.said(other, "print(answer)"), "42\n")
        difference = self.rest.diff(parent, one).json
        self.assertEqual(difference["added"], ["/root/new"])
        self.assertEqual(self.rest.merge(parent, one).status, 204)
        self.assertEqual(self.said(parent, "print(answer)"), "52\n")
        space = self.freeze(parent)
        self.assertEqual(self.rest.space(space).json["template"], "branching")
        self.rest.delete_template("branching")
        again = self.resume(space)
        self.assertEqual(self.said(again, "print(answer)"), "52\n")
        self.assertEqual(self.rest.bash(again, "tool").stdout, "a tool\n")
        (child,) = self.fork(again)
        self.assertEqual(self.said(child, "print(answer)"), "52\n")

    def test_a_persistent_sandbox_of_it_sleeps_and_wakes(self) -> None:
        self.build("sleepy", warm=WARM)
        sandbox = self.new_sandbox(template="sleepy", persistent=True, idle_timeout_seconds=1)
        self.said(sandbox, "answer = 7")
        eventually(
            "it sleeps", lambda: self.rest.info(sandbox).json["state"] == "frozen", 120
        )
        self.rest.delete_template("sleepy")
        self.assertEqual(self.said(sandbox, "print(answer)"), "7\n")

    @slow
    def test_its_size_is_the_one_that_it_was_built_in(self) -> None:
        self.build("small", script="true", memory_mb=512)
        sandbox = self.new_sandbox(template="small")
        self.assertEqual(self.rest.info(sandbox).json["memory_mb"], 512)
        with self.nothing_created():
            answer = self.rest.call(
                "POST", "/v1/sandboxes", {"template": "small", "memory_mb": 1024}
            )
            self.assert_refused(answer, 422, "memory_mb")
        self.assertEqual(self.rest.templates()["small"]["memory_mb"], 512)


class TemplateNetworkTest(TemplateCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        stack.enter_context(outside.internet())
        cls.server.name_resolvers(outside.RESOLVER)
        stack.callback(cls.server.name_resolvers)

    def test_a_build_reaches_the_outside_and_its_connections_end_in_its_sandboxes(self) -> None:
        address = f"{outside.NAME}:{outside.PORT}"
        warm = f"""
import socket
listening = socket.create_server(('127.0.0.1', 0))
one = socket.create_connection(listening.getsockname())
other, _ = listening.accept()
outward = socket.create_connection(({outside.OUTSIDE!r}, {outside.PORT}), 60)
"""
        self.build(
            "connected",
            script=f"curl -sS --max-time 60 http://{address}/ > /opt/fetched",
            warm=warm,
        )
        sandbox = self.new_sandbox(template="connected")
        said = self.said(
            sandbox,
            "print(one.send(b'in'), other.recv(2), open('/opt/fetched').read())\n"
            "try: print('goes on', outward.send(b'x'), outward.recv(1))\n"
            "except OSError as e: print('ended')",
        )
        self.assertEqual(said, f"2 b'in' you are {outside.GATEWAY}\nended\n")
        fetch = f"curl -s http://{address}/ --max-time"
        self.assertEqual(self.rest.bash(sandbox, f"{fetch} 60").code, 0)
        shut = self.new_sandbox(template="connected", egress=False)
        self.assertNotEqual(self.rest.bash(shut, f"{fetch} 3").code, 0)


    @slow
    def test_what_a_build_left_running_reaches_nothing_until_it_is_somebodys(self) -> None:
        """A process asks the outside again and again, and writes down when it was answered."""
        address = f"http://{outside.OUTSIDE}:{outside.PORT}/"
        script = f"""
cat > /opt/asks.py <<'END'
import time, urllib.request
while True:
    # Before it asks: a cut may come between an answer and its writing down.
    name = open('/proc/sys/kernel/hostname').read()
    try:
        urllib.request.urlopen({address!r}, timeout=2).read()
        open('/opt/answered', 'a').write(name)
    except OSError:
        pass
    time.sleep(0.1)
END
nohup python3 /opt/asks.py > /dev/null 2>&1 &
while ! [ -e /opt/answered ]; do sleep 0.1; done
"""
        self.build("asking", script=script)
        time.sleep(8)  # The machine that waits would have asked some times.
        shut = self.new_sandbox(template="asking", egress=False)
        name = self.rest.bash(shut, "hostname").stdout.strip()
        self.assertEqual(
            self.rest.bash(shut, f"grep -c {name} /opt/answered").stdout, "0\n", "it was answered"
        )
        asks = self.new_sandbox(template="asking")
        heard = "for i in $(seq 600); do grep -q $(hostname) /opt/answered && echo yes && break; sleep 0.1; done"
        self.assertEqual(self.rest.bash(asks, heard).stdout, "yes\n")


class VersionTest(TemplateCase):
    def test_the_same_name_builds_the_next_version_and_sandboxes_of_the_old_one_live_on(self) -> None:
        self.build("twice", warm="x = 'first'")
        first = self.rest.templates()["twice"]
        self.assertEqual((first["version"], first["state"], first["base"]), (1, "ready", "default"))
        old = self.new_sandbox(template="twice")
        self.build("twice", warm="x = 'second'")
        self.assertEqual(self.rest.templates()["twice"]["version"], 2)
        new = self.new_sandbox(template="twice")
        self.assertEqual(self.said(old, "print(x)"), "first\n")
        self.assertEqual(self.said(new, "print(x)"), "second\n")
        (child,) = self.fork(old)
        self.assertEqual(self.said(child, "print(x)"), "first\n")

    def test_a_build_that_fails_leaves_the_version_before(self) -> None:
        self.build("kept", warm="x = 1")
        before = self.directories()
        failed = self.rest.build("kept", script="echo the reason; exit 3")
        self.assertEqual((failed.code, failed.reason), (3, "error"))
        self.assertIn("3", failed.stderr)
        known = self.rest.templates()["kept"]
        self.assertEqual((known["state"], known["version"]), ("ready", 1))
        self.assertIn("the reason", known["error"])
        self.assertEqual(self.said(self.new_sandbox(template="kept"), "print(x)"), "1\n")
        self.assertEqual(self.directories(), before)

    def test_one_that_was_never_built_to_its_end_says_why_when_it_is_used(self) -> None:
        self.addCleanup(self.rest.delete_template, "never")
        failed = self.rest.build("never", warm="1 / 0")
        self.assertEqual(failed.code, 1)
        self.assertIn("ZeroDivisionError", failed.error["name"])
        known = self.rest.templates()["never"]
        self.assertEqual((known["state"], known["version"]), ("failed", 0))
        answer = self.rest.call("POST", "/v1/sandboxes", {"template": "never"})
        self.assert_refused(answer, 409, "warming up")
        self.assertEqual(answer.json["code"], "template_failed")

    def test_a_template_of_a_template_works_and_tells_when_its_base_has_changed(self) -> None:
        self.build("base", script="echo base > /opt/base", warm="a = 1")
        self.build("upper", from_="base", script="cat /opt/base > /opt/upper", warm="b = a + 1")
        self.build("top", from_="upper", warm="c = b + 1")
        self.assertEqual(self.said(self.new_sandbox(template="top"), "print(a, b, c)"), "1 2 3\n")
        stale = {name: self.rest.templates()[name]["stale"] for name in ("base", "upper", "top")}
        self.assertEqual(stale, {"base": False, "upper": False, "top": False})
        self.build("base", warm="a = 10")
        stale = {name: self.rest.templates()[name]["stale"] for name in ("base", "upper", "top")}
        self.assertEqual(stale, {"base": False, "upper": True, "top": True})
        self.assertEqual(self.said(self.new_sandbox(template="top"), "print(a, b, c)"), "1 2 3\n")
        self.assertEqual(self.rest.delete_template("base").status, 204)
        self.assertTrue(self.rest.templates()["upper"]["stale"])
        sandbox = self.new_sandbox(template="upper")
        self.assertEqual(self.rest.bash(sandbox, "cat /opt/upper").stdout, "base\n")

    def test_deleting_leaves_nothing_but_its_sandboxes(self) -> None:
        before = self.directories()
        self.build("gone", warm="x = 5")
        sandbox = self.new_sandbox(template="gone")
        self.assertEqual(self.rest.delete_template("gone").status, 204)
        self.assertNotIn("gone", self.rest.templates())
        self.assertEqual(self.directories(), before)
        self.assertEqual(self.said(sandbox, "print(x)"), "5\n")
        (child,) = self.fork(sandbox)
        self.assertEqual(self.said(child, "print(x)"), "5\n")
        self.assert_refused(self.rest.delete_template("gone"), 404)
        self.assert_refused(self.rest.call("POST", "/v1/sandboxes", {"template": "gone"}), 422)

    def test_a_create_finds_a_machine_that_waits(self) -> None:
        self.build("quick", warm=WARM)
        # The pools of all users' templates are counted as one, so each must be full.
        self.await_full_pools()
        hits = self.pool()["hits"]
        self.new_sandbox(template="quick")
        self.await_full_pools()
        self.new_sandbox(template="quick")
        self.assertGreaterEqual(self.pool()["hits"], hits + 2)

    def pool(self) -> dict[str, Any]:
        pools = self.rest.call("GET", "/v1/capacity").json["pools"]
        return next(one for one in pools if one["template"] == "custom")


class OwnerTest(TemplateCase):
    def test_a_template_belongs_to_the_key_that_built_it(self) -> None:
        other = self.server.rest(self.server.keys[1])
        self.build("private", warm="x = 'mine'")
        self.assertIn("private", self.rest.templates())
        self.assertNotIn("private", other.templates())
        unknown = other.call("POST", "/v1/sandboxes", {"template": "no-such"})
        answer = other.call("POST", "/v1/sandboxes", {"template": "private"})
        self.assert_refused(answer, 422, "private")
        self.assertEqual(answer.json["code"], unknown.json["code"])
        self.assert_refused(other.delete_template("private"), 404)
        with self.assertRaises(Refused) as refusal:
            other.build("copy", from_="private")
        self.assert_refused(refusal.exception.answer, 422, "private")
        self.build("private", rest=other, warm="x = 'theirs'")
        sandbox = other.create(template="private")
        self.addCleanup(other.close, sandbox)
        self.assertEqual(other.exec(sandbox, "print(x)").stdout, "theirs\n")
        mine = self.new_sandbox(template="private")
        self.assertEqual(self.said(mine, "print(x)"), "mine\n")

    def test_every_host_has_some_that_are_neither_built_nor_deleted(self) -> None:
        for name in ("default", "python-datasci"):
            self.assertTrue(self.rest.templates()[name]["builtin"])
            self.assert_refused(self.refused(name=name, script="true"), 409, name)
            self.assert_refused(self.rest.delete_template(name), 409, name)

    def test_nothing_is_known_without_a_key(self) -> None:
        nobody = self.server.rest(None)
        for method, path in (
            ("GET", "/v1/templates"),
            ("POST", "/v1/templates"),
            ("DELETE", "/v1/templates/a"),
        ):
            self.assert_refused(nobody.call(method, path, {}), 401)


class BadBuildTest(TemplateCase):
    def test_bad_requests_build_nothing(self) -> None:
        before = set(self.rest.templates())
        for field, request in (
            ("name", {"name": "Upper"}),
            ("name", {"name": "../up"}),
            ("name", {"name": "a" * 64}),
            ("name", {"name": ""}),
            ("from", {"name": "a", "from_": "no such"}),
            ("no-such", {"name": "a", "from_": "no-such"}),
            ("itself", {"name": "a", "from_": "a"}),
            ("packages", {"name": "a", "packages": ["a;reboot"]}),
            ("packages", {"name": "a", "packages": ["--option"]}),
            ("packages", {"name": "a", "packages": ["$(reboot)"]}),
            ("packages", {"name": "a", "packages": ["ok"] * 201}),
            ("timeout_seconds", {"name": "a", "timeout_seconds": 0}),
            ("timeout_seconds", {"name": "a", "timeout_seconds": 1e9}),
            ("memory_mb", {"name": "a", "memory_mb": 1 << 30}),
        ):
            with self.subTest(field, request=str(request)[:60]):
                self.assert_refused(self.refused(**request), 422, field)
        for field, request in (
            ("packages", {"name": "a", "packages": "tree"}),
            ("script", {"name": "a", "script": 1}),
            ("name", {"name": 7}),
        ):
            with self.subTest(field, request=str(request)):
                self.assert_refused(self.refused(**request), 400, field)
        self.assertEqual(set(self.rest.templates()), before)
        for path in ("..", "%2e%2e", "A", "a/b", "no-such"):
            self.assert_refused(self.rest.call("DELETE", f"/v1/templates/{path}"), 404)

    def test_a_machine_that_ends_in_its_build_leaves_nothing(self) -> None:
        self.await_full_pools()
        before, machines = self.directories(), len(self.machines())
        self.addCleanup(self.rest.delete_template, "ended")
        failed = self.rest.build("ended", script="echo o > /proc/sysrq-trigger; sleep 60")
        self.assertNotEqual(failed.code, 0)
        self.assertEqual(self.state("ended"), "failed")
        self.assertEqual(self.directories(), before)
        eventually("its machine is gone", lambda: len(self.machines()) <= machines + 1, 120)

    def test_a_python_process_that_the_warm_up_ends_is_no_template(self) -> None:
        self.addCleanup(self.rest.delete_template, "exited")
        failed = self.rest.build("exited", warm="import os; os._exit(0)")
        self.assertNotEqual(failed.code, 0)
        self.assertEqual(self.state("exited"), "failed")

    def test_a_build_ends_by_its_timeout(self) -> None:
        self.addCleanup(self.rest.delete_template, "slow")
        began = time.monotonic()
        failed = self.rest.build("slow", script="echo on; sleep 600", timeout_seconds=4)
        self.assertEqual(failed.reason, "timeout")
        self.assertNotEqual(failed.code, 0)
        self.assertLess(time.monotonic() - began, 120)
        self.assertIn("4 s", self.rest.templates()["slow"]["error"])

    def test_much_output_is_cut_and_the_build_succeeds(self) -> None:
        built = self.build("loud", script="head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end")
        self.assertLess(len(built.stdout), 12 << 20)
        self.assertIn("cut", built.stderr)


class ReaderTest(TemplateCase):
    @slow
    def test_a_client_that_goes_away_does_not_stop_the_build(self) -> None:
        self.addCleanup(self.rest.delete_template, "alone")
        with self.rest.build_stream("alone", script="echo on; sleep 10", warm="x = 3") as stream:
            stream.first("stdout")
            self.assertEqual(self.state("alone"), "building")
            answer = self.rest.call("POST", "/v1/sandboxes", {"template": "alone"})
            self.assert_refused(answer, 409, "alone")
            self.assert_refused(self.refused(name="alone"), 409, "alone")
        eventually("it is built", lambda: self.state("alone") == "ready", 120)
        self.assertEqual(self.said(self.new_sandbox(template="alone"), "print(x)"), "3\n")

    def test_a_client_that_reads_nothing_for_a_while_gets_all_of_it(self) -> None:
        self.addCleanup(self.rest.delete_template, "stalled")
        script = "for i in $(seq 1 40000); do echo line $i of many of the same; done"
        with self.rest.build_stream("stalled", script=script) as stream:
            time.sleep(3)
            built = stream.rest()
        self.assertEqual(built.code, 0, built.stderr[-500:])
        self.assertEqual(len(built.stdout.splitlines()), 40000)

    def test_deleting_stops_the_build(self) -> None:
        before = self.directories()
        with self.rest.build_stream("stopped", script="echo on; sleep 600") as stream:
            stream.first("stdout")
            self.assertEqual(self.rest.delete_template("stopped").status, 204)
            rest = stream.rest()
        self.assertEqual(rest.reason, "killed")
        self.assertEqual(self.state("stopped"), "none")
        self.assertEqual(self.directories(), before)

    def test_two_builds_go_on_side_by_side_and_a_third_is_refused(self) -> None:
        for name in ("side-a", "side-b", "side-c"):
            self.addCleanup(self.rest.delete_template, name)
        with (
            self.rest.build_stream("side-a", script="echo on; sleep 600") as one,
            self.rest.build_stream("side-b", script="echo on; sleep 600") as other,
        ):
            one.first("stdout")
            other.first("stdout")
            answer = self.refused(name="side-c", script="true")
            self.assert_refused(answer, 503)
            self.assertEqual(answer.json["code"], "too_many_builds")
            self.rest.delete_template("side-a")
            one.rest()
        self.rest.delete_template("side-b")
        self.build("side-c", script="true")


class TemplateCommandTest(TemplateCase):
    def setUp(self) -> None:
        super().setUp()
        self.rest = self.server.rest(self.server.own_key)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_template_is_built_listed_used_and_deleted(self) -> None:
        self.addCleanup(self.rest.delete_template, "typed")
        (self.folder / "setup.sh").write_text("echo from the script; echo tool > /opt/tool")
        (self.folder / "warm.py").write_text("import json; x = 42")
        built = self.server.command(
            "template", "build", "typed", "--from", "default",
            "--script", str(self.folder / "setup.sh"), "--warm", str(self.folder / "warm.py"),
            deadline=180,
        )  # fmt: skip
        self.assertEqual((built.returncode, built.stdout), (0, "from the script\n"), built.stderr)
        self.assertRegex(built.stderr, r"typed, version \d+, is ready")
        listed = self.server.command("template", "list")
        self.assertRegex(listed.stdout, r"(?m)^typed +default +\d+ +ready ")
        ran = self.server.command("exec", "--template", "typed", "print(x, open('/opt/tool').read())")
        self.assertEqual(ran.stdout, "42 tool\n\n", ran.stderr)
        self.assertEqual(self.server.command("template", "delete", "typed").returncode, 0)
        self.assertNotIn("typed", self.server.command("template", "list").stdout)

    def test_what_fails_says_why_and_ends_with_its_code(self) -> None:
        self.addCleanup(self.rest.delete_template, "wrong")
        (self.folder / "setup.sh").write_text("exit 9")
        failed = self.server.command(
            "template", "build", "wrong", "--script", str(self.folder / "setup.sh"), deadline=180
        )
        self.assertEqual(failed.returncode, 9)
        self.assertIn("running the script ended with 9", failed.stderr)
        self.assertIn("failed", self.server.command("template", "list").stdout)
        missing = self.server.command("template", "build", "wrong", "--script", "/no/such/file")
        self.assertEqual(missing.returncode, 1)
        self.assertIn("/no/such/file", missing.stderr)
        self.assertEqual(self.server.command("template", "delete", "no-such").returncode, 1)
        self.assertEqual(self.server.command("template").returncode, 2)


class TemplateAfterTheServerTest(TemplateCase, KillingCase):
    """What becomes of templates and their sandboxes when the server stops or dies."""

    deadline_seconds = 600.0

    def test_templates_and_their_sandboxes_outlive_a_restart_and_a_crash(self) -> None:
        self.build("lasting", script=SCRIPT, warm=WARM)
        sandbox = self.new_sandbox(template="lasting", idle_timeout_seconds=900)
        self.said(sandbox, "answer = 'kept'")
        kept = self.new_sandbox(template="lasting", persistent=True, idle_timeout_seconds=900)
        self.said(kept, "answer = 'slept'")
        self.server.kill()
        self.server.start()
        self.assertEqual(self.state("lasting"), "ready")
        self.assertEqual(self.said(sandbox, "print(answer)"), "kept\n")
        (child,) = self.fork(sandbox)
        self.assertEqual(self.said(child, "print(answer)"), "kept\n")
        space = self.freeze(child)
        self.server.stop()
        self.server.start()
        self.assertEqual(self.said(kept, "print(answer)"), "slept\n")
        self.assertEqual(self.said(self.resume(space), "print(answer)"), "kept\n")
        new = self.new_sandbox(template="lasting")
        self.assertEqual(self.said(new, "print(answer)"), "41\n")
        self.assertFalse(self.rest.templates()["lasting"]["stale"])

    @slow
    def test_a_crash_in_a_build_leaves_the_old_version_or_the_new_one(self) -> None:
        self.build("crashed", warm="x = 1")
        took = time.monotonic()
        self.build("crashed", warm="x = 2")
        took = time.monotonic() - took
        for round_ in range(suite.scale().crashes_in_builds):
            before = self.rest.templates()["crashed"]["version"]
            after = random.uniform(0, 1.1 * took)
            building = threading.Thread(target=self.build_until_cut, args=(before + 1,))
            building.start()
            time.sleep(after)
            self.server.kill()
            building.join()
            self.server.start()
            with self.subTest(round=round_, after=f"{after:.3f} s"):
                known = self.rest.templates()["crashed"]
                self.assertEqual(known["state"], "ready", str(known))
                self.assertIn(known["version"], (before, before + 1))
                sandbox = self.new_sandbox(template="crashed")
                self.assertEqual(self.said(sandbox, "print(x)"), f"{known['version']}\n")
                self.assertEqual(len(self.directories()), len(self.own()), "halves are left")
        self.assertEqual(
            {one for one in self.directories() if not one.startswith("tpl_") or "." in one}, set()
        )

    def build_until_cut(self, x: int) -> None:
        try:
            self.rest.build("crashed", warm=f"x = {x}")
        except (OSError, ValueError) as cut:
            print(f"the build's client was cut off: {cut!r}")

    def own(self) -> list[str]:
        """The templates of all keys of this server that are whole."""
        keys = [*self.server.keys, self.server.own_key]
        return [
            name
            for key in keys
            for name, one in self.server.rest(key).templates().items()
            if not one["builtin"] and one["version"] > 0
        ]

    def test_a_server_that_stops_ends_its_builds(self) -> None:
        self.addCleanup(self.rest.delete_template, "cut")
        with self.rest.build_stream("cut", script="echo on; sleep 600") as stream:
            stream.first("stdout")
            self.assertEqual(self.server.stop().returncode, 0)
        self.server.start()
        known = self.rest.templates()["cut"]
        self.assertEqual((known["state"], known["version"]), ("failed", 0))
        self.assertIn("server", known["error"])
        self.assertFalse([one for one in self.directories() if one.endswith(".new")])

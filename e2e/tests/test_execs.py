"""Execs that nobody waits with: detached, attached again, replayed, in the background."""

from __future__ import annotations

import threading
import time
from typing import Any

from rig import host
from rig.case import KillingCase, SandboxCase, slow
from rig.deadline import eventually

MEBI = 1 << 20
COUNTS = "import time\nfor i in range({}):\n    print(i, flush=True)\n    time.sleep({})"


#: Code that goes on when there is this file: no time that passes meanwhile is too long.
UNTIL = "import os, time\nwhile not os.path.exists('{}'): time.sleep(0.02)\n"


def numbers(count: int) -> str:
    return "".join(f"{i}\n" for i in range(count))


class DetachTest(SandboxCase):
    def await_running(self, exec_id: str) -> None:
        eventually(
            "it runs",
            lambda: self.rest.exec_info(self.sandbox, exec_id)["state"] == "running",
        )

    def test_a_detached_exec_is_answered_at_once_and_ends_unread(self) -> None:
        exec_id = self.rest.detach(self.sandbox, UNTIL.format("/tmp/detached") + "seen = 'yes'")
        # It waits for a file, so an answer that waited for its end would never come.
        self.assertRegex(exec_id, "^exe_[0-9a-f]{32}$")
        self.await_running(exec_id)
        time.sleep(1)
        self.rest.put(self.sandbox, "/tmp/detached", b"")
        self.assertEqual(self.stdout("print(seen)"), "yes\n")
        info = self.rest.exec_info(self.sandbox, exec_id)
        self.assertEqual(
            [info[name] for name in ("state", "exit_code", "reason", "background", "language")],
            ["ended", 0, "ok", False, "python"],
        )
        self.assertLessEqual(info["created_at"], info["started_at"])
        self.assertGreaterEqual(info["ended_at"] - info["started_at"], 900)
        self.assertEqual((info["events"], info["first_seq"]), (1, 0))

    def test_execs_queue_in_the_order_in_which_they_were_detached(self) -> None:
        self.exec("order = []")
        ids = [
            self.rest.detach(self.sandbox, f"import time; time.sleep(.05); order.append({i})")
            for i in range(8)
        ]
        self.assertEqual(self.stdout("print(order)"), "[0, 1, 2, 3, 4, 5, 6, 7]\n")
        listed = [one["id"] for one in self.rest.execs(self.sandbox)]
        self.assertEqual([one for one in listed if one in ids], ids)

    def test_a_queued_exec_says_so_and_can_be_followed_before_it_begins(self) -> None:
        first = self.rest.detach(self.sandbox, UNTIL.format("/tmp/followed"))
        second = self.rest.detach(self.sandbox, "print('second')")
        self.assertEqual(self.rest.exec_info(self.sandbox, second)["state"], "queued")
        self.assertIsNone(self.rest.exec_info(self.sandbox, second)["started_at"])
        with self.rest.attach(self.sandbox, second) as stream:
            self.rest.put(self.sandbox, "/tmp/followed", b"")
            self.assertEqual(stream.rest().stdout, "second\n")
        self.assertEqual(self.rest.exec_info(self.sandbox, first)["state"], "ended")

    def test_a_client_that_went_away_comes_back_to_where_it_was(self) -> None:
        stream = self.rest.stream(self.sandbox, COUNTS.format(20, 0.1))
        seen = [stream.first("stdout")]
        for _ in range(4):
            seen.append(stream.first("stdout"))
        exec_id = stream.exec_id
        stream.close()
        time.sleep(0.5)
        rest = self.rest.replay(self.sandbox, exec_id, seen[-1].event["seq"] + 1)
        self.assertEqual("".join(one.data for one in seen) + rest.stdout, numbers(20))
        everything = [one.event for one in seen] + rest.events
        self.assertEqual([one["seq"] for one in everything], list(range(len(everything))))
        self.assertEqual(self.rest.replay(self.sandbox, exec_id).events, everything)

    def test_the_id_of_silent_code_is_told_at_once(self) -> None:
        with self.rest.stream(self.sandbox, UNTIL.format("/tmp/silent")) as stream:
            # It waits for a file, so a head that waited for output or its end would never come.
            self.await_running(stream.exec_id)
            self.assertEqual(self.rest.exec_info(self.sandbox, stream.exec_id)["events"], 0)
            self.rest.put(self.sandbox, "/tmp/silent", b"")
            self.assertEqual(stream.rest().reason, "ok")

    def test_many_readers_hear_the_same(self) -> None:
        exec_id = self.rest.detach(self.sandbox, COUNTS.format(10, 0.1))
        heard: list[Any] = []
        readers = [
            threading.Thread(
                target=lambda: heard.append(self.rest.replay(self.sandbox, exec_id).events)
            )
            for _ in range(8)
        ]
        for reader in readers:
            reader.start()
            time.sleep(0.05)
        for reader in readers:
            reader.join(60)
        self.assertEqual(len(heard), 8)
        self.assertTrue(all(one == heard[0] for one in heard))
        self.assertEqual("".join(e["data"] for e in heard[0] if e["type"] == "stdout"), numbers(10))

    def test_a_reader_hears_as_soon_as_it_is_written(self) -> None:
        code = "import time\nfor _ in range(5):\n    print(time.time(), flush=True); time.sleep(.3)"
        exec_id = self.rest.detach(self.sandbox, code)
        late = []
        with self.rest.attach(self.sandbox, exec_id) as stream:
            for arrived in stream:
                if arrived.type == "stdout" and arrived.data.strip():
                    late.append(time.time() - arrived.event["ts"] / 1000)
        # Held back until the end, the first three would be 0.9 s late at least. A busy host may
        # make one late, hardly all of them.
        self.assertLess(min(late[:3]), 0.5, late)

    def test_every_kind_of_event_is_replayed_as_it_was(self) -> None:
        code = "import sys\nprint('ü')\nprint('e', file=sys.stderr)\ndisplay(1)\n1 / 0"
        with self.rest.stream(self.sandbox, code) as stream:
            exec_id, first = stream.exec_id, stream.rest()
        self.assertEqual(first.reason, "error")
        self.assertEqual(
            {one["type"] for one in first.events}, {"stdout", "stderr", "result", "error", "exit"}
        )
        self.assertEqual(self.rest.replay(self.sandbox, exec_id).events, first.events)
        from_three = self.rest.replay(self.sandbox, exec_id, 3).events
        self.assertEqual(from_three, first.events[3:])

    def test_much_output_is_kept_and_a_reader_that_dawdles_holds_up_nobody(self) -> None:
        code = "import os\nfor _ in range(9): os.write(1, b'y' * 1048576)\nprint('end')"
        with self.rest.stream(self.sandbox, code) as dawdler:
            self.assertEqual(self.stdout("print('quick')"), "quick\n")
            said = self.rest.replay(self.sandbox, dawdler.exec_id).stdout
            self.assertEqual((len(said), said[-4:]), (9 * MEBI + 4, "end\n"))
            self.assertEqual(dawdler.rest().stdout, said)

    def test_an_exec_that_waits_and_one_that_runs_can_be_interrupted(self) -> None:
        running = self.rest.detach(self.sandbox, "import time; time.sleep(60)")
        waiting = self.rest.detach(self.sandbox, "never = 1")
        self.assertEqual(self.rest.interrupt_exec(self.sandbox, waiting).status, 204)
        ran = self.rest.replay(self.sandbox, waiting)
        self.assert_ended(ran, 130, "interrupted", True)
        self.await_running(running)
        self.assertEqual(self.rest.interrupt_exec(self.sandbox, running).status, 204)
        self.assertEqual(self.rest.replay(self.sandbox, running).reason, "interrupted")
        self.assertEqual(self.rest.interrupt_exec(self.sandbox, running).status, 204)
        self.assertEqual(self.stdout("print('never' in globals())"), "False\n")

    def test_what_can_not_begin_is_told_by_its_events(self) -> None:
        ran = self.rest.replay(self.sandbox, self.rest.detach(self.sandbox, "1", cwd="/nowhere"))
        self.assertEqual((ran.code, ran.reason), (1, "error"))
        self.assertIn("/nowhere", ran.stderr)


class KeepingTest(SandboxCase):
    def test_the_newest_thirty_two_that_have_ended_are_kept(self) -> None:
        sandbox = self.new_sandbox()
        ids = []
        for i in range(35):
            with self.rest.stream(sandbox, f"{i}") as stream:
                ids.append(stream.exec_id)
                stream.rest()
        self.assertEqual([one["id"] for one in self.rest.execs(sandbox)], ids[-32:])
        gone = self.rest.call("GET", f"/v1/sandboxes/{sandbox}/execs/{ids[2]}/stream")
        self.assert_refused(gone, 404)
        self.assertEqual(gone.json["code"], "exec_not_found")

    def test_beyond_sixty_four_mebibytes_the_oldest_output_goes_and_that_is_said(self) -> None:
        sandbox = self.new_sandbox()
        code = "import os\nfor _ in range(10): os.write(1, b'y' * 1048000)"
        ids = [self.rest.detach(sandbox, code) for _ in range(8)]
        newest = self.rest.replay(sandbox, ids[-1])
        self.assertEqual(len(newest.stdout), 10 * 1048000)
        first = self.rest.exec_info(sandbox, ids[0])
        self.assertGreater(first["first_seq"], 0)
        events = self.rest.replay(sandbox, ids[0]).events
        self.assertEqual(events[0]["type"], "gap")
        self.assertEqual(events[0]["data"], {"from": 0, "to": first["first_seq"] - 1})
        self.assertEqual((events[0]["seq"], events[1]["seq"]), (0, first["first_seq"]))
        self.assertEqual(events[-1]["type"], "exit")

    def test_what_is_kept_needs_no_memory_of_the_server(self) -> None:
        code = "import os\nfor _ in range(10): os.write(1, b'y' * 1048000)"
        pid, grown = self.server.pid, []
        # The heap may take another size at any time, but not each time; what is kept would add up.
        while not grown or (grown[-1] >= 48 * MEBI and len(grown) < 4):
            sandbox = self.new_sandbox()
            self.rest.exec(sandbox, code)
            before = host.resident_bytes(pid)
            for _ in range(6):
                self.rest.replay(sandbox, self.rest.detach(sandbox, code))
            grown.append(host.resident_bytes(pid) - before)
        self.assertLess(grown[-1], 48 * MEBI, grown)

    def test_no_more_than_thirty_two_wait_unread(self) -> None:
        sandbox = self.new_sandbox()
        with self.rest.stream(sandbox, "import time\nprint('on')\ntime.sleep(60)") as busy:
            busy.first("stdout")
            for _ in range(32):
                self.rest.detach(sandbox, "1")
            refused = self.rest.post(f"/v1/sandboxes/{sandbox}/exec", {"code": "1", "detach": True})
            self.assert_refused(refused, 429)
            self.assertEqual(refused.json["code"], "too_many_execs")
            self.assertIn("Retry-After", refused.headers)
            self.rest.interrupt(sandbox)
            busy.rest()

    def test_nobody_sees_the_execs_of_another_key(self) -> None:
        exec_id = self.rest.detach(self.sandbox, "1")
        other = self.server.rest(self.server.own_key)
        path = f"/v1/sandboxes/{self.sandbox}/execs"
        for method, rest in (
            ("GET", ""),
            ("GET", f"/{exec_id}"),
            ("GET", f"/{exec_id}/stream"),
            ("POST", f"/{exec_id}/interrupt"),
        ):
            self.assert_refused(other.call(method, path + rest), 404)
        elsewhere = self.rest.call("GET", f"/v1/sandboxes/{self.new_sandbox()}/execs/{exec_id}")
        self.assertEqual((elsewhere.status, elsewhere.json["code"]), (404, "exec_not_found"))

    def test_a_sandbox_that_is_closed_ends_its_execs_for_their_readers(self) -> None:
        sandbox = self.new_sandbox()
        exec_id = self.rest.detach(sandbox, "print('on', flush=True)\nimport time; time.sleep(60)")
        with self.rest.attach(sandbox, exec_id) as stream:
            stream.first("stdout")
            self.rest.close(sandbox)
            self.assertEqual(stream.rest().reason, "killed")
        self.assert_refused(self.rest.call("GET", f"/v1/sandboxes/{sandbox}/execs"), 404)


class BackgroundTest(SandboxCase):
    def background(self, code: str, sandbox: str | None = None) -> str:
        return self.rest.detach(sandbox or self.sandbox, code, background=True)

    def test_commands_in_the_background_run_beside_each_other_and_all_else(self) -> None:
        code = "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo {}"
        ids = [self.background(code.format(i)) for i in range(6)]
        self.assertEqual(self.stdout("print('beside')"), "beside\n")
        self.assertEqual(self.rest.info(self.sandbox).json["state"], "ready")

        def states() -> set[str]:
            return {e["state"] for e in self.rest.execs(self.sandbox) if e["id"] in ids}

        eventually("all of them run", lambda: states() == {"running"})
        self.bash("touch /tmp/go")
        for i, one in enumerate(ids):
            ran = self.rest.replay(self.sandbox, one)
            self.assertEqual((ran.stdout, ran.code), (f"{i}\n", 0))
            self.assertTrue(self.rest.exec_info(self.sandbox, one)["background"])

    def test_each_is_interrupted_alone(self) -> None:
        one, other = self.background("sleep 600"), self.background("sleep 600")
        eventually(
            "both run",
            lambda: {"running"}
            == {self.rest.exec_info(self.sandbox, e)["state"] for e in (one, other)},
        )
        self.rest.interrupt(self.sandbox)
        self.rest.interrupt_exec(self.sandbox, one)
        self.assert_ended(self.rest.replay(self.sandbox, one), 130, "interrupted", True)
        self.assertEqual(self.rest.exec_info(self.sandbox, other)["state"], "running")
        self.rest.interrupt_exec(self.sandbox, other)
        self.rest.replay(self.sandbox, other)

    def test_a_timeout_holds_in_the_background_too(self) -> None:
        exec_id = self.rest.detach(self.sandbox, "sleep 600", background=True, timeout_seconds=0.5)
        self.assertEqual(self.rest.replay(self.sandbox, exec_id).reason, "timeout")

    def test_python_does_not_run_in_the_background(self) -> None:
        for language in ({}, {"language": "python"}):
            asked = {"code": "1", "background": True, **language}
            answer = self.rest.post(f"/v1/sandboxes/{self.sandbox}/exec", asked)
            self.assert_refused(answer, 422, "background")

    def test_no_more_than_thirty_two_run_in_the_background(self) -> None:
        sandbox = self.new_sandbox()
        ids = [self.background("echo on; sleep 600", sandbox) for _ in range(32)]
        for one in ids:
            # Stopped while all of them begin, one may take longer than a machine is given to obey.
            with self.rest.attach(sandbox, one) as stream:
                stream.first("stdout")
        asked = {"code": "ls", "language": "bash", "background": True}
        refused = self.rest.post(f"/v1/sandboxes/{sandbox}/exec", asked)
        self.assert_refused(refused, 429)
        self.rest.interrupt_exec(sandbox, ids[0])
        self.rest.replay(sandbox, ids[0])
        one_more = self.background("echo on", sandbox)
        self.assertEqual(self.rest.replay(sandbox, one_more).stdout, "on\n")

    def test_a_fork_is_not_held_up_by_what_runs_in_the_background(self) -> None:
        parent = self.new_sandbox()
        exec_id = self.background("echo on; sleep 600", parent)
        with self.rest.attach(parent, exec_id) as stream:
            stream.first("stdout")
        [child] = self.fork(parent)
        self.assertEqual(self.said(child, "print('child')"), "child\n")
        running = self.rest.bash(child, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
        self.assertIn("sleep 600", running)
        self.assertEqual(self.rest.exec_info(parent, exec_id)["state"], "running")

    def test_a_freeze_takes_what_runs_in_the_background_along(self) -> None:
        sandbox = self.new_sandbox()
        code = "i=0; while true; do i=$((i+1)); echo $i > /tmp/count; sleep 0.1; done"
        self.background(code, sandbox)
        eventually("it counts", lambda: self.rest.get(sandbox, "/tmp/count").status == 200)
        resumed = self.resume(self.freeze(sandbox))
        before = self.said(resumed, "print(open('/tmp/count').read())")
        eventually(
            "it goes on",
            lambda: self.said(resumed, "print(open('/tmp/count').read())") != before,
        )


class CommandLineTest(SandboxCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.rest = cls.server.rest(cls.server.own_key)
        cls.sandbox = cls.rest.create()
        cls.addClassCleanup(cls.rest.close, cls.sandbox)

    def command(self, *arguments: str) -> str:
        ran = self.server.command(*arguments)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return ran.stdout

    def test_an_exec_is_detached_listed_and_attached_to(self) -> None:
        detached = self.command("exec", "--detach", "--sandbox", self.sandbox, "print(6 * 7)")
        exec_id = detached.strip()
        self.assertEqual(self.command("attach", self.sandbox, exec_id), "42\n")
        self.assertEqual(self.command("attach", self.sandbox, exec_id[4:12], "--from", "99"), "")
        listed = self.command("execs", self.sandbox)
        self.assertIn(exec_id[:10], listed)
        self.assertIn("print(6 * 7)", listed)
        self.assertIn(exec_id, self.command("execs", self.sandbox, "--json"))

    def test_attach_ends_with_the_exit_code(self) -> None:
        exec_id = self.command(
            "exec", "--background", "-l", "bash", "--sandbox", self.sandbox, "sleep 0.5; exit 7"
        ).strip()
        self.assertEqual(self.server.command("attach", self.sandbox, exec_id).returncode, 7)


class RestartTest(KillingCase):
    """Kills the suite's server, which knows of long execs all the same."""

    deadline_seconds = 300.0

    @slow
    def test_execs_are_found_again_by_their_ids_and_how_they_end_is_told(self) -> None:
        sandbox = self.new_sandbox()
        command = self.rest.detach(
            sandbox, "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 3", background=True
        )
        endless = self.rest.detach(sandbox, "sleep 6000", background=True)
        stream = self.rest.stream(
            sandbox,
            "import os, time\nprint('on', flush=True)\n"
            "while not os.path.exists('/tmp/go'): time.sleep(0.1)\ndone = 'yes'",
        )
        stream.first("stdout")
        queued = self.rest.detach(sandbox, "1")
        time.sleep(5)  # What has run for a second stands in the registry soon.
        self.server.kill()
        self.server.start()
        infos = {one["id"]: one for one in self.rest.execs(sandbox)}
        self.assertEqual(set(infos), {command, endless, stream.exec_id, queued})
        self.assertEqual(
            (infos[queued]["state"], infos[queued]["reason"], infos[queued]["started_at"]),
            ("ended", "killed", None),
        )
        self.assertIn("never ran", self.rest.replay(sandbox, queued).stderr)
        self.assertIn("os.path.exists", infos[stream.exec_id]["code"])
        self.assertEqual(self.rest.put(sandbox, "/tmp/go", b"").status, 200)
        ran = self.rest.replay(sandbox, stream.exec_id, 1)
        self.assertEqual((ran.events[0]["type"], ran.events[0]["data"]["from"]), ("gap", 1))
        self.assertIn("not heard", ran.stderr)
        self.assert_ended(ran, 0, "ok", True)
        ran = self.rest.replay(sandbox, command)
        self.assertEqual((ran.code, ran.reason), (3, "error"))
        self.assertEqual(self.said(sandbox, "print(done)"), "yes\n")
        self.assertEqual(self.rest.exec_info(sandbox, endless)["state"], "running")
        self.rest.interrupt_exec(sandbox, endless)
        self.assertEqual(self.rest.replay(sandbox, endless).reason, "interrupted")

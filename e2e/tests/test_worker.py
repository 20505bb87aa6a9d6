"""`podflare worker anthropic` against a fake of the provider's environments, with real sandboxes."""

from __future__ import annotations

import base64
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.case import Case, slow
from rig.deadline import PATIENCE, eventually
from rig.server import PODFLARE, REPOSITORY, Server, free_port

sys.path.append(str(REPOSITORY / "sdk" / "conformance"))

from environments_api import ENVIRONMENT, KEY, Call, EnvironmentsApi, Script, Skill, Store  # noqa: E402

#: From the start of a worker, or the last call, to what a test waits for.
SOON = 60.0 * PATIENCE
ENDS_WITHIN = 15.0 * PATIENCE
LABEL = "metadata.anthropic-session"


class Worker:
    """A worker in a process of its own. What it says goes to a file."""

    def __init__(self, server: Server, url: str, *options: str, key: str | None = KEY, extra: dict[str, str] | None = None):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="pf-worker-", suffix=".log")
        self.cache = tempfile.mkdtemp(prefix="pf-worker-")
        environment = {**server.client_environment(), "ANTHROPIC_BASE_URL": url, "XDG_CACHE_HOME": self.cache, **(extra or {})}
        environment.pop("ANTHROPIC_ENVIRONMENT_KEY", None)
        if key is not None:
            environment["ANTHROPIC_ENVIRONMENT_KEY"] = key
        self.process = subprocess.Popen(
            [str(PODFLARE), "worker", "anthropic", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    @property
    def said(self) -> str:
        return Path(self.log.name).read_text()

    def wait(self, seconds: float = ENDS_WITHIN) -> int:
        """Its exit code."""
        return self.process.wait(timeout=seconds)

    def terminate(self, seconds: float = ENDS_WITHIN) -> int:
        self.process.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self.log.close()
        shutil.rmtree(self.cache, ignore_errors=True)


class WorkerCase(Case):
    """With a fake that checks whatever the worker sends, and sandboxes that are closed at the end."""

    deadline_seconds = 180.0

    def setUp(self) -> None:
        super().setUp()
        self.workers: list[Worker] = []
        self.api = EnvironmentsApi()
        self.api.__enter__()
        self.addCleanup(self.api.__exit__)
        self.addCleanup(self.close_sandboxes)

    def close_sandboxes(self) -> None:
        for id in list(self.api.scripts):
            for sandbox in self.sandboxes(id):
                self.rest.close(sandbox["id"])

    def worker(self, *options: str, url: str | None = None, **more: Any) -> Worker:
        worker = Worker(self.server, url or self.api.url, "--environment", ENVIRONMENT, *options, **more)
        self.addCleanup(worker.close)
        self.workers.append(worker)
        return worker

    def script(self, *turns: list[Call], name: str = "a", **more: Any) -> Script:
        return Script(f"sesn_{self.api.nonce}_{name}", list(turns), **more)

    def queue(self, *turns: list[Call], name: str = "a", **more: Any) -> Script:
        return self.api.queue(self.script(*turns, name=name, **more))

    def await_end(self, *scripts: Script) -> None:
        for script in scripts:
            self.await_that(lambda script=script: script.is_over, f"the end of {script.id}")

    def await_that(self, condition: Callable[[], Any], what: str) -> Any:
        try:
            return self.api.wait(condition, SOON, what)
        except AssertionError as missed:
            raise AssertionError("\n".join([str(missed), *(worker.said for worker in self.workers)])) from missed

    def sandboxes(self, session: str) -> list[dict[str, Any]]:
        return self.rest.call("GET", f"/v1/sandboxes?{LABEL}={session}").json["sandboxes"]

    def only_sandbox(self, script: Script) -> str:
        [sandbox] = self.sandboxes(script.id)
        return sandbox["id"]

    def await_running(self, script: Script) -> str:
        """Waits until code runs in the session's sandbox."""
        return eventually(
            "code in the session's sandbox",
            lambda: next((one["id"] for one in self.sandboxes(script.id) if one["state"] == "running"), None),
            SOON,
        )

    def assert_clean(self) -> None:
        """The API refused nothing, and every call that the agent made has one answer."""
        self.assertEqual(self.api.failures, [])
        for script in self.api.scripts.values():
            for turn in script.turns:
                for call in turn:
                    self.assertEqual(len(call.answers), 1, f"{script.id}: {call}")


def bash(command: str, **more: Any) -> Call:
    return Call("bash", {"command": command}, **more)


class WorkerServesTest(WorkerCase):
    def test_a_session_keeps_its_state_from_call_to_call(self) -> None:
        script = self.queue(
            [bash("cd /tmp && export STAGE=two && echo begun")],
            [bash("echo $STAGE in $PWD; uname -s")],
            [Call("write", {"file_path": "notes/a.txt", "content": "one\ntwo\nthree\n"})],
            [
                Call("read", {"file_path": "/root/notes/a.txt", "view_range": [2, 3]}),
                Call("edit", {"file_path": "/root/notes/a.txt", "old_string": "two", "new_string": "2"}),
                Call("grep", {"pattern": r"^\d$", "path": "/root/notes"}),
                Call("glob", {"pattern": "**/*.{txt,md}"}),
            ],
            [Call("run_python", {"code": "x = 20"}, custom=True)],
            [Call("run_python", {"code": "import matplotlib.pyplot as plt; plt.plot([1, 2]); x + 22"}, custom=True)],
        )
        self.worker("--custom-tool", "run_python")
        self.await_end(script)
        self.assert_clean()
        [[begun], [where], [written], [read, edited, grepped, globbed], [_], [drawn]] = script.turns
        self.assertEqual(begun.text, "begun")
        self.assertEqual(where.text, "two in /tmp\nLinux")
        self.assertIn("14 bytes", written.text)
        self.assertEqual(read.text, "two\nthree")
        self.assertIn("1 place", edited.text)
        self.assertEqual(grepped.text, "/root/notes/a.txt:2:2")
        self.assertEqual(globbed.text, "/root/notes/a.txt")
        self.assertIn("42", drawn.text)
        [image] = [part for part in drawn.answers[0]["content"] if part["type"] == "image"]
        self.assertTrue(base64.b64decode(image["source"]["data"]).startswith(b"\x89PNG"))
        self.assertEqual([call.is_error for turn in script.turns for call in turn], [False] * 9)
        self.only_sandbox(script)

    def test_a_call_that_fails_is_answered_as_an_error_that_says_what_to_do(self) -> None:
        script = self.queue([
            bash("echo so far; exit 3"),
            Call("read", {"file_path": "/root/nothing"}),
            Call("read", {}),
            Call("edit", {"file_path": "/etc/hostname", "old_string": "no such text", "new_string": ""}),
            Call("grep", {"pattern": "(", "path": "/etc"}),
            Call("glob", {"pattern": "/etc/*"}),
            Call("bash", {"command": "echo on; sleep 60", "timeout_ms": 1000}),
            bash("echo it goes on"),
        ])  # fmt: skip
        self.worker()
        self.await_end(script)
        self.assert_clean()
        *failed, last = script.turns[0]
        self.assertEqual([call.is_error for call in failed], [True] * 7)
        self.assertIn("so far", failed[0].text)
        self.assertIn("exit code: 3", failed[0].text)
        self.assertIn("List the directory", failed[1].text)
        self.assertIn("'file_path'", failed[2].text)
        self.assertIn("copy the text exactly", failed[3].text)
        self.assertTrue(failed[4].text.startswith("error: "), failed[4].text)
        self.assertIn("must be relative", failed[5].text)
        self.assertIn("time limit", failed[6].text)
        self.assertEqual(last.text, "it goes on")

    @slow
    def test_two_sessions_are_served_at_once_each_in_its_own_sandbox(self) -> None:
        during = "echo $PF > own; date +%s.%N; sleep 4; date +%s.%N; cat own"
        scripts = [self.queue([bash(f"PF={name}; {during}")], name=name) for name in ("a", "b")]
        self.worker()
        self.await_end(*scripts)
        self.assert_clean()
        spans = []
        for script, name in zip(scripts, ("a", "b")):
            begin, end, own = script.turns[0][0].text.split()
            self.assertEqual(own, name)
            spans.append((float(begin), float(end)))
        self.assertLess(max(begin for begin, _ in spans), min(end for _, end in spans))
        self.assertNotEqual(self.only_sandbox(scripts[0]), self.only_sandbox(scripts[1]))

    @slow
    def test_a_third_session_waits_until_one_of_two_is_let_go(self) -> None:
        scripts = [self.queue([bash("echo served")], name=name) for name in ("a", "b", "c")]
        self.worker("--max-sessions", "2", "--max-idle", "1")
        self.await_end(*scripts)
        self.assert_clean()
        self.await_that(lambda: all(work.state == "stopped" for work in self.api.work), "the end of all work")

    @slow
    def test_a_session_that_is_spoken_to_again_goes_on_in_its_sandbox(self) -> None:
        script = self.queue([bash("echo kept > f")])
        self.worker("--max-idle", "1")
        self.await_end(script)
        self.await_that(lambda: self.api.work_of(script)[0].state == "stopped", "that it is let go")
        sandbox = self.only_sandbox(script)
        self.api.say(script, [bash("cat f")])
        self.await_end(script)
        self.assertEqual(script.turns[1][0].text, "kept")
        self.assertEqual(self.only_sandbox(script), sandbox)
        self.assertEqual(len(self.api.work_of(script)), 2)
        self.assert_clean()

    def test_the_sandbox_of_a_session_that_is_over_is_closed(self) -> None:
        script = self.queue([bash("echo last")], ending="terminated")
        self.worker()
        self.await_end(script)
        eventually("the end of the sandbox", lambda: not self.sandboxes(script.id), SOON)
        self.await_that(lambda: self.api.work[0].state == "stopped", "the end of the work")
        self.assert_clean()

    def test_a_session_that_is_ended_while_code_runs_stops_the_code(self) -> None:
        script = self.queue([bash("sleep 300")])
        self.worker()
        self.await_running(script)
        self.api.terminate(script)
        eventually("the end of the sandbox", lambda: not self.sandboxes(script.id), SOON)
        self.assertEqual(script.turns[0][0].answers, [])
        self.assertEqual(self.api.failures, [])

    def test_a_call_that_must_be_confirmed_waits_for_it(self) -> None:
        asked, refused, free = bash("echo asked", permission="ask"), bash("touch f", permission="ask"), bash("echo free")
        script = self.queue([asked, refused, free], [bash("ls f 2>/dev/null; echo then")])
        self.worker()
        self.await_that(lambda: free.answers, "the answer that needs no confirmation")
        self.assertFalse(asked.answers)
        self.api.confirm(script, refused, "deny")
        self.api.confirm(script, asked, "allow")
        self.await_end(script)
        self.assertEqual(asked.text, "asked")
        self.assertEqual(script.turns[1][0].text, "then", "what was refused must not run")
        self.assert_clean()

    @slow
    def test_the_tools_of_others_are_left_to_them(self) -> None:
        theirs = Call("ask_the_bank", {"question": "?"}, custom=True)
        ours = bash("echo ours")
        script = self.queue([theirs, ours])
        worker = self.worker("--max-idle", "1")
        self.await_that(lambda: ours.answers, "our answer")
        self.await_that(lambda: self.api.work[0].beats > 4, "some heartbeats more")
        self.assertFalse(theirs.answers)
        self.assertEqual(script.status, "running")
        self.assertEqual(worker.terminate(), 0)
        self.assertEqual(self.api.failures, [])

    def test_a_work_item_without_a_secret_is_served_with_the_environments_key(self) -> None:
        script = self.queue([bash("echo served")], secret=False)
        self.worker()
        self.await_end(script)
        self.assert_clean()


def archive(**members: str) -> bytes:
    """A zip of a skill, wrapped in a directory as the API's are. `__` in a name stands for a slash."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in members.items():
            member = zipfile.ZipInfo("wrapped/" + name.replace("__", "/"))
            member.create_system, member.external_attr = 3, (0o755 if content.startswith("#!") else 0o644) << 16
            file.writestr(member, content)
    return packed.getvalue()


def store(id: str, path: str, access: str = "read_write") -> dict[str, Any]:
    return {"type": "memory_store", "memory_store_id": id, "access": access, "mount_path": f"/mnt/memory/{path}"}


class WorkerBringsTest(WorkerCase):
    """What a session has, in its sandbox before its first call."""

    def halves(self, call: Call) -> tuple[str, str]:
        """What a call printed, and what the worker told with it."""
        said, mark, told = call.text.partition("\n[")
        self.assertTrue(mark, f"nothing is told: {call.text}\n{self.workers[-1].said}")
        return said, told

    def test_skills_memory_and_files_are_there_and_memory_is_saved(self) -> None:
        many = {f"many_{number}": f"text {number}" for number in range(25)}
        self.api.skills["skill_pdf"] = Skill("pdf", {"skver_1": archive(), "skver_2": archive(run="#!/bin/sh\necho ran")})
        self.api.skills["skill_evil"] = Skill("evil", {"skver_1": archive(**{"..__..__evil": "evil"})})
        self.api.stores = {"memstore_n": Store(a="one\n", b="two\n", **many), "memstore_r": Store(rule="keep\n")}
        self.api.files["file_1"] = b"x,y\n"
        script = self.queue(
            [
                bash("skills/pdf/run; ls /workspace/skills; cat /workspace/data.csv; ls /mnt/memory/notes | wc -l"),
                bash("cd /mnt/memory/notes && echo more >> a && mkdir d && echo new > d/new && rm b"),
                bash("echo x > /mnt/memory/rules/rule"),
                Call("write", {"file_path": "/mnt/memory/notes/../rules/rule", "content": "x"}),
                Call("read", {"file_path": "/mnt/memory/rules/rule"}),
            ],
            skills=[{"type": "custom", "skill_id": id, "version": "latest"} for id in ("skill_pdf", "skill_evil")],
            resources=[
                store("memstore_n", "notes"),
                store("memstore_r", "rules", "read_only"),
                {"type": "file", "file_id": "file_1", "mount_path": "/workspace/data.csv"},
                {"type": "file", "file_id": "file_2", "mount_path": "/workspace/none.csv"},
            ],
        )
        self.worker("--max-idle", "1")
        self.await_end(script)
        first, _, shell, written, read = script.turns[0]
        said, told = self.halves(first)
        self.assertEqual(said.split(), ["ran", "pdf", "x,y", "27"])
        self.assertIn("skill skill_evil: the archive has a member that leads out of it", told)
        self.assertIn("file /workspace/none.csv", told)
        self.assertIn("Read-only file system", shell.text)
        self.assertIn("mounted read-only", written.text)
        self.assertEqual(read.text.strip(), "keep")
        notes = self.api.stores["memstore_n"].memories
        self.await_that(lambda: self.api.work[0].state == "stopped", "that it is let go")
        self.assertEqual({path: notes.get(path) for path in ("/a", "/b", "/d/new")}, {"/a": "one\nmore\n", "/b": None, "/d/new": "new\n"})
        self.assertEqual(len(notes), 27)

        notes["/a"] = "theirs\n"
        self.api.say(script, [bash("cat /mnt/memory/notes/a; ls /root; cat /workspace/data.csv")])
        self.await_end(script)
        self.assertEqual(script.turns[1][0].text.split("\n[")[0].split(), ["theirs", "skills", "x,y"])
        self.assertEqual(self.api.count("archive"), 2, "an archive is kept on the worker's disk")
        self.assert_clean()

    def test_over_tls_a_webhook_wakes_it_and_a_repository_comes_without_its_token(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="pf-tls-"))
        self.addCleanup(shutil.rmtree, folder)
        certificate, authority = certificates(folder)
        secret, token = os.urandom(32), "ghp_" + os.urandom(12).hex()
        for name, text in {"token": token, "webhook": "whsec_" + base64.b64encode(secret).decode()}.items():
            (folder / name).touch(0o600)
            (folder / name).write_text(text)
        commit = repository(folder)
        port = free_port()
        with EnvironmentsApi(certificate=certificate) as api:
            self.api, api.git, api.git_token = api, folder, token
            self.addCleanup(self.close_sandboxes)
            host = api.url.removeprefix("https://")
            worker = self.worker(
                *("--ca-file", str(authority), "--git-host", host, "--git-token-file", str(folder / "token")),
                *("--webhook-addr", f"127.0.0.1:{port}", "--webhook-key-file", str(folder / "webhook")),
                *("--no-egress", "--max-idle", "1"),
            )  # fmt: skip
            self.await_that(lambda: api.count("poll") == 1, "the first poll")
            url = f"{api.url}/git/project.git"
            script = self.queue(
                [bash("cd /workspace/project && git log --format=%s && git remote get-url origin && git status --short --branch")],
                [bash(f"echo found $(grep -rls {token[4:]} /workspace /root /tmp /etc; env | grep -c {token[4:]}; ls -A /tmp)")],
                resources=[
                    {
                        "type": "github_repository",
                        "url": url,
                        "mount_path": "/workspace/project",
                        "checkout": {"type": "commit", "sha": commit},
                    },
                    {"type": "github_repository", "url": "https://github.com/o/r", "mount_path": "/workspace/other"},
                ],
            )
            self.assertEqual(api.webhook(f"http://127.0.0.1:{port}/webhook", secret, script), 204)
            self.await_end(script)
            said, told = self.halves(script.turns[0][0])
            self.assertEqual(said.splitlines(), ["first", url, "## HEAD (no branch)"])
            self.assertIn("github.com is not the host that repositories are cloned from", told)
            self.assertEqual(script.turns[1][0].text, "found 0", "neither the token nor what was on its way is there")
            self.assertNotIn(token, worker.said)
            self.assert_clean()
            self.assertEqual(worker.terminate(), 0)
            self.close_sandboxes()

    @slow
    def test_a_certificate_of_an_unknown_authority_is_not_trusted(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="pf-tls-"))
        self.addCleanup(shutil.rmtree, folder)
        certificate, _ = certificates(folder)
        with EnvironmentsApi(certificate=certificate) as api:
            worker = self.worker(url=api.url)
            eventually("that it says so", lambda: "can't be reached" in worker.said, SOON)
            self.assertEqual(api.calls, [])

    @slow
    def test_what_a_killed_worker_did_not_save_is_kept_and_told(self) -> None:
        self.api.stores["memstore_n"] = Store(a="one\n")
        script = self.queue(
            [bash("echo mine > /mnt/memory/notes/a")],
            [bash("sleep 5")],
            [bash("cat /mnt/memory/notes/a /root/unsaved-memory/notes-1/a")],
            resources=[store("memstore_n", "notes")],
        )
        worker = self.worker()
        self.await_that(lambda: script.turns[0][0].answers, "the first answer")
        worker.kill()
        self.worker()
        self.await_end(script)
        self.assertIn("kept in /root/unsaved-memory/notes-1", script.turns[1][0].text)
        self.assertEqual(script.turns[2][0].text.split(), ["one", "mine"])
        self.assert_clean()

    @slow
    def test_memory_without_its_token_or_that_can_not_be_had_ends_the_work(self) -> None:
        script = self.queue([bash("echo no")], secret=False, resources=[store("memstore_n", "notes")])
        other = self.queue([bash("echo no")], name="b", resources=[store("memstore_none", "notes")])
        worker = self.worker()
        self.await_that(lambda: all(work.state == "stopped" for work in self.api.work), "the end of both")
        self.assertIn("without the token", worker.said)
        self.assertIn("memstore_none not found", worker.said)
        self.assertEqual([script.turns[0][0].answers, other.turns[0][0].answers], [[], []])


def certificates(folder: Path) -> tuple[Path, Path]:
    """A server's certificate for 127.0.0.1 with its key, and the authority that it is of."""
    authority, server = folder / "ca.pem", folder / "server.pem"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for command in (
        [*new, "-x509", "-subj", "/CN=Test authority", "-keyout", str(folder / "ca.key"), "-out", str(authority)],
        [
            *(*new, "-x509", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-CA", str(authority), "-CAkey", str(folder / "ca.key"), "-keyout", str(server), "-out", str(folder / "cert")),
        ],
    ):
        subprocess.run(command, check=True, capture_output=True)
    server.write_text(server.read_text() + (folder / "cert").read_text())
    return server, authority


def repository(folder: Path) -> str:
    """A bare repository with two commits, to be served as files; returns the first one."""
    work, bare = folder / "work", folder / "project.git"
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]

    def git(*words: str) -> str:
        return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=main", str(work))
    (work / "README").write_text("hello\n")
    git("-C", str(work), "add", "README")
    git("-C", str(work), "commit", "--quiet", "--message=first")
    first = git("-C", str(work), "rev-parse", "HEAD")
    git("-C", str(work), "commit", "--quiet", "--allow-empty", "--message=second")
    git("clone", "--quiet", "--bare", str(work), str(bare))
    git("--git-dir", str(bare), "update-server-info")
    return first


@slow
class WorkerTroubleTest(WorkerCase):
    def test_an_answer_that_is_refused_by_a_500_is_sent_again(self) -> None:
        self.api.fail("send", 500)
        script = self.queue([bash("date +%N >> runs; wc -l < runs")])
        self.worker()
        self.await_end(script)
        self.assertEqual(self.api.count("send"), 2)
        self.assertEqual(script.turns[0][0].text, "1", "the call must not run again")
        self.assert_clean()

    def test_an_answer_that_arrived_though_its_connection_broke_is_not_sent_again(self) -> None:
        self.api.fail("send", 0, done=True)
        script = self.queue([bash("echo one")], [bash("echo two")])
        self.worker()
        self.await_end(script)
        self.assertEqual(self.api.count("send"), 2)
        self.assert_clean()

    def test_a_stream_that_breaks_is_opened_again_and_no_call_is_missed_or_doubled(self) -> None:
        script = self.queue([bash("date +%N >> runs; sleep 3; wc -l < runs")], [bash("wc -l < runs")])
        self.worker()
        self.await_running(script)
        self.api.drop_streams()
        self.await_end(script)
        self.await_that(lambda: self.api.count("stream") > 1, "the next stream")
        self.assertEqual([turn[0].text for turn in script.turns], ["1", "1"])
        self.assert_clean()

    def test_a_lost_lease_stops_the_code_and_nothing_is_answered(self) -> None:
        script = self.queue([bash("sleep 300")])
        self.worker()
        sandbox = self.await_running(script)
        self.api.steal(script)
        eventually("the end of the code", lambda: self.rest.info(sandbox).json["state"] == "ready", SOON)
        other = self.queue([bash("echo other")], name="b")
        self.await_end(other)
        self.assertEqual(script.turns[0][0].answers, [])
        self.assertEqual(self.api.work_of(script)[0].state, "active", "it is the other worker's to stop")
        self.assertEqual(self.api.failures, [])

    def test_a_lease_that_could_not_be_kept_counts_as_lost(self) -> None:
        script = self.queue([bash("echo $RANDOM > f; sleep 30; cat f")])
        worker = self.worker()
        self.await_running(script)
        self.api.fail("heartbeat", 503, times=20)
        eventually("that it notices", lambda: "counts as lost" in worker.said, SOON)
        self.assertEqual(script.turns[0][0].answers, [])
        self.assertEqual(self.api.failures, [])

    def test_overload_is_waited_out_as_long_as_it_asks(self) -> None:
        self.api.fail("poll", 429, retry_after=3)
        script = self.queue([bash("echo served")])
        self.worker()
        self.await_end(script)
        first, second = self.api.times("poll")[:2]
        self.assertGreaterEqual(second - first, 3)
        self.assert_clean()

    def test_a_provider_that_can_not_be_reached_is_tried_again_and_that_is_said(self) -> None:
        port = free_port()
        worker = self.worker(url=f"http://127.0.0.1:{port}")
        eventually("that it says so", lambda: "can't be reached" in worker.said, SOON)
        with EnvironmentsApi(port) as api:
            self.api = api
            script = self.queue([bash("echo served")])
            self.await_end(script)
            self.assert_clean()
            self.assertEqual(worker.terminate(), 0)
            self.close_sandboxes()

    def test_a_wrong_key_ends_it_with_a_sentence(self) -> None:
        worker = self.worker(key="sk-ant-oat-wrong")
        self.assertEqual(worker.wait(SOON), 1)
        self.assertIn("the provider does not accept the environment key for env_fake; generate a new one", worker.said)
        self.assertNotIn("sk-ant-oat-wrong", worker.said)
        self.assertNotIn("\tat ", worker.said)

    def test_without_a_key_or_with_one_that_others_can_read_it_does_not_begin(self) -> None:
        worker = self.worker(key=None)
        self.assertEqual(worker.wait(SOON), 1)
        self.assertIn("there is no environment key", worker.said)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(KEY + "\n")
            file.flush()
            os.chmod(file.name, 0o644)
            worker = self.worker("--key-file", file.name, key=None)
            self.assertEqual(worker.wait(SOON), 1)
            self.assertIn(f"chmod 600 {file.name}", worker.said)
            os.chmod(file.name, 0o600)
            script = self.queue([bash("echo served")])
            self.worker("--key-file", file.name, key=None)
            self.await_end(script)
        self.assertEqual(self.api.failures, [])

    def test_a_key_is_not_sent_in_the_clear(self) -> None:
        worker = self.worker(url="http://provider.example")
        self.assertEqual(worker.wait(SOON), 1)
        self.assertIn("https://", worker.said)

    def test_without_a_podflare_server_it_does_not_begin(self) -> None:
        worker = self.worker(extra={"PODFLARE_HOSTD_URL": f"http://127.0.0.1:{free_port()}"})
        self.assertEqual(worker.wait(SOON), 1)
        self.assertIn("there is no Podflare server to run sandboxes on", worker.said)
        self.assertEqual(self.api.calls, [])


class WorkerEndsTest(WorkerCase):
    @slow
    def test_killed_and_started_again_it_goes_on_in_the_same_sandbox(self) -> None:
        script = self.queue([bash("export KEPT=yes; date +%N >> runs")], [bash("sleep 5; echo $KEPT")], [bash("wc -l < runs")])
        worker = self.worker()
        self.await_that(lambda: script.turns[0][0].answers, "the first answer")
        sandbox = self.await_running(script)
        worker.kill()
        self.worker()
        self.await_end(script)
        self.assertEqual([turn[0].text for turn in script.turns[1:]], ["yes", "1"])
        self.assertEqual(self.only_sandbox(script), sandbox)
        self.assert_clean()

    def test_sigterm_ends_it_within_seconds_answers_what_ran_and_gives_the_rest_back(self) -> None:
        script = self.queue([bash("export KEPT=yes; echo so far; sleep 300")], [bash("echo then $KEPT")])
        worker = self.worker()
        sandbox = self.await_running(script)
        self.assertEqual(worker.terminate(), 0)
        [interrupted] = script.turns[0]
        self.assertTrue(interrupted.is_error)
        self.assertIn("so far", interrupted.text)
        self.assertIn("interrupted", interrupted.text)
        self.assertNotEqual(self.api.work[0].state, "stopped", "it is in the middle of a turn")
        self.worker()
        self.await_end(script)
        self.assertIn("then", script.turns[1][0].text)
        self.assertEqual(self.only_sandbox(script), sandbox)
        self.assert_clean()

    def test_ctrl_c_lets_a_short_call_end_and_stops_the_work_of_a_session_that_is_idle(self) -> None:
        short = self.queue([bash("sleep 2; echo whole")], name="a")
        idle = self.queue([bash("echo done")], name="b")
        worker = self.worker()
        self.await_end(idle)
        if not short.turns[0][0].answers:
            self.await_running(short)
        worker.process.send_signal(signal.SIGINT)
        self.assertEqual(worker.wait(), 0)
        self.assertEqual(short.turns[0][0].text, "whole")
        self.assertEqual(self.api.work_of(idle)[0].state, "stopped")
        self.assert_clean()

    def test_sigterm_ends_one_that_waits_for_work(self) -> None:
        worker = self.worker()
        self.await_that(lambda: self.api.count("poll") > 1, "some polls")
        self.assertEqual(worker.terminate(), 0)
        self.assertEqual(self.api.failures, [])

    def test_no_other_command_loads_the_workers_classes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "classes"
            said = self.server.command("list", extra={"JAVA_TOOL_OPTIONS": f"-Xlog:class+load:file={log}"})
            self.assertEqual(said.returncode, 0, said.stderr)
            loaded = log.read_text()
        self.assertIn("dev.podflare.cli.ListCommand ", loaded)
        self.assertNotIn("dev.podflare.worker.", loaded)
        self.assertNotIn("dev.podflare.sdk.", loaded)

"""The command-line program: what it says, with which exit code, and how soon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from rig import host
from rig.case import Case, KillingCase
from rig.deadline import eventually
from rig.server import PODFLARE, REPOSITORY, free_port

COMMANDS = ("up", "down", "exec", "status", "doctor")


class CliTest(Case):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.rest = cls.server.rest(cls.server.own_key)

    def test_exec_runs_python_and_prints_its_output(self) -> None:
        ran = self.server.command("exec", "print(6 * 7)")
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, "42\n", ""))

    def test_exec_ends_with_the_codes_exit_code_and_keeps_the_streams_apart(self) -> None:
        ran = self.server.command("exec", "-l", "bash", "echo out; echo err >&2; exit 7")
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (7, "out\n", "err\n"))

    def test_exec_in_a_sandbox_finds_its_state_and_leaves_it_open(self) -> None:
        sandbox = self.new_sandbox()
        first = self.server.command("exec", "--sandbox", sandbox, "x = 41")
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        second = self.server.command("exec", "--sandbox", sandbox, "print(x + 1)")
        self.assertEqual((second.returncode, second.stdout, second.stderr), (0, "42\n", ""))
        self.assertEqual(self.rest.info(sandbox).status, 200)

    def test_exec_without_a_sandbox_leaves_none(self) -> None:
        with self.nothing_created():
            self.server.command("exec", "1")

    def test_exec_in_a_sandbox_that_is_not_there_says_so(self) -> None:
        ran = self.server.command("exec", "--sandbox", "sbx_" + "0" * 32, "1")
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("sandbox not found", ran.stderr)
        self.assert_no_stack_trace(ran.stdout + ran.stderr)

    def test_an_error_of_the_code_is_on_standard_error(self) -> None:
        ran = self.server.command("exec", "1/0")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("ZeroDivisionError", ran.stderr)

    def test_status_in_json_has_what_programs_rely_on(self) -> None:
        sandbox = self.new_sandbox()
        ran = self.server.command("status", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        status = json.loads(ran.stdout)
        self.assertTrue({"pid", "address", "isolation", "sandboxes", "pool"} <= set(status), status)
        self.assertTrue(os.path.exists(f"/proc/{status['pid']}"))
        self.assertEqual(status["address"].removeprefix("http://"), self.server.address)
        self.assertIn(status["isolation"], ("kvm", "emulated"))
        self.assertEqual(self.rest.info(sandbox).status, 200)

    def test_status_for_people_names_the_address_and_the_isolation(self) -> None:
        ran = self.server.command("status")
        self.assertEqual(ran.returncode, 0)
        self.assertIn(self.server.address, ran.stdout)
        self.assertIn(self.server.isolation, ran.stdout)

    def test_all_that_tell_of_isolation_say_the_same_of_what_it_is_worth(self) -> None:
        promise = self.rest.call("GET", "/v1/capacity").json["isolation_promise"]
        self.assertGreater(len(promise), 80)
        for command in ("status", "doctor"):
            self.assertIn(promise, self.server.command(command).stdout, command)
        self.assertIn(promise, self.server.banner)

    def test_without_a_server_every_command_says_so_and_fails(self) -> None:
        with tempfile.TemporaryDirectory(prefix="pf-e2e-nothing-") as nowhere:
            settings = {"XDG_CONFIG_HOME": nowhere, "PODFLARE_DATA_DIR": f"{nowhere}/data"}
            for command in ("status", "list", "create"):
                ran = self.server.command(command, extra=settings)
                self.assertEqual((ran.returncode, ran.stdout), (3, ""), command)
                self.assertIn("podflare up", ran.stderr)
            self.assertEqual(os.listdir(nowhere), [], "asking made a directory")

    def test_the_server_is_named_by_option_or_environment_and_status_asks_the_same(self) -> None:
        dead = f"http://127.0.0.1:{free_port()}"
        for command in ("list", "status"):
            for settings, option, source in (
                ({"PODFLARE_HOSTD_URL": dead}, (), "PODFLARE_HOSTD_URL"),
                ({"PODFLARE_HOSTD_URL": self.server.url}, ("--server", dead), "--server"),
            ):
                ran = self.server.command(command, *option, extra=settings)
                self.assertEqual((ran.returncode, ran.stdout), (3, ""), (command, source))
                self.assertIn(f"{dead} (from {source})", ran.stderr)
        shown = self.server.command("status", "--server", self.server.url).stdout
        self.assertIn(self.server.url, shown)

    def test_doctor_lists_every_precondition_and_finds_none_missing(self) -> None:
        ran = self.server.command("doctor")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        for word in ("qemu", "mke2fs", "nft", self.server.isolation):
            self.assertIn(word, ran.stdout.lower())

    def test_help_and_version_are_everywhere(self) -> None:
        for command in ((), *((one,) for one in COMMANDS)):
            shown = self.server.command(*command, "--help")
            self.assertEqual(shown.returncode, 0, command)
            self.assertIn("Usage", shown.stdout, command)
            version = self.server.command(*command, "--version")
            self.assertEqual(version.returncode, 0, command)
            self.assertRegex(version.stdout, r"\d+\.\d+", str(command))

    def test_what_is_no_command_is_refused_with_the_usage(self) -> None:
        for wrong in (
            ("flyy",),
            ("exec",),
            ("exec", "--no-such-option", "1"),
            ("exec", "-l", "cobol", "1"),
        ):
            ran = self.server.command(*wrong)
            self.assertEqual(ran.returncode, 2, f"{wrong}: {ran.stderr}")
            self.assertTrue(ran.stderr)
            self.assert_no_stack_trace(ran.stderr)

    def test_it_starts_in_less_than_half_a_second_on_a_busy_host(self) -> None:
        self.server.command("--version")
        took = [60.0]
        until = time.monotonic() + 60
        # The best of many: what the program needs, without what else the machine does.
        while min(took) >= 0.5 and time.monotonic() < until:
            began = time.monotonic()
            self.server.command("--version")
            took.append(time.monotonic() - began)
        self.assertLess(min(took), 0.5, took)

    def test_up_beside_a_running_server_of_the_same_data_is_refused(self) -> None:
        ran = self.server.command(
            "up",
            "--detach",
            "--addr",
            f"127.0.0.1:{free_port()}",
            "--data-dir",
            str(self.server.data_dir),
        )
        self.assert_no_stack_trace(ran.stdout + ran.stderr)
        self.assertIn(str(self.server.pid), ran.stdout + ran.stderr)
        self.assertEqual(self.rest.call("GET", "/v1/healthz").status, 200)

    def test_a_public_address_without_keys_is_refused(self) -> None:
        with tempfile.TemporaryDirectory(prefix="pf-e2e-public-") as folder:
            ran = self.server.command(
                "up", "--detach", "--addr", f"0.0.0.0:{free_port()}", "--data-dir", folder,
                extra={"PODFLARE_AUTH_DISABLED": "1"},
            )  # fmt: skip
            self.assertEqual(host.processes_of(None, Path(folder)), [])
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("key", (ran.stdout + ran.stderr).lower())
        self.assert_no_stack_trace(ran.stdout + ran.stderr)

    def test_the_completion_script_names_the_commands(self) -> None:
        ran = self.server.command("generate-completion")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        for command in COMMANDS:
            self.assertIn(command, ran.stdout)

    def test_the_banner_says_address_isolation_and_a_program_to_try(self) -> None:
        for word in (self.server.address, self.server.isolation, "from podflare import Sandbox"):
            self.assertIn(word, self.server.banner)

    def assert_no_stack_trace(self, said: str) -> None:
        self.assertNotIn("\tat ", said)
        self.assertNotIn("Exception in thread", said)


class EverydayTest(Case):
    """What docker and kubectl have taught people to type, on one sandbox."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.rest = cls.server.rest(cls.server.own_key)
        cls.sandbox = cls.rest.create(metadata={"name": "everyday"})
        cls.addClassCleanup(cls.rest.close, cls.sandbox)

    def says(self, *arguments: str, stdin: str | None = None) -> str:
        ran = self.server.command(*arguments, stdin=stdin)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def test_code_comes_as_words_a_file_a_pipe_or_a_command(self) -> None:
        with tempfile.TemporaryDirectory(prefix="pf-e2e-code-") as folder:
            program = Path(folder, "program.py")
            program.write_text("print(20 + 1)\n")
            self.assertEqual(self.says("exec", "everyday", str(program)), "21\n")
        self.assertEqual(self.says("exec", self.sandbox[:12], "print(1)"), "1\n")
        self.assertEqual(self.says("exec", "everyday", "-", stdin="print(2)\n"), "2\n")
        listed = self.says("exec", "everyday", "--cwd", "/", "-e", "A=b c", "--", "printenv", "A")
        self.assertEqual(listed, "b c\n")
        stopped = self.server.command("exec", "everyday", "--timeout", "1", "while True: pass")
        self.assertEqual(stopped.returncode, 124)
        self.assertIn("podflare: stopped after 1 s (--timeout)\n", stopped.stderr)

    def test_control_c_interrupts_the_code_and_shows_its_last_words(self) -> None:
        code = "import time\ntry:\n print('on', flush=True); time.sleep(600)\nfinally:\n print('off')"
        with subprocess.Popen(
            [str(PODFLARE), "exec", "everyday", code],
            env=self.server.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as running:  # fmt: skip
            assert running.stdout is not None
            self.assertEqual(running.stdout.readline(), "on\n")
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=60)
        self.assertEqual((running.returncode, out), (130, "off\n"))

    def test_files_and_folders_are_copied_in_and_out(self) -> None:
        with tempfile.TemporaryDirectory(prefix="pf-e2e-cp-") as folder:
            project = Path(folder, "project")
            (project / "deep").mkdir(parents=True)
            (project / "deep" / "run.sh").write_text("echo ran\n")
            (project / "deep" / "run.sh").chmod(0o755)
            (project / "data.bin").write_bytes(bytes(range(256)) * 1000)
            self.says("cp", str(project), "everyday:")
            self.assertEqual(self.says("exec", "everyday", "--", "/root/project/deep/run.sh"), "ran\n")
            self.says("cp", f"{self.sandbox}:project", str(Path(folder, "back")))
            back = Path(folder, "back")
            self.assertEqual(
                (back / "data.bin").read_bytes(), (project / "data.bin").read_bytes()
            )
            self.assertEqual((back / "deep" / "run.sh").stat().st_mode & 0o777, 0o755)
            missing = self.server.command("cp", "everyday:/no/such", folder)
            self.assertEqual(missing.returncode, 1)

    def test_the_living_python_is_at_the_prompt(self) -> None:
        lines = "x = 20\nfor i in range(2):\n  x += i\n\nx\n"
        self.assertEqual(self.says("repl", "everyday", stdin=lines), "21\n")
        self.assertEqual(self.says("exec", "everyday", "print(x)"), "21\n")

    def test_what_it_is_and_what_it_said_is_shown(self) -> None:
        self.says("exec", "everyday", "print('remember me')")
        self.assertIn("remember me\n", self.says("logs", "everyday"))
        self.assertIn("remember me\n", self.says("logs", self.sandbox[:12], "--last", "1"))
        info = self.says("info", "everyday")
        for words in (self.sandbox, "MiB memory", "is closed after"):
            self.assertIn(words, info)
        self.assertEqual(json.loads(self.says("inspect", "everyday", "--json"))["id"], self.sandbox)
        self.assertIn(self.sandbox, self.says("ps", "-q", "--metadata", "name=everyday"))
        self.assertNotIn("\x1b", self.says("ls") + info)

    def test_names_are_completed(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="pf-e2e-path-")))
        (folder / "podflare").symlink_to(PODFLARE)
        script = (
            'PATH=$0:$PATH; source <(podflare generate-completion); COMP_WORDS=("$@");'
            " COMP_CWORD=$(($# - 1)); _complete_podflare_with_names; echo ${COMPREPLY[@]}"
        )
        for words, wanted in (
            (("podflare", "close", "every"), "everyday"),
            (("podflare", "info", self.sandbox[:9]), self.sandbox),
            (("podflare", "create", "--template", "python-d"), "python-datasci"),
            (("podflare", "benc"), "bench"),
        ):
            shown = subprocess.run(
                ["bash", "-c", script, str(folder), *words],
                env=self.server.environment(), capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            self.assertIn(wanted, shown.stdout.split(), (words, shown.stderr))

    def test_settings_and_configurations_are_printed_to_be_pasted(self) -> None:
        settings = self.says("env")
        self.assertIn(f"export PODFLARE_HOSTD_URL={self.server.url}\n", settings)
        self.assertIn(f"export PODFLARE_API_KEY={self.server.own_key}\n", settings)
        cursor = json.loads(self.says("mcp", "--config", "cursor"))["mcpServers"]["podflare"]
        self.assertEqual(cursor, {"command": str(PODFLARE), "args": ["mcp"]})
        self.assertEqual(
            self.says("mcp", "--config", "claude-code"),
            f"claude mcp add podflare -- {PODFLARE} mcp\n",
        )

    def test_mcp_without_a_configuration_stays(self) -> None:
        with tempfile.TemporaryDirectory(prefix="pf-e2e-nothing-") as nowhere:
            hello = {
                "jsonrpc": "2.0", "id": 1, "method": "initialize",
                "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                           "clientInfo": {"name": "test", "version": "1"}},
            }  # fmt: skip
            ran = self.server.command(
                "mcp", extra={"XDG_CONFIG_HOME": nowhere}, stdin=json.dumps(hello) + "\n"
            )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("serverInfo", json.loads(ran.stdout.splitlines()[0])["result"])


class CheckoutTest(Case):
    """The launcher in a checkout whose program is not built, or is older than its sources."""

    MODULES = (
        "host", "engine", "engine-qemu", "guest", "sandbox", "server", "mcp", "sdk/java", "worker", "cli",
    )  # fmt: skip

    def checkout(self) -> Path:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="pf-e2e-checkout-")))
        shutil.copy(PODFLARE, folder / "podflare")
        for module in self.MODULES:
            (folder / module / "src" / "main").mkdir(parents=True)
            (folder / module / "pom.xml").touch()
        (folder / "pom.xml").touch()
        return folder

    def run_in(self, checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(checkout / "podflare"), *arguments],
            env=self.server.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def test_what_is_not_built_is_said_in_one_line_and_not_built(self) -> None:
        checkout = self.checkout()
        for command in ("list", "create", "mcp", "down", "status"):
            ran = self.run_in(checkout, command)
            self.assertEqual((ran.returncode, ran.stdout), (1, ""), command)
            self.assertRegex(ran.stderr, r"\Apodflare: the program is not built yet; run: .*\n\Z")

    def test_what_is_older_than_its_sources_answers_and_says_so_beside_the_answer(self) -> None:
        checkout = self.checkout()
        (checkout / "cli" / "target").mkdir()
        (checkout / "cli" / "target" / "podflare").symlink_to(
            REPOSITORY / "cli" / "target" / "podflare"
        )
        (checkout / "host" / "src" / "main" / "New.java").touch()
        ran = self.run_in(checkout, "list", "--ids")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(
            ran.stderr, "podflare: the program is older than its sources; run ./podflare up\n"
        )
        self.assertNotIn("\x1b", ran.stdout)

    def test_help_of_what_runs_here_sets_nothing_up(self) -> None:
        checkout = self.checkout()
        for folder, name in (("build", "test"), ("bench", "run"), ("rig", "run")):
            (checkout / folder).mkdir(exist_ok=True)
            script = checkout / folder / name
            script.write_text("import sys\n")
            if name == "test":
                script.write_text("#!/bin/sh\n")
                script.chmod(0o755)
        for command in ("test", "bench", "rig", "build"):
            ran = self.run_in(checkout, command, "--help")
            self.assertEqual((ran.returncode, ran.stderr), (0, ""), command)


class StoppedServerTest(KillingCase):
    def stop_by(self, number: signal.Signals) -> None:
        pid = self.server.pid
        os.kill(pid, number)
        eventually(f"the end of server {pid}", lambda: not os.path.exists(f"/proc/{pid}"))

    def test_sigterm_leaves_the_sandboxes_to_the_next_server(self) -> None:
        sandbox = self.rest.create()  # which `down` ends
        self.rest.exec(sandbox, "x = 41")
        machine = self.machine_of(sandbox)
        open_sandboxes = len(self.rest.ids())
        self.stop_by(signal.SIGTERM)
        self.assertTrue(host.lives(machine))
        left = [one.pid for one in self.machines_without_server()]
        self.assertIn(machine.pid, left)
        self.assertGreaterEqual(len(left), open_sandboxes)
        self.server.start()
        # Other keys' are among them, those of earlier tests.
        self.assertIn(f"took over {len(left)} sandboxes of the previous server", self.server.banner)
        self.assertEqual(self.rest.exec(sandbox, "print(x + 1)").stdout, "42\n")
        with self.subTest("down ends also what a server has left"):
            self.stop_by(signal.SIGTERM)
            ended = self.server.stop()
            self.assertIn(
                f"ended {len(left)} microVMs that an earlier server had left", ended.stdout
            )
            self.assertEqual(self.machines_without_server(), [])

    def test_control_c_ends_the_sandboxes_and_says_so(self) -> None:
        kept = self.rest.create(persistent=True)
        self.rest.exec(kept, "x = 41")
        self.rest.create()
        self.stop_by(signal.SIGINT)
        self.assertEqual(self.machines_without_server(), [])
        log = (self.server.data_dir / "server.log").read_text()
        self.assertRegex(log.splitlines()[-1], r"stopped; \d+ sandbox(es)? closed, \d+ frozen")
        self.server.start()
        self.assertEqual(self.rest.exec(kept, "print(x + 1)").stdout, "42\n")
        self.rest.close(kept)
        log = (self.server.data_dir / "server.log").read_text()
        self.assertIn(f"serves on {self.server.url}", log.splitlines()[-1])

    def machines_without_server(self) -> list[host.Process]:
        return host.machines_of(None, self.server.data_dir)

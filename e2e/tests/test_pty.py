"""Terminals through the front door, and the shell of the command line."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

from rig.case import Case, KillingCase, SandboxCase, slow
from rig.deadline import eventually

from rig.server import PODFLARE
from rig.websocket import TEXT, Closed, NotUpgraded, Terminal


class TerminalTest(SandboxCase):
    def open(self, **query: object) -> Terminal:
        terminal = self.rest.terminal(self.sandbox, **query)
        self.addCleanup(self.rest.kill_terminal, self.sandbox, terminal.id)
        self.addCleanup(terminal.close)
        return terminal

    def test_a_login_shell_answers_and_ends_with_its_exit_code(self) -> None:
        terminal = self.open()
        self.assertRegex(terminal.id, r"^pty_[0-9a-f]{32}$")
        terminal.type("echo $((6*7)); tty; stty size; echo $TERM; pwd\r")
        terminal.expect("42\r\n/dev/pts/")
        terminal.expect("24 80\r\nxterm-256color\r\n/root\r\n")
        terminal.type("exit 7\r")
        self.assertEqual(terminal.rest(), 1000)
        self.assertEqual(terminal.exit, {"code": 7})

    def test_a_command_a_size_and_a_directory_can_be_asked_for(self) -> None:
        terminal = self.open(cmd="pwd; stty size; echo $0", cols=132, rows=50, cwd="/tmp")
        self.assertEqual(terminal.rest(), 1000)
        self.assertEqual(terminal.output, b"/tmp\r\n50 132\r\n/bin/bash\r\n")

    def test_control_c_reaches_the_program_in_the_foreground(self) -> None:
        terminal = self.open()
        terminal.type("python3 -c 'import time; print(1+1, flush=True); time.sleep(600)'\r")
        terminal.expect("2\r\n")
        terminal.type("\x03")
        terminal.expect("KeyboardInterrupt")
        terminal.type("echo st''ill here\r")
        terminal.expect("still here")

    def test_a_full_screen_program_follows_a_resize(self) -> None:
        terminal = self.open(
            cmd="trap 'stty size' WINCH; echo on; while :; do sleep 0.05; done", rows=30)
        terminal.expect("on\r\n")
        terminal.tell(resize={"cols": 111, "rows": 44})
        terminal.expect("44 111")
        listed = self.rest.terminals(self.sandbox)[terminal.id]
        self.assertEqual((listed["cols"], listed["rows"]), (111, 44))

    def test_signals_and_kill(self) -> None:
        terminal = self.open(cmd="trap 'echo caught' TERM; echo on; while :; do sleep 0.05; done")
        terminal.expect("on\r\n")
        terminal.tell(signal="SIGTERM")
        terminal.expect("caught")
        terminal.tell(kill=True)
        self.assertEqual(terminal.rest(), 1000)
        self.assertEqual(terminal.exit, {"code": 137})

    def test_a_terminal_goes_on_without_its_client_and_replays(self) -> None:
        terminal = self.open(cmd="echo before; read a; echo $a; while :; do sleep 0.1; done")
        terminal.expect("before")
        terminal.close()
        eventually("nobody reads it", lambda: not self.listed(terminal)["attached"])
        again = self.open(pty=terminal.id)
        self.assertEqual(again.hello, terminal.hello)
        again.expect("before")
        again.type("and after\r")
        again.expect("and after\r\nand after\r\n")
        self.assertTrue(self.listed(terminal)["attached"])

    def listed(self, terminal: Terminal) -> dict[str, object]:
        return self.rest.terminals(self.sandbox)[terminal.id]

    def test_the_last_mebibyte_is_replayed(self) -> None:
        terminal = self.open(cmd="seq 400000; echo done; sleep 600")
        said = terminal.expect("done\r\n", 120)
        self.assertEqual(said.count("\n"), 400_001, "output was lost on its way")
        again = self.open(pty=terminal.id)
        self.assertEqual(again.expect("done\r\n"), said[-(1 << 20):])

    def test_a_program_talks_on_while_nobody_reads(self) -> None:
        terminal = self.open(cmd="read go; seq 400000; touch /tmp/talked; sleep 600")
        terminal.type("\r")
        terminal.close()
        eventually(
            "the end of its talk",
            lambda: self.rest.get(self.sandbox, "/tmp/talked").status == 200, 120)

    def test_who_attaches_takes_over(self) -> None:
        first = self.open()
        first.expect("# ")
        second = self.open(pty=first.id)
        self.assertEqual(first.rest(), 4001)
        self.assertIsNone(first.exit)
        second.type("echo mi''ne\r")
        second.expect("mine")

    def test_what_has_ended_can_still_be_read(self) -> None:
        terminal = self.open(cmd="echo last words; exit 3")
        terminal.rest()
        again = self.open(pty=terminal.id)
        self.assertEqual(again.rest(), 1000)
        self.assertEqual((again.output, again.exit), (b"last words\r\n", {"code": 3}))
        self.assertEqual(self.listed(terminal)["exit_code"], 3)

    def test_a_killed_terminal_is_listed_no_more(self) -> None:
        terminal = self.open(cmd="sleep 600")
        self.assertEqual(self.rest.kill_terminal(self.sandbox, terminal.id).status, 204)
        self.assertEqual(terminal.rest(), 1000)
        self.assertEqual(terminal.exit, {"code": 137})
        self.assertNotIn(terminal.id, self.rest.terminals(self.sandbox))
        self.assert_refused(self.rest.kill_terminal(self.sandbox, terminal.id), 404)
        with self.assertRaises(NotUpgraded) as refused:
            self.rest.terminal(self.sandbox, pty=terminal.id)
        self.assertEqual(refused.exception.json["code"], "terminal_not_found")

    def test_code_and_terminals_run_side_by_side(self) -> None:
        terminal = self.open()
        with self.rest.stream(self.sandbox, "import time\nprint(1)\ntime.sleep(1)") as running:
            running.first("stdout")
            terminal.type("echo be''side\r")
            terminal.expect("beside")
            running.rest()

    def test_much_input_arrives_whole(self) -> None:
        terminal = self.open(cmd="stty raw -echo; echo on; head -c 2000000 | md5sum")
        terminal.expect("on")
        data = os.urandom(2_000_000)
        for at in range(0, len(data), 500_000):
            terminal.type(data[at:at + 500_000])

        terminal.expect(hashlib.md5(data).hexdigest(), 120)

    def test_text_that_makes_no_sense_ends_the_connection_only(self) -> None:
        terminal = self.open()
        terminal.socket.send(TEXT, b'{"resize":{"cols":"wide"}}')
        self.assertEqual(terminal.rest(), 1007)
        self.assertIsNone(self.listed(terminal)["exit_code"])

    def test_clients_without_headers_and_without_keys(self) -> None:
        protocols = {"Sec-WebSocket-Protocol": f"podflare, podflare.bearer.{self.rest.key}"}
        terminal = self.rest.terminal(self.sandbox, protocols, cmd="true")
        self.assertEqual(terminal.socket.headers["sec-websocket-protocol"], "podflare")
        self.assertEqual(terminal.rest(), 1000)
        for headers in ({}, {"Authorization": "Bearer nonsense"},
                        {"Sec-WebSocket-Protocol": "podflare, podflare.bearer.nonsense"}):
            with self.assertRaises(NotUpgraded) as refused:
                self.rest.terminal(self.sandbox, headers)
            self.assertEqual(refused.exception.status, 401)

    def test_another_keys_terminal_is_nobodys(self) -> None:
        terminal = self.open()
        other = self.server.rest(self.server.keys[1])
        for attempt in (lambda: other.terminal(self.sandbox),
                        lambda: other.terminal(self.sandbox, pty=terminal.id)):
            with self.assertRaises(NotUpgraded) as refused:
                attempt()
            self.assertEqual(refused.exception.json["code"], "sandbox_not_found")
        self.assertEqual(other.call("GET", f"/v1/sandboxes/{self.sandbox}/ptys").status, 404)
        self.assertEqual(other.kill_terminal(self.sandbox, terminal.id).status, 404)

    def test_what_makes_no_sense_is_refused(self) -> None:
        for query, status in (
                ({"cols": 0}, 422), ({"rows": "many"}, 400), ({"cmd": ""}, 422),
                ({"cwd": "/nowhere"}, 422), ({"pty": "pty_x"}, 404)):
            with self.assertRaises(NotUpgraded) as refused:
                self.rest.terminal(self.sandbox, **query)
            self.assertEqual(refused.exception.status, status, query)
        plain = self.rest.call("GET", f"/v1/sandboxes/{self.sandbox}/pty")
        self.assert_refused(plain, 426)
        self.assertEqual(plain.headers["Sec-WebSocket-Version"], "13")


class TerminalLifeTest(Case):
    def test_there_are_at_most_sixteen(self) -> None:
        sandbox = self.new_sandbox()
        terminals = [self.rest.terminal(sandbox, cmd="read x") for _ in range(16)]
        with self.assertRaises(NotUpgraded) as refused:
            self.rest.terminal(sandbox)
        self.assertEqual(refused.exception.status, 409)
        self.assertEqual(refused.exception.json["code"], "too_many_terminals")
        terminals[0].type("\r")
        terminals[0].rest()
        more = self.rest.terminal(sandbox, cmd="read x")
        listed = self.rest.terminals(sandbox)
        self.assertEqual(len(listed), 16)
        self.assertNotIn(terminals[0].id, listed)
        for terminal in (*terminals, more):
            terminal.close()

    def test_it_ends_with_its_sandbox(self) -> None:
        sandbox = self.new_sandbox()
        terminal = self.rest.terminal(sandbox)
        terminal.expect("# ")
        self.rest.close(sandbox)
        self.assertEqual(terminal.rest(), 1000)
        self.assertEqual(terminal.exit, {"code": 137, "reason": "killed"})
        with self.assertRaises(NotUpgraded) as refused:
            self.rest.terminal(sandbox)
        self.assertEqual(refused.exception.status, 404)

    def test_it_ends_with_its_machine(self) -> None:
        sandbox = self.new_sandbox()
        terminal = self.rest.terminal(sandbox, cmd="echo o > /proc/sysrq-trigger; sleep 600")
        self.assertEqual(terminal.rest(), 1000)
        self.assertEqual(terminal.exit, {"code": 137, "reason": "killed"})

    @slow
    def test_a_reader_or_a_program_keeps_its_sandbox_and_a_prompt_does_not(self) -> None:
        sandbox = self.new_sandbox(idle_timeout_seconds=4)
        terminal = self.rest.terminal(sandbox)
        terminal.expect("# ")
        terminal.type("sleep 8; echo st''ill; sleep 12\r")
        terminal.expect("still")
        self.assertEqual(self.rest.info(sandbox).status, 200)
        terminal.close()
        began = time.monotonic()
        eventually("its end", lambda: self.rest.info(sandbox).status == 404, 120)
        self.assertGreater(time.monotonic() - began, 11, "it was closed while its program ran")

    def test_a_fork_has_the_terminals_of_its_parent(self) -> None:
        sandbox = self.new_sandbox()
        ours = self.rest.terminal(sandbox)
        ours.expect("# ")
        ours.type("mine=blue; cd /tmp\r")
        ours.expect("/tmp# ")
        [child] = self.fork(sandbox)
        self.assertEqual(set(self.rest.terminals(child)), {ours.id})
        theirs = self.rest.terminal(child, pty=ours.id)
        for terminal, colour in ((theirs, "red"), (ours, "blue")):
            if colour == "red":
                terminal.type("mine=red\r")
            terminal.type("echo $mine in $PWD; exit 4\r")
            terminal.expect(f"{colour} in /tmp")
            self.assertEqual(terminal.rest(), 1000)
            self.assertEqual(terminal.exit, {"code": 4})

    def test_it_goes_on_in_a_space(self) -> None:
        sandbox = self.new_sandbox()
        before = self.rest.terminal(sandbox)
        before.type("kept=yes; echo re''ady\r")
        before.expect("ready")
        space = self.freeze(sandbox)
        self.assertEqual(before.rest(), 1000)
        self.assertEqual(before.exit, {"code": 137, "reason": "killed"})
        resumed = self.resume(space)
        after = self.rest.terminal(resumed, pty=before.id)
        after.type("echo $kept.\r")
        after.expect("yes.")
        after.close()

    def test_it_follows_the_machine_in_a_merge(self) -> None:
        sandbox = self.new_sandbox()
        [child] = self.fork(sandbox)
        terminal = self.rest.terminal(child)
        terminal.type("who=winner\r")
        terminal.expect("winner")
        self.assertEqual(self.rest.merge(sandbox, child).status, 204)
        again = self.rest.terminal(sandbox, pty=terminal.id)
        again.type("echo I am the $who.\r")
        again.expect("I am the winner.")
        again.close()


class TerminalsOutliveTheServerTest(KillingCase):
    def test_a_terminal_goes_on_when_the_server_dies(self) -> None:
        sandbox = self.new_sandbox()
        terminal = self.rest.terminal(sandbox)
        terminal.type("kept=yes; echo re''ady\r")
        terminal.expect("ready")
        self.server.kill()
        with self.assertRaises((EOFError, Closed, OSError)):
            terminal.rest()
        self.server.start()
        listed = self.rest.terminals(sandbox)
        self.assertEqual(listed[terminal.id]["cmd"], "bash -l")
        again = self.rest.terminal(sandbox, pty=terminal.id)
        again.type("echo $kept.; exit 5\r")
        again.expect("yes.")
        again.rest()
        self.assertEqual(again.exit, {"code": 5})

    def test_a_server_that_stops_says_so(self) -> None:
        terminal = self.rest.terminal(self.rest.create())
        terminal.expect("# ")
        self.server.stop()
        self.assertIn(terminal.rest(), (1000, 1001))
        self.server.start()


class Window:
    """A terminal window with `podflare shell` in it."""

    def __init__(self, argv: list[str], environment: dict[str, str], cols: int, rows: int):
        self.master, slave = pty.openpty()
        self.resize(cols, rows)
        self.mode = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.shown = b""

    def resize(self, cols: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("=HHHH", rows, cols, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def expect(self, pattern: str, deadline: float = 60.0) -> re.Match[str]:
        """Waits until this is shown, and forgets what came before and with it."""
        until = time.monotonic() + deadline
        while True:
            shown = self.shown.decode("utf-8", "replace")
            found = re.search(pattern, shown)
            if found:
                self.shown = shown[found.end():].encode()
                return found
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {pattern!r}, but {shown[-1000:]!r}")
            self.shown += os.read(self.master, 65536)

    def wait(self) -> int:
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


class ShellTest(Case):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.rest = cls.server.rest(cls.server.own_key)

    @contextlib.contextmanager
    def window(self, *arguments: str, cols: int = 90, rows: int = 20) -> Iterator[Window]:
        environment = self.server.environment({"PODFLARE_DATA_DIR": str(self.server.data_dir)})
        window = Window([str(PODFLARE), "shell", *arguments], environment, cols, rows)
        try:
            yield window
        finally:
            window.close()

    def test_a_shell_in_a_new_sandbox_that_is_closed_at_the_end(self) -> None:
        before = self.rest.ids()
        with self.window() as window:
            window.expect(r"sbx_[0-9a-f]{32}, Ctrl-\] d detaches")
            window.expect("# ")
            window.type("echo $((6*7)) $(stty size)\r")
            window.expect("42 20 90")
            self.assertEqual(len(self.rest.ids() - before), 1)
            window.type("exit 7\r")
            self.assertEqual(window.wait(), 7)
            self.assertEqual(termios.tcgetattr(window.slave), window.mode, "the mode is not restored")
        self.assertEqual(self.rest.ids(), before)

    def test_it_follows_the_size_of_the_window(self) -> None:
        with self.window(self.new_sandbox()) as window:
            window.expect("# ")
            window.resize(123, 45)
            window.type("until [ \"$(stty size)\" = '45 123' ]; do sleep 0.1; done; echo fo''llowed\r")
            window.expect("followed")

    def test_control_c_is_the_programs(self) -> None:
        with self.window(self.new_sandbox()) as window:
            window.expect("# ")
            # Once it speaks, it has the terminal; until then the key would be the shell's. A shell
            # that starts another program loses the key between its fork and its exec: none here.
            window.type("python3 -c 'import time; print(1+1, flush=True); time.sleep(600)'\r")
            window.expect(r"[\r\n]2\r\n")
            window.type("\x03")
            window.expect("KeyboardInterrupt")
            window.type("echo al''ive; exit\r")
            window.expect("alive")
            window.wait()

    def test_detach_and_come_back(self) -> None:
        sandbox = self.new_sandbox()
        with self.window(sandbox) as window:
            window.expect("# ")
            window.type("secret=blue; echo se''t\r")
            window.expect("set")
            window.type("\x1dd")
            command = window.expect(r"come back with: podflare shell (sbx_\w+) --attach (pty_\w+)")
            window.expect("as long as a program runs in it; a shell at its prompt is closed")
            self.assertEqual(window.wait(), 0)
            self.assertEqual(termios.tcgetattr(window.slave), window.mode)
        self.assertEqual(command[1], sandbox)
        for how in ([sandbox, "--attach", command[2]], [sandbox, "--attach"]):
            with self.window(*how) as window:
                window.expect("set")  # what it said before
                window.type("echo $secret.\r")
                window.expect("blue\\.")
                window.type("\x1dd")
                window.expect("detached")
                window.wait()
        with self.window(sandbox, "--attach") as window:
            window.expect("blue")
            window.type("exit 9\r")
            self.assertEqual(window.wait(), 9)

    def test_a_sandbox_of_its_own_stays_when_it_is_left(self) -> None:
        before = self.rest.ids()
        with self.window() as window:
            window.expect("# ")
            window.type("\x1dd")
            window.expect("come back with")
            window.wait()
        [left] = self.rest.ids() - before
        self.rest.close(left)

    def test_the_terminal_is_restored_when_it_is_killed(self) -> None:
        with self.window(self.new_sandbox()) as window:
            window.expect("# ")
            self.assertNotEqual(termios.tcgetattr(window.slave), window.mode, "it is not raw")
            window.process.send_signal(signal.SIGTERM)
            window.wait()
            self.assertEqual(termios.tcgetattr(window.slave), window.mode)

    def test_it_is_told_when_it_is_taken_over(self) -> None:
        sandbox = self.new_sandbox()
        with self.window(sandbox) as window:
            window.expect("# ")
            [terminal] = self.rest.terminals(sandbox)
            with self.rest.terminal(sandbox, pty=terminal):
                window.expect("Somebody else has attached")
                self.assertEqual(window.wait(), 1)

    def test_without_a_terminal_it_ends_with_its_input(self) -> None:
        sandbox = self.new_sandbox()
        ran = self.server.command("shell", sandbox, stdin="echo $((6*7))\necho no >&2\nexit 3\n")
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (3, "42\n", "no\n"))
        for arguments, given, said in (
            ((), "uname -s\n", "Linux\n"),
            ((), "", ""),
            (("-c", "cat; test -t 0 || echo plain"), "a\x00b\x04\nc", "a\x00b\x04\ncplain\n"),
            (("-c", "bash --norc -i"), "echo hi\n", "hi\n"),
            (("-c", "head -c 1"), "x" * 100_000, "x"),
        ):
            ended = self.server.command("shell", sandbox, *arguments, stdin=given)
            self.assertEqual((ended.returncode, ended.stdout), (0, said), (arguments, ended.stderr))
        self.assertEqual(self.rest.bash(sandbox, "ls -A /tmp | grep podflare-input").stdout, "")

    def test_without_a_terminal_and_a_sandbox_it_leaves_none(self) -> None:
        before = self.rest.ids()
        ran = self.server.command("shell", stdin="sleep 0; uname -s\n")
        self.assertEqual((ran.returncode, ran.stdout), (0, "Linux\n"), ran.stderr)
        self.assertEqual(self.rest.ids(), before)

    def test_what_is_not_there_is_said(self) -> None:
        sandbox = self.new_sandbox()
        for arguments, said in (
                (["sbx_" + "0" * 32], "sandbox not found"),
                ([sandbox, "--attach"], "no terminal runs"),
                ([sandbox, "--attach", "pty_0"], "no terminal of this sandbox"),
                (["--attach"], "needs the id of the sandbox")):
            ran = self.server.command("shell", *arguments)
            self.assertEqual(ran.returncode, 1, ran.stderr)
            self.assertIn(said, ran.stderr)
            self.assertNotIn("\tat ", ran.stderr)



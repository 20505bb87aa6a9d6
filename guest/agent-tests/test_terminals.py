"""Terminals, and how they outlive the host that opened them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import unittest
from typing import Any

from host import CONTROL, DATA, AgentTest, Host, Outcome, is_alive, wait_for


class Screen:
    """The host's end of one terminal."""

    def __init__(self, host: Host, stream: int) -> None:
        self.host = host
        self.stream = stream
        self.outcome: Outcome = host.streams[stream]
        host.wait_until(
            lambda: self.outcome.started is not None or self.outcome.closed is not None, "STARTED")

    @property
    def pid(self) -> int:
        assert self.outcome.started is not None, self.outcome.closed
        return self.outcome.started["pid"]

    @property
    def text(self) -> str:
        return self.outcome.bytes_of(DATA).decode()

    def type(self, text: str | bytes) -> None:
        self.host.send(DATA, self.stream, text.encode() if isinstance(text, str) else text)

    def control(self, **what: Any) -> None:
        self.host.send(CONTROL, self.stream, json.dumps(what).encode())

    def expect(self, text: str) -> None:
        self.host.wait_until(lambda: text in self.text, f"{text!r}, but {self.text[-300:]!r}")

    def end(self) -> int:
        return self.host.wait_closed(self.stream)["exit_code"]


class Terminals(AgentTest):
    def open(self, program: str, host: Host | None = None, **options: Any) -> Screen:
        host = host or self.host
        return Screen(host, host.open(**{
            "op": "pty", "name": "one", "cmd": program, "cols": 80, "rows": 24, "cwd": None,
            "created_ms": 7, **options}))

    def rejoin(self, host: Host, before: int) -> Screen:
        return Screen(host, host.open(op="pty", rejoin=before))

    def test_a_program_finds_a_terminal_of_its_own(self) -> None:
        screen = self.open("tty; ps -o tpgid= -p $$ | tr -d ' '; echo $$; stty size; echo $TERM")
        self.assertEqual(screen.end(), 0)
        tty, foreground, pid, size, term = screen.text.split("\r\n")[:5]
        self.assertRegex(tty, "^/dev/pts/[0-9]+$")
        self.assertEqual((foreground, pid), (str(screen.pid), str(screen.pid)))
        self.assertEqual((size, term), ("24 80", "xterm-256color"))

    def test_what_is_typed_is_echoed_and_read(self) -> None:
        # Typed before the echo is off, it would be echoed, and rightly.
        screen = self.open(
            "read line; echo got $line; stty -echo; echo hush; read line; echo got $line")
        screen.type("hello\r")
        screen.expect("hello\r\ngot hello\r\nhush\r\n")
        screen.type("secret\r")
        self.assertEqual(screen.end(), 0)
        self.assertTrue(screen.text.endswith("got hello\r\nhush\r\ngot secret\r\n"), screen.text)

    def test_a_backspace_takes_a_whole_character(self) -> None:
        screen = self.open("stty -a; echo ready; head -n 1 > line")
        screen.expect("ready")
        screen.type("你é\x7f\x7fab\n")
        self.assertEqual(screen.end(), 0)
        self.assertIn(" iutf8", screen.text)
        self.assertEqual((self.host.home / "line").read_bytes(), b"ab\n")

    def test_control_c_reaches_the_program_in_the_foreground(self) -> None:
        screen = self.open("bash --norc -i")
        screen.type("sleep 60; echo $?\r")
        wait_for(lambda: foreground_of(screen.pid) != screen.pid, "sleep in the foreground")
        screen.type("\x03")
        screen.type("echo a''live; exit 7\r")
        screen.expect("alive")
        self.assertEqual(screen.end(), 7)

    def test_a_signal_reaches_the_foreground_and_leaves_the_shell(self) -> None:
        screen = self.open("bash --norc -i")
        screen.type("trap 'echo no' INT; sleep 60\r")
        wait_for(lambda: foreground_of(screen.pid) != screen.pid, "sleep in the foreground")
        screen.control(signal="SIGTERM")
        screen.type("echo st''ill; exit 3\r")
        screen.expect("still")
        self.assertEqual(screen.end(), 3)

    def test_a_resize_is_told(self) -> None:
        screen = self.open("trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.02; done")
        screen.expect("ready")
        screen.control(resize={"cols": 101, "rows": 33})
        self.assertEqual(screen.end(), 4)
        self.assertIn("33 101", screen.text)

    def test_what_is_killed_ends_with_its_signal(self) -> None:
        for how in ("control", "cancel"):
            screen = self.open("trap '' HUP INT TERM; sleep 60 & wait; wait")
            if how == "control":
                screen.control(signal="SIGKILL")
            else:
                self.host.cancel(screen.stream, "gone")
            self.assertEqual(screen.end(), 128 + signal.SIGKILL)
            wait_for(lambda: not is_alive(screen.pid), "its end")

    def test_the_last_words_come_before_the_end(self) -> None:
        screen = self.open("seq 100000; echo last")
        self.assertEqual(screen.end(), 0)
        self.assertTrue(screen.text.endswith("100000\r\nlast\r\n"))
        self.assertEqual(len(screen.text.splitlines()), 100_001)

    def test_nothing_comes_without_credit_and_the_program_waits(self) -> None:
        self.host.gives_credit = False
        screen = self.open("seq 1000000; echo last")
        received = screen.outcome.frames
        self.host.wait_until(
            lambda: sum(len(part) for _, part in received) >= 262_144, "a window of output")
        self.assertTrue(self.host.quiet(0.3))
        self.assertTrue(is_alive(screen.pid))
        self.host.gives_credit = True
        self.host.grant(screen.stream, sum(len(part) for _, part in received))
        self.assertEqual(screen.end(), 0)
        self.assertTrue(screen.text.endswith("1000000\r\nlast\r\n"))

    def test_a_program_that_ends_without_credit_says_the_rest_later(self) -> None:
        self.host.gives_credit = False
        screen = self.open(
            "stty -opost -echo; head -c 262144 /dev/zero | tr '\\0' x; read go; echo last")
        self.host.wait_until(lambda: len(screen.text) == 262_144, "a window of output")
        screen.type("\r")
        wait_for(lambda: self.host.quiet(0.05) and not is_alive(screen.pid), "its end")
        self.assertIsNone(screen.outcome.closed)
        self.host.gives_credit = True
        self.host.grant(screen.stream, 262_144)
        self.assertEqual(screen.end(), 0)
        self.assertTrue(screen.text.endswith("xlast\n"))

    def test_a_program_that_reads_nothing_holds_up_nobody(self) -> None:
        screen = self.open("stty raw -echo; echo ready; sleep 60")
        screen.expect("ready")
        for _ in range(4):
            screen.type(b"x" * 65_536)
        self.assertTrue(self.host.ask("ping")["ok"])
        self.host.settle(0.2)
        self.assertLess(self.host.put_credit[screen.stream], 262_144 + 1)
        screen.control(signal="SIGKILL")
        self.assertEqual(screen.end(), 137)

    def test_much_input_is_taken_as_it_is_read(self) -> None:
        screen = self.open("stty raw -echo; echo ready; head -c 1000000 | md5sum")
        screen.expect("ready")
        data = os.urandom(500_000).hex().encode()
        for at in range(0, len(data), 50_000):
            self.host.wait_until(lambda: self.host.put_credit[screen.stream] > 0, "credit")
            piece = data[at:at + 50_000]
            self.host.put_credit[screen.stream] -= len(piece)
            screen.type(piece)
        self.assertEqual(screen.end(), 0)
        self.assertIn(hashlib.md5(data).hexdigest(), screen.text)

    def test_closing_its_files_does_not_end_a_program(self) -> None:
        screen = self.open("exec 0<&- 1>&- 2>&-; sleep 0.1; exec >/dev/tty; echo back; exit 9")
        self.assertEqual(screen.end(), 9)
        self.assertEqual(screen.text, "back\r\n")

    def test_what_was_disowned_outlives_its_terminal(self) -> None:
        screen = self.open("bash --norc -i")
        screen.type("sleep 600 & echo pid=$!.; disown -h; exit\r")
        screen.end()
        pid = int(screen.text.split("pid=")[-1].split(".")[0])
        self.assertTrue(is_alive(pid))
        os.kill(pid, signal.SIGKILL)

    def test_refused_is_what_makes_no_sense(self) -> None:
        self.assertEqual(self.open("x", cols=0).outcome["code"], "invalid_request")
        self.assertEqual(self.open("x", rows="24").outcome["code"], "invalid_request")
        self.assertEqual(self.open("x", cmd=7).outcome["code"], "invalid_request")
        self.assertEqual(self.open("x", cwd="/nowhere").outcome["code"], "bad_cwd")
        self.assertEqual(self.rejoin(self.host, 1).outcome["code"], "not_running")

    # A host that begins anew

    def test_what_runs_in_the_foreground_is_told_from_a_prompt(self) -> None:
        def busy() -> int:
            return self.host.ask("foreground")["busy"]

        self.assertEqual(busy(), 0)
        screen = self.open("bash --norc -i")
        screen.type("echo rea''dy\r")
        screen.expect("ready")
        wait_for(lambda: busy() == 0, "its prompt")
        screen.type("sleep 600\r")
        wait_for(lambda: busy() == 1, "a program")
        screen.type("\x03")
        wait_for(lambda: busy() == 0, "its prompt again")
        screen.type("while :; do :; done\r")
        wait_for(lambda: busy() == 1, "a loop of the shell's own")
        screen.type("\x03")
        wait_for(lambda: busy() == 0, "its prompt after the loop")
        other = self.open("sleep 600")
        wait_for(lambda: busy() == 1, "a program without a shell")
        script = self.open("while :; do sleep 0.1; done")
        wait_for(lambda: busy() == 2, "a script")
        for one in (other, script):
            one.control(signal="SIGKILL")
            one.end()
        plain = self.open("dash -i")
        plain.type("echo pla''in\r")
        plain.expect("plain")
        wait_for(lambda: busy() == 0, "the prompt of a shell that edits no line")

    def test_terminals_of_before_are_told_and_rejoined(self) -> None:
        with self.own_agent() as host:
            first = self.open("read line; echo got $line; exit 5", host, name="pty_1")
            first.type("one")
            first.expect("one")
            host.resume()
            self.assertTrue(host.wake(rehearsed=False)["terminals"])
            told = host.ask("ptys")["terminals"]
            self.assertEqual(told, [{
                "stream": first.stream, "name": "pty_1", "pid": first.pid,
                "cmd": "read line; echo got $line; exit 5", "cols": 80, "rows": 24,
                "created_ms": 7}])
            again = self.rejoin(host, first.stream)
            self.assertEqual(again.pid, first.pid)
            again.type(" two\r")
            self.assertEqual(again.end(), 5)
            self.assertIn("got one two", again.text)
            host.resume()
            self.assertFalse(host.wake(rehearsed=False)["terminals"])
            self.assertEqual(host.ask("ptys")["terminals"], [])

    def test_an_end_that_nobody_heard_is_told_to_who_rejoins(self) -> None:
        with self.own_agent() as host:
            first = self.open("read line; echo last words; exit 6", host)
            host.wait_until(lambda: first.outcome.started is not None, "its start")
            host.resume()
            os.kill(first.pid, signal.SIGKILL)
            wait_for(lambda: not is_alive(first.pid), "its end")
            self.assertEqual(self.rejoin(host, first.stream).end(), 137)
            self.assertEqual(host.ask("ptys")["terminals"], [])

    def test_what_is_written_while_nobody_hears_is_kept(self) -> None:
        with self.own_agent() as host:
            os.mkfifo(host.home / "go")
            first = self.open("read x < go; echo kept; touch said; read line", host)
            host.resume()
            (host.home / "go").write_text("now\n")
            wait_for((host.home / "said").exists, "its words")
            again = self.rejoin(host, first.stream)
            again.expect("kept")
            again.control(signal="SIGKILL")
            self.assertEqual(again.end(), 137)

    def test_credit_of_before_counts_for_nothing(self) -> None:
        with self.own_agent() as host:
            first = self.open("stty raw -echo; echo ready; sleep 0.3; cat > taken", host)
            first.expect("ready")
            first.type(b"x" * 65_536)
            host.resume()
            again = self.rejoin(host, first.stream)
            host.settle(0.6)
            self.assertLessEqual(host.put_credit[again.stream], 262_144)
            again.control(signal="SIGKILL")
            self.assertEqual(again.end(), 137)


def foreground_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[5])


if __name__ == "__main__":
    unittest.main()

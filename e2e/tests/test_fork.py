"""fork: live copies of the whole machine, as of one instant."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from rig import host, outside, suite
from rig.case import LARGE, SMALL, Case, slow
from rig.deadline import at_most, eventually

#: What a long session of an agent leaves in a machine.
STATE = r"""
import gc, io, mmap, os, random, socket, subprocess, sys, threading, time
import numpy as np

numbers = {"one": 1, "many": list(range(1000)), "text": "caf\u00e9 \U0001f600"}
array = np.arange(3_000_000, dtype=np.float64)
own = np.zeros(50_000)
squares = (n * n for n in range(100))
[next(squares) for _ in range(3)]

writer = open("/root/written.txt", "w+")
writer.write("before ")
writer.flush()
with open("/root/lines.txt", "w") as lines:
    lines.writelines(f"line {n}\n" for n in range(10))
reader = open("/root/lines.txt")
reader.readline()
removed = open("/root/removed.txt", "w+")
removed.write("still here")
removed.flush()
os.unlink("/root/removed.txt")
shared = mmap.mmap(-1, 4096)
shared[:5] = b"pages"
unsaved = open("/root/unsaved.txt", "w")
unsaved.write("in the buffer of the process")

ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.02)
ticker = threading.Thread(target=tick, daemon=True)
ticker.start()
started = time.monotonic()
timer = threading.Timer(1.0, lambda: open("/root/fired", "w").write("fired"))

echo = subprocess.Popen(
    [sys.executable, "-u", "-c", "n = 0\nwhile True:\n n += 1\n print(n, input())"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
def ask(word):
    echo.stdin.write(word + "\n")
    return echo.stdout.readline()
ask("first")
beat = subprocess.Popen(
    [sys.executable, "-c",
     "import time\nwhile True:\n open('/tmp/beats', 'a').write('x')\n time.sleep(0.1)"])

source, sink = os.pipe()
os.write(sink, b"in flight")
near, far = socket.socketpair()
near.sendall(b"on its way")
listener = socket.create_server(("127.0.0.1", 0))
here = socket.create_connection(listener.getsockname())
there, _ = listener.accept()

os.environ["MINE"] = "yes"
os.chdir("/tmp")
sys.path.append("/root/modules")
os.makedirs("/root/modules", exist_ok=True)
open("/root/modules/mine.py", "w").write("answer = 42\n")
held = threading.Lock()
held.acquire()
timer.start()
"""


class ForkedStateTest(Case):
    """One parent with much going on, forked once. The tests look at all six machines."""

    deadline_seconds = 300.0
    parent: ClassVar[str]
    children: ClassVar[list[str]]
    answer: ClassVar[dict[str, Any]]
    METADATA: ClassVar[dict[str, str]] = {"who": "the parent"}

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        with at_most(cls.deadline_seconds, f"{cls.__name__}: fork"):
            cls.parent = cls.rest.create(metadata=cls.METADATA, env={"GIVEN": "at create"})
            cls.addClassCleanup(cls.rest.close, cls.parent)
            ran = cls.rest.exec(cls.parent, STATE)
            if ran.code != 0:
                raise AssertionError(ran.stderr)
            answer = cls.rest.fork(cls.parent, n=5)
            if answer.status != 200:
                raise AssertionError(str(answer))
            cls.answer = answer.json
            cls.children = cls.answer["children"]
            for child in cls.children:
                cls.addClassCleanup(cls.rest.close, child)

    def each(self, code: str, expected: str) -> None:
        """Parent and children answer the same."""
        for sandbox in (self.parent, *self.children):
            with self.subTest(sandbox):
                self.assertEqual(self.said(sandbox, code), expected)

    def test_every_child_has_an_id_of_its_own_and_is_ready(self) -> None:
        self.assertEqual(len({self.parent, *self.children}), 6)
        for child in self.children:
            self.assertRegex(child, r"^sbx_[0-9a-f]{32}$")
            self.assertEqual(self.rest.info(child).json["state"], "ready")
        self.assertTrue(set(self.children) <= self.rest.ids())

    def test_the_answer_tells_the_pause_and_when_all_ran(self) -> None:
        self.assertGreater(self.answer["pause_ms"], 0)
        self.assertGreaterEqual(self.answer["running_ms"], self.answer["pause_ms"])

    def test_the_parent_stands_still_for_milliseconds(self) -> None:
        # The bench says how few; this is a bound for a host that does much else.
        self.assertLess(self.answer["pause_ms"], 5000)

    def test_lineage_is_told_of_parent_and_children(self) -> None:
        info = self.rest.info(self.parent).json
        self.assertEqual(
            (info["parent"], info["family"], info["generation"]), (None, self.parent, 0)
        )
        for child in self.children:
            info = self.rest.info(child).json
            self.assertEqual(
                (info["parent"], info["family"], info["generation"]), (self.parent, self.parent, 1)
            )

    def test_children_have_the_settings_of_their_parent(self) -> None:
        same = ("template", "cpus", "memory_mb", "disk_mb", "egress", "metadata", "persistent")
        parent = self.rest.info(self.parent).json
        self.assertEqual(parent["metadata"], self.METADATA)
        for child in self.children:
            info = self.rest.info(child).json
            self.assertEqual({key: info[key] for key in same}, {key: parent[key] for key in same})
        self.each("print(os.environ['GIVEN'])", "at create\n")
        self.each("!echo $GIVEN", "at create\n")

    def test_variables_are_there(self) -> None:
        self.each(
            "print(numbers['one'], sum(numbers['many']), numbers['text'])",
            "1 499500 caf\u00e9 \U0001f600\n",
        )

    def test_a_numpy_array_is_there(self) -> None:
        self.each("print(array.sum(), array[-1])", "4499998500000.0 2999999.0\n")

    def test_a_generator_goes_on_where_it_was(self) -> None:
        self.each("print(next(squares))", "9\n")

    def test_open_files_go_on_at_their_offsets(self) -> None:
        self.each("print(reader.tell(), reader.readline(), end='')", "7 line 1\n")
        self.each(
            "print(writer.tell()); writer.write('after'); writer.flush(); writer.seek(0);"
            "print(writer.read())",
            "7\nbefore after\n",
        )

    def test_a_file_that_was_removed_can_be_read_by_who_has_it_open(self) -> None:
        self.each("removed.seek(0); print(removed.read())", "still here\n")

    def test_what_is_in_buffers_is_written_by_each(self) -> None:
        self.each(
            "unsaved.close(); print(open('/root/unsaved.txt').read())",
            "in the buffer of the process\n",
        )

    def test_mapped_memory_is_there(self) -> None:
        self.each("print(bytes(shared[:5]))", "b'pages'\n")

    def test_what_was_in_pipes_and_sockets_arrives_in_each(self) -> None:
        self.each("print(os.read(source, 99), far.recv(99))", "b'in flight' b'on its way'\n")

    def test_threads_run_on(self) -> None:
        self.each(
            "before, deadline = ticks, time.monotonic() + 60\n"
            "while ticks <= before + 3 and time.monotonic() < deadline: time.sleep(0.02)\n"
            "print(ticker.is_alive(), ticks > before + 3)",
            "True True\n",
        )

    def test_timers_fire(self) -> None:
        self.each("timer.join(60); print(open('/root/fired').read())", "fired\n")

    def test_locks_are_held_and_can_be_released(self) -> None:
        self.each("print(held.locked()); held.release(); held.acquire()", "True\n")

    def test_child_processes_live_and_answer(self) -> None:
        self.each("print(echo.poll(), ask('hello'), end='')", "None 2 hello\n")

    def test_processes_in_the_background_run_on(self) -> None:
        self.each(
            "size = lambda: os.path.getsize('/tmp/beats')\n"
            "before = size(); deadline = time.monotonic() + 60\n"
            "while size() == before and time.monotonic() < deadline: time.sleep(0.02)\n"
            "print(size() > before, beat.poll())",
            "True None\n",
        )

    def test_environment_directory_and_path_are_kept(self) -> None:
        self.each(
            "import mine; print(os.environ['MINE'], os.getcwd(), mine.answer)", "yes /tmp 42\n"
        )
        self.each("!echo $MINE; pwd", "yes\n/tmp\n")

    def test_memory_and_files_of_one_are_never_seen_by_another(self) -> None:
        everyone = (self.parent, *self.children)
        for number, sandbox in enumerate(everyone):
            self.said(
                sandbox,
                f"mine_alone = {number}; own[:] = {number}\n"
                f"open('/root/own', 'w').write('{number}'); shared[9:10] = b'{number}'",
            )
        for number, sandbox in enumerate(everyone):
            self.assertEqual(
                self.said(
                    sandbox,
                    "print(mine_alone, own.min(), own.max(), open('/root/own').read(),"
                    " shared[9:10])",
                ),
                f"{number} {number}.0 {number}.0 {number} b'{number}'\n",
            )

    def test_files_are_uploaded_to_one_only(self) -> None:
        first, second = self.children[:2]
        self.assertEqual(self.rest.put(first, "/root/uploaded", b"x").status, 200)
        self.assertEqual(self.rest.get(first, "/root/uploaded").body, b"x")
        self.assertEqual(self.rest.get(second, "/root/uploaded").status, 404)
        self.assertEqual(self.rest.get(self.parent, "/root/uploaded").status, 404)

    def test_a_file_system_that_was_forked_is_whole(self) -> None:
        for child in self.children[:2]:
            said = self.rest.bash(child, "dmesg | grep -ciE 'ext4.*(error|corrupt)|I/O error'")
            self.assertEqual(said.stdout, "0\n")


class ForkTest(Case):
    deadline_seconds = 600.0

    def test_a_fork_without_a_number_makes_one_child(self) -> None:
        sandbox = self.new_sandbox()
        for body in ({}, {"n": None}):
            answer = self.rest.fork(sandbox, **body)
            self.assertEqual(answer.status, 200, str(answer))
            self.assertEqual(len(answer.json["children"]), 1)
            self.rest.close(answer.json["children"][0])
        bodiless = self.rest.call("POST", f"/v1/sandboxes/{sandbox}/fork")
        self.assertEqual(bodiless.status, 200, str(bodiless))
        self.rest.close(bodiless.json["children"][0])

    def test_a_fork_of_a_fork_of_a_fork_has_what_each_generation_added(self) -> None:
        line = [self.new_sandbox()]
        self.said(line[0], "seen = ['0']")
        for generation in range(1, 4):
            line += self.fork(line[-1])
            self.said(line[-1], f"seen.append('{generation}')")
            self.rest.put(line[-1], f"/srv/{generation}", b"x")
        for generation, sandbox in enumerate(line):
            files = " ".join(str(one) for one in range(1, generation + 1))
            self.assertEqual(
                self.said(sandbox, "import os; print(len(seen), *sorted(os.listdir('/srv')))"),
                f"{generation + 1} {files}".rstrip() + "\n",
            )
            info = self.rest.info(sandbox).json
            self.assertEqual((info["generation"], info["family"]), (generation, line[0]))

    def test_children_outlive_their_parent(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "x = 41")
        children = self.fork(parent, 2)
        self.assertEqual(self.rest.close(parent).status, 204)
        for child in children:
            self.assertEqual(self.said(child, "print(x + 1)"), "42\n")
        (grandchild,) = self.fork(children[0])
        self.assertEqual(self.said(grandchild, "print(x + 2)"), "43\n")

    def test_a_child_that_crashes_touches_nobody(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "x = 1")
        first, second = self.fork(parent, 2)
        crash = "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60"
        self.assertEqual(self.rest.bash(first, crash).reason, "killed")
        self.assertEqual(self.said(parent, "print(x)"), "1\n")
        self.assertEqual(self.said(second, "print(x)"), "1\n")
        (third,) = self.fork(second)
        self.assertEqual(self.said(third, "print(x)"), "1\n")

    def test_a_lost_sandbox_is_not_forked(self) -> None:
        sandbox = self.new_sandbox()
        self.rest.bash(
            sandbox, "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60"
        )
        self.assert_refused(self.rest.fork(sandbox), {404, 409})

    def test_the_family_is_listed_with_who_is_closed_and_why(self) -> None:
        parent = self.new_sandbox(metadata={"step": "0"})
        first, second = self.fork(parent, 2)
        (grandchild,) = self.fork(first)
        self.rest.close(second)
        for member in (parent, first, grandchild):
            family = self.rest.family(member).json
            self.assertEqual(family["family"], parent)
            rows = {one["id"]: one for one in family["sandboxes"]}
            self.assertEqual(list(rows)[0], parent, "oldest first")
            self.assertEqual(
                {id: (one["parent"], one["generation"]) for id, one in rows.items()},
                {
                    parent: (None, 0), first: (parent, 1), second: (parent, 1),
                    grandchild: (first, 2),
                },
            )
            self.assertEqual(
                {id for id, one in rows.items() if one["closed_at"] is not None}, {second}
            )
            self.assertTrue(rows[second]["end"])
            self.assertIsNone(rows[first]["end"])
            self.assertEqual(rows[grandchild]["metadata"], {"step": "0"})
            self.assertGreaterEqual(rows[grandchild]["created_at"], rows[first]["created_at"])

    def test_a_fork_while_code_runs_leaves_the_stream_to_the_parent(self) -> None:
        parent = self.new_sandbox()
        code = (
            "import time\nprint('on')\n"
            "for n in range(40): print(n); time.sleep(0.05)\n"
            "done = True; print('end')"
        )
        with self.rest.stream(parent, code) as stream:
            first = stream.first("stdout")
            children = self.fork(parent, 2)
            ran = stream.rest()
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(
            first.data + ran.stdout, "on\n" + "".join(f"{n}\n" for n in range(40)) + "end\n"
        )
        for child in children:
            # The child is in the middle of the same code; its own next exec has to wait for it.
            self.assertEqual(self.said(child, "print(n, done)"), "39 True\n")

    def test_a_child_that_inherits_a_running_exec_says_so_and_can_interrupt_it(self) -> None:
        parent = self.new_sandbox()
        code = (
            "import time\nprint('on')\n"
            "try:\n  while True: time.sleep(0.05)\nexcept KeyboardInterrupt: stopped = True; raise"
        )
        with self.rest.stream(parent, code) as stream:
            stream.first("stdout")
            first, second = self.fork(parent, 2)
            # That code runs in it is known once its guest has answered.
            for child in (first, second):
                eventually(
                    f"{child} runs code",
                    lambda c=child: self.rest.info(c).json["state"] == "running",
                )
            queued: list[str] = []
            waiting = threading.Thread(
                target=lambda: queued.append(self.said(first, "print(stopped)"))
            )
            waiting.start()
            waiting.join(1.0)
            self.assertEqual(queued, [], "the next exec did not wait for the inherited one")
            self.assertEqual(self.rest.interrupt(first).status, 204)
            waiting.join(90)
            self.assertEqual(queued, ["True\n"])
            self.assertEqual(self.rest.info(second).json["state"], "running")
            self.assertEqual(self.rest.info(parent).json["state"], "running")
            self.rest.interrupt(parent)
            self.assertEqual(stream.rest().reason, "interrupted")
        self.assertEqual(self.rest.interrupt(second).status, 204)
        self.assertEqual(self.said(second, "print(stopped)"), "True\n")

    def test_a_fork_in_the_middle_of_much_output_breaks_nothing(self) -> None:
        parent = self.new_sandbox()
        code = "for n in range(3000): print(n, 'x' * 1000)\nprint('end')"
        children: list[str] = []
        with self.rest.stream(parent, code) as stream:
            stream.first("stdout")
            for _ in range(3):
                children += self.fork(parent)
            ran = stream.rest()
        self.assert_ended(ran, 0, "ok", True)
        self.assertEqual(
            ran.stdout.splitlines()[-3:], [f"{n} {'x' * 1000}" for n in (2998, 2999)] + ["end"]
        )
        for child in children:
            self.assertEqual(self.said(child, "print(n)"), "2999\n")

    def test_a_fork_in_the_middle_of_an_upload_breaks_nothing(self) -> None:
        parent = self.new_sandbox()
        forked = threading.Event()

        def content():
            for piece in range(64):
                if piece == 20:
                    forked.wait(60)
                yield b"%d" % (piece % 10) * 100_000

        whole = b"".join(b"%d" % (piece % 10) * 100_000 for piece in range(64))
        with ThreadPoolExecutor(1) as pool:
            upload = pool.submit(self.rest.put, parent, "/srv/big", content())
            time.sleep(0.2)
            (child,) = self.fork(parent)
            forked.set()
            self.assertEqual(upload.result(120).status, 200)
        self.assertEqual(self.rest.get(parent, "/srv/big").body, whole)
        self.assertEqual(self.rest.get(child, "/srv/big").status, 404)
        self.assertEqual(self.rest.put(child, "/srv/big", b"other").status, 200)
        self.assertEqual(self.said(child, "print(open('/srv/big').read())"), "other\n")
        self.assertEqual(self.said(child, "import os; print(os.listdir('/srv'))"), "['big']\n")

    def test_forks_of_one_parent_at_once_all_succeed(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "x = 7")
        with ThreadPoolExecutor(4) as pool:
            pairs = list(pool.map(lambda _: self.rest.children(parent, 2), range(4)))
        made = [child for pair in pairs for child in pair]
        for child in made:
            self.addCleanup(self.rest.close, child)
        self.assertEqual(len(set(made)), 8)
        for child in made:
            self.assertEqual(self.said(child, "print(x)"), "7\n")

    def test_a_child_that_is_forked_at_once_hands_on_everything(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "x = 7")
        (child,) = self.fork(parent)
        (grandchild,) = self.fork(child)
        self.assertEqual(self.said(grandchild, "print(x)"), "7\n")

    def test_the_parents_open_loopback_connections_live_in_the_child(self) -> None:
        parent = self.new_sandbox()
        self.said(
            parent,
            "import socket\n"
            "ear = socket.create_server(('127.0.0.1', 0))\n"
            "one = socket.create_connection(ear.getsockname())\n"
            "other, _ = ear.accept()",
        )
        (child,) = self.fork(parent)
        for sandbox in (parent, child):
            self.assertEqual(
                self.said(sandbox, "one.sendall(b'hi'); print(other.recv(9))"), "b'hi'\n"
            )

    def test_many_children_of_one_fork_all_answer(self) -> None:
        count = suite.scale().children
        parent = self.new_sandbox()
        self.said(parent, "x = list(range(1000))")
        children = self.rest.children(parent, count, deadline=400)
        for child in children:
            self.addCleanup(self.rest.close, child)
        self.assertEqual(len(set(children)), count)
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda one: self.said(one, "print(sum(x))"), children))
        self.assertEqual(set(said), {"499500\n"})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.rest.close, children))

    def test_each_byte_of_much_memory_is_in_each_generation(self) -> None:
        # More than a layer that waits has room for, so it is written in two ways; and soon again,
        # before the next one waits.
        sandbox = self.new_sandbox()
        self.said(
            sandbox,
            "import os, hashlib\nblock = bytearray(os.urandom(1 << 20) * 70)\n"
            "digest = lambda: hashlib.sha256(block).hexdigest()\nwas = [digest()]",
        )
        for generation in range(1, 4):
            [child] = self.fork(sandbox)
            self.assertEqual(self.said(sandbox, "print(digest() == was[-1])"), "True\n")
            self.assertEqual(self.said(child, "print(digest() == was[-1])"), "True\n")
            self.said(child, f"block[{generation}::9973] = b'x' * len(block[{generation}::9973])")
            self.said(child, "was.append(digest())")
            sandbox = child

    def test_children_share_memory_until_they_write(self) -> None:
        parent = self.new_sandbox()
        self.said(parent, "hoard = bytes(range(256)) * (400 << 12)")
        children = self.fork(parent, 4)
        for child in children:
            self.said(child, "1")
        own = [
            host.resident_bytes(host.machine_of(self.server.data_dir, child).pid) >> 20
            for child in children
        ]
        # A copy would be 400 MiB. Each QEMU has some memory of its own, and so has each guest.
        self.assertLess(max(own), 250, own)

    @slow
    def test_cost_does_not_grow_with_depth(self) -> None:
        line, took, own = [self.new_sandbox()], [], []
        self.said(line[0], "x = 0")
        for generation in range(suite.scale().generations):
            began = time.monotonic()
            answer = self.rest.fork(line[-1])
            self.assertEqual(answer.status, 200, str(answer))
            (child,) = answer.json["children"]
            self.addCleanup(self.rest.close, child)
            self.assertEqual(self.said(child, "x += 1; print(x)"), f"{generation + 1}\n")
            took.append(time.monotonic() - began)
            own.append(host.resident_bytes(host.machine_of(self.server.data_dir, child).pid))
            line.append(child)
            if len(line) > 3:
                self.rest.close(line[-3])
        half = len(took) // 2
        early, late = sorted(took[1 : half + 1]), sorted(took[half:])
        self.assertLess(late[len(late) // 2], 3 * early[len(early) // 2] + 2, took)
        self.assertLess(max(own[2:]), 3 * max(own[1], 8 << 20), own)

    def test_the_state_of_every_generation_stays_whole_under_deep_forking(self) -> None:
        tip = self.new_sandbox()
        self.said(tip, "import numpy as np; blocks = []")
        generations = suite.scale().generations
        for generation in range(generations):
            self.said(tip, f"blocks.append(np.full(200_000, {generation}))")
            (child,) = self.fork(tip)
            self.rest.close(tip)
            tip = child
        expected = [200_000 * generation for generation in range(generations)]
        self.assertEqual(self.said(tip, "print([int(b.sum()) for b in blocks])"), f"{expected}\n")


@slow
class ForkSizeTest(Case):
    deadline_seconds = 600.0

    def forks_with_its_disk(self, **size: int) -> None:
        parent = self.rest.create(deadline=300, **size)
        self.addCleanup(self.rest.close, parent)
        self.said(
            parent,
            "import os, hashlib\nx = 'here'\n"
            "block = os.urandom(1 << 20)\nsum_of_all = hashlib.sha256()\n"
            "with open('/root/large', 'wb') as large:\n"
            "    for n in range(100):\n"
            "        piece = n.to_bytes(4, 'big') + block[4:]\n"
            "        large.write(piece); sum_of_all.update(piece)\n"
            "digest = sum_of_all.hexdigest()",
            deadline=240,
        )
        children = self.fork(parent, 2)
        for child in children:
            info = self.rest.info(child).json
            self.assertEqual({key: info[key] for key in size}, size)
            self.assertEqual(
                self.said(
                    child,
                    "with open('/root/large', 'rb') as large:\n"
                    "    print(x, hashlib.file_digest(large, 'sha256').hexdigest() == digest)",
                    deadline=240,
                ),
                "here True\n",
            )
        self.rest.bash(children[0], "rm /root/large")
        self.assertEqual(self.rest.get(children[0], "/root/large").status, 404)
        for sandbox in (parent, children[1]):
            self.assertEqual(
                self.said(sandbox, "print(os.path.getsize('/root/large') >> 20)"), "100\n"
            )

    def test_a_machine_of_the_usual_size_with_a_hundred_megabytes_written(self) -> None:
        self.forks_with_its_disk()

    def test_a_small_machine(self) -> None:
        self.forks_with_its_disk(**SMALL)

    def test_a_large_machine_with_a_large_disk(self) -> None:
        self.forks_with_its_disk(**LARGE)


class ForkEgressTest(Case):
    """What children reach is what their parent reaches."""

    deadline_seconds = 300.0
    REACH = (
        "import socket\n"
        "def reach(seconds=30):\n"
        f"    try:\n"
        f"        socket.create_connection(('{outside.OUTSIDE}', {outside.PORT}), seconds)\n"
        "        return True\n"
        "    except OSError: return False\n"
    )

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        internet = outside.internet()
        internet.__enter__()
        cls.addClassCleanup(internet.__exit__, None, None, None)

    def test_children_of_an_open_sandbox_reach_the_outside_at_once(self) -> None:
        parent = self.new_sandbox(egress=True)
        self.said(parent, self.REACH + "assert reach()")
        for child in self.fork(parent, 3):
            self.assertEqual(self.said(child, "print(reach())"), "True\n")
            self.assertEqual(self.rest.info(child).json["egress"], True)
        self.assertEqual(self.said(parent, "print(reach())"), "True\n")

    @slow
    def test_children_of_a_shut_sandbox_reach_nothing(self) -> None:
        parent = self.new_sandbox(egress=False)
        self.said(parent, self.REACH)
        for child in self.fork(parent, 2):
            self.assertEqual(self.said(child, "print(reach(5))"), "False\n")
            self.assertEqual(self.rest.info(child).json["egress"], False)

    def test_a_child_reaches_neither_the_host_nor_its_siblings(self) -> None:
        parent = self.new_sandbox(egress=True)
        self.said(
            parent,
            "import socket\n"
            "listener = socket.create_server(('0.0.0.0', 8112))\n"
            "def reach(address, port):\n"
            "    try: socket.create_connection((address, port), 2); return True\n"
            "    except OSError: return False",
        )
        (child,) = self.fork(parent)
        with outside.host_service("0.0.0.0") as port:
            addresses = ["10.0.2.2", outside.GATEWAY, *host.addresses()]
            tried = (
                "from concurrent.futures import ThreadPoolExecutor\n"
                f"with ThreadPoolExecutor(32) as each:\n"
                f"    print(any(each.map(lambda one: reach(one, {port}), {addresses!r})))"
            )
            self.assertEqual(self.said(child, tried), "False\n")
        self.assertEqual(self.said(child, "print(reach('127.0.0.1', 8112))"), "True\n")


class ForkLifetimeTest(Case):
    def test_an_idle_child_ends_though_its_parent_is_used(self) -> None:
        parent = self.new_sandbox(idle_timeout_seconds=5)
        (child,) = self.fork(parent)
        deadline = time.monotonic() + 90
        while child in self.rest.ids():
            self.assertLess(time.monotonic(), deadline)
            self.assertEqual(self.said(parent, "import time; time.sleep(0.5); print(1)"), "1\n")
        self.assertIn(parent, self.rest.ids())

    @slow
    def test_a_child_of_a_sandbox_with_a_lifetime_has_an_end_of_its_own(self) -> None:
        parent = self.new_sandbox(max_lifetime_seconds=10)
        time.sleep(2)
        (child,) = self.fork(parent)
        eventually("the parent's end", lambda: parent not in self.rest.ids())
        eventually("the child's end", lambda: child not in self.rest.ids())

"""fork under load: random forks of random members of families, with everything running that can.

Each member of a family holds a *witness*, a program in its living Python process, whose memory and disk
say of each other whether they are of one instant:

- A thread writes numbered records to a ring of 32 slots of a file, past the page cache (O_DIRECT), and
  memory holds the digest of what each slot holds. A step begins, looks at the slot that it will
  overwrite and at the one before it, writes, and then notes the digest. So at every instant the disk
  equals the digests, but for the slot of a step in flight, which holds its old record or its new one.
  A child resumes within that step and ends it. So a look between two steps has to find all slots equal,
  in the child as in the parent. A disk that is older than the memory lacks the records of steps that
  memory has made; a newer one has records that memory does not know. Neither can heal unseen, since
  each slot is looked at before it is overwritten.
- The same thread appends lines to a file through the page cache, at times with fsync, and memory holds
  the digest of all of it. A look makes the kernel drop its pages and reads the disk.
- Two conversations, on a socket pair and on a TCP connection, each ask for a number and wait for that
  number's echo: `answered` is `asked`, or one less.
- A ledger, a list in memory and files on the disk, has what was entered into this member and, before
  the forks, into its ancestors. The test knows it for each member, entry by entry, and what relatives
  entered after a fork is not in it.
"""

from __future__ import annotations

import collections
import json
import os
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from podflare import CapacityError, Client, NotFoundError, PodflareError, QuotaError, Sandbox
from rig import host, suite
from rig.case import LARGE, Case, KillingCase
from rig.deadline import PATIENCE, eventually

T = TypeVar("T")

WITNESS = r'''
import hashlib, json, mmap, os, random, socket, struct, threading, time, uuid

def digest(data):
    return hashlib.sha256(data).digest()

class Lockstep(threading.Thread):
    SLOT, SLOTS, MOST_LINES = 4096, 32, 400

    def __init__(self):
        super().__init__(daemon=True)
        self.lock, self.wrong, self.done, self.pace = threading.Lock(), [], 0, random.Random()
        blank = bytes(self.SLOT)
        with open("/root/ring", "wb") as ring:
            ring.write(blank * self.SLOTS)
            os.fsync(ring.fileno())
        self.ring = os.open("/root/ring", os.O_RDWR | os.O_DIRECT)
        self.sums = [digest(blank)] * self.SLOTS
        self.page, self.whole = mmap.mmap(-1, self.SLOT), mmap.mmap(-1, self.SLOT * self.SLOTS)
        self.begin_lines()

    def begin_lines(self):
        open("/root/lines", "wb").close()
        self.lines = open("/root/lines", "ab", buffering=0)
        self.written, self.sum_of_lines = 0, hashlib.sha256()

    def run(self):
        while True:
            with self.lock:
                try:
                    self.step()
                except OSError as failure:
                    self.wrong.append(f"step {self.done + 1}: {failure}")
            time.sleep(self.pace.uniform(0.005, 0.08))

    def step(self):
        number = self.done + 1
        at = number % self.SLOTS
        for slot in (at, (at - 1) % self.SLOTS):
            os.preadv(self.ring, [self.page], slot * self.SLOT)
            self.compare(slot, self.page[:])
        body = struct.pack("<Q", number) + me.encode().ljust(64) + os.urandom(64)
        self.page[:] = (body + digest(body)).ljust(self.SLOT, b".")
        os.pwritev(self.ring, [self.page], at * self.SLOT)
        if self.pace.random() < 0.2:
            os.fsync(self.ring)
        self.sums[at] = digest(self.page[:])
        line = f"{number} {me} {self.pace.getrandbits(64)}\n".encode()
        if self.written >= self.MOST_LINES:
            self.lines.close()
            self.begin_lines()
        self.lines.write(line)
        self.sum_of_lines.update(line)
        self.written += 1
        if self.pace.random() < 0.1:
            os.fsync(self.lines.fileno())
        self.done = number

    def compare(self, slot, found):
        if digest(found) == self.sums[slot]:
            return
        held = struct.unpack("<Q", found[:8])[0]
        due = self.done - (self.done - slot) % self.SLOTS
        body, writer = found[:136], found[8:72].strip(b" .\0").decode("utf-8", "replace")
        whole = "whole" if digest(body) == found[136:168] else "torn or blank"
        self.wrong.append(f"after step {self.done} slot {slot} holds record {held} of {writer} ({whole}), "
                          f"where memory knows record {due}")

    def look(self):
        """All slots and lines, read from the disk between two steps."""
        with self.lock:
            os.preadv(self.ring, [self.whole], 0)
            for slot in range(self.SLOTS):
                self.compare(slot, self.whole[slot * self.SLOT:(slot + 1) * self.SLOT])
            os.fsync(self.lines.fileno())
            with open("/root/lines", "rb") as lines:
                os.posix_fadvise(lines.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                content = lines.read()
            if digest(content) != self.sum_of_lines.digest():
                last = content.splitlines()[-1:] or [b"nothing"]
                self.wrong.append(f"after step {self.done} the file of lines has {content.count(10)} and ends "
                                  f"with {last[0][:80]!r}, where memory has written {self.written}")

class Conversation(threading.Thread):
    def __init__(self, name, ours, theirs):
        super().__init__(daemon=True)
        self.name_of, self.ours, self.theirs, self.wrong = name, ours, theirs, []
        self.asked = self.answered = 0
        self.other = threading.Thread(target=self.echo, daemon=True)

    def begin(self):
        self.start()
        self.other.start()

    def echo(self):
        while number := self.theirs.recv(8, socket.MSG_WAITALL):
            self.theirs.sendall(number)
        self.wrong.append(f"{self.name_of}: closed")

    def run(self):
        try:
            while True:
                self.asked += 1
                self.ours.sendall(struct.pack("<Q", self.asked))
                said = struct.unpack("<Q", self.ours.recv(8, socket.MSG_WAITALL))[0]
                if said != self.asked:
                    self.wrong.append(f"{self.name_of}: {said} came back for {self.asked}")
                self.answered += 1
                time.sleep(random.uniform(0.02, 0.1))
        except Exception as failure:
            self.wrong.append(f"{self.name_of}: {failure!r} after {self.answered} answers")

def enter(entry):
    if entry not in ledger:
        store[entry] = os.urandom(random.randrange(1 << 12, 1 << 20))
        sums[entry] = digest(store[entry])
        ledger.append(entry)
    with open(f"/root/entries/{entry}", "w") as file:
        file.write(entry)
        if random.random() < 0.3:
            os.fsync(file.fileno())

def is_called(name):
    global me
    me = name
    enter(name)

def within(seconds, holds):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True

def job_lines(job):
    try:
        with open(f"/root/jobs/{job}") as file:
            return file.read().split()
    except FileNotFoundError:
        return []

def look(patience, jobs):
    """What this member has to say for itself, as JSON."""
    steps, answers = lockstep.done, [one.answered for one in conversations]
    wrong = []
    if not within(patience, lambda: lockstep.done > steps + 1):
        wrong.append(f"the thread that writes stands still at step {lockstep.done}")
    for one, before in zip(conversations, answers):
        if not within(patience, lambda: one.answered > before + 1):
            wrong.append(f"{one.name_of} stands still after {one.answered} answers")
        if not one.asked - 1 <= one.answered <= one.asked:
            wrong.append(f"{one.name_of} asked {one.asked} and heard {one.answered}")
    lockstep.look()
    for entry in ledger:
        if digest(store[entry]) != sums[entry]:
            wrong.append(f"what was stored with {entry} has changed")
    for entry in os.listdir("/root/entries"):
        with open(f"/root/entries/{entry}") as file:
            if file.read() != entry:
                wrong.append(f"the file of {entry} holds something else")
    for job in jobs:
        if not within(patience, lambda: job_lines(job)[-1:] == ["end"]):
            wrong.append(f"the job {job} did not end: {job_lines(job)[-3:]}")
        elif job_lines(job) != [*map(str, range(1, 21)), "end"]:
            wrong.append(f"the job {job} wrote {job_lines(job)}")
    for one in (lockstep, *conversations):
        wrong += one.wrong
    print(json.dumps({
        "me": me, "ledger": ledger, "files": sorted(os.listdir("/root/entries")), "ran": sorted(ran), "wrong": wrong,
        "steps": lockstep.done, "random": [str(random.getrandbits(64)), os.urandom(8).hex(), str(uuid.uuid4())],
    }))

me, ledger, store, sums, ran = "", [], {}, {}, set()
os.makedirs("/root/entries")
os.makedirs("/root/jobs")
listener = socket.create_server(("127.0.0.1", 0))
tcp = socket.create_connection(listener.getsockname())
conversations = [Conversation("the socket pair", *socket.socketpair()),
                 Conversation("the TCP connection", tcp, listener.accept()[0])]
lockstep = Lockstep()
lockstep.start()
for one in conversations:
    one.begin()
'''

#: Twenty numbers in a file, a second's worth, beside everything else.
JOB = "echo on; for n in $(seq 20); do echo $n >>/root/jobs/{name}; sleep 0.03; done; echo end >>/root/jobs/{name}"
JOB_SAYS = "on\n"
#: The same in the living Python process, whose next call waits for it.
RUN = "for n in range(20): print(n); time.sleep(0.02)\nran.add({name!r}); print('end')"
RUN_SAYS = "".join(f"{n}\n" for n in range(20)) + "end\n"
#: What answers on a terminal. It says more than it hears, so that its echo is not its answer.
ANSWERING = "while read -r word; do echo \"<$word>\"; done"


class Wrong(AssertionError):
    """A member is not what it has to be."""


@dataclass
class Member:
    """A sandbox of a family, and what the test knows of it."""

    sandbox: Sandbox
    name: str
    generation: int
    ledger: list[str] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)
    jobs: list[str] = field(default_factory=list)
    terminal: str | None = None

    def child(self, sandbox: Sandbox) -> Member:
        """What a fork of it has to be."""
        return Member(
            sandbox, self.name, self.generation + 1, list(self.ledger), set(self.ran), list(self.jobs), self.terminal
        )


@dataclass
class Counts:
    """What has happened, over all families."""

    forks: int = 0
    children: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    kills: int = 0
    deepest: int = 0
    closed: int = 0
    looks: int = 0
    random: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __str__(self) -> str:
        refused = "".join(f", {count} {code}" for code, count in sorted(self.refused.items()))
        return (
            f"{self.forks} forks made {self.children} children: {self.right} right, {len(self.wrong)} wrong; "
            f"{sum(self.refused.values())} forks refused{refused}; {self.looks} looks, {self.closed} closed, "
            f"{self.deepest} generations; {self.kills} kills of the server survived"
        )


class Stress:
    """Families that fork, each driven by a thread of its own until the time is up."""

    def __init__(self, client: Client, seed: int, seconds: float, most_alive: int):
        self.client = client
        self.seed = seed
        self.ends = time.monotonic() + seconds
        self.most_alive = most_alive
        self.counts = Counts()
        #: Clear while the server is down because the test has killed it.
        self.up = threading.Event()
        self.up.set()

    def run(self, shapes: list[dict[str, int]], meanwhile: Callable[[Stress], None] | None) -> None:
        with ThreadPoolExecutor(len(shapes) + 1) as threads:
            families = [
                threads.submit(Family(self, number, shape).live) for number, shape in enumerate(shapes)
            ]
            if meanwhile is not None:
                meanwhile(self)
            for family in families:
                family.result()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends or len(self.counts.wrong) >= 5

    def again(self, call: Callable[[], T]) -> T:
        """The answer to a call, which is repeated as often as the server is killed before it says it."""
        while True:
            self.up.wait(300)
            kills = self.counts.kills
            try:
                return call()
            except PodflareError as failure:
                # A restart closes connections, and may be over when we hear of it.
                if kills == self.counts.kills and self.up.is_set():
                    raise
                if isinstance(failure, (CapacityError, QuotaError)):
                    raise
                if not self.up.wait(300):
                    raise


class Family:
    """All descendants of one sandbox."""

    def __init__(self, stress: Stress, number: int, shape: dict[str, int]):
        self.stress = stress
        self.counts = stress.counts
        self.again = stress.again
        self.shape = shape
        self.number = number
        self.random = random.Random(f"{stress.seed}/{number}")
        self.members: list[Member] = []
        self.named = 0

    def live(self) -> None:
        try:
            self.begin()
            self.descend()
            while not self.stress.is_over:
                self.random.choices(
                    (self.fork, self.enter, self.look_at_one, self.close_one), (6, 2, 2, 1)
                )[0]()
            for member in self.members:
                self.look(member)
        except Wrong as wrong:
            self.count_wrong(str(wrong))
        except Exception as failure:
            self.count_wrong(f"family {self.number}: {type(failure).__name__}: {failure}")
        finally:
            for member in self.members:  # parents before children
                self.again(member.sandbox.close)

    def begin(self) -> None:
        sandbox = self.again(
            lambda key=self.key(): Sandbox(
                client=self.stress.client, idle_timeout_seconds=1800, idempotency_key=key, **self.shape
            )
        )
        founder = Member(sandbox, "", 0)
        self.members.append(founder)
        self.said(founder, "if 'lockstep' not in globals():\n" + indented(WITNESS))
        self.name(founder)
        self.open_terminal(founder)

    def descend(self) -> None:
        """A fork of a fork, five generations down, whatever the dice say afterwards."""
        for _ in range(5):
            if self.stress.is_over:
                return
            self.fork(self.members[-1])

    # -- what is done at random

    def fork(self, parent: Member | None = None) -> None:
        parent = parent or self.random.choice(self.members)
        while len(self.members) >= self.stress.most_alive:
            self.close_one(but=parent)
        n = self.random.randint(1, min(3, self.stress.most_alive - len(self.members)))
        if self.random.random() < 0.5:
            self.enter(parent)
        started = self.start_something(parent)
        expected = parent.child(parent.sandbox)
        try:
            forked = self.again(
                lambda key=self.key(): parent.sandbox.fork(n, idempotency_key=key)
            )
        except (CapacityError, QuotaError) as refusal:
            with self.counts.lock:
                self.counts.refused[refusal.code or "without a code"] += 1
            return
        children = [expected.child(one) for one in forked]
        for child in children:
            child.generation = parent.generation + 1
        self.members += children
        with self.counts.lock:
            self.counts.forks += 1
            self.counts.children += n
            self.counts.deepest = max(self.counts.deepest, parent.generation + 1)
        if len(forked) != n:
            raise Wrong(f"fork({n}) of {parent.name} made {len(forked)} children")
        # What relatives enter from now on is not the others'.
        self.enter(parent)
        if self.random.random() < 0.2 and len(self.members) > n + 1:
            self.close(parent)
        with ThreadPoolExecutor(n) as askers:
            for child, wrong in zip(children, askers.map(self.first_look, children)):
                if wrong:
                    self.count_wrong(f"{child.sandbox.id}, a child of {parent.name}: {wrong}")
                else:
                    with self.counts.lock:
                        self.counts.right += 1
        if parent in self.members:
            self.look(parent)
            if started is not None:
                started()

    def first_look(self, child: Member) -> str:
        """What is wrong with a child, once as it was made and once it has a name of its own."""
        try:
            self.look(child)
            self.name(child)
            self.look(child)
            self.talk(child)
        except Wrong as wrong:
            return str(wrong)
        return ""

    def enter(self, member: Member | None = None) -> None:
        member = member or self.random.choice(self.members)
        entry = self.new_name("entry")
        self.said(member, f"enter({entry!r})")
        member.ledger.append(entry)

    def look_at_one(self) -> None:
        member = self.random.choice(self.members)
        self.look(member)
        self.talk(member)

    def close_one(self, but: Member | None = None) -> None:
        others = [member for member in self.members if member is not but]
        if len(self.members) > 2 and others:
            self.close(self.random.choice(others))

    def close(self, member: Member) -> None:
        self.members.remove(member)
        self.again(member.sandbox.close)
        with self.counts.lock:
            self.counts.closed += 1

    # -- what runs while a fork is made

    def start_something(self, member: Member) -> Callable[[], None] | None:
        """Starts an exec that is to run on over a fork. Returns what proves that it did in the parent."""
        chosen = self.random.choice(("job", "run", "nothing"))
        if chosen == "nothing":
            return None
        name, kills = self.new_name(chosen), self.counts.kills
        try:
            if chosen == "job":
                exec_ = member.sandbox.run_background(JOB.format(name=name))
            else:
                exec_ = member.sandbox.detach(RUN.format(name=name))
            with exec_.stream() as events:  # It runs, and is not on its way: a fork takes what is in the guest.
                next(event for event in events if event.type == "stdout")
        except (PodflareError, StopIteration):
            if kills == self.counts.kills and self.stress.up.is_set():
                raise
            # It may have run, run now, or never run: a server that was killed meanwhile says none of it.
            self.said(member, f"ran.discard({name!r})")
            return None
        if chosen == "job":
            member.jobs.append(name)
        else:
            member.ran.add(name)

        def prove() -> None:
            try:
                ran = self.again(exec_.wait)
            except NotFoundError:
                if kills == self.counts.kills:
                    raise
                return  # The next server knows only of execs that ran for more than a second.
            said = JOB_SAYS if chosen == "job" else RUN_SAYS
            if kills == self.counts.kills and (ran.exit_code, ran.stdout) != (0, said):
                raise Wrong(
                    f"the exec {name} of {member.name} ended with {ran.exit_code} ({ran.reason}) and said"
                    f" {ran.stdout[-200:]!r}"
                )

        return prove

    def open_terminal(self, member: Member) -> None:
        def begun() -> str:
            with member.sandbox.pty.create(ANSWERING) as terminal:
                return terminal.id

        member.terminal = self.again(begun)

    def talk(self, member: Member) -> None:
        """A terminal answers, the parent's as the child's, which has the same id."""
        if member.terminal is None:
            return
        word, pty = secrets.token_hex(8), member.terminal
        answer = f"<{word}>".encode()

        def spoken() -> bool:
            heard, there = bytearray(), threading.Event()

            def hear(data: bytes) -> None:
                heard.extend(data)
                if answer in heard:
                    there.set()

            with member.sandbox.pty.attach(pty, on_data=hear) as terminal:
                terminal.send_input(word + "\n")
                if not there.wait(30 * PATIENCE):
                    raise Wrong(f"the terminal of {member.name} did not answer {word}: {bytes(heard[-200:])!r}")
            return True

        self.again(spoken)

    # -- what is proved

    def look(self, member: Member) -> None:
        """Compares a member with what the test knows of it; raises Wrong with what was seen."""
        said = self.said(member, f"look({30 * PATIENCE}, {member.jobs!r})")
        seen = json.loads(said)
        wrong = list(seen["wrong"])
        for what, found, due in (
            ("is called", seen["me"], member.name),
            ("has the ledger", seen["ledger"], member.ledger),
            ("has the files", seen["files"], sorted(member.ledger)),
            ("ran", seen["ran"], sorted(member.ran)),
        ):
            if found != due:
                strange, missing = difference(found, due)
                wrong.append(f"{what} {found if isinstance(found, str) else ''} with {strange} too many and {missing} missing")
        with self.counts.lock:
            self.counts.looks += 1
            twice = self.counts.random.intersection(seen["random"])
            self.counts.random.update(seen["random"])
        if twice:
            wrong.append(f"drew the random numbers {sorted(twice)} that another one has drawn")
        if wrong:
            raise Wrong(f"{member.name} in generation {member.generation} " + "; ".join(wrong[:4]))
        # Those that have ended need not be looked at once more by all descendants.
        member.jobs.clear()

    def name(self, member: Member) -> None:
        name = self.new_name("member")
        self.said(member, f"is_called({name!r})")
        member.name = name
        member.ledger.append(name)

    def said(self, member: Member, code: str) -> str:
        ran = self.again(lambda: member.sandbox.run_code(code, timeout=120 * PATIENCE))
        if ran.exit_code != 0:
            raise Wrong(f"{member.name}: {code[:60]!r} ended with {ran.exit_code} ({ran.reason}): {ran.stderr[-500:]}")
        return ran.stdout

    def count_wrong(self, sentence: str) -> None:
        with self.counts.lock:
            self.counts.wrong.append(sentence)

    def new_name(self, kind: str) -> str:
        self.named += 1
        return f"{kind}-{self.number}-{self.named}"

    def key(self) -> str:
        return f"stress-{os.getpid()}-{secrets.token_hex(8)}"


def difference(found: Any, due: Any) -> tuple[list[str], list[str]]:
    found, due = ([one] if isinstance(one, str) else list(one) for one in (found, due))
    return sorted(set(found) - set(due)), sorted(set(due) - set(found))


def indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines())


@dataclass(frozen=True)
class Left:
    """What a server's machines hold on this host, whoever else has machines on it."""

    machines: int
    processes: int
    leases: int
    network_namespaces: int
    control_groups: int

    @staticmethod
    def of(server_pid: int | None, data_dir: Path) -> Left:
        machines = {path.name for path in (data_dir / "vm").iterdir()}
        leases = host.leases_of(data_dir)
        return Left(
            len(machines),
            len(host.processes_of(server_pid, data_dir)),
            len(leases),
            sum(os.path.exists(f"/run/netns/pf{lease}") for lease in leases),
            sum(path.name in machines for path in host.control_groups()),
        )


class StressCase(Case):
    """Drives families and looks at what is left when all of them are closed."""

    def stress(
        self,
        shapes: list[dict[str, int]],
        most_alive: int,
        seconds: float,
        meanwhile: Callable[[Stress], None] | None = None,
    ) -> Counts:
        client = Client(host=self.server.url, api_key=self.server.keys[0], timeout=180)
        self.addCleanup(client.close)
        for shape in {json.dumps(shape): shape for shape in shapes}.values():
            # What a first sandbox of a size makes stays for the later ones.
            self.rest.close(self.rest.create(deadline=400, **shape))
        before = self.settled()
        seed = int(os.environ.get("PODFLARE_STRESS_SEED") or secrets.randbits(32))
        print(f"seed {seed} (PODFLARE_STRESS_SEED), {seconds:g} s", file=sys.stderr, flush=True)
        stress = Stress(client, seed, seconds, most_alive)
        began = self.rest.ids()
        stress.run(shapes, meanwhile)
        counts = stress.counts
        print(str(counts), file=sys.stderr, flush=True)
        self.assertEqual(counts.wrong, [], f"seed {seed}: {counts}")
        self.assertEqual(counts.right, counts.children)
        self.assertEqual(self.rest.ids() - began, set(), "sandboxes that nobody knows of are left")
        eventually("nothing is left", lambda: self.exceeds(before) == {}, 120, every=0.5)
        return counts

    def settled(self) -> Left:
        self.await_full_pools()
        seen: list[Left] = []

        def steady() -> bool:
            seen.append(Left.of(self.server.pid, self.server.data_dir))
            return len(seen) >= 3 and all(one == seen[-1] for one in seen[-3:])

        eventually("nothing comes or goes", steady, 120, every=0.5)
        return seen[-1]

    def exceeds(self, before: Left) -> dict[str, int]:
        now = Left.of(self.server.pid, self.server.data_dir)
        return {
            kind: getattr(now, kind) - count
            for kind, count in vars(before).items()
            if getattr(now, kind) > count
        }


class ForkStressTest(StressCase):
    deadline_seconds = 600.0

    def test_members_that_fork_at_random_have_memory_and_disk_of_one_instant(self) -> None:
        shapes = [{}, {}] if suite.scale() is suite.FAST else [{}, {}, LARGE]
        counts = self.stress(shapes, most_alive=5, seconds=suite.scale().stress_seconds)
        self.assertGreaterEqual(counts.deepest, 4, str(counts))


class ForkSoakTest(StressCase, KillingCase):
    """Only by `e2e/run --soak`: ten minutes, and the server is killed every half a minute."""

    soak = True
    deadline_seconds: ClassVar[float] = 3600.0

    def test_members_that_fork_at_random_outlive_the_server_with_memory_and_disk_of_one_instant(self) -> None:
        seconds = float(os.environ.get("PODFLARE_SOAK_SECONDS") or suite.scale().stress_seconds)
        counts = self.stress([{}, {}, {}, LARGE], 6, seconds, self.kill_at_times)
        self.assertGreaterEqual(counts.deepest, 4, str(counts))
        self.assertGreaterEqual(counts.kills, int(seconds // 90), str(counts))

    def kill_at_times(self, stress: Stress) -> None:
        """Ends the server as a crash would, wherever the families are, and starts it again."""
        dice = random.Random(stress.seed)
        while not stress.is_over:
            until = min(stress.ends, time.monotonic() + dice.uniform(15, 45))
            while time.monotonic() < until and not stress.is_over:
                time.sleep(0.1)
            if stress.is_over:
                return
            stress.up.clear()
            with stress.counts.lock:
                stress.counts.kills += 1
            try:
                self.server.kill()
                self.server.start()
            finally:
                stress.up.set()

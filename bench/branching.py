"""What branching costs: forks, merges, comparisons and Spaces, and the same work without them.

A fork's times count from the moment it is asked for. The parent's pause is the server's own
figure, and is checked once from outside, by a stream of output that a fork interrupts.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from measures import Row, Target, milliseconds
from podflare import Client, Sandbox
from rig import host
from scenarios import MEBI, Bench, private_bytes

PAUSE = Target(emulated=8, kvm=5)
PAUSE_WITH_MUCH_DIRT = Target(emulated=20, kvm=None)
FIVE_RUNNING = Target(emulated=40, kvm=30)
FIRST_ANSWER = Target(emulated=40, kvm=None)
FIVE_ANSWER = Target(emulated=120, kvm=30)
TWENTY_ANSWER = Target(emulated=500, kvm=None)
HUNDRED_RUNNING = Target(emulated=800, kvm=None)
#: A generation costs what the first one costs, but for the noise of a host.
FLAT = Target(emulated=1.5, kvm=1.5)
MEMORY_AT_ONCE = Target(emulated=4, kvm=None)
MEMORY_AFTER_NUMPY = Target(emulated=12, kvm=None)
RESUMED = Target(emulated=500, kvm=50)
DIFFERENCE = Target(emulated=100, kvm=100)

USUAL_DIRT_MB = 25
CHANGED_FILES = 1000

SET_UP = """
import numpy as np, pandas as pd
rng = np.random.default_rng(1)
table = pd.DataFrame(rng.normal(size=(20_000, 8)), columns=list("abcdefgh"))
label = (table.a * 2 + table.b ** 2 > 1).to_numpy(float)
model = np.linalg.lstsq(table.to_numpy(), label, rcond=None)[0]
groups = table.groupby(table.h.round()).agg(["mean", "std"])
order = table.sort_values(["a", "b"]).index
"""

#: Makes so many MiB of memory new, which the next fork has to copy.
DIRTY = """
import os
block, size = os.urandom(1 << 20), {size} << 20
if globals().get("dirt") is None or len(dirt) != size: dirt = bytearray(size)
for at in range(0, size, 1 << 20): dirt[at:at + (1 << 20)] = block
"""

TICKS = """
import os, time
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    os.write(1, b".\\n")
    time.sleep(0.001)
"""


#: The scenarios, in their order.
OF_BRANCHING = (
    "forks",
    "hundred",
    "pause_from_outside",
    "dirty_memory",
    "machine_sizes",
    "generations",
    "tenth_generation",
    "memory_of_children",
    "instead_of_forks",
    "merges",
    "differences",
    "spaces",
)


@dataclass(frozen=True)
class Forked:
    """One fork, in ms since it was asked for; the answers are those of the children's first call,
    made of all of them at once, the quickest first."""

    pause: float
    running: float
    answers: Sequence[float]


@dataclass(frozen=True)
class Branching:
    """The scenarios, on the server of a bench."""

    bench: Bench

    # -- scenarios

    def forks(self) -> Iterator[Row]:
        with self.sandbox() as parent:
            for n in self.counts():
                yield from self.rows_of_forks(parent.id, n, "")

    def hundred(self) -> Iterator[Row]:
        """Where the host has room for them, and says why not where it has none."""
        wanted = 100
        capacity = self.bench.capacity()
        if capacity["room_for"] < wanted + 1:
            free = capacity["host_memory_free_bytes"] / MEBI / 1024
            print(
                f"no row for fork({wanted}): the server has room for {capacity['room_for']} more sandboxes"
                f" and {wanted + 1} are needed; {free:.1f} GiB of this host's memory are free",
                file=sys.stderr,
            )
            return
        with self.sandbox() as parent:
            taken = [self.dirty_fork(parent, wanted) for _ in range(3)]
        yield from pause_and_running(f"fork({wanted})", taken, "", None, HUNDRED_RUNNING)
        answered = [one.answers[-1] for one in taken]
        yield Row(f"fork({wanted}), all children's answers", "ms", answered)

    def pause_from_outside(self) -> Iterator[Row]:
        with self.sandbox() as parent:
            usual, forked = [], []
            for _ in range(self.bench.sizes.forks):
                self.dirty(parent, USUAL_DIRT_MB)
                before, during = self.largest_gaps(parent)
                usual.append(before)
                forked.append(during)
            name = "largest gap in the output of a loop of 1 ms"
            yield Row(name, "ms", usual)
            yield Row(name, "ms", forked, note="forked meanwhile")

    def dirty_memory(self) -> Iterator[Row]:
        for size in self.bench.sizes.dirty_mb:
            with self.sandbox() as parent:
                taken = []
                for _ in range(max(1, self.bench.sizes.forks * 3 // 5)):
                    self.dirty(parent, size)
                    taken.append(self.fork(parent.id, 5))
            pause = PAUSE_WITH_MUCH_DIRT if size == 500 else None
            yield from pause_and_running("fork(5)", taken, f"{size} MB dirty", pause, None)

    def machine_sizes(self) -> Iterator[Row]:
        for memory_mb in self.bench.sizes.machine_mb:
            with self.sandbox(memory_mb=memory_mb) as parent:
                taken = self.usual_forks(parent, 5)
            yield from pause_and_running("fork(5)", taken, f"machine of {memory_mb} MB", None, None)

    def generations(self) -> Iterator[Row]:
        """Forks a fork of a fork, and measures on the way: by a fork of 1 in each generation, and
        by all counts in the middle."""
        with contextlib.ExitStack() as family:
            sandbox = family.enter_context(self.sandbox())
            last = self.bench.sizes.generations
            for generation in range(1, last + 1):
                if generation in (1, last):
                    taken = [self.dirty_fork(sandbox, 1) for _ in range(self.bench.sizes.forks)]
                    note = f"making generation {generation}"
                    yield from rows_of("fork(1)", taken, note, None, None, None)
                if generation == last // 2 + 1:
                    note = f"{generation - 1} generations deep"
                    for n in self.counts():
                        yield from self.rows_of_forks(sandbox.id, n, note)
                [sandbox] = sandbox.fork()
                family.callback(sandbox.close)
                sandbox.run_code(f"generation = {generation}")

    def tenth_generation(self) -> Iterator[Row]:
        """What a fork costs whose parent is the ninth fork of a fork, against the first. Both kinds
        by turns, so that what the host does meanwhile meets both."""
        with contextlib.ExitStack() as family:
            first = sandbox = family.enter_context(self.sandbox())
            for _ in range(9):
                [sandbox] = sandbox.fork()
                family.callback(sandbox.close)
                sandbox.run_code("import os; own = os.urandom(1 << 20)")
            rounds = max(5, self.bench.sizes.forks)
            pairs = [
                (self.dirty_fork(first, 1), self.dirty_fork(sandbox, 1)) for _ in range(rounds)
            ]
        for what, figure in (
            ("parent's pause", lambda one: one.pause),
            ("children running", lambda one: one.running),
            ("first child's answer", lambda one: one.answers[0]),
        ):
            shallow = Row("", "ms", [figure(one) for one, _ in pairs])
            deep = Row(f"fork(1), {what}", "ms", [figure(one) for _, one in pairs],
                       note="making generation 10")  # fmt: skip
            yield deep
            ratio = [deep.median / shallow.median]
            yield Row(f"fork(1), {what}, tenth generation over first", "times", ratio, FLAT)

    def memory_of_children(self) -> Iterator[Row]:
        """As the API tells it, and as the host's kernel does."""
        with self.sandbox() as parent:
            self.dirty(parent, USUAL_DIRT_MB)
            children = parent.fork(5)
            try:
                at_once = [self.memory(child) for child in children]
                private = [self.private(child) for child in children]
                for child in children:
                    child.run_code("import numpy; numpy.ones(1000).sum()")
                after = [self.memory(child) for child in children]
                private_after = [self.private(child) for child in children]
            finally:
                close(children)
        name, numpy = "memory of a child", "after its first numpy call"
        yield Row(name, "MiB", at_once, MEMORY_AT_ONCE, note="at once, its own pages")
        yield Row(name, "MiB", after, MEMORY_AFTER_NUMPY, note=numpy)
        yield Row("a child's private memory on the host", "MiB", private, note="at once")
        yield Row("a child's private memory on the host", "MiB", private_after, note=numpy)

    def instead_of_forks(self) -> Iterator[Row]:
        """The same n copies of a prepared process: by a fork, and by preparing n."""
        template = "python-datasci"  # It has pandas imported, which helps both ways.
        with self.sandbox(set_up=SET_UP, template=template) as parent:
            for n in self.counts():
                children: list[Sandbox] = []

                def forked(n: int = n, children: list[Sandbox] = children) -> None:
                    children += parent.fork(n)
                    at_once(lambda child: child.run_code("len(groups)"), children)

                name = f"{n} prepared and answering"
                yield Row(name, "ms", [milliseconds(forked)], note="a fork")
                close(children)
                self.bench.wait_for_pool(template)

                def replayed(n: int = n, children: list[Sandbox] = children) -> None:
                    children[:] = at_once(
                        lambda _: Sandbox(template, client=self.client), range(n)
                    )
                    at_once(lambda child: child.run_code(SET_UP + "\nlen(groups)"), children)

                note = "fresh sandboxes, set-up replayed"
                yield Row(name, "ms", [milliseconds(replayed)], note=note)
                close(children)

    def merges(self) -> Iterator[Row]:
        swaps, first_answers, dry_runs, files = [], [], [], []
        with self.sandbox() as parent:
            for _ in range(self.bench.sizes.forks):
                [child] = parent.fork()
                child.run_code("merged = True")
                began = time.perf_counter()
                parent.merge_into(child)
                swaps.append((time.perf_counter() - began) * 1000)
                parent.run_code("merged")
                first_answers.append((time.perf_counter() - began) * 1000)
            yield Row("merge, swap", "ms", swaps)
            yield Row("merge, swap, to first answer", "ms", first_answers)
            for _ in range(self.bench.sizes.forks):
                [child] = parent.fork()
                child.run_code(write_files("merged", 100))
                dry_runs.append(
                    milliseconds(lambda: parent.merge_into(child, "files", dry_run=True))
                )
                files.append(milliseconds(lambda: parent.merge_into(child, "files")))
                child.close()
            yield Row("merge, 100 files, dry run", "ms", dry_runs)
            yield Row("merge, 100 files", "ms", files)

    def differences(self) -> Iterator[Row]:
        with self.sandbox() as parent:
            parent.run_code(write_files("tree", CHANGED_FILES))
            with parent.fork()[0] as child:
                child.run_code(write_files("tree", CHANGED_FILES, "changed"))
                found = parent.diff(child, variables=False)
                if len(found["modified"]) != CHANGED_FILES:
                    raise RuntimeError(f"the diff found {len(found['modified'])} files")
                self.bench.quiet()
                samples = [
                    milliseconds(lambda: parent.diff(child, variables=False))
                    for _ in range(self.bench.sizes.forks)
                ]
                name = f"diff, {CHANGED_FILES:,} changed files"
                yield Row(name, "ms", samples, DIFFERENCE)
                with_variables = [
                    milliseconds(lambda: parent.diff(child))
                    for _ in range(self.bench.sizes.forks)
                ]
                yield Row(name, "ms", with_variables, note="and the variables")

    def spaces(self) -> Iterator[Row]:
        frozen, resumed, first_answers, sizes = [], [], [], []
        for _ in range(self.bench.sizes.forks):
            with self.sandbox() as sandbox:
                self.dirty(sandbox, USUAL_DIRT_MB)
                began = time.perf_counter()
                space = sandbox.freeze()
                frozen.append((time.perf_counter() - began) * 1000)
            sizes.append(space.info().disk_bytes / MEBI)
            self.bench.quiet()
            began = time.perf_counter()
            with space.resume() as again:
                resumed.append((time.perf_counter() - began) * 1000)
                again.run_code("len(dirt)")
                first_answers.append((time.perf_counter() - began) * 1000)
            space.delete()
        note = f"{USUAL_DIRT_MB} MB dirty"
        yield Row("freeze", "ms", frozen, note=note)
        yield Row("disk of a Space", "MiB", sizes, note=note)
        yield Row("resume, over HTTP", "ms", resumed)
        yield Row("resume to first answer", "ms", first_answers, RESUMED)

    # -- forks

    def counts(self) -> Sequence[int]:
        return [n for n in (1, 5, 20) if n <= self.bench.sizes.most_children]

    def rows_of_forks(self, parent_id: str, n: int, note: str) -> Iterator[Row]:
        parent = Sandbox.connect(parent_id, client=self.client)
        running = FIVE_RUNNING if n == 5 else None
        everybody = {5: FIVE_ANSWER, 20: TWENTY_ANSWER}.get(n)
        yield from rows_of(
            f"fork({n})", self.usual_forks(parent, n), note, PAUSE if n <= 5 else None, running, everybody
        )

    def usual_forks(self, parent: Sandbox, n: int) -> list[Forked]:
        times = self.bench.sizes.forks if n <= 5 else max(1, self.bench.sizes.forks * 3 // 5)
        return [self.dirty_fork(parent, n) for _ in range(times)]

    def dirty_fork(self, parent: Sandbox, n: int) -> Forked:
        self.dirty(parent, USUAL_DIRT_MB)
        return self.fork(parent.id, n)

    def fork(self, parent_id: str, n: int) -> Forked:
        """Forks, asks all children at once, and closes them."""
        self.bench.quiet()
        asking, *askers = [self.bench.wire() for _ in range(n + 1)]
        ids: list[str] = []
        try:
            began = time.perf_counter()
            said = json.loads(
                asking.request("POST", f"/v1/sandboxes/{parent_id}/fork", {"n": n})
            )
            running = (time.perf_counter() - began) * 1000
            ids = said["children"]

            def answer(number: int) -> float:
                path = f"/v1/sandboxes/{ids[number]}/exec"
                askers[number].request("POST", path, {"code": "1"})
                return (time.perf_counter() - began) * 1000

            answers = sorted(at_once(answer, range(n)))
            return Forked(said["pause_ms"], running, answers)
        finally:
            for id in ids:
                asking.request("DELETE", f"/v1/sandboxes/{id}")
            for wire in (asking, *askers):
                wire.close()

    def largest_gaps(self, parent: Sandbox) -> tuple[float, float]:
        """In ms: between two pieces of output that nothing disturbs, and while a fork is made."""
        seconds = 2.0
        wire = self.bench.wire()
        forking = threading.Event()
        children: list[Sandbox] = []

        def fork() -> None:
            forking.wait(60)
            children.extend(parent.fork())

        before = during = 0.0
        with ThreadPoolExecutor(1) as other:
            asked = other.submit(fork)
            try:
                path = f"/v1/sandboxes/{parent.id}/exec"
                first = last = 0.0
                for at, _ in wire.events(path, {"code": TICKS.format(seconds=seconds)}):
                    if not last:
                        first = last = at
                    if forking.is_set():
                        during = max(during, at - last)
                    else:
                        before = max(before, at - last)
                    last = at
                    if at - first > seconds / 2:
                        forking.set()
            finally:
                forking.set()
                wire.close()
            asked.result(60)
        close(children)
        return before * 1000, during * 1000

    # -- sandboxes

    @property
    def client(self) -> Client:
        # The first machine of a size is booted, which takes its time.
        return Client(self.bench.client.host, self.bench.key, timeout=600)

    @contextlib.contextmanager
    def sandbox(self, set_up: str = "import numpy", **options: Any) -> Iterator[Sandbox]:
        self.bench.wait_for_pool(options.get("template", "default"))
        with Sandbox(client=self.client, **options) as sandbox:
            sandbox.run_code(set_up)
            yield sandbox

    def dirty(self, sandbox: Sandbox, megabytes: int) -> None:
        done = sandbox.run_code(DIRTY.format(size=megabytes))
        if done.error is not None:
            raise RuntimeError(done.stderr)

    def memory(self, sandbox: Sandbox) -> float:
        return sandbox.info()["memory_used_bytes"] / MEBI

    def private(self, sandbox: Sandbox) -> float:
        return private_bytes(host.machine_of(self.bench.data_dir, sandbox.id).pid) / MEBI


def rows_of(
    name: str,
    taken: Sequence[Forked],
    note: str,
    pause: Target | None,
    running: Target | None,
    everybody: Target | None,
) -> Iterator[Row]:
    yield from pause_and_running(name, taken, note, pause, running)
    first = [one.answers[0] for one in taken]
    wanted = FIRST_ANSWER if len(taken[0].answers) <= 5 else None
    yield Row(f"{name}, first child's answer", "ms", first, wanted, note=note)
    if len(taken[0].answers) > 1:
        last = [one.answers[-1] for one in taken]
        yield Row(f"{name}, all children's answers", "ms", last, everybody, note=note)


def pause_and_running(
    name: str,
    taken: Sequence[Forked],
    note: str,
    pause: Target | None,
    running: Target | None,
) -> Iterator[Row]:
    paused = [one.pause for one in taken]
    yield Row(f"{name}, parent's pause", "ms", paused, pause, note=note)
    yield Row(f"{name}, children running", "ms", [one.running for one in taken], running, note=note)


def write_files(folder: str, count: int, content: str = "content") -> str:
    return (
        f"import os\nos.makedirs('/root/{folder}', exist_ok=True)\n"
        f"for i in range({count}):\n"
        f"    with open(f'/root/{folder}/{{i}}', 'w') as file: file.write(f'{content} {{i}}')\n"
    )


def at_once(call: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Calls it with each of the items side by side."""
    with ThreadPoolExecutor(len(items)) as callers:
        return list(callers.map(call, items))


def close(sandboxes: Sequence[Sandbox]) -> None:
    for sandbox in sandboxes:
        sandbox.close()

"""What is measured, and how. Each scenario gives rows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measures import Row, Target, milliseconds
from podflare import Client, Sandbox
from rig import host
from rig.deadline import eventually
from wire import Wire

MEBI = 1 << 20
REPOSITORY = Path(__file__).resolve().parent.parent
SDKS = REPOSITORY / "sdk"
#: What `./podflare` has built, the Java SDK among it.
PROGRAM = REPOSITORY / "cli" / "target" / "podflare"

CREATE = Target(emulated=10, kvm=3)
CREATE_WITHOUT_POOL = Target(emulated=15, kvm=None)
FIRST_ANSWER = Target(emulated=15, kvm=None)
WARM_CALL = Target(emulated=2, kvm=1.5, p95=4)
BASH_CALL = Target(emulated=15, kvm=None)
DESCRIPTION = Target(emulated=0.7, kvm=0.7)
TOOL = Target(emulated=2, kvm=2)
SDK = Target(emulated=0.3, kvm=0.3)
IDLE_MEMORY = Target(emulated=90, kvm=20)
SERVER_HEAP = Target(emulated=128, kvm=128)


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    creates: int
    burst: int
    calls: int
    streams: int
    file_bytes: int
    idle: int
    heap_sandboxes: int
    forks: int
    most_children: int
    dirty_mb: tuple[int, ...]
    generations: int
    machine_mb: tuple[int, ...]
    plain_copies: int


QUICK = Sizes(20, 4, 100, 3, 16 * MEBI, 8, 8, 5, 5, (10,), 3, (), 1)
USUAL = Sizes(30, 8, 200, 5, 64 * MEBI, 20, 50, 10, 20, (10, 100, 500), 20, (512, 4096), 3)
ALL = Sizes(100, 8, 1000, 10, 1024 * MEBI, 20, 50, 20, 20, (10, 100, 500), 20, (512, 4096), 5)


#: Of modules that every sandbox has loaded, of one that is not, and of what a figure costs.
FIRST_CELLS = (
    ("`import pandas`", "import pandas", Target(50, None)),
    ("`import flask`", "import flask", Target(2000, None)),
    (
        "first figure",
        "import matplotlib.pyplot as plt; plt.plot([1, 4, 9]); plt.show()",
        Target(700, None),
    ),
)


#: The scenarios, in their order.
OF_ONE_SANDBOX = (
    "create",
    "creates_without_pool",
    "calls",
    "first_cells",
    "tools",
    "sdks",
    "streaming",
    "files",
    "memory",
    "server_heap",
)


def ran_well(sandbox: Sandbox, code: str) -> None:
    ran = sandbox.run_code(code)
    if ran.exit_code != 0:
        raise RuntimeError(f"{code!r} failed: {ran.stderr}")


@dataclass(frozen=True)
class Bench:
    """A server and how much to ask of it."""

    address: str
    port: int
    key: str
    server_pid: int
    data_dir: Path
    sizes: Sizes

    @property
    def client(self) -> Client:
        return Client(host=f"http://{self.address}:{self.port}", api_key=self.key)

    def wire(self) -> Wire:
        return Wire(self.address, self.port, self.key)

    # -- the pool

    def wait_for_pool(self, template: str = "default") -> None:
        """Waits until as many microVMs wait as shall, so that the next create is a hit and nothing
        else uses the processor."""

        def full(capacity: dict[str, Any]) -> bool:
            pools = [pool for pool in capacity["pools"] if pool["template"] == template]
            return all(pool["ready"] >= pool["target"] for pool in pools)

        self._wait_for("the warm pool is full", full)

    def wait_until_prepared(self) -> None:
        """Waits until the machines are there that become the children of the next fork."""
        self._wait_for(
            "machines are prepared",
            lambda now: now.get("prepared_ready", 0) >= now.get("prepared_target", 0)
            and now.get("rehearsals", 0) == 0,
        )

    def quiet(self) -> None:
        """Lets the server prepare all that it keeps prepared, so that it is not measured too."""
        self.wait_until_prepared()
        self.wait_for_pool()

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """On a host that does nothing else."""
        self.wait_for_pool()
        with Sandbox(client=self.client) as sandbox:
            self.quiet()
            yield sandbox

    def _wait_for(self, what: str, holds: Callable[[dict[str, Any]], bool]) -> None:
        wire = self.wire()
        try:
            eventually(
                what, lambda: holds(json.loads(wire.request("GET", "/v1/capacity"))), 180, every=0.1
            )
        finally:
            wire.close()

    # -- scenarios

    def create(self) -> Iterator[Row]:
        wire = self.wire()
        self.quiet()
        raw, first_answer = [], []
        for _ in range(self.sizes.creates):
            self.wait_for_pool()
            began = time.perf_counter()
            sandbox = json.loads(wire.request("POST", "/v1/sandboxes", {}))["id"]
            made = time.perf_counter()
            wire.request("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"})
            answered = time.perf_counter()
            raw.append((made - began) * 1000)
            first_answer.append((answered - began) * 1000)
            wire.request("DELETE", f"/v1/sandboxes/{sandbox}")
        yield Row("create, pool hit, over HTTP", "ms", raw, CREATE)
        yield Row("create to first answer", "ms", first_answer, FIRST_ANSWER)
        client, made_by_sdk = self.client, []
        for _ in range(self.sizes.creates):
            self.wait_for_pool()
            began = time.perf_counter()
            sandbox = Sandbox(client=client)
            made_by_sdk.append((time.perf_counter() - began) * 1000)
            sandbox.close()
        yield Row("create, pool hit, Python SDK", "ms", made_by_sdk)
        yield self.burst()

    def creates_without_pool(self) -> Iterator[Row]:
        """Creates of a size that no pool keeps ready; what a first one has to boot is not counted."""
        wire, size = self.wire(), {"memory_mb": 768}
        asked = {"template": "default", **size}

        def created() -> str:
            return json.loads(wire.request("POST", "/v1/sandboxes", asked))["id"]

        wire.request("DELETE", f"/v1/sandboxes/{created()}")
        made, first_answer = [], []
        for _ in range(max(5, self.sizes.creates // 3)):
            self.quiet()
            began = time.perf_counter()
            sandbox = created()
            made.append((time.perf_counter() - began) * 1000)
            wire.request("POST", f"/v1/sandboxes/{sandbox}/exec", {"code": "1"})
            first_answer.append((time.perf_counter() - began) * 1000)
            wire.request("DELETE", f"/v1/sandboxes/{sandbox}")
        wire.close()
        note = "a size of its own"
        yield Row("create without a pool, over HTTP", "ms", made, CREATE_WITHOUT_POOL, note=note)
        yield Row("create without a pool, to first answer", "ms", first_answer)

    def capacity(self) -> dict[str, Any]:
        wire = self.wire()
        try:
            return json.loads(wire.request("GET", "/v1/capacity"))
        finally:
            wire.close()

    def burst(self) -> Row:
        """Creates all at once, more than one caller waiting for the same pool."""
        self.wait_for_pool()
        client = self.client
        with ThreadPoolExecutor(self.sizes.burst) as callers:

            def create(_: int) -> tuple[float, Sandbox]:
                began = time.perf_counter()
                sandbox = Sandbox(client=client)
                return (time.perf_counter() - began) * 1000, sandbox

            made = list(callers.map(create, range(self.sizes.burst)))
        for _, sandbox in made:
            sandbox.close()
        return Row(f"create, {self.sizes.burst} at once", "ms", [taken for taken, _ in made])

    def calls(self) -> Iterator[Row]:
        with self.sandbox() as sandbox:
            wire, path, body = self.wire(), f"/v1/sandboxes/{sandbox.id}/exec", {"code": "1"}
            for _ in range(20):
                wire.request("POST", path, body)
            samples = [
                milliseconds(lambda: wire.request("POST", path, body))
                for _ in range(self.sizes.calls)
            ]
            yield Row('run_code("1"), over HTTP', "ms", samples, WARM_CALL)
            samples = [milliseconds(lambda: sandbox.run_code("1")) for _ in range(self.sizes.calls)]
            yield Row('run_code("1"), Python SDK', "ms", samples)
            body = {"code": "true", "language": "bash"}
            for _ in range(5):
                wire.request("POST", path, body)
            samples = [
                milliseconds(lambda: wire.request("POST", path, body))
                for _ in range(max(20, self.sizes.calls // 4))
            ]
            yield Row('run_code("true", language="bash"), over HTTP', "ms", samples, BASH_CALL)
            described = f"/v1/sandboxes/{sandbox.id}"
            for _ in range(20):
                wire.request("GET", described)
            samples = [
                milliseconds(lambda: wire.request("GET", described))
                for _ in range(self.sizes.calls)
            ]
            yield Row("GET /v1/sandboxes/{id}", "ms", samples, DESCRIPTION)

    def first_cells(self) -> Iterator[Row]:
        """What programs begin with, each as the first call of a new sandbox."""
        for name, code, target in FIRST_CELLS:
            samples = []
            for _ in range(max(3, self.sizes.creates // 4)):
                with self.sandbox() as sandbox:
                    samples.append(milliseconds(lambda: ran_well(sandbox, code)))
            yield Row(name, "ms", samples, target, note="in a new sandbox")

    def tools(self) -> Iterator[Row]:
        """What a model's tool call costs beyond the exec that it stands for, pair by pair."""
        with self.sandbox() as sandbox:
            wire, path, body = self.wire(), f"/v1/sandboxes/{sandbox.id}/exec", {"code": "1"}
            session = wire.mcp_session()
            arguments = {"code": "1", "sandbox_id": sandbox.id}
            params = {"name": "run_python", "arguments": arguments}
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

            def pair() -> float:
                exec_alone = milliseconds(lambda: wire.request("POST", path, body))
                tool = milliseconds(lambda: wire.request("POST", "/mcp", call, session))
                return tool - exec_alone

            first = [pair() for _ in range(20)]
            # The exec's own path is warm by now; Java compiles this one after some hundred calls.
            for _ in range(400):
                pair()
            samples = [pair() for _ in range(self.sizes.calls)]
            wire.request("DELETE", "/mcp", headers=session)
        yield Row("MCP run_python, over run_code (the first 20 of a server)", "ms", first)
        yield Row("MCP run_python, over run_code (after 400)", "ms", samples, TOOL)

    def sdks(self) -> Iterator[Row]:
        """What an SDK's call costs beyond a plain one, against a server that answers at once."""
        java = str(Path(os.environ["JAVA_HOME"], "bin", "java")) if "JAVA_HOME" in os.environ else "java"
        yield self.overhead("Python", [sys.executable], "python/bench/overhead.py")
        yield self.overhead("Java", [java, "-cp", f"{PROGRAM}/lib/*"], "java/bench/Overhead.java")
        node = shutil.which("node")
        if node is None or not (SDKS / "typescript" / "dist").exists():
            print("no row for TypeScript: ./podflare test builds that SDK", file=sys.stderr)
            return
        yield self.overhead("TypeScript", [node], "typescript/bench/overhead.mjs")

    def overhead(self, language: str, interpreter: list[str], program: str) -> Row:
        measured = subprocess.run(
            [*interpreter, str(SDKS / program), str(self.sizes.calls * 10)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        samples = [float(line) for line in measured.stdout.split()]
        return Row(f"{language} SDK's run, over a plain HTTP call", "ms", samples, SDK)

    def streaming(self) -> Iterator[Row]:
        with self.sandbox() as sandbox:
            wire, path = self.wire(), f"/v1/sandboxes/{sandbox.id}/exec"
            waits = []
            for _ in range(self.sizes.calls // 4):
                began = time.perf_counter()
                body = {"code": "import time\nprint('x')\ntime.sleep(0.02)"}
                waits.append((wire.first_event(path, body, "stdout") - began) * 1000)
            yield Row("first byte of output", "ms", waits)
            # 9 MiB, because output beyond 10 MiB a call is cut.
            code = (
                "import os\nblock = b'x' * 65535 + b'\\n'\nfor _ in range(144): os.write(1, block)"
            )
            speeds = []
            for _ in range(self.sizes.streams):
                taken = milliseconds(lambda: wire.request("POST", path, {"code": code}))
                speeds.append(9 * MEBI / 1e6 / (taken / 1000))
            yield Row("output", "MB/s", speeds, most_is_best=True)

    def files(self) -> Iterator[Row]:
        size = self.sizes.file_bytes
        name = f"{size // MEBI} MiB" if size < 1024 * MEBI else f"{size // MEBI // 1024} GiB"
        block = os.urandom(MEBI)
        with self.sandbox() as sandbox:
            up, down = [], []
            for _ in range(1 if size > 100 * MEBI else self.sizes.streams):
                blocks = (block for _ in range(size // MEBI))
                taken = milliseconds(lambda blocks=blocks: sandbox.upload("/root/bench", blocks))
                up.append(size / 1e6 / (taken / 1000))
                with open(os.devnull, "wb") as nowhere:
                    # The open file, not its path: a download to a path takes that path's place.
                    taken = milliseconds(lambda to=nowhere: sandbox.download_to("/root/bench", to))
                down.append(size / 1e6 / (taken / 1000))
            yield Row(f"upload, {name}", "MB/s", up, most_is_best=True)
            yield Row(f"download, {name}", "MB/s", down, most_is_best=True)

    def memory(self) -> Iterator[Row]:
        self.wait_for_pool()
        time.sleep(1)
        before = host.available_bytes()
        made = self.many(self.sizes.idle)
        try:
            for sandbox in made:
                sandbox.run_code("1")
            self.wait_for_pool()
            used = [sandbox.info()["memory_used_bytes"] / MEBI for sandbox in made]
            yield Row("memory of an idle sandbox", "MiB", used, IDLE_MEMORY, note="its own pages")
            lost = (before - host.available_bytes()) / len(made) / MEBI
            note = f"host's free memory over {len(made)}"
            yield Row("memory of an idle sandbox", "MiB", [lost], note=note)
        finally:
            for sandbox in made:
                sandbox.close()

    def server_heap(self) -> Iterator[Row]:
        made = self.many(self.sizes.heap_sandboxes)
        try:
            for sandbox in made:
                sandbox.run_code("1")
            heap = heap_bytes(self.server_pid) / MEBI
            note = f"with {len(made)} sandboxes"
            yield Row("server's heap", "MiB", [heap], SERVER_HEAP, note=note)
            resident = host.resident_bytes(self.server_pid) / MEBI
            yield Row("server's resident memory", "MiB", [resident], note=note)
        finally:
            for sandbox in made:
                sandbox.close()

    def many(self, count: int) -> list[Sandbox]:
        client = self.client
        with ThreadPoolExecutor(4) as callers:
            return list(callers.map(lambda _: Sandbox(client=client), range(count)))


def private_bytes(pid: int) -> int:
    """What a process's memory takes on the host that no other one shares with it, as the kernel counts it."""
    rollup = host.as_root("cat", f"/proc/{pid}/smaps_rollup")
    private = re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB$", rollup, re.MULTILINE)
    if len(private) != 2:
        raise RuntimeError(f"the kernel did not tell the private memory of {pid}: {rollup[:300]}")
    return sum(int(part) for part in private) * 1024


def heap_bytes(pid: int) -> int:
    """What lives in the server's heap after a collection, as its own JDK says."""
    jcmd = Path(os.readlink(f"/proc/{pid}/exe")).with_name("jcmd")

    def ask(*what: str) -> str:
        return subprocess.run(
            [str(jcmd), str(pid), *what], capture_output=True, text=True, timeout=60, check=True
        ).stdout

    ask("GC.run")
    said = ask("GC.heap_info")
    # A line for each generation, or one for the whole heap; metaspace and class space are no heap.
    used = re.findall(r"total \d+K, used (\d+)K", said)
    if not used:
        raise RuntimeError(f"jcmd did not tell the heap: {said[:300]}")
    return sum(int(part) for part in used) * 1024


def info_of_host() -> str:
    """What the figures were taken on; nothing that names the machine."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory: Any = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB"

"""What people would do instead, measured in the same run on the same machine.

Neither isolates the code from the host; the pool does not even keep one caller's variables from
another's.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator

from measures import Row, milliseconds


def rows(calls: int) -> Iterator[Row]:
    yield fresh_process(calls // 2)
    yield process_pool(calls)


def fresh_process(count: int) -> Row:
    def call() -> None:
        subprocess.run([sys.executable, "-c", "1"], check=True, stdin=subprocess.DEVNULL)

    call()
    note = "no isolation, no state"
    return Row("fresh `python3 -c 1`", "ms", [milliseconds(call) for _ in range(count)], note=note)


def run(code: str) -> object:
    return eval(compile(code, "<call>", "eval"), {})  # noqa: S307 - that is what is measured


def process_pool(count: int) -> Row:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for _ in range(10):
            pool.apply(run, ("1",))
        samples = [milliseconds(lambda: pool.apply(run, ("1",))) for _ in range(count)]
    return Row("`multiprocessing.Pool`, one call", "ms", samples, note="no isolation, shared state")

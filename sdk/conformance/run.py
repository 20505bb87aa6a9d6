#!/usr/bin/python3
"""Carries the conformance suite out through the Python SDK, against a real server.

    sdk/conformance/run.py [PATTERN]…     # cases whose file or name contains one of the patterns

The server is the one that PODFLARE_HOSTD_URL and PODFLARE_API_KEY name, or that the SDK finds without them. Each case is
carried out twice: with `Sandbox`, and, if httpx is there, with `AsyncSandbox`; `--sync` and `--async` choose one of them.
README.md beside this file says what the words of the cases mean.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
if importlib.util.find_spec("podflare") is None or "--installed" not in sys.argv:
    sys.path.insert(0, str(HERE.parent / "python" / "src"))
sys.path.insert(0, str(HERE))

import podflare  # noqa: E402
from operations import AsyncOperations, Operations  # noqa: E402

TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
MATCHERS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": lambda value, asked: isinstance(value, str) and asked in value,
    "starts": lambda value, asked: isinstance(value, str) and value.startswith(asked),
    "matches": lambda value, asked: isinstance(value, str) and re.search(asked, value) is not None,
    "has": lambda value, asked: isinstance(value, list) and all(one in value for one in asked),
    "lacks": lambda value, asked: isinstance(value, list) and not any(one in value for one in asked),
    "has_key": lambda value, asked: isinstance(value, dict) and asked in value,
    "count": lambda value, asked: isinstance(value, (list, dict)) and len(value) == asked,
    "type": lambda value, asked: TYPES[asked](value),
    "at_least": lambda value, asked: TYPES["number"](value) and value >= asked,
    "not": lambda value, asked: not matches(value, asked),
    "all": lambda value, asked: all(matches(value, one) for one in asked),
}
STEP_WORDS = {"do", "on", "args", "as", "expect", "error", "thread", "eventually"}
ERROR_WORDS = {"type", "status", "code", "hint", "message"}
THREAD_DEADLINE = 300.0


class Mismatch(Exception):
    """A step did not end as the case says."""


def matches(value: Any, matcher: Any) -> bool:
    if isinstance(matcher, dict) and len(matcher) == 1:
        [(word, asked)] = matcher.items()
        if word in MATCHERS:
            return MATCHERS[word](value, asked)
    if isinstance(matcher, bool) or isinstance(value, bool):
        return value is matcher
    return bool(value == matcher)


def field(answer: Any, path: str) -> Any:
    """What stands at `a.b.0` of an answer, None if nothing does. A key may itself have dots."""
    if isinstance(answer, dict):
        if path in answer:
            return answer[path]
        head, _, rest = path.partition(".")
        return field(answer[head], rest) if rest and head in answer else None
    if isinstance(answer, list):
        head, _, rest = path.partition(".")
        if not head.isdigit() or int(head) >= len(answer):
            return None
        return field(answer[int(head)], rest) if rest else answer[int(head)]
    return None


class Case:
    """One case under way: its names, its threads, what is to be closed at its end."""

    def __init__(self, steps: list[dict[str, Any]], operations: Operations) -> None:
        self._steps = steps
        self._operations = operations
        self._names: dict[str, tuple[Any, Any]] = {}  # The object, and the fields that it answered.
        self._bound: list[Any] = []
        self._threads: dict[str, list[threading.Thread]] = {}
        self._failures: list[Exception] = []

    def run(self) -> None:
        try:
            for number, step in enumerate(self._steps, 1):
                unknown = set(step) - STEP_WORDS
                if unknown:
                    raise Mismatch(f"step {number} has unknown words: {unknown}")
                if "thread" in step:
                    self._start(number, step)
                else:
                    self._step(number, step)
                self._raise_failure()
        finally:
            try:
                for name in list(self._threads):
                    self._join(name)
            finally:
                self._close()
        self._raise_failure()

    def _start(self, number: int, step: dict[str, Any]) -> None:
        before = self._threads.setdefault(step["thread"], [])
        earlier = before[-1] if before else None

        def carry_out() -> None:
            if earlier is not None:
                earlier.join()
            try:
                self._step(number, step)
            except Exception as failure:
                self._failures.append(failure)

        thread = threading.Thread(target=carry_out, daemon=True)
        before.append(thread)
        thread.start()

    def _join(self, name: str) -> None:
        for thread in self._threads[name]:
            thread.join(THREAD_DEADLINE)
            if thread.is_alive():
                raise Mismatch(f"thread {name!r} did not end within {THREAD_DEADLINE:g} s")

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _step(self, number: int, step: dict[str, Any]) -> None:
        until = time.monotonic() + step.get("eventually", 0)
        while True:
            try:
                self._attempt(step)
                return
            except (Mismatch, podflare.PodflareError) as failure:
                if time.monotonic() >= until:
                    raise Mismatch(f"step {number}, {step['do']}: {failure}") from failure
            time.sleep(0.05)

    def _attempt(self, step: dict[str, Any]) -> None:
        if step["do"] == "join":
            self._join(step["args"]["thread"])
            return
        on = self._object(step["on"]) if "on" in step else None
        arguments = self._filled(step.get("args", {}))
        try:
            made, answer = self._operations.carry_out(step["do"], on, arguments)
        except podflare.PodflareError as error:
            if "error" not in step:
                raise
            self._check_error(error, self._filled(step["error"]))
            return
        if made is not None:  # Bound or not, it is to be closed.
            self._bound.append(made)
        if "error" in step:
            raise Mismatch(f"it should fail with {step['error']}, and answered {answer}")
        if "as" in step:
            self._names[step["as"]] = (made, answer)
        for path, matcher in self._filled(step.get("expect", {})).items():
            value = field(answer, path)
            if not matches(value, matcher):
                raise Mismatch(f"{path} is {_short(value)}, not {_short(matcher)}; all: {_short(answer)}")

    def _check_error(self, error: podflare.PodflareError, expected: dict[str, Any]) -> None:
        unknown = set(expected) - ERROR_WORDS
        if unknown:
            raise Mismatch(f"unknown words of an error: {unknown}")
        kinds = [kind.__name__ for kind in type(error).__mro__]
        if expected["type"] not in kinds:
            raise Mismatch(f"it is a {type(error).__name__}, not a {expected['type']}: {error}")
        for word in ERROR_WORDS - {"type"}:
            if word in expected and not matches(getattr(error, word), expected[word]):
                raise Mismatch(f"{word} is {getattr(error, word)!r}, not {expected[word]!r}: {error}")

    def _object(self, name: str) -> Any:
        head, _, place = name.partition(".")
        made, _ = self._names[head]
        return made[int(place)] if place else made

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$\{([^}]+)\}", lambda found: self._value(found[1]), value)
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        if isinstance(value, dict):
            if set(value) == {"repeat", "times"}:
                return value["repeat"] * value["times"]
            return {self._filled(key): self._filled(one) for key, one in value.items()}
        return value

    def _value(self, path: str) -> str:
        name, _, rest = path.partition(".")
        if name not in self._names:
            raise Mismatch(f"nothing is named {name!r}")
        return str(field(self._names[name][1], rest or "id"))

    def _close(self) -> None:
        for made in reversed(self._bound):
            for one in made if isinstance(made, list) else [made]:
                self._operations.end(one)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 400 else f"{text[:200]} … {text[-150:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", metavar="PATTERN")
    parser.add_argument("--sync", dest="kinds", action="store_const", const=["sync"])
    parser.add_argument("--async", dest="kinds", action="store_const", const=["async"])
    parser.add_argument("--installed", action="store_true", help="the installed package, not this checkout's")
    parser.set_defaults(kinds=["sync", "async"] if importlib.util.find_spec("httpx") else ["sync"])
    options = parser.parse_args()
    passed = failed = 0
    for kind in options.kinds:
        with Operations() if kind == "sync" else AsyncOperations() as operations:
            for path in sorted((HERE / "cases").glob("*.json")):
                for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
                    name = f"{kind} {path.stem}: {case['name']}"
                    if options.patterns and not any(one in name for one in options.patterns):
                        continue
                    began = time.monotonic()
                    try:
                        Case(case["steps"], operations).run()
                    except Exception as failure:  # Whatever it is, it is this case's failure.
                        failed += 1
                        print(f"FAILED {name}: {type(failure).__name__}: {failure}", flush=True)
                    else:
                        passed += 1
                        print(f"passed {name} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

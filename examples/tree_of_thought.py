#!/usr/bin/env python3
"""A tree of thought: at each step five ideas, tried side by side in live copies of one process.

The task is to forecast the carbon dioxide over Mauna Loa six years ahead. A sandbox reads the
data once, which is the slow part. At each of five levels it is forked into five, each copy runs
another idea and scores itself, and the best copy is merged back: it becomes the sandbox that the
next level forks. Nothing is ever computed twice, and nothing needs to be saved or loaded: the
copies have the tables, functions and lambdas of the process that they were forked from.

    ./podflare up --detach
    python3 examples/tree_of_thought.py

An agent would ask a model for the ideas; here they are a fixed list, so that the scores are the
same each time, and no key is needed. At the end the same search runs again without forks, each
idea in a fresh sandbox that repeats what led to it (--no-replay leaves that out).
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "sdk" / "python" / "src"))  # Works from a checkout, too.

from podflare import PodflareError, Sandbox  # noqa: E402

SET_UP = """
import numpy as np, pandas as pd

weeks = pd.read_csv("co2.csv", parse_dates=["date"])
weeks["t"] = (weeks.date - pd.Timestamp("1958-01-01")).dt.days / 365.25    # years
weeks = weeks.dropna()
week_t, week_ppm = weeks.t.to_numpy(), weeks.ppm.to_numpy()

def around(t, reach=0.25):
    '''The level at t by a straight line through the weeks around it, the nearer the weightier.'''
    away = week_t - t
    near = abs(away) < reach
    return np.polyfit(away[near], week_ppm[near], 1, w=1 - (abs(away[near]) / reach) ** 3)[1]

months = pd.DataFrame({"t": np.arange(0.3, 44, 1 / 12)})
months["ppm"] = [around(t) for t in months.t]              # 525 regressions: this takes its time
past, future = months[months.t < 38], weeks[weeks.t >= 38]

terms = {"level": lambda t: np.ones_like(t)}               # the model: a sum of functions of time
weight = np.ones(len(past))                                # how much each month counts

def columns(t):
    return np.column_stack([term(np.asarray(t)) for term in terms.values()])

def forecast(t):
    by = np.sqrt(weight)
    found = np.linalg.lstsq(columns(past.t) * by[:, None], past.ppm * by, rcond=None)[0]
    return columns(t) @ found

def score():
    '''The root mean square error in the years that the model has not seen.'''
    return float(np.sqrt(np.mean((forecast(future.t) - future.ppm) ** 2)))

def waves(*periods):
    for period in periods:
        turn = 2 * np.pi / period
        terms[f"sin {period}"] = lambda t, turn=turn: np.sin(turn * t)
        terms[f"cos {period}"] = lambda t, turn=turn: np.cos(turn * t)

def shift(year, fades=np.inf):
    '''Moves the forecast by what it misses since that year; fades within so many years.'''
    global forecast
    missed = (past.ppm - forecast(past.t))[past.t > year - 1958].mean()
    forecast = lambda t, raw=forecast: raw(t) + missed * np.exp((38 - t) / fades)
"""

LEVELS = {
    "How does it grow?": {
        "a straight line": "terms['slope'] = lambda t: t",
        "a parabola": "terms['slope'] = lambda t: t; terms['bend'] = lambda t: t**2",
        "a cubic": "for n in 1, 2, 3: terms[f't^{n}'] = lambda t, n=n: t**n",
        "exponentially": "terms['growth'] = lambda t: np.exp(t / 50)",
        "two lines that meet in 1973": "terms['slope'] = lambda t: t\n"
        "terms['bend'] = lambda t: np.maximum(t - 15, 0)",
    },
    "What does it do within a year?": {
        "one wave": "waves(1)",
        "waves of 12 and 6 months": "waves(1, 1/2)",
        "waves of 12, 6 and 4 months": "waves(1, 1/2, 1/3)",
        "six waves": "waves(1, 1/2, 1/3, 1/4, 1/5, 1/6)",
        "each month by itself": "for m in range(1, 12):\n"
        "    terms[f'month {m}'] = lambda t, m=m: ((t * 12).astype(int) % 12 == m) * 1.0",
    },
    "Which years teach most?": {
        "since 1965": "weight = (past.t > 7).to_numpy() * 1.0",
        "since 1975": "weight = (past.t > 17).to_numpy() * 1.0",
        "since 1985": "weight = (past.t > 27).to_numpy() * 1.0",
        "each half as much as 5 years later": "weight = 0.5 ** ((38 - past.t.to_numpy()) / 5)",
        "each half as much as 15 years later": "weight = 0.5 ** ((38 - past.t.to_numpy()) / 15)",
    },
    "What comes and goes slowly?": {
        "El Niño, 3.6 years": "waves(3.6)",
        "the sun's spots, 11 years": "waves(11)",
        "something of 30 years": "waves(30)",
        "the seasons grow": "for f in np.sin, np.cos:\n"
        "    terms[f'growing {f}'] = lambda t, f=f: t * f(2 * np.pi * t)",
        "Pinatubo, 1991 to 1993": "terms['ash'] = lambda t: ((t > 33.5) & (t < 36)) * 1.0",
    },
    "Where does the forecast begin?": {
        "where 1995 was": "shift(1995)",
        "where 1994 and 1995 were": "shift(1994)",
        "where the nineties were": "shift(1990)",
        "where 1995 was, and fades": "shift(1995, fades=2)",
        "where Holt-Winters says": "from statsmodels.tsa.holtwinters import ExponentialSmoothing",
    },
}


@dataclass
class Outcome:
    """What became of an idea: its error in ppm, or why it has none."""

    idea: str
    sandbox: Sandbox
    error: float
    failure: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-replay", action="store_true", help="only the search with forks")
    options = parser.parse_args()

    began = time.perf_counter()
    path = search()
    forking = time.perf_counter() - began
    print(f"\nForking:   {forking:6.1f} s for {len(LEVELS)} levels, set-up included")
    if options.no_replay:
        return
    began = time.perf_counter()
    replay(path)
    replaying = time.perf_counter() - began
    print(f"Replaying: {replaying:6.1f} s for the same ideas, each in a fresh sandbox:")
    print(f"           {replaying / forking:6.1f} times as long")


def search() -> list[Outcome]:
    """The beam search; prints its tree, and answers the best idea of each level."""
    path = []
    began = time.perf_counter()
    with set_up() as sandbox, ThreadPoolExecutor(5) as side_by_side:
        print(f"Reads and smooths the data   [{time.perf_counter() - began:.1f} s]")
        for level, (question, ideas) in enumerate(LEVELS.items()):
            start = time.perf_counter()
            children = sandbox.fork(len(ideas))
            forked = time.perf_counter()
            outcomes = list(side_by_side.map(attempt, children, ideas, ideas.values()))
            tried = time.perf_counter()
            best = min(outcomes, key=lambda outcome: outcome.error)
            sandbox.merge_into(best.sandbox)
            merged = time.perf_counter()
            for child in children:
                child.close()  # Does nothing for the winner, which is `sandbox` now.
            path.append(best)
            show(level, question, outcomes, best, (start, forked, tried, merged))
        terms = sandbox.run_code("print(*terms, sep=', ')").stdout
        print(f"\nThe model: {terms.strip()}")
    return path


def set_up() -> Sandbox:
    """A sandbox that has read and smoothed the data."""
    sandbox = Sandbox(template="python-datasci", egress=False)
    sandbox.upload("co2.csv", (HERE / "data" / "co2.csv").read_bytes())
    result = sandbox.run_code(SET_UP)
    if result.error is not None:
        raise SystemExit(result.stderr)
    return sandbox


def attempt(sandbox: Sandbox, idea: str, code: str) -> Outcome:
    """Runs an idea, and lets it score itself. One that fails harms nobody but its own copy."""
    result = sandbox.run_code(f"{code}\nscore()")
    if result.error is not None or result.result is None:
        return Outcome(idea, sandbox, float("inf"), result.error.name if result.error else "")
    return Outcome(idea, sandbox, float(result.result["text/plain"]))


def show(
    level: int,
    question: str,
    outcomes: list[Outcome],
    best: Outcome,
    moments: tuple[float, float, float, float],
) -> None:
    """Prints one level of the tree, the best idea last: the next level grows from it."""
    fork, run, merge = (
        f"{(after - before) * 1000:.0f} ms" for before, after in zip(moments, moments[1:])
    )
    indent = "   " * level
    print(f"{indent}{question}   [fork {fork}, run {run}, merge {merge}]")
    for outcome in sorted(outcomes, key=lambda outcome: (outcome is best, -outcome.error)):
        said = outcome.failure or f"{outcome.error:.2f} ppm"
        branch = "└─ ▶" if outcome is best else "├─  "
        print(f"{indent}{branch} {outcome.idea:<{46 - len(indent)}}{said:>{19}}")


def replay(path: list[Outcome]) -> None:
    """The same search as it would be without forks: every idea starts from nothing."""
    before: list[str] = []
    for (question, ideas), best in zip(LEVELS.items(), path):

        def from_nothing(idea: str) -> Outcome:
            with set_up() as sandbox:
                for code in before:
                    sandbox.run_code(code)
                return attempt(sandbox, idea, ideas[idea])

        with ThreadPoolExecutor(5) as side_by_side:
            outcomes = list(side_by_side.map(from_nothing, ideas))
        again = min(outcomes, key=lambda outcome: outcome.error)
        if (again.idea, again.error) != (best.idea, best.error):
            raise SystemExit(f"{question} by replaying: {again}, by forking: {best}")
        before.append(ideas[best.idea])


if __name__ == "__main__":
    try:
        main()
    except PodflareError as error:
        sys.exit(f"{Path(__file__).name}: {error}")

"""What a run of the suite shares: its server, and how large the sizes are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rig.server import Server


@dataclass(frozen=True)
class Scale:
    """How much each test does. FAST leaves out those that are marked as slow."""

    name: str
    file_bytes: int
    leak_cycles: int
    concurrent_execs: int
    concurrent_sandboxes: int
    idle_sandboxes: int
    children: int
    generations: int
    freezes: int
    crashes: int
    crashes_in_builds: int
    stress_seconds: float


MEBI = 1 << 20

FAST = Scale(
    "fast",
    file_bytes=64 * MEBI,
    leak_cycles=10,
    concurrent_execs=40,
    concurrent_sandboxes=10,
    idle_sandboxes=5,
    children=10,
    generations=8,
    freezes=3,
    crashes=3,
    crashes_in_builds=3,
    stress_seconds=25.0,
)
ALL = Scale(
    "all",
    file_bytes=1024 * MEBI,
    leak_cycles=100,
    concurrent_execs=200,
    concurrent_sandboxes=50,
    idle_sandboxes=20,
    children=100,
    generations=20,
    freezes=5,
    crashes=10,
    crashes_in_builds=5,
    stress_seconds=30.0,
)
#: As ALL, for ten minutes of forks, or by --filter for tests that kill the server as often as takes an hour.
SOAK = replace(ALL, name="soak", crashes=50, crashes_in_builds=50, stress_seconds=600.0)

_server: Server | None = None
_scale: Scale = FAST


def begin(server: Server, scale: Scale) -> None:
    global _server, _scale
    _server, _scale = server, scale


def server() -> Server:
    if _server is None:
        raise RuntimeError("no server: start the tests by e2e/run")
    return _server


def scale() -> Scale:
    return _scale

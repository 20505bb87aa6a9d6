"""Bash calls: each a fresh process, and any number of them side by side."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from podflare_agent.calls import Call
from podflare_agent.channel import Channel
from podflare_agent.loop import Loop
from podflare_agent.machine import Machine
from podflare_agent.output import Outputs
from podflare_agent.processes import (
    above_child_numbers,
    out_of_memory_kills,
    signal_quietly,
    spawn,
)

_BASH = "/bin/bash"
# The kernel takes at most 128 KiB as one argument; a longer script goes through a file in memory.
_LONGEST_ARGUMENT = 100_000
_SCRIPT_FD = 3


def open_bash(
    loop: Loop,
    channel: Channel,
    machine: Machine,
    stream: int,
    code: str,
    env: dict[str, str],
    cwd: str,
    on_closed: Callable[[int], None],
) -> Call:
    """Starts bash; raises OSError if it can't. Its end is the end of bash itself: background
    processes that still hold the pipes do not keep the call open, nor are they harmed by its
    end."""
    outputs = Outputs(loop)
    try:
        pid = _spawn(machine, code, env, cwd, outputs)
    except OSError:
        outputs.close()
        raise
    finally:
        outputs.close_write_ends()
    call = Call(loop, channel, stream, outputs, on_closed)
    oom_kills = out_of_memory_kills()

    def on_exit(status: int) -> None:
        outputs.read_all()
        exit_code = 128 - status if status < 0 else status
        if call.stop_reason is not None:
            call.finish(call.stop_exit_code, call.stop_reason)
        elif exit_code == 137 and out_of_memory_kills() > oom_kills:
            call.finish(exit_code, "oom")
        elif status < 0:
            call.finish(exit_code, "killed")
        else:
            call.finish(exit_code, "error" if exit_code else "ok")

    call.interrupt = lambda: signal_quietly(pid, signal.SIGINT, group=True)
    call.kill = lambda: signal_quietly(pid, signal.SIGKILL, group=True)
    loop.on_exit(pid, on_exit)
    return call


def _spawn(machine: Machine, code: str, env: dict[str, str], cwd: str, outputs: Outputs) -> int:
    stdout, stderr = outputs.stdout.write_end, outputs.stderr.write_end
    script = code.encode("utf-8", "surrogatepass")
    env = {**machine.env, **env}
    if len(script) <= _LONGEST_ARGUMENT and b"\0" not in script:
        return spawn([_BASH, b"-c", script], cwd=cwd, env=env, stdout=stdout, stderr=stderr)
    fd = above_child_numbers(os.memfd_create("bash-script", os.MFD_CLOEXEC))
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(script)
        os.lseek(fd, 0, os.SEEK_SET)
        return spawn(
            [_BASH, f"/proc/self/fd/{_SCRIPT_FD}"],
            cwd=cwd, env=env, stdout=stdout, stderr=stderr, inherited=[(fd, _SCRIPT_FD)])
    finally:
        os.close(fd)

"""The agent of a Podflare microVM. Started by the initramfs as process 1: `python3 -I agent.py`.

File systems and network are up by then. What the host asks comes over one virtio-serial port, in
the frames of docs/agent-protocol.md. The agent is one thread around one epoll loop; user code runs
in processes of its own, and never sees the agent's descriptors, of which 0 to 2 are the console.

`agent.py --socket-fd N` runs it outside of a microVM, for tests: it talks on an inherited socket,
takes the caller's environment for that of user code, and leaves clock, host name and kernel alone.
"""

from __future__ import annotations

import gc
import os
import sys

# Isolated mode leaves the script's own directory out.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from podflare_agent.channel import Channel, ChannelBroken  # noqa: E402
from podflare_agent.loop import Loop  # noqa: E402
from podflare_agent.machine import Guest, Machine, open_port, power_off  # noqa: E402
from podflare_agent.operations import Operations  # noqa: E402


def serve(fd: int, machine: Machine, *, survives_hangup: bool) -> None:
    """Does what the host asks until there is no host any more (ChannelBroken)."""
    # Without this, whoever is sent a byte takes the processor at once from whoever sent it, and
    # gives it back to let it finish. A process switch is what an exec costs most under emulation;
    # so each goes on to where it would wait anyway. What is started here inherits it.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    loop = Loop()
    channel = Channel(loop, fd, survives_hangup=survives_hangup)
    Operations(loop, channel, machine).start()
    # What was made up to now lives for ever. Collections that pass over it would only touch, and so
    # copy, pages that all clones of a template share.
    gc.collect()
    gc.freeze()
    loop.run(fatal=(ChannelBroken,))


def main() -> None:
    if sys.argv[1:2] == ["--socket-fd"]:
        fd = int(sys.argv[2])
        os.set_inheritable(fd, False)
        try:
            serve(fd, Machine(os.environ), survives_hangup=False)
        except ChannelBroken as broken:
            sys.exit(f"podflare: {broken}")
    try:
        serve(open_port(), Guest(), survives_hangup=True)
    except Exception as defect:
        power_off(repr(defect))
        raise


main()

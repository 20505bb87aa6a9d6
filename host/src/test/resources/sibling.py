"""Makes a process that is not its child but its sibling, as a monitor that is forked does, and prints its id.

The sibling ends with code 7 once there is something to read. With the argument "alone", this process ends at once.
"""

import ctypes
import os
import signal
import sys

SYS_CLONE, CLONE_PARENT = 56, 0x8000

if ctypes.CDLL(None).syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0) == 0:
    os.write(1, b"%d\n" % os.getpid())
    if sys.argv[1] == "alone":
        signal.pause()
    os.read(0, 1)
    sum(range(3_000_000))
    os._exit(7)
if sys.argv[1] != "alone":
    signal.pause()

"""A cable between the tap device of a sandbox's network namespace and a namespace that stands for the guest.

Runs in the former; the argument names the latter, where the cable ends in a device `eth0`. So the guest's side is a
real network stack: it asks for hardware addresses, connects, and learns of refusals as a guest does.
"""

import ctypes
import fcntl
import os
import selectors
import struct
import sys

IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, TUNSETIFF, CLONE_NEWNET = 0x0002, 0x1000, 0x4000, 0x400454CA, 0x40000000


def attach(device: bytes) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", device, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return tap


sandbox = attach(b"tap0")
with open(f"/run/netns/{sys.argv[1]}", "rb") as namespace:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "the guest's namespace can't be entered")
guest = attach(b"eth0")
with selectors.DefaultSelector() as ready:
    ready.register(sandbox, selectors.EVENT_READ, guest)
    ready.register(guest, selectors.EVENT_READ, sandbox)
    print("attached", flush=True)
    while True:
        for key, _ in ready.select():
            try:
                os.write(key.data, os.read(key.fd, 65_600))
            except OSError:
                pass  # the device on the other side is not up yet

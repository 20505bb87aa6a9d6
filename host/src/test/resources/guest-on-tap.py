"""Stands for a guest: sends packets through the tap device of the network namespace that it runs in.

Reads lines "SOURCE DESTINATION PORT TEXT" and sends each as a UDP packet to the gateway; answers "sent".
"""

import fcntl
import os
import socket
import struct
import sys

IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, TUNSETIFF = 0x0002, 0x1000, 0x4000, 0x400454CA
GUEST = bytes.fromhex("525400123456")
NO_OFFLOAD = bytes(10)

with open("/sys/class/net/tap0/address", encoding="ascii") as file:
    gateway = bytes.fromhex(file.read().strip().replace(":", ""))
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: str, destination: str, port: int, text: bytes) -> bytes:
    udp = struct.pack("!HHHH", 40000, port, 8 + len(text), 0) + text
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP)
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    header = start + struct.pack("!H", checksum(start + b"\0\0" + ends)) + ends
    return gateway + GUEST + b"\x08\x00" + header + udp


print("attached", flush=True)
for line in sys.stdin:
    source, destination, port, text = line.split()
    os.write(tap, NO_OFFLOAD + packet(source, destination, int(port), text.encode()))
    print("sent", flush=True)

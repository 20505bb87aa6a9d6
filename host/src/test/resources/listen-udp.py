"""Prints every UDP packet that reaches one of the ports named, on any address: "PORT SENDER TEXT"."""

import selectors
import socket
import sys

with selectors.DefaultSelector() as ready:
    for port in map(int, sys.argv[1:]):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("0.0.0.0", port))
        ready.register(receiver, selectors.EVENT_READ, port)
    print("listening", flush=True)
    while True:
        for key, _ in ready.select():
            text, sender = key.fileobj.recvfrom(2048)
            print(key.data, sender[0], text.decode(), flush=True)

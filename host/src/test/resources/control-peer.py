"""The other end of a control socket: listens at a path and does what each message says, "WORD ARGUMENT".

Prints "listening"; with `adopt`, it goes on over the socket that came with that message;
with `leave`, it ends as soon as another message waits for it.
"""

import array
import os
import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
peer, _ = listener.accept()
while True:
    message, control, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
    passed = array.array("i")
    for _, _, data in control:
        passed.frombytes(data)
    word, _, argument = message.decode().partition(" ")
    if word == "say":
        peer.send(argument.encode())
    elif word == "fork":
        if os.fork() == 0:
            peer.send(str(os.getpid()).encode())
            os._exit(0)
        os.wait()
    elif word == "long":
        peer.send(b"x" * int(argument))
    elif word == "empty":
        peer.send(b"")
    elif word == "press":
        socket.send_fds(peer, [b"take these"], [0] * 100)
    elif word == "read":
        peer.send(b",".join(os.read(descriptor, 100) for descriptor in passed))
    elif word == "leave":
        peer.recv(1, socket.MSG_PEEK)  # returns once a message waits; it stays unread
        sys.exit(0)
    elif word == "count":
        peer.send(str(len(passed)).encode())
    elif word == "adopt":
        peer = socket.socket(fileno=passed[0])
        peer.send(b"here")
    else:
        sys.exit(0)
    if word != "adopt":
        for descriptor in passed:
            os.close(descriptor)

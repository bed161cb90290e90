"""Runs on a node whose sshd forbids forwarding: joins stdin and stdout to a TCP connection made from there.

Usage: python3 -c SOURCE HOST PORT. Prints one line first, "ok" or "errno reason", then what the connection sends.
Stdlib only, Python 3.6.
"""

import os
import socket
import sys
import threading


def upload(connection: socket.socket) -> None:
    while True:
        data = os.read(0, 65536)
        if not data:
            break
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def pump(connection: socket.socket) -> None:
    try:
        upload(connection)
    except OSError:
        pass


def main() -> None:
    try:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    except OSError as exc:
        os.write(1, ("%d %s\n" % (exc.errno or 0, exc.strerror or exc)).encode())
        return
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    os.write(1, b"ok\n")
    thread = threading.Thread(target=pump, args=(connection,))
    thread.daemon = True
    thread.start()
    try:
        while True:
            data = connection.recv(65536)
            if not data:
                break
            while data:
                data = data[os.write(1, data) :]
    except OSError:
        pass


if __name__ == "__main__":
    main()

"""A program: replaces a host's link by two taps and passes frames between them, each after a delay.

    python -IS relay.py LINK BRIDGE NAMESPACE MAC "IP COMMANDS"

The kernel that this was made for has no netem. A tap without offloads makes the kernel finish checksums and segments,
so frames can be passed on as they are. It prints "ready", then reads delays in seconds from stdin, one a line, and
ends with it. LINK keeps its name on the bridge's side; open connections go on.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x0002 | 0x1000
_CLONE_NEWNET = 0x40000000
_FRAME_BYTES = 65536


def main() -> None:
    link, bridge, namespace, mac, commands = sys.argv[1:6]
    subprocess.run(["ip", "link", "del", link], check=True)
    here = tap(link)
    ip(f"link set {link} master {bridge} up")
    descriptor = os.open(namespace, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    there = tap("eth0")
    ip(f"link set eth0 address {mac}\n{commands}")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    pass_on({here: there, there: here})


def pass_on(other: dict[int, int]) -> None:
    """Until stdin ends. The delay is the same for all frames, so they leave in the order in which they came."""
    queue: collections.deque[tuple[float, int, bytes]] = collections.deque()
    delay_s = 0.0
    while True:
        wait_s = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        for ready in select.select([0, *other], [], [], wait_s)[0]:
            if ready == 0:
                words = os.read(0, 4096).split()
                if not words:
                    return
                delay_s = float(words[-1])
            else:
                queue.append((time.monotonic() + delay_s, other[ready], os.read(ready, _FRAME_BYTES)))
        while queue and queue[0][0] <= time.monotonic():
            _, out, frame = queue.popleft()
            try:
                os.write(out, frame)
            except OSError:  # the other side is down: the frame is lost, as on a wire
                continue


def tap(name: str) -> int:
    """The descriptor of a new tap device in the present network namespace."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
    return descriptor


def ip(commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=commands.encode(), check=True)


if __name__ == "__main__":
    main()

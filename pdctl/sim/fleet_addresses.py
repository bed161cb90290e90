"""Addresses and ports for a fleet on one machine, such that two fleets at once never meet.

Linux gives the whole of 127.0.0.0/8 to loopback, so every simulated node has a data address of its own.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass

GUARD_PORT = 19990
NODE_PORTS = range(10000, 19990)
"""Below the engines' blocks (20000-32767) and the ephemeral range, so no outgoing connection can sit on them."""


@dataclass(frozen=True, slots=True)
class Network:
    """A 127.x.y.0/24 of the fleet's own. `guard` is a socket bound in it: while it lives nobody else takes it, and
    the kernel gives it back however we die."""

    prefix: str
    guard: socket.socket

    def address(self, index: int) -> str:
        """The data address of the node with that index, counted from 1 to 250."""
        if not 1 <= index <= 250:
            raise ValueError(f"a fleet has 1 to 250 nodes, not {index}")
        return f"{self.prefix}.{index}"


def claim_network(rng: random.Random, *, tries: int = 200) -> Network:
    """A free /24 of loopback. Raises OSError if none of `tries` picks is free."""
    for _ in range(tries):
        prefix = f"127.{rng.randint(64, 250)}.{rng.randint(1, 254)}"
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind((f"{prefix}.254", GUARD_PORT))
        except OSError:
            guard.close()
            continue
        return Network(prefix, guard)
    raise OSError("no free network of loopback addresses for the simulated nodes")


def free_port(rng: random.Random, *, span: int = 1, tries: int = 200) -> int:
    """A port that is free on every address now, and the `span - 1` above it too, for a server that is to start later.

    Raises OSError if there is none.
    """
    for _ in range(tries):
        port = rng.choice(NODE_PORTS)
        if all(_is_free(port + offset) for offset in range(span)):
            return port
    raise OSError(f"no free port in {NODE_PORTS.start}-{NODE_PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True

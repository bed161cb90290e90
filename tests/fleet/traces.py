"""What a fleet has on this machine while it lives, and what of it is there after its end."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import dataclass

import psutil

from pdctl.control.demo_record import MARKER

END_S = 15.0


@dataclass(frozen=True, slots=True)
class Traces:
    """A fleet's marker and the (address, port) pairs on which its processes listen."""

    fleet: str
    listening: frozenset[tuple[str, int]]

    def left(self) -> list[str]:
        """What there still is of it, in words."""
        return [*(f"process {item}" for item in processes(self.fleet)), *self._ports()]

    def _ports(self) -> list[str]:
        return [f"port {address}:{port}" for address, port in sorted(self.listening) if not _free(address, port)]


def fleet_below(pid: int) -> str | None:
    """The marker of the fleet that the process with that pid owns; None while it has none."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    return next((mark for child in children if (mark := _marker(child))), None)


def processes(fleet: str) -> list[str]:
    """Every live process that carries the fleet's marker."""
    return [f"{item.pid} {item.info['name']}" for item in psutil.process_iter(["name"]) if _marker(item) == fleet]


def traces(fleet: str) -> Traces:
    """What the fleet has now."""
    found: set[tuple[str, int]] = set()
    for item in psutil.process_iter():
        if _marker(item) == fleet:
            try:
                connections = item.net_connections("tcp")
            except psutil.NoSuchProcess:
                continue
            found |= {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}
    return Traces(fleet, frozenset(found))


def busiest_peer(pid: int) -> int:
    """The most connections that the process holds to any one (address, port)."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return 0
    peers = Counter(item.raddr for item in connections if item.status == psutil.CONN_ESTABLISHED)
    return max(peers.values(), default=0)


def _marker(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):  # gone, a zombie, or not ours to read
        return None


def _free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that wait out their end are no use
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True

"""The lab's network: one bridge in the lab's own namespace, one veth to each host, and the faults of a link.

All of it is done from a thread that is in the lab's network namespace; nothing is ever made in the machine's own.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.command import LabError, run
from tests.lab.linux import enter

CONTROLLER = "10.77.255.254"
_CONTROLLER_MAC = "02:77:00:00:00:01"
_HOSTS_PER_BLOCK = 250
_RELAY = Path(__file__).with_name("relay.py")


@dataclass(frozen=True, slots=True)
class Port:
    """Where the `index`-th host (from 1) is plugged in: its address, and its link's name on the bridge's side."""

    index: int

    @property
    def address(self) -> str:
        block, rest = divmod(self.index - 1, _HOSTS_PER_BLOCK)
        return f"10.77.{block}.{rest + 1}"

    @property
    def link(self) -> str:
        return f"v{self.index}"

    @property
    def mac(self) -> str:
        return f"02:77:01:00:{self.index >> 8:02x}:{self.index & 255:02x}"


def netns(name: str) -> str:
    """The path of a host's network namespace, as the lab's own mounts show it."""
    return f"/run/netns/{name}"


async def plug_in(init: int, name: str, port: Port) -> None:
    """Make the network namespace of a host and its link to the bridge.

    Neighbour entries are permanent, so that a dropped link is silence, as it would be behind a switch and a router,
    and not "no route to host" after three seconds.
    """
    script = f"""\
set -e
ip netns add {name}
ip link add {port.link} type veth peer name eth0 address {port.mac} netns {name}
ip link set {port.link} master br0 up
ip neigh replace {port.address} lladdr {port.mac} dev br0 nud permanent
ip -n {name} link set lo up
ip -n {name} -batch - <<END
{_addressing(port)}
END
"""
    await run([*enter(init, "mount", "pid", "net"), "/bin/sh", "-s"], stdin=script.encode())


def _addressing(port: Port) -> str:
    return f"""\
addr add {port.address}/16 dev eth0
link set eth0 up
neigh replace {CONTROLLER} lladdr {_CONTROLLER_MAC} dev eth0 nud permanent"""


class Relay:
    """Delays every frame of one host's link, both ways; takes the place of its veth for the rest of the lab."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def delay(self, seconds: float) -> None:
        """From now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n".encode())

    async def gone(self) -> None:
        """Return when it has ended, as it does with the lab."""
        await self._process.wait()


async def relayed(init: int, name: str, port: Port) -> Relay:
    """Put a relay into the link of a host. Raises LabError."""
    process = await asyncio.create_subprocess_exec(
        *enter(init, "mount", "pid", "net"), sys.executable, "-IS", str(_RELAY),
        port.link, "br0", netns(name), port.mac, _addressing(port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    if await process.stdout.readline() != b"ready\n":
        raise LabError(f"no relay in the link of {name}")
    return Relay(process)


async def cut(port: Port) -> None:
    """Pull the cable: both sides see the carrier go."""
    await run(["ip", "link", "set", port.link, "down"])


async def heal(port: Port) -> None:
    """Undo `cut` and `blackhole`."""
    await run(["ip", "link", "set", port.link, "master", "br0"])
    await run(["ip", "link", "set", port.link, "up"])


async def blackhole(port: Port) -> None:
    """Drop every frame both ways in silence: carrier and addresses stay, nothing arrives."""
    await run(["ip", "link", "set", port.link, "nomaster"])

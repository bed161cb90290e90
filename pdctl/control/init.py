"""`init`: look at reachable hosts and write the inventory that an operator would have begun with."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdctl.errors import HostKeyUnknown, NodeError, UsageError
from pdctl.model.deployment import NodeSpec, SshSettings
from pdctl.model.observed import Trouble
from pdctl.ssh.pool import SshShells
from pdctl.ssh.program import NodeProgram, run_program

DEADLINE_S = 45.0
UNKNOWN_KEY_HINT = "compare the fingerprint with the host's own, then run this again with --accept-new"
GPU_NAMES = {
    "0x74a0": "mi300a",
    "0x74a1": "mi300x",
    "0x74a2": "mi308x",
    "0x74a5": "mi325x",
    "0x75a0": "mi350x",
    "0x75a3": "mi355x",
}
"""PCI device ids of the Instinct accelerators (pci.ids, vendor 1002)."""

_HOST = re.compile(r"(?:(?P<name>[^=@]+)=)?(?P<host>\[[^\]]+\]|[^:=@\[\]]+)(?::(?P<port>\d+))?")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class HostArgument:
    """`[NAME=]HOST[:PORT]` as typed."""

    name: str | None
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One reachable host. `gpus` None: no GPU could be seen, which is not the same as none."""

    name: str
    host: str
    port: int
    gpus: int | None
    gpu: str
    nics: int
    data_address: str
    systemd: bool
    docker: bool


def parse_host(text: str) -> HostArgument:
    """One argument of `pdctl init`. Raises UsageError."""
    match = _HOST.fullmatch(text)
    port = int(match["port"] or 22) if match else 0
    if match is None or not 0 < port < 65536:
        raise UsageError(f"not a host: {text!r}", hint="[NAME=]HOST[:PORT], the login by --user")
    return HostArgument(match["name"], match["host"].strip("[]"), port)


async def look(hosts: Sequence[HostArgument], ssh: SshSettings) -> list[HostFacts | Trouble]:
    """Facts of every host, in their order, or why there are none. A host that fails never stops the others."""
    specs = {
        f"{index}": NodeSpec(f"{item.host}:{item.port}", item.host, item.port, item.host, "", 1, 0, ssh)
        for index, item in enumerate(hosts)
    }
    shells = SshShells(specs)
    program = NodeProgram.packaged("pdctl.control", "facts_on_node.py")

    async def one(index: int, item: HostArgument) -> HostFacts | Trouble:
        try:
            answer = await run_program(shells.shell(f"{index}"), program, {}, deadline_s=DEADLINE_S)
        except NodeError as error:
            # There is no inventory yet that `pdctl trust` could read.
            hint = UNKNOWN_KEY_HINT if isinstance(error, HostKeyUnknown) else error.hint
            return Trouble(f"{item.host}:{item.port}: {error.cause}", hint, error.exit_code)
        return _facts(item, answer)

    try:
        return list(await asyncio.gather(*(one(index, item) for index, item in enumerate(hosts))))
    finally:
        await shells.close()


def _facts(item: HostArgument, answer: dict[str, Any]) -> HostFacts:
    ids = answer["gpu_ids"]
    return HostFacts(
        name=item.name or node_name(answer["hostname"] or item.host),
        host=item.host,
        port=item.port,
        gpus=answer["gpus"],
        gpu=GPU_NAMES.get(ids[0], "unknown") if ids else "unknown",
        nics=len(answer["nics"]),
        data_address=data_address(item.host, answer),
        systemd=bool(answer["systemd"]),
        docker=bool(answer["docker"]),
    )


def data_address(host: str, answer: Mapping[str, Any]) -> str:
    """Where engines should talk: an RDMA interface's address, else the SSH host's own if the node has it, else the
    node's first one (the SSH host may be a forwarder), else the SSH host."""
    rails = [nic["address"] for nic in answer["nics"] if nic["address"]]
    own = list(answer["addresses"].values())
    if rails:
        return str(rails[0])
    return host if host in own or not own else str(own[0])


def node_name(hostname: str) -> str:
    """A node's name from its host name: lower case, first label, what is not allowed becomes a dash."""
    text = re.sub(r"[^a-z0-9-]+", "-", hostname.split(".")[0].lower()).strip("-")[:32]
    return text if _NAME.fullmatch(text) else "node"


def unique_names(found: Sequence[HostFacts]) -> list[str]:
    """The hosts' names, with a number behind those that came up before."""
    names: list[str] = []
    for facts in found:
        name, number = facts.name, 2
        while name in names:
            name, number = f"{facts.name[:29]}-{number}", number + 1
        names.append(name)
    return names

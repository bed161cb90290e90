"""Nodes and shells for the hosts of a lab, as an inventory would make them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from pdctl.model.deployment import NodeSpec, SshSettings
from pdctl.ssh.keys import KeyRing
from pdctl.ssh.pool import SshShells
from tests.lab.host import LabHost
from tests.lab.lab import Lab


def node(lab: Lab, host: LabHost, **settings: object) -> NodeSpec:
    """One host as a node; `settings` are those of SshSettings."""
    ssh = SshSettings(
        user=host.user,
        identity=str(lab.client_key),
        known_hosts=str(lab.known_hosts),
        connect_timeout_s=10.0,
        keepalive_s=1.0,
    )
    ssh = replace(ssh, **settings)  # type: ignore[arg-type]
    return NodeSpec(host.name, host.address, 22, host.address, "mi300x", 8, 8, ssh)


@contextlib.asynccontextmanager
async def shells(*nodes: NodeSpec) -> AsyncIterator[SshShells]:
    """Their shells, closed at the end; no agent of whoever runs the tests."""
    opened = SshShells({one.name: one for one in nodes}, ring=KeyRing(agent_path=""))
    try:
        yield opened
    finally:
        await opened.close()


async def sshd_log(host: LabHost, text: str) -> int:
    """How many lines of a cheap host's sshd log hold this text."""
    log = await host.run("cat", "/var/log/sshd.log")
    return sum(text in line for line in log.splitlines())

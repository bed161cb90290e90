"""Which supervisor a node gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.errors import CommandFailed
from pdctl.model.role import SupervisorKind
from pdctl.ssh.fake import FakeShell
from pdctl.ssh.local import LocalShell
from pdctl.supervisors.select import supervisor_for
from tests.unit import deployments


async def test_process_keeps_its_state_where_the_deployment_says(tmp_path: Path) -> None:
    deployment = replace(deployments.mori_1p1d(), state_dir=str(tmp_path / "root"))
    node = next(iter(deployment.nodes.values()))
    supervisor = supervisor_for(SupervisorKind.PROCESS, LocalShell(node.name), deployment, node)
    assert await supervisor.take_generations(1, epoch=1) == 1
    assert (tmp_path / "root" / deployment.cluster / "ledger.json").is_file()
    assert (await supervisor.inspect()).node == node.name


@pytest.mark.parametrize("kind", [SupervisorKind.SYSTEMD, SupervisorKind.DOCKER])
async def test_what_keeps_the_whole_machines_units_asks_for_root(kind: SupervisorKind) -> None:
    deployment = deployments.mori_1p1d()
    node = next(iter(deployment.nodes.values()))
    shell = FakeShell(node.name)
    shell.answer(["env"], stderr=b"sudo: a password is required", status=1)
    shell.answer(["id", "-un"], stdout=b"ops")
    with pytest.raises(CommandFailed, match="sudo wants a password"):
        await supervisor_for(kind, shell, deployment, node).inspect()

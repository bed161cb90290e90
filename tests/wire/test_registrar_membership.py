"""The members file through a shell, and the registrar's word on it: what `up`, `move` and `down` stand on."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.errors import EpochRefused, InstanceError
from pdctl.model.deployment import Deployment
from pdctl.model.launch import Registration
from pdctl.model.role import SupervisorKind
from pdctl.routers.members import Member
from pdctl.routers.membership import NodeMembership
from pdctl.routers.ports import router_ports
from pdctl.ssh.local import LocalShell
from tests.unit.deployments import mori_1p1d
from tests.waiting import free_port, patient, wait_until
from tests.wire.registrar_rig import registrar_rig

PREFILL = Member("p", 1, Registration("P", "127.0.0.1:9", "host:127.0.0.1,handshake:1,notify:2", 8, 1, "READ"))
DECODE = Member("d", 2, Registration("D", "127.0.0.1:10", "host:127.0.0.1,handshake:3,notify:4", 8, 1, "READ"))
BOTH = {"p": PREFILL, "d": DECODE}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    found = mori_1p1d()
    router = replace(found.router, supervisor=SupervisorKind.PROCESS, port=free_port())
    return replace(found, router=router, state_dir=str(tmp_path), cluster="c")


@pytest.fixture
def membership(deployment: Deployment) -> NodeMembership:
    return NodeMembership(LocalShell("here"), deployment)


async def test_members_are_written_and_read_back(membership: NodeMembership, tmp_path: Path) -> None:
    assert await membership.members() == {}
    await membership.replace(BOTH, epoch=3)
    await membership.replace({"p": PREFILL}, epoch=3)
    assert await membership.members() == {"p": PREFILL}
    written = json.loads((tmp_path / "c" / "members.json").read_text())
    assert (written["epoch"], written["seq"]) == (3, 2)
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"members.json", "epoch", "epoch.lock"}


async def test_a_cluster_that_is_gone_leaves_no_list(membership: NodeMembership, tmp_path: Path) -> None:
    await membership.replace(BOTH, epoch=3)
    for name in ("registrar.json", "registrar.json.applied", "registrar.json.tmp", "ledger.json", "members.other"):
        (tmp_path / "c" / name).write_text("{}")
    with pytest.raises(EpochRefused):
        await membership.clear(epoch=2)
    assert await membership.members() == BOTH
    await membership.clear(epoch=4)
    left = {path.name for path in (tmp_path / "c").iterdir()}
    assert left == {"epoch", "epoch.lock", "ledger.json", "members.other"}
    await membership.clear(epoch=4)
    with pytest.raises(EpochRefused):
        await membership.replace(BOTH, epoch=3)


async def test_operator_who_lost_the_lease_cannot_write(membership: NodeMembership) -> None:
    await membership.replace(BOTH, epoch=3)
    with pytest.raises(EpochRefused, match="another operator"):
        await membership.replace({}, epoch=2)
    assert await membership.members() == BOTH


async def test_concurrent_writes_are_whole_and_in_order(membership: NodeMembership, tmp_path: Path) -> None:
    await asyncio.gather(*(membership.replace(BOTH if turn % 2 else {}, epoch=1) for turn in range(6)))
    written = json.loads((tmp_path / "c" / "members.json").read_text())
    assert written["seq"] == 6
    assert len(written["members"]) in (0, 2)


async def test_silent_registrar_is_unknown_and_never_empty(membership: NodeMembership, tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="not said anything yet"):
        await membership.seen()
    await membership.replace(BOTH, epoch=1)
    state = {"schema": 1, "ts": time.time() - 60, "epoch": 1, "seq": 1, "router": {"reachable": True, "why": "ok"}}
    text = json.dumps({**state, "members": [], "departed": [], "alerts": []})
    (tmp_path / "c" / "registrar.json").write_text(text)
    with pytest.raises(InstanceError, match=r"nothing for 6\d s"):
        await membership.seen()
    (tmp_path / "c" / "members.json").write_text("{")
    with pytest.raises(InstanceError):
        await membership.members()


@pytest.mark.fleet
async def test_registrar_takes_up_what_was_written(
    deployment: Deployment, membership: NodeMembership, tmp_path: Path
) -> None:
    await membership.replace(BOTH, epoch=5)
    discovery = f"127.0.0.1:{router_ports(deployment.router).discovery}"
    with registrar_rig(tmp_path / "c", discovery) as rig:
        rig.start(state="registrar.json")

        async def seen() -> bool:
            try:
                found = await membership.seen()
            except InstanceError:
                return False
            return (found.epoch, found.seq, set(found.members)) == (5, 1, {"p", "d"})

        await wait_until(seen, 10)
        found = await membership.seen()
        assert not found.router_reachable
        assert found.members["d"].generation == 2
        assert found.members["d"].why.startswith("router down")
        assert found.age_s < patient(2)

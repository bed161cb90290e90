"""`trust` before anything is pinned: what each node's way offers, and why there is nothing to show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pdctl.control.trust import Offered, offered_keys
from pdctl.model.deployment import NodeSpec
from tests.unit.deployments import mori_1p1d
from tests.waiting import free_port
from tests.wire.ssh_server import host_key, node, serving, unpinned


async def offers_of(*specs: NodeSpec) -> dict[str, Offered]:
    deployment = replace(mori_1p1d(), nodes={spec.name: spec for spec in specs})
    found = await offered_keys(deployment, [spec.name for spec in specs])
    assert [item.node for item in found] == [spec.name for spec in specs], "in the order that was asked for"
    return {item.node: item for item in found}


async def test_new_and_pinned_keys_are_offered_and_nothing_is_pinned(tmp_path: Path) -> None:
    async with serving() as known, serving() as new:
        specs = node(tmp_path, known.port, name="known"), unpinned(tmp_path, new.port, name="new")
        pins = (tmp_path / "known_hosts").read_text()
        found = await offers_of(*specs)
    assert {name: item.complete for name, item in found.items()} == {"known": True, "new": True}
    assert {name: item.offers[-1].trusted for name, item in found.items()} == {"known": True, "new": False}
    assert found["new"].offers[-1].fingerprint == host_key().get_fingerprint()
    assert (tmp_path / "known_hosts").read_text() == pins


async def test_a_node_out_of_reach_is_told_with_its_cause_and_stops_no_other(tmp_path: Path) -> None:
    async with serving() as server:
        found = await offers_of(
            unpinned(tmp_path, free_port(), name="gone"), unpinned(tmp_path, server.port, name="there")
        )
    gone = found["gone"]
    assert (gone.offers, gone.complete, gone.exit_code) == ((), False, 4)
    assert "refused" in gone.trouble and gone.hint
    assert found["there"].complete


async def test_behind_a_jump_host_that_is_not_trusted_nothing_more_is_shown(tmp_path: Path) -> None:
    async with serving() as jump, serving() as target:
        spec = unpinned(tmp_path, target.port, name="n1")
        spec = replace(spec, ssh=replace(spec.ssh, jump=f"{spec.ssh.user}@127.0.0.1:{jump.port}"))
        found = (await offers_of(spec))["n1"]
    assert [offer.port for offer in found.offers] == [jump.port]
    assert not found.complete

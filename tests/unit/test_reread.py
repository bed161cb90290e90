"""An inventory that changed while its cluster is held open: seen by all, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.control.opened import open_cluster, reread
from pdctl.errors import InventoryError, PlanRefused

TEXT = """\
version: 1
cluster: c
model: {name: m, path: /m}
slo: {ttft: 1s, itl: 50ms, attainment: 0.95}
ssh: {user: ops}
engine: {kind: vllm, version: "0.33", supervisor: systemd, python: /opt/vllm/bin/python}
kv: {connector: moriio, mode: write}
router: {kind: vllm-router, node: a, port: 30000, supervisor: systemd, python: /opt/router/bin/python}
pools:
  prefill: {role: prefill, parallel: {tp: 1}, min_instances: 1}
  decode: {role: decode, parallel: {tp: 1}, min_instances: 1}
nodes:
  a: {host: 10.0.0.1, data_address: 10.1.0.1, gpus: 1, nics: 1, pool: prefill}
  b: {host: 10.0.0.2, data_address: 10.1.0.2, gpus: 1, nics: 1, pool: decode}
  c: {host: 10.0.0.3, data_address: 10.1.0.3, gpus: 1, nics: 1, pool: decode}
"""
NODE_C = "{host: 10.0.0.3, data_address: 10.1.0.3, gpus: 1, nics: 1, pool: "


def edit(inventory: Path, before: str, after: str) -> None:
    inventory.write_text(TEXT.replace(before, after))


def remove(inventory: Path) -> None:
    inventory.unlink()


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(TEXT)
    return path


async def test_what_did_not_change_is_not_read_again(inventory: Path) -> None:
    async with open_cluster(inventory) as opened:
        assert await reread(opened) is opened


async def test_a_move_is_seen_by_everything_that_holds_the_cluster(inventory: Path) -> None:
    async with open_cluster(inventory) as opened:
        held = opened.cluster
        edit(inventory, f"{NODE_C}decode", f"{NODE_C}prefill")
        again = await reread(opened)
        assert again.cluster is held
        assert [slot.pool for slot in held.deployment.slots] == ["prefill", "decode", "prefill"]
        assert f"{NODE_C}prefill" in again.inventory_text
        assert await reread(again) is again


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("host: 10.0.0.3", "host: 10.0.0.4", "`nodes`"),
        ("port: 30000", "port: 30001", "`router`"),
        ("cluster: c\n", "cluster: d\n", "`cluster`"),
        ("/opt/vllm/", "/opt/other/", "`engine`"),
    ],
)
async def test_what_connections_are_made_from_has_to_be_opened_anew(
    inventory: Path, before: str, after: str, words: str
) -> None:
    async with open_cluster(inventory) as opened:
        edit(inventory, before, after)
        with pytest.raises(PlanRefused, match=words) as refused:
            await reread(opened)
        assert refused.value.hint == "leave and open pdctl again"
        assert opened.deployment.cluster == "c"


async def test_an_inventory_that_is_broken_or_gone_is_said(inventory: Path) -> None:
    async with open_cluster(inventory) as opened:
        edit(inventory, TEXT, "nodes: [")
        with pytest.raises(InventoryError):
            await reread(opened)
        remove(inventory)
        with pytest.raises(InventoryError):
            await reread(opened)

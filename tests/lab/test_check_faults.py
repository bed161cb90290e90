"""`pdctl check` on eight hosts with planted faults: it finds exactly those."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pdctl.sim.standins.host import Shape
from tests.lab.controller import pdctl
from tests.lab.gpu_host import gpu_host
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab

THRESHOLDS = """
checks:
  gate: true
  thresholds: {memlock_bytes: 4194304, nofile: 4096}
"""
"""The machine below may not raise its own limits (8 MiB of locked memory in a sandbox); the planted one is lower."""


GIB = 1 << 30
SHAPES = {
    2: Shape("h2", 2, missing_gpus=frozenset({3})),
    3: Shape("h3", 3, uncorrectable={5: 2}),
    4: Shape("h4", 4, ports_down=frozenset({2}), only_roce_v1=frozenset({5})),
    5: Shape("h5", 5, rates_gbps={6: 200}),
    6: Shape("h6", 6, nic_firmware="28.41.1000"),
    7: Shape("h7", 7, foreign={4: 40 * GIB}, memlock_kib=64),
    8: Shape("h8", 8, hung=frozenset({"amd-smi"})),
}
FAULTS = {
    ("gpu.count", "h2", "", "block"),
    ("gpu.ecc_uncorrectable", "h3", "gpu5", "block"),
    ("nic.port_state", "h4", "mlx5_2", "block"),
    ("nic.gid", "h4", "mlx5_5", "block"),
    ("nic.rate", "h5", "mlx5_6", "block"),
    ("drift.nic_firmware", "h6", "", "warn"),
    ("gpu.foreign_process", "h7", "gpu4", "block"),
    ("host.memlock", "h7", "", "block"),
    ("gpu.tool_latency", "h8", "", "block"),
}
"""(check, node, device, severity) of what is planted; h1 is healthy."""
AMD_SMI_S = 10.0


@asynccontextmanager
async def hosts(shapes: Mapping[int, Shape], count: int) -> AsyncIterator[Lab]:
    """h1 … h<count>, of those shapes by number and healthy else."""
    kinds = [gpu_host(shapes.get(number, Shape(f"h{number}", number))) for number in range(1, count + 1)]
    async with Lab(1, kinds[0]) as lab:
        for kind in kinds[1:]:
            await lab.add(1, kind)
        yield lab


def written(tmp_path: Path, lab: Lab, wanted: Wanted) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory_for(lab, wanted))
    return path


def failures(report: Mapping[str, Any]) -> set[tuple[str, str, str, str]]:
    return {
        (each["check"], each["subject"]["node"], each["subject"]["device"], each["severity"])
        for each in report["findings"]
        if each["verdict"] == "fail"
    }


async def test_check_finds_nothing_on_healthy_hosts(tmp_path: Path) -> None:
    async with hosts({}, 2) as lab:
        said = await pdctl(tmp_path, written(tmp_path, lab, Wanted(sections=THRESHOLDS)), "check")
        (report,) = said.events("check")
        assert (failures(report), said.status) == (set(), 0), said


async def test_check_finds_exactly_the_planted_faults(tmp_path: Path) -> None:
    """And what hangs on one host costs that host its deadline, and the others nothing."""
    async with hosts(SHAPES, 8) as lab:
        inventory = written(tmp_path, lab, Wanted(prefill=4, decode=4, sections=THRESHOLDS))
        said = await pdctl(tmp_path, inventory, "check", "--save", str(tmp_path / "saved"))
        (report,) = said.events("check")
        assert failures(report) == FAULTS
        assert said.status == 1
        seconds = {line["node"]: line["seconds"] for line in said.events("node_collected")}
        assert AMD_SMI_S <= seconds["h8"] < AMD_SMI_S + 3.0
        assert all(took < AMD_SMI_S for host, took in seconds.items() if host != "h8")

        again = await pdctl(tmp_path, inventory, "check", "--replay", str(tmp_path / "saved"))
        assert failures(again.events("check")[0]) == FAULTS


async def test_up_leaves_out_the_host_that_is_not_fit_and_names_the_check(tmp_path: Path) -> None:
    async with hosts({3: SHAPES[3]}, 3) as lab:
        inventory = written(tmp_path, lab, Wanted(decode=2, sections=THRESHOLDS))
        up = await pdctl(tmp_path, inventory, "up")
        assert up.status == 3, up
        (unfit,) = up.events("check_failed")
        assert (unfit["check"], unfit["node"], unfit["device"]) == ("gpu.ecc_uncorrectable", "h3", "gpu5")
        assert {line["subject"] for line in up.events("step_done") if line["action"] == "register"} == {
            "h1.main.0",
            "h2.main.0",
        }
        again = await pdctl(tmp_path, inventory, "up", "--skip-checks")
        assert again.status == 0, again
        assert (await pdctl(tmp_path, inventory, "down", "--now")).status == 0


async def test_up_refuses_where_the_rest_would_not_reach_the_floor(tmp_path: Path) -> None:
    async with hosts({2: SHAPES[2]}, 2) as lab:
        inventory = written(tmp_path, lab, Wanted(sections=THRESHOLDS))
        up = await pdctl(tmp_path, inventory, "up")
        assert up.status == 1, up
        (error,) = up.events("error")
        assert "pool decode would have 0 of at least 1: gpu.count: h2" in error["cause"]
        assert up.events("step_started") == []

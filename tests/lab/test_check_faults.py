"""`pdctl check` on eight hosts with planted faults: it finds exactly those."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

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


@asynccontextmanager
async def hosts(shapes: Mapping[int, Shape], count: int) -> AsyncIterator[Lab]:
    """h1 … h<count>, of those shapes by number and healthy else."""
    kinds = [gpu_host(shapes.get(number, Shape(f"h{number}", number))) for number in range(1, count + 1)]
    async with Lab(1, kinds[0]) as lab:
        for kind in kinds[1:]:
            await lab.add(1, kind)
        yield lab


async def test_check_finds_nothing_on_healthy_hosts(tmp_path: Path) -> None:
    async with hosts({}, 2) as lab:
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(inventory_for(lab, Wanted(sections=THRESHOLDS)))
        said = await pdctl(tmp_path, inventory, "check", "--save", str(tmp_path / "saved"))
        (report,) = said.events("check")
        assert report["findings"] == []
        assert said.status == 0, said

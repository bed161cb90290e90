"""`bench compare` on simulated nodes, through the real router: three colocated nodes against 2P1D."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, Layout, TransferModel
from pdctl.perf.load import Load
from pdctl.perf.outcome import figures
from pdctl.perf.scenarios import scenario
from pdctl.perf.simulate import simulate
from pdctl.perf.step_time import LAPTOP
from tests.fleet.command import Operator
from tests.fleet.site import Site, simulated_nodes, status

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

SHAPE, CONCURRENCY, REQUESTS = "8000/64", 8, 40
MIXED = {"role": "mixed", "parallel": {"tp": 8}, "args": {"max-num-batched-tokens": 16384}, "min_instances": 1}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three nodes of their own."""
    with simulated_nodes(
        tmp_path_factory.mktemp("three"), "--layout", "2P1D", "--nodes", "3", "--startup-s", "0.3"
    ) as site:
        yield site


def deployments(site: Site, directory: Path) -> Mapping[str, Operator]:
    """The same nodes as 3M and as 2P1D, each a cluster of its own."""
    base = site.operator.inventory_document()
    colocated: dict[str, Any] = copy.deepcopy(base) | {"cluster": "colocated", "kv": {"connector": "none"}}
    colocated["pools"] = {"mixed": MIXED}
    for node in colocated["nodes"].values():
        node["pool"] = "mixed"
    found = {}
    for name, document in {"colocated": colocated, "split": base | {"cluster": "split"}}.items():
        path = directory / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        found[name] = replace(site.operator, inventory=path)
    return found


async def test_colocated_against_2p1d_stopped_and_gone_on_with(three: Site, tmp_path: Path) -> None:
    operators = deployments(three, tmp_path)
    paths = [str(each.inventory) for each in operators.values()]
    out = str(tmp_path / "run")
    load = ("--scenario", SHAPE, "--concurrency", f"4,{CONCURRENCY}", "--requests", str(REQUESTS), "--out", out)
    async with three.operator.starts("bench", "compare", *paths, *load, "--json") as running:
        await running.until(lambda line: line["event"] == "point_done", "a measured point")
        running.send(signal.SIGINT)
        done = (await running.end()).expect(130)
    assert not done.events("deployment_ended")[0]["up"]
    assert [each["deployment"] for each in done.events("deployment_began")] == ["colocated"]
    seen = await status(operators["colocated"])
    assert {view["state"] for view in seen["instances"]} == {"down"}

    done = (await three.operator.pdctl("bench", "compare", "--resume", out, "--json")).expect(0)
    points = done.events("point_done")
    assert [each["earlier"] for each in points] == [True, False, False, False]
    compared = done.events("bench_compared")[-1]
    assert all(each["verdicts"]["failed"] == 0 for each in compared["points"])
    itl = next(each for each in compared["improvements"] if each["metric"] == "itl-p99")
    assert (itl["base"], itl["other"]) == ("colocated", "split")
    heavy = next(row for row in itl["rows"] if row["key"]["load"] == f"c{CONCURRENCY}")
    foreseen = model_ratio()
    assert foreseen > 5
    assert heavy["ratio"] > 2, f"{heavy} although the model says {foreseen:.1f}"
    assert (Path(out) / "report.html").read_text().count("split") > 3
    for operator in operators.values():
        assert {view["state"] for view in (await status(operator))["instances"]} == {"down"}


async def test_a_deployment_that_serves_is_not_taken_down_without_a_yes(three: Site, tmp_path: Path) -> None:
    operators = deployments(three, tmp_path)
    await operators["split"].pdctl("up", "--json")
    paths = [str(each.inventory) for each in operators.values()]
    load = ("--scenario", "64/4", "--concurrency", "2", "--requests", "4", "--out", str(tmp_path / "run"))
    done = (await three.operator.pdctl("bench", "compare", *paths, *load)).expect(1)
    assert "split runs" in done.err
    assert "--yes" in done.err
    assert (await status(operators["split"]))["serving"]
    done = (await three.operator.pdctl("--yes", "bench", "compare", *paths, *load, "--json")).expect(0)
    assert [each["cluster"] for each in done.events("taken_over")] == ["split"]


def model_ratio() -> float:
    """How much worse colocated's P99 ITL is by the performance model."""
    mixed = InstanceModel(Role.MIXED, LAPTOP, chunk_tokens=16384)
    prefill = InstanceModel(Role.PREFILL, LAPTOP, chunk_tokens=16384)
    decode = InstanceModel(Role.DECODE, LAPTOP, max_seqs=256)
    load = scenario(SHAPE).under([Load(REQUESTS, CONCURRENCY)]).expand()[f"c{CONCURRENCY}"]
    kv = TransferModel(bytes_per_token=70272.0)
    told = [simulate(layout, load) for layout in (Layout((mixed,) * 3), Layout((prefill, prefill, decode), kv))]
    colocated, split = (figures(each).itl_p99_s for each in told)
    return colocated / split

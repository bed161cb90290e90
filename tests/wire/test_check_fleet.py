"""A fleet with planted faults, healthy otherwise: exactly those are found, with node, device, evidence, severity."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pdctl.cli.main import main
from pdctl.health.saved import Saved, save
from pdctl.sim.standins.host import Shape
from tests.wire.health_hosts import envelopes

GIB = 1 << 30
NONE: frozenset[int] = frozenset()
SHAPES = (
    Shape("n1", missing_gpus=frozenset({3}), memlock_kib=64),
    Shape("n2", uncorrectable={5: 2}, ports_down=frozenset({2})),
    Shape("n3", rates_gbps={6: 200}, only_roce_v1=frozenset({1})),
    Shape("n4", nic_firmware="28.41.1000", foreign={4: 40 * GIB}),
    Shape("n5", hung=frozenset({"amd-smi"})),
)
FAULTS = {
    ("gpu.count", "n1", "", "block"),
    ("host.memlock", "n1", "", "block"),
    ("gpu.ecc_uncorrectable", "n2", "gpu5", "block"),
    ("nic.port_state", "n2", "mlx5_2", "block"),
    ("nic.rate", "n3", "mlx5_6", "block"),
    ("nic.gid", "n3", "mlx5_1", "block"),
    ("gpu.foreign_process", "n4", "gpu4", "block"),
    ("drift.nic_firmware", "n4", "", "warn"),
    ("gpu.tool_latency", "n5", "", "block"),
}
EVIDENCE = {
    "gpu.count": "/sys/class/kfd/kfd/topology/nodes",
    "host.memlock": "/proc/self/limits",
    "gpu.ecc_uncorrectable": "/sys/bus/pci/drivers/amdgpu/0000:bf:00.0/ras/umc_err_count",
    "nic.port_state": "/sys/class/infiniband/mlx5_2/ports/1/state",
    "nic.rate": "/sys/class/infiniband/mlx5_6/ports/1/rate",
    "nic.gid": "/sys/class/infiniband/mlx5_1/ports/1/gids",
    "gpu.foreign_process": "/sys/class/kfd/kfd/proc/4711",
    "gpu.tool_latency": "amd-smi.list",
}
INVENTORY = """\
version: 1
cluster: fleet
model: {{name: m}}
engine: {{kind: vllm, version: "0.33", supervisor: process, python: /opt/vllm/bin/python}}
kv: {{connector: moriio, mode: write}}
router: {{kind: vllm-router, node: n1, port: 30000, supervisor: process, python: /opt/router/bin/python}}
pools: {{prefill: {{role: prefill, parallel: {{tp: 8}}}}, decode: {{role: decode, parallel: {{tp: 8}}}}}}
nodes:
{nodes}
"""


def inventory(directory: Path, count: int) -> Path:
    """n1 prefills, the others decode."""
    lines = (
        f"  n{number}: {{host: 10.0.0.{number}, gpu: mi300x, gpus: 8, nics: 8, "
        f"pool: {'prefill' if number == 1 else 'decode'}}}"
        for number in range(1, count + 1)
    )
    path = directory / "inventory.yaml"
    path.write_text(INVENTORY.format(nodes="\n".join(lines)))
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What six nodes sent: those of `SHAPES`, and n6, which is healthy. Nothing of ours ran there."""
    directory = tmp_path_factory.mktemp("fleet")
    for envelope in asyncio.run(envelopes(directory / "trees", 6, *SHAPES)).values():
        save(directory / "saved", Saved(envelope, NONE))
    return directory / "saved"


def check(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in ("--json", *argv)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    report = next(line for line in lines if line["event"] == "check")
    return int(str(ended.value.code)), report


def failures(report: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    return {
        (each["check"], each["subject"]["node"], each["subject"]["device"], each["severity"])
        for each in report["findings"]
        if each["verdict"] == "fail"
    }


def blocked(report: dict[str, Any]) -> set[str]:
    return {slot["slot"] for slot in report["slots"] if slot["fitness"] == "blocked"}


def test_exactly_the_planted_faults_are_found(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = check(capsys, "-i", inventory(tmp_path, 6), "check", "--replay", saved)
    assert failures(report) == FAULTS
    assert blocked(report) == {f"n{number}.main" for number in range(1, 6)}
    assert code == 1
    sources = {each["check"]: each["evidence"][0]["source"] for each in report["findings"] if each["check"] in EVIDENCE}
    assert sources == EVIDENCE
    assert all(each["fix"] for each in report["findings"] if each["blocks"])


def test_envelopes_that_were_collected_one_by_one_are_judged_together(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in saved.iterdir():
        (tmp_path / "all" / path.stem).mkdir(parents=True)
        (tmp_path / "all" / path.stem / "mailed.json").write_bytes(path.read_bytes())
    (tmp_path / "all" / "torn.json").write_text('{"schema": 1, "items"')
    _, report = check(capsys, "-i", inventory(tmp_path, 6), "check", "--replay", tmp_path / "all")
    assert failures(report) == FAULTS


def test_a_check_of_one_node_judges_that_node(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = check(capsys, "-i", inventory(tmp_path, 6), "check", "n6", "--replay", saved)
    assert (failures(report), report["nodes"], code) == (set(), ["n6"], 0)


def test_the_table_says_first_what_to_do(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["-i", str(inventory(tmp_path, 6)), "check", "--replay", str(saved), "--html", str(tmp_path / "r.html")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 nodes checked: 5 of 6 slots may not serve"
    first = [line for line in lines if line.startswith(("!", "~"))]
    assert first == sorted(first, key=lambda line: line[0])
    assert len([line for line in first if line.startswith("!")]) == 8
    assert "  n2.main: no, gpu.ecc_uncorrectable, nic.port_state" in lines
    assert "0000:bf:00.0/ras/umc_err_count" in (tmp_path / "r.html").read_text()


def test_what_holds_no_envelope_of_this_inventory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(SystemExit) as ended:
        main(["-i", str(inventory(tmp_path, 6)), "check", "--replay", str(tmp_path)])
    assert ended.value.code == 64
    assert "holds no envelope" in capsys.readouterr().err

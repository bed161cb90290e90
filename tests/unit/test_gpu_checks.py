"""Each fault of a GPU is found by its own check, on its own device, and by no other; what is not known is said so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from pdctl.health.checks import (
    gpu_condition,
    gpu_driver,
    gpu_errors,
    gpu_links,
    gpu_memory,
    gpu_versions,
    kernel_log,
)
from pdctl.health.envelope import Envelope, File, Item
from pdctl.health.expectations import Situation
from pdctl.health.facts import NodeFacts, node_facts
from pdctl.health.finding import Finding, Severity, Verdict
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.registry import Registry
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import Role
from pdctl.sim.standins.host import FOREIGN_PID, Shape
from tests.unit import deployments
from tests.unit.gpu_faults import all_faults
from tests.unit.gpu_nodes import planted
from tests.unit.health_nodes import WALL_S, changed, healthy

NODE = "mi300x-01"
GPU3 = "/sys/bus/pci/drivers/amdgpu/0000:5f:00.0"
OWN = (gpu_driver, gpu_memory, gpu_errors, gpu_condition, gpu_links, kernel_log)
GPU_CHECKS = Registry(checks=tuple(check for file in OWN for check in file.CHECKS), traits=gpu_versions.TRAITS)
BLOCK, WARN, INFO = Severity.BLOCK, Severity.WARN, Severity.INFO


@cache
def others() -> Mapping[str, NodeFacts]:
    """The healthy rest of the pool."""
    return {name: node_facts(name, healthy()) for name in ("mi300x-02", "mi300x-03")}


def findings(envelope: Envelope, situation: Situation | None = None) -> list[Finding]:
    """What the GPU checks say of one node of a healthy pool, passes left out."""
    deployment = pool_of_three()
    fleet = fleet_of(deployment, {NODE: envelope}, situation=situation)
    report = judge(replace(fleet, nodes={**fleet.nodes, **others()}, unreachable={}), GPU_CHECKS)
    return [
        finding for finding in report.findings if finding.verdict is not Verdict.PASS and finding.subject.node == NODE
    ]


@cache
def pool_of_three() -> Deployment:
    """Three nodes of one pool, DP8 each."""
    names = [NODE, *others()]
    return deployments.cluster(
        "r1-2p3d",
        [deployments.node(name, number) for number, name in enumerate(names, 1)],
        [deployments.pool("decode", Role.DECODE, Parallel(dp=8, ep=True))],
        [deployments.slot(name, range(8), "decode") for name in names],
    )


def said(envelope: Envelope, situation: Situation | None = None) -> set[tuple[str, str, str]]:
    """(check, device, severity) of failures, (check, device, "unknown") of what is not known."""
    return {
        (
            finding.check,
            finding.subject.device,
            finding.severity.value if finding.verdict is Verdict.FAIL else "unknown",
        )
        for finding in findings(envelope, situation)
    }


def edited(item: str, gpu: int, **sections: Mapping[str, Any] | object) -> Envelope:
    """A healthy node whose amd-smi shows other values of one GPU: whole keys, or keys of a section."""
    document = json.loads(healthy().items[item].stdout)
    rows = document["gpu_data"] if isinstance(document, dict) else document
    for name, value in sections.items():
        row = rows[gpu]
        row[name] = {**row[name], **value} if isinstance(value, Mapping) and name in row else value
    return changed(healthy(), outputs={item: json.dumps(document)})


def test_a_healthy_node_passes_every_check() -> None:
    assert said(healthy()) == set()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ras/umc_err_count", "ue: 0\nce: 0\nde: 2\n", ("gpu.ecc_deferred", "gpu3", "warn")),
        ("ras/gpu_vram_bad_pages", "0x00a1b2c3 : 0x00001000 : P\n", ("gpu.bad_pages", "gpu3", "block")),
        ("ras/gpu_vram_bad_pages", "0x00a1b2c3 : 0x00001000 : F\n", ("gpu.bad_pages", "gpu3", "block")),
        ("ras/gpu_vram_bad_pages", "0x00a1b2c3 : 0x00001000 : R\n" * 128, ("gpu.bad_pages", "gpu3", "block")),
        ("hwmon/hwmon4/temp2_input", "97000\n", ("gpu.temperature", "gpu3", "warn")),
        ("hwmon/hwmon4/temp2_input", "101000\n", ("gpu.temperature", "gpu3", "block")),
        ("hwmon/hwmon4/temp3_input", "96000\n", ("gpu.temperature", "gpu3", "warn")),
        ("power_dpm_force_performance_level", "manual\n", ("gpu.clocks", "gpu3", "warn")),
        ("power/runtime_status", "suspended\n", ("gpu.clocks", "gpu3", "warn")),
        ("aer_dev_fatal", "DLP 1\nTOTAL_ERR_FATAL 1\n", ("gpu.pcie_errors", "gpu3", "warn")),
        ("mem_info_vram_used", f"{40 << 30}\n", ("gpu.vram_idle", "gpu3", "block")),
    ],
)
def test_one_fault_in_sysfs_is_one_finding(name: str, text: str, expected: tuple[str, str, str]) -> None:
    assert said(changed(healthy(), {f"{GPU3}/{name}": text})) == {expected}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mem_info_vram_total", f"{128 << 30}\n", ("gpu.vram_total", "gpu3", "block")),
        ("hwmon/hwmon4/power1_cap", "600000000\n", ("gpu.power_cap", "gpu3", "warn")),
        ("current_link_speed", "16.0 GT/s PCIe\n", ("gpu.pcie_link", "gpu3", "block")),
        ("current_link_width", "8\n", ("gpu.pcie_link", "gpu3", "block")),
        ("current_compute_partition", "CPX\n", ("gpu.partition", "gpu3", "block")),
    ],
)
def test_where_sources_differ_the_fault_and_the_difference_are_told(
    name: str, text: str, expected: tuple[str, str, str]
) -> None:
    found = said(changed(healthy(), {f"{GPU3}/{name}": text}))
    assert expected in found
    assert ("gpu.sources_agree", "gpu3", "warn") in found
    assert {check for check, _, _ in found} <= {expected[0], "gpu.sources_agree", "drift.gpu_partition"}


def test_an_error_that_only_amd_smi_counts_is_an_error() -> None:
    found = said(edited("amd-smi.metric", 3, ecc={"total_uncorrectable_count": 1}))
    assert found == {("gpu.ecc_uncorrectable", "gpu3", "block"), ("gpu.sources_agree", "gpu3", "warn")}


@pytest.mark.parametrize(("recoveries", "severity"), [(1, None), (2, "info"), (3, "info"), (4, "warn")])
def test_recoveries_of_the_pcie_link(recoveries: int, severity: str | None) -> None:
    found = said(edited("amd-smi.metric", 5, pcie={"l0_to_recovery_count": recoveries}))
    assert found == ({("gpu.pcie_retries", "gpu5", severity)} if severity else set())


def test_an_idle_gpu_that_is_held_back() -> None:
    statuses = {f"{name}_violation_status": "NOT ACTIVE" for name in ("prochot", "ppt", "vr_thermal", "hbm_thermal")}
    held = edited("amd-smi.metric", 2, throttle={**statuses, "socket_thermal_violation_status": "ACTIVE"})
    assert said(held) == {("gpu.throttle", "gpu2", "warn")}
    assert said(held, Situation(serving={NODE: frozenset(range(8))})) == set()


def test_xgmi_links_and_errors() -> None:
    assert said(edited("amd-smi.metric", 1, xgmi_err="AMDSMI_XGMI_STATUS_MULTIPLE_ERRORS")) == {
        ("gpu.xgmi_errors", "gpu1", "warn")
    }
    document = json.loads(healthy().items["amd-smi.xgmi"].stdout)
    document["link_status"][6]["link_status"][0] = "D"
    down = changed(healthy(), outputs={"amd-smi.xgmi": json.dumps(document)})
    assert said(down) == {("gpu.xgmi_links", "gpu6", "block")}
    links = "/sys/class/kfd/kfd/topology/nodes/{}/io_links/1/properties"
    over_pcie: dict[str, str | None] = {
        links.format(start): f"type 2\nnode_from {start}\nnode_to {end}\n" for start, end in ((2, 3), (3, 2))
    }
    assert said(changed(healthy(), over_pcie)) == {("gpu.xgmi_topology", "gpu0", "block")}


def test_a_gpu_that_is_gone_is_counted_once() -> None:
    found = findings(planted(Shape(missing_gpus=frozenset({2}))))
    assert [(each.check, each.severity, each.observed) for each in found] == [("gpu.count", BLOCK, "7 GPUs")]
    assert found[0].slots == (f"{NODE}.all",)


def test_a_gpu_on_the_bus_that_kfd_does_not_offer() -> None:
    directory = "/sys/class/kfd/kfd/topology/nodes/9"
    gone = changed(healthy(), {path: None for path in healthy().files if path.startswith(f"{directory}/")})
    found = said(gone)
    assert ("gpu.count", "", "block") in found
    assert {(check, device) for check, device, _ in found if check == "gpu.count_agrees"} == {
        ("gpu.count_agrees", source) for source in ("amdgpu", "amd-smi", "lspci", "rocminfo")
    }


def test_a_process_that_is_not_ours() -> None:
    found = findings(planted(Shape(foreign={5: 40 << 30})))
    assert [(each.check, each.subject.device, each.severity) for each in found] == [
        ("gpu.foreign_process", "gpu5", BLOCK)
    ]
    assert str(FOREIGN_PID) in found[0].fix
    assert "40.0 GiB" in found[0].observed


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("cgroup", "0::/system.slice/pdctl.r1-2p3d.mi300x-01.all.0.service\n"),
        ("cgroup", "0::/system.slice/docker-0123456789abcdef.scope\n"),
        ("comm", "gpuagent\n"),
    ],
)
def test_processes_that_may_be_there(file: str, text: str) -> None:
    """Ours by unit, ours by the labels of its container, and a daemon that watches GPUs."""
    held = 1 << 30 if file == "comm" else 40 << 30
    container = "0123456789abcdef pdctl.x pdctl.cluster=r1-2p3d,pdctl.instance=mi300x-01.all.0\n"
    ours = changed(
        planted(Shape(foreign={5: held})), {f"/proc/{FOREIGN_PID}/{file}": text}, outputs={"docker.ps": container}
    )
    assert said(ours) == set()


def test_a_unit_of_another_cluster_is_not_ours() -> None:
    cgroup = {f"/proc/{FOREIGN_PID}/cgroup": "0::/system.slice/pdctl.r1-2p3d-b.mi300x-01.all.0.service\n"}
    assert said(changed(planted(Shape(foreign={5: 40 << 30})), cgroup)) == {("gpu.foreign_process", "gpu5", "block")}


def test_a_serving_neighbour_is_no_fault() -> None:
    """One box, two roles: only slot a is asked about, and slot b, whose GPUs are full and one of them bad, serves."""
    shape = Parallel(tp=4)
    box = deployments.cluster(
        "one-box",
        [deployments.node("solo", 9)],
        [deployments.pool("prefill", Role.PREFILL, shape), deployments.pool("decode", Role.DECODE, shape)],
        [
            deployments.slot("solo", range(4), "prefill", "a"),
            deployments.slot("solo", range(4, 8), "decode", "b"),
        ],
    )
    busy = planted(Shape(foreign=dict.fromkeys(range(4, 8), 150 << 30), uncorrectable={4: 1}))

    def failed(situation: Situation) -> set[str]:
        report = judge(fleet_of(box, {"solo": busy}, situation=situation), GPU_CHECKS)
        bad = [each for each in report.findings if each.verdict is not Verdict.PASS]
        return {each.check for each in bad}

    serving = {"solo": frozenset(range(4, 8))}
    assert failed(Situation(serving=serving, scope=frozenset({"solo.a"}))) == set()
    assert failed(Situation(serving=serving)) == {"gpu.ecc_uncorrectable"}
    assert failed(Situation()) == {"gpu.ecc_uncorrectable", "gpu.foreign_process"}


def test_only_growth_of_correctable_errors_counts() -> None:
    path = f"{GPU3}/ras/umc_err_count"
    many = changed(healthy(), {path: "ue: 0\nce: 5000\nde: 0\n"})
    assert said(many) == set()
    texts = tuple(f"ue: 0\nce: {count}\nde: 0\n" for count in (5000, 5000, 5003))
    growing = many.model_copy(update={"samples": {**many.samples, path: texts}})
    assert said(growing) == {("gpu.ecc_correctable", "gpu3", "warn")}


def test_the_lowest_sample_of_memory_counts() -> None:
    path = f"{GPU3}/mem_info_vram_used"
    texts = (f"{90 << 30}\n", f"{20 << 30}\n", f"{1 << 28}\n")
    leaving = healthy().model_copy(update={"samples": {**healthy().samples, path: texts}})
    assert said(leaving.model_copy(update={"files": {**leaving.files, path: File(text=texts[0])}})) == set()


def test_a_hung_tool_is_a_wedged_driver() -> None:
    hung = Item(argv=("amd-smi", "list", "--json"), timed_out=True, seconds=10.0)
    items = {**healthy().items, **{name: hung for name in healthy().items if name.startswith("amd-smi.")}}
    found = said(healthy().model_copy(update={"items": items}))
    assert {each for each in found if each[2] != "unknown"} == {("gpu.tool_latency", "", "block")}
    assert ("gpu.throttle", "", "unknown") in found  # said once, not once per GPU
    slow = Item(
        argv=("amd-smi", "list", "--json"), status=0, seconds=7.5, stdout=healthy().items["amd-smi.list"].stdout
    )
    late = healthy().model_copy(update={"items": {**healthy().items, "amd-smi.list": slow}})
    assert said(late) == {("gpu.tool_latency", "", "block")}


def test_device_files_that_are_shut_or_gone() -> None:
    for error, severity in (("EACCES", "warn"), ("ENOENT", "block")):  # engines in containers do not have our rights
        files = {**healthy().files, "/dev/kfd": File(text="0660 0 44", error=error)}
        assert said(healthy().model_copy(update={"files": files})) == {("gpu.permission", "", severity)}


def test_a_driver_that_is_not_there() -> None:
    state = "/sys/module/amdgpu/initstate"
    assert said(changed(healthy(), {state: "coming\n"})) == {("gpu.driver", "", "block")}
    nothing = changed(healthy(), {path: None for path in healthy().files if "amdgpu" in path or "/kfd/" in path})
    blocking = {each.check for each in findings(nothing) if each.blocks}
    assert {"gpu.driver", "gpu.count"} <= blocking  # not knowing what anybody may read is no licence to serve


def test_the_kernel_log_lately_and_long_ago() -> None:
    poison = "amdgpu 0000:5f:00.0: amdgpu: poison is consumed by client 12, kick off gpu reset flow"
    oom = "Out of memory: Killed process 2746553 (python3) total-vm:130169kB"

    def log(*lines: tuple[str, float]) -> Envelope:
        text = "".join(f"[{WALL_S - 1_000_000 - ago_s:12.6f}] {line}\n" for line, ago_s in lines)
        uptime = healthy().model_copy(update={"mono_s": WALL_S - 1_000_000.0, "wall_s": WALL_S})
        booted = changed(uptime, outputs={"dmesg": text})
        return booted

    assert said(log((poison, 60))) == {("gpu.kernel_log", "gpu3", "block")}
    assert said(log((poison, 7200))) == {("gpu.kernel_log", "gpu3", "info")}
    assert said(log((oom, 60))) == {("host.kernel_log", "", "warn")}
    assert said(log((oom, 7200))) == set()
    (once,) = findings(log((poison, 60), (poison, 50), (poison, 40)))
    assert "3 times" in once.observed
    assert once.evidence[0].source == "dmesg"


def test_a_log_that_may_not_be_read_is_unknown_and_one_that_is_cut_too_short_too() -> None:
    refused = Item(argv=("dmesg",), status=1, stderr="dmesg: read kernel buffer failed: Operation not permitted")
    items = {**healthy().items, "dmesg": refused}
    (unknown, _) = findings(healthy().model_copy(update={"items": items}))
    assert unknown.verdict is Verdict.UNKNOWN
    assert "Operation not permitted" in unknown.why
    young = Item(
        argv=("dmesg",), status=0, truncated=True, stdout="rest\n2027-01-15T07:59:00,000000+00:00 usb 1-1: new\n"
    )
    cut = healthy().model_copy(update={"items": {**healthy().items, "dmesg": young}})
    assert said(cut) == {("gpu.kernel_log", "", "unknown"), ("host.kernel_log", "", "unknown")}


def test_fatal_hardware_errors_on_record() -> None:
    table = (
        "timestamp            gpu_id  severity    file_name\n2027/01/15 07:45:30  3       FATAL       fatal_0.cper\n"
    )
    assert said(changed(healthy(), outputs={"amd-smi.ras-cper": table})) == {("gpu.hardware_errors", "", "block")}
    assert said(changed(healthy(), outputs={"amd-smi.ras-cper": ""})) == {("gpu.hardware_errors", "", "unknown")}


def test_firmware_and_versions_that_drift() -> None:
    assert {check for check, _, _ in said(planted(Shape(gpu_firmware="04.85.00.00")))} == {"drift.gpu_firmware"}
    other = changed(healthy(), {"/sys/module/amdgpu/version": "6.14.14\n"})
    assert said(other) == {("drift.gpu_driver", "", "warn")}
    own = edited("amd-smi.firmware", 4, fw_list=[{"fw_id": "SMU", "fw_version": "1.2.3"}])
    assert "04.86.00.00, 1.2.3" in {each.observed for each in findings(own) if each.subject.device == "SMU"}


def test_many_faults_at_once_are_each_found_on_their_own_gpu() -> None:
    failed = {(check, device) for check, device, severity in said(all_faults()) if severity != "unknown"}
    assert failed == {
        ("gpu.ecc_uncorrectable", "gpu0"),
        ("gpu.ecc_deferred", "gpu0"),
        ("gpu.bad_pages", "gpu0"),
        ("gpu.temperature", "gpu1"),
        ("gpu.power_cap", "gpu1"),
        ("gpu.throttle", "gpu1"),
        ("gpu.clocks", "gpu1"),
        ("gpu.pcie_link", "gpu2"),
        ("gpu.pcie_errors", "gpu2"),
        ("gpu.pcie_retries", "gpu2"),
        ("gpu.partition", "gpu3"),
        ("gpu.vram_total", "gpu3"),
        ("gpu.kernel_log", "gpu3"),
        ("gpu.vram_idle", "gpu4"),
        ("gpu.foreign_process", "gpu5"),
        ("gpu.xgmi_errors", "gpu6"),
        ("gpu.xgmi_links", "gpu6"),
        ("gpu.hardware_errors", ""),
        ("host.kernel_log", ""),
        ("drift.gpu_partition", ""),
    }


def test_partitions_of_a_device_are_one_gpu() -> None:
    """DPX: every device shows itself to KFD and amd-smi as two, of which only the first has figures."""
    nodes, files = "/sys/class/kfd/kfd/topology/nodes", dict[str, str | None]()
    for path, file in healthy().files.items():
        if path.startswith(f"{nodes}/") and "/io_links/" not in path and int(path.split("/")[7]) > 1:
            first = int(path.split("/")[7])
            text = file.text
            name = path.rpartition("/")[2]
            if name == "properties":
                location = int(next(line for line in file.text.splitlines() if "location_id" in line).split()[1])
                text = file.text.replace(f"location_id {location}", f"location_id {location | 1}")
            files[f"{nodes}/{first + 8}/{name}"] = f"{int(text) + 1}\n" if name == "gpu_id" else text
    for gpu in (path for path in healthy().files if path.endswith("/current_compute_partition")):
        files[gpu] = "DPX\n"
    listed = json.loads(healthy().items["amd-smi.list"].stdout)
    doubled = [
        {**row, "gpu": 2 * row["gpu"] + part, "bdf": f"{row['bdf'][:-1]}{part}", "partition_id": part}
        for row in listed
        for part in (0, 1)
    ]
    envelope = changed(healthy(), files, outputs={"amd-smi.list": json.dumps(doubled), "amd-smi.static": ""})
    gpus = node_facts(NODE, envelope).gpu.gpus
    assert [gpu.partitions for gpu in gpus] == [2] * 8
    found = said(envelope)
    assert {each for each in found if each[2] == "block"} == {
        ("gpu.partition", f"gpu{index}", "block") for index in range(8)
    }


def test_every_finding_has_evidence_and_says_what_to_do() -> None:
    sick = changed(
        planted(Shape(uncorrectable={3: 1}, foreign={5: 40 << 30})),
        {f"{GPU3}/current_link_width": "8\n", f"{GPU3}/power/runtime_status": "suspended\n"},
    )
    for finding in findings(sick):
        assert finding.evidence, finding
        assert finding.expected, finding
        assert finding.why, finding
        assert finding.fix or finding.check == "gpu.sources_agree", finding

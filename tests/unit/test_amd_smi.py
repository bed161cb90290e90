"""What is read out of real outputs of amd-smi, of ROCm 6.1 to 7.1, as JSON and as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdctl.health.parse.amd_smi_bad_pages import BadPages, parse_bad_pages
from pdctl.health.parse.amd_smi_cper import Cper, parse_afid_actions, parse_cper
from pdctl.health.parse.amd_smi_firmware import parse_firmware
from pdctl.health.parse.amd_smi_list import parse_list
from pdctl.health.parse.amd_smi_metric import parse_metric
from pdctl.health.parse.amd_smi_partition import parse_partition
from pdctl.health.parse.amd_smi_process import parse_process
from pdctl.health.parse.amd_smi_static import parse_static
from pdctl.health.parse.amd_smi_topology import parse_topology
from pdctl.health.parse.amd_smi_version import parse_version
from pdctl.health.parse.amd_smi_xgmi import parse_xgmi
from pdctl.model.reading import Known, Reading, Unknown, value_or
from tests import tool_outputs

MIB = 1 << 20


def read(name: str) -> str:
    return tool_outputs.read(f"amd-smi/{name}")


def value(reading: Reading[Any]) -> object:
    """The value, or why there is none, for a message that says it."""
    return reading.value if isinstance(reading, Known) else reading


def test_list_names_the_pci_device_and_the_partition_of_every_gpu() -> None:
    reduced = parse_list(read("mi355x-list-reduced.json"))
    assert value(reduced.count) == 1
    assert value(reduced.gpus[0].address) == "0000:05:00.0"
    enumerated = parse_list(read("changelog-L979-amd-smi-list-e.txt"))
    assert [value(gpu.address) for gpu in enumerated.gpus] == ["0000:0c:00.0", "0000:0c:00.1"]
    assert [value(gpu.partition_id) for gpu in enumerated.gpus] == [0, 1]
    assert value(enumerated.gpus[1].kfd_id) == 48116
    assert isinstance(enumerated.count, Unknown)  # it ends with "...": nobody knows how many there are


@pytest.mark.parametrize("name", ["err-missing-groups-7.0.txt", "err-permission-7.1.1.txt"])
def test_missing_rights_are_said_and_count_no_gpu(name: str) -> None:
    listing = parse_list(read(name))
    assert listing.gpus == ()
    assert isinstance(listing.count, Unknown)
    assert listing.denied
    assert listing.denied in listing.count.reason


@pytest.mark.parametrize(
    ("name", "vram_bytes", "cap_w", "max_w", "hotspot_c", "link", "driver"),
    [
        ("mi355x-static-reduced-limit-ppt0.json", None, 1400, 1400, None, None, "6.16.6"),
        ("roctop-amdsmi_static.json", 32624 * MIB, 300, 300, 110, (32.0, 16), "6.16.6"),
        ("ns-legacy-static-limit-shape.json", 192 << 30, 0, 550, None, (32.0, 16), "6.12.12"),
        ("cli-readme-6.3-L694-amd-smi-static.txt", 64289 * MIB, 550, 550, 100, (32.0, 16), "6.9.0-rc5+"),
    ],
)
def test_static_limits_of_every_schema(
    name: str,
    vram_bytes: int | None,
    cap_w: float,
    max_w: float,
    hotspot_c: float | None,
    link: tuple[float, int] | None,
    driver: str,
) -> None:
    gpu = parse_static(read(name))[0]
    assert value_or(gpu.vram_bytes, -1) == (-1 if vram_bytes is None else vram_bytes)
    assert (value(gpu.power_cap_w), value(gpu.power_max_w)) == (cap_w, max_w)
    assert value_or(gpu.slowdown_hotspot_c, -1) == (-1 if hotspot_c is None else hotspot_c)
    if link is not None:
        assert (value(gpu.max_link_gts), value(gpu.max_link_width)) == link
    assert value(gpu.driver) == driver


def test_static_partitions_under_both_names() -> None:
    for name in ("changelog-L806-amd-smi-static-partition.txt", "changelog-L817-amd-smi-static-partition.txt"):
        gpu = parse_static(read(name))[0]
        assert (value(gpu.compute_partition), value(gpu.memory_partition)) == ("SPX", "NPS1")


def test_metric_memory_and_temperature_in_bytes_and_celsius() -> None:
    idle = parse_metric(read("mi355x-metric-reduced.json"))[0]
    assert value(idle.vram_used_bytes) == 283 * MIB
    assert value(idle.vram_total_bytes) == 294896 * MIB
    assert value(idle.hotspot_c) == 36
    assert value(idle.power_w) == 239
    assert isinstance(idle.memory_c, Unknown)
    assert "temperature mem" in idle.memory_c.reason


def test_error_counts_that_are_not_known_are_no_zero() -> None:
    gpus = parse_metric(read("metric-ecc-ue-and-na.json"))
    assert value(gpus[0].errors.uncorrectable) == 1
    assert isinstance(gpus[1].errors.uncorrectable, Unknown)
    assert "'N/A'" in gpus[1].errors.uncorrectable.reason
    seen = parse_metric(read("metric-ecc.json"))[0].errors
    assert (value(seen.correctable), value(seen.uncorrectable), value(seen.deferred)) == (5, 0, 1)
    whole = parse_metric(read("roctop-amdsmi_metric_ecc.json"))
    assert [value(whole[index].errors.uncorrectable) for index in range(4)] == [0, 0, 0, 0]


def test_an_error_in_one_block_counts_though_the_total_is_not_shown() -> None:
    def uncorrectable(count: int) -> Reading[int]:
        blocks = {"UMC": {"uncorrectable_count": count}, "GFX": {"uncorrectable_count": 0}}
        return parse_metric(json.dumps([{"gpu": 0, "ecc": "N/A", "ecc_blocks": blocks}]))[0].errors.uncorrectable

    assert value(uncorrectable(2)) == 2
    assert isinstance(uncorrectable(0), Unknown)


def test_metric_pcie_counters_and_units() -> None:
    gpu = parse_metric(read("metric-pcie-mixed.json"))[0]
    assert (value(gpu.link_gts), value(gpu.link_width)) == (32.0, 16)
    assert (value(gpu.replays), value(gpu.l0_to_recovery), value(gpu.naks)) == (3, 1, 2)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('"No errors detected"', "none"),
        ('"AMDSMI_XGMI_STATUS_NO_ERRORS"', "none"),
        ('"AMDSMI_XGMI_STATUS_ERROR"', "one"),
        ('"AMDSMI_XGMI_STATUS_MULTIPLE_ERRORS"', "several"),
        ("0", "none"),
        ('{"read_error_count": 2, "write_error_count": 1, "data_kb": 999}', "several"),
        ('{"read_error_count": 0, "write_error_count": 0, "data_kb": 999}', "none"),
        ('{"read_error_count": 0, "data_kb": 999}', None),
        ('{"read_error_count": 0, "write_error_count": "N/A"}', None),
        ('"N/A"', None),
        ("[]", None),
    ],
)
def test_xgmi_errors_in_every_form(text: str, state: str | None) -> None:
    reading = parse_metric(f'[{{"gpu": 0, "xgmi_err": {text}}}]')[0].xgmi_errors
    assert (reading.value if isinstance(reading, Known) else None) == state


@pytest.mark.parametrize(
    ("name", "active", "accumulated"),
    [
        ("changelog-L1699-amd-smi-metric-throttle.txt", (), 585613),
        ("changelog-L409-amd-smi-metric-v-g-0.txt", (), 2),
        ("changelog-L3334-amd-smi-metric-p-json.txt", (), None),
    ],
)
def test_throttling_of_every_schema(name: str, active: tuple[str, ...], accumulated: int | None) -> None:
    throttle = parse_metric(read(name))[0].throttle
    assert value(throttle.active) == active
    assert throttle.accumulated.get("ppt") == accumulated


def test_a_violation_of_one_xcc_is_a_violation() -> None:
    def active(**status: object) -> Reading[tuple[str, ...]]:
        section = {f"{name}_violation_status": value for name, value in status.items()}
        return parse_metric(json.dumps([{"gpu": 0, "throttle": section}]))[0].throttle.active

    quiet: dict[str, object] = dict.fromkeys(("ppt", "socket_thermal", "vr_thermal"), "NOT ACTIVE")
    quiet["hbm_thermal"] = False
    assert value(active(**quiet, prochot={"xcp_0": ["NOT ACTIVE", "ACTIVE", "N/A"]})) == ("prochot",)
    assert value(active(**quiet, prochot={"xcp_0": ["NOT ACTIVE", "NOT ACTIVE", "N/A"]})) == ()
    missing = active(**quiet)
    assert isinstance(missing, Unknown)
    assert "prochot" in missing.reason


def test_firmware_after_a_banner_and_out_of_order() -> None:
    firmware = parse_firmware(read("firmware-with-banner.txt"))
    assert value(firmware[0]) == {"SMU": "9.9", "VCN": "1.2.3"}
    assert value(firmware[1]) == {"VCN": "1.2.3"}


def test_versions_as_json_and_on_one_line() -> None:
    found = parse_version(read("version-7.0.2.json"))
    assert (value(found.rocm), value(found.driver)) == ("7.0.2", "6.16.6")
    inbox = parse_version(read("version-6.4.0-inbox-driver.txt"))
    assert value(inbox.rocm) == "6.4.0"
    assert isinstance(inbox.driver, Unknown)
    assert "kernel's own" in inbox.driver.reason


def test_processes_of_every_schema() -> None:
    nobody = parse_process(read("process-none-running.json"))
    assert [value(nobody[index]) for index in (0, 1)] == [(), ()]
    nameless = parse_process(read("process-name-na-6.4.txt"))[0]
    assert isinstance(nameless, Known)
    assert (nameless.value[0].pid, isinstance(nameless.value[0].name, Unknown)) == (2266127, True)
    assert value(nameless.value[0].vram_bytes) == round(1.9 * (1 << 30))
    busy = parse_process(read("roctop-amdsmi_process.json"))[0]
    assert isinstance(busy, Known)
    assert max(value_or(process.vram_bytes, 0) for process in busy.value) == 29429556000
    older = parse_process(read("changelog-L2569-json.json"))[0]
    assert isinstance(older, Known)
    assert [(value(process.name), value(process.vram_bytes)) for process in older.value] == [
        ("TransferBench", 0),
        ("rvs", 0),
    ]
    cut = parse_process(read("blog-2024-09-L185-amd-smi-process.txt"))[1]
    assert isinstance(cut, Unknown)
    assert "cut off" in cut.reason


def test_bad_pages_are_counted_and_na_is_not_none() -> None:
    assert parse_bad_pages(read("blog-2024-09-L350-amd-smi-bad-pages.txt"))[1] == BadPages(
        *(Known(0, "amd-smi bad-pages"),) * 3
    )
    page = {"page_address": 4096, "page_size": 4096, "status": "PENDING"}
    values = {"retired": [page, page], "pending": page, "un_res": "N/A"}
    found = parse_bad_pages(json.dumps([{"gpu": 0, "values": values}]))[0]
    assert (value(found.retired), value(found.pending)) == (2, 1)
    assert isinstance(found.unreservable, Unknown)


def test_every_pair_of_gpus_has_its_link_type() -> None:
    links = parse_topology(read("changelog-L3368-amd-smi-topology.txt"))
    assert isinstance(links, Known)
    assert len(links.value) == 8 * 7
    assert {value(kind) for kind in links.value.values()} == {"XGMI"}
    pcie = parse_topology(read("changelog-L2975-amd-smi-topology-a-t-json.txt"))
    assert isinstance(pcie, Known)
    assert value(pcie.value["0000:08:00.0", "0000:44:00.0"]) == "PCIE"
    for name in ("changelog-L2943-amd-smi-topology-json.txt", "blog-2024-09-L369-amd-smi-topology.txt"):
        assert isinstance(parse_topology(read(name)), Unknown)


def test_xgmi_links_that_are_down_are_seen() -> None:
    down = parse_xgmi(read("changelog-L1117-amd-smi-xgmi-link-status.txt"))["0000:08:00.0"]
    assert value(down.states) == ("D", "D", "U", "U", "U", "U", "U", "X")
    rates = parse_xgmi(read("changelog-L3298-amd-smi-xgmi.txt"))
    assert len(rates) == 8
    assert value(rates["0000:0c:00.0"].rate_gbps) == 32
    own = {"gpu": 0, "bdf": "0000:05:00.0"}
    metrics = {"bit_rate": {"value": 32, "unit": "Gb/s"}, "links": [{"gpu": 1, "bdf": "0000:15:00.0"}]}
    combined = {
        "xgmi_metric": [[{**own, "link_metrics": metrics}]],
        "source_status": [{**own, "link_status": ["U", "X"]}],
        "link_status": [{**own, "link_status": ["SELF", "U/D", "N/A"]}],
    }
    documents = parse_xgmi(json.dumps(combined))
    assert value(documents["0000:05:00.0"].states) == ("D", "U", "U", "X")
    assert list(documents) == ["0000:05:00.0"]


def test_partitions_of_a_device_in_cpx() -> None:
    partitions = parse_partition(read("changelog-L1413-amd-smi-partition-current.txt"))
    assert (value(partitions[0].compute), value(partitions[0].memory)) == ("CPX", "NPS1")
    unknown = parse_partition(read("partition-na.txt"))
    assert isinstance(unknown[0].compute, Unknown)
    assert value(unknown[0].memory) == "NPS1"


def test_partitions_inside_a_document_of_several_lists() -> None:
    current = [{"gpu_id": 0, "memory": "NPS4", "accelerator_type": "CPX", "accelerator_profile_index": 3}]
    found = parse_partition(json.dumps({"current_partition": current, "memory_partition": [{"gpu_id": 0}]}))
    assert (value(found[0].compute), value(found[0].memory)) == ("CPX", "NPS4")


def test_firmware_and_processes_as_text() -> None:
    text = (
        "GPU: 0\n    FW_LIST:\n        FW 0:\n            FW_ID: SMU\n            FW_VERSION: 04.86.00.00\n"
        "        FW 1:\n            FW_ID: VCN\n            FW_VERSION: 09.11.80.0C\n"
    )
    assert value(parse_firmware(text)[0]) == {"SMU": "04.86.00.00", "VCN": "09.11.80.0C"}
    assert value(parse_process("GPU: 0\n    PROCESS_INFO: No running processes detected\n")[0]) == ()


def test_hardware_errors_on_record() -> None:
    corrected = parse_cper(read("changelog-L879-amd-smi-ras-cper.txt"))
    assert value(corrected) == (Cper("non_fatal_corrected", "2025/04/08 18:23:44", None),)
    table = "Dumping CPER file header entries\n    timestamp   gpu_id  severity  file_name\n"
    assert value(parse_cper(table)) == ()
    fatal = parse_cper(f"{table}    2025/06/17 21:45:30  3       fatal     fatal_0.cper\n")
    assert isinstance(fatal, Known)
    assert (fatal.value[0].gpu, fatal.value[0].fatal) == (3, True)
    assert isinstance(parse_cper(""), Unknown)
    assert parse_afid_actions(read("afid_sag_sample.json")) == {"9001": 99, "9002": 88}


def test_a_gpu_that_is_shown_twice_and_differently_is_not_known() -> None:
    row = '{"gpu": 0, "ecc": {"total_uncorrectable_count": %d}}'
    twice = parse_metric(f"[{row % 0}, {row % 1}]")[0].errors.uncorrectable
    assert isinstance(twice, Unknown)
    assert "twice" in twice.reason


def test_a_last_line_without_its_end_is_no_number() -> None:
    whole = "GPU: 0\n    ECC:\n        TOTAL_UNCORRECTABLE_COUNT: 10\n"
    assert value(parse_metric(whole)[0].errors.uncorrectable) == 10
    for cut in (whole[:-1], whole[:-2], whole[:-4]):
        assert isinstance(parse_metric(cut)[0].errors.uncorrectable, Unknown)


@pytest.mark.parametrize("name", tool_outputs.names("amd-smi"))
def test_every_output_is_read_by_every_parser_without_a_crash(name: str) -> None:
    """One that is not a parser's own tells it nothing, and says so where it is asked about a GPU."""
    text = tool_outputs.read(name)
    for parse in (
        parse_static,
        parse_metric,
        parse_firmware,
        parse_process,
        parse_bad_pages,
        parse_xgmi,
        parse_partition,
    ):
        parse(text)
    listing = parse_list(text)
    assert isinstance(listing.count, Known) or listing.count.reason
    for reading in (parse_topology(text), parse_cper(text)):
        assert isinstance(reading, Known) or reading.reason

"""What is read out of real outputs other than amd-smi's: rocm-smi, rocminfo, lspci, the kernel log, versions."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.health.parse.kernel_log import KernelEvent, first_time, parse_kernel_log
from pdctl.health.parse.kernel_log_patterns import PATTERNS, Grade
from pdctl.health.parse.lspci import parse_lspci
from pdctl.health.parse.rocm_smi import parse_rocm_smi
from pdctl.health.parse.rocm_smi_ras import RasCounts, parse_rasinfo
from pdctl.health.parse.rocm_version import parse_module_version, parse_rocm_version
from pdctl.health.parse.rocminfo import parse_rocminfo
from pdctl.model.reading import Known, Reading, Unknown, value_or
from tests import tool_outputs


def value(reading: Reading[Any]) -> object:
    return reading.value if isinstance(reading, Known) else reading


@pytest.mark.parametrize(
    ("name", "cards", "driver", "address", "vram", "hotspot"),
    [
        ("telegraf-mi100_rocm571.json", 6, "6.2.4", "0000:1e:00.0", 34342961152, 34.0),
        ("telegraf-mi100_rocm602.json", 4, "6.3.6", "0000:83:00.0", 34342961152, 55.0),
        ("telegraf-rx6700xt_rocm430.json", 1, "6.3.6", "0000:07:00.0", 12868124672, 47.0),
        ("telegraf-vega-10-XT.json", 1, "5.9.25", "0000:04:00.0", 17163091968, 40.0),
        ("telegraf-vega-20-WKS-GL-XE.json", 1, "5.9.17", "0000:63:00.0", 34342961152, 38.0),
        ("mi300x_x4_showall.txt", 4, "6.7.0", "0000:26:00.0", None, 35.0),
    ],
)
def test_rocm_smi_of_every_age(
    name: str, cards: int, driver: str, address: str, vram: int | None, hotspot: float
) -> None:
    found = parse_rocm_smi(tool_outputs.read(f"rocm-smi/{name}"))
    assert len(found.gpus) == cards
    assert value(found.driver) == driver
    gpu = found.gpus[0]
    assert value(gpu.address) == address
    assert value_or(gpu.vram_total_bytes, 0) == (vram or 0)
    assert value(gpu.hotspot_c) == hotspot
    assert gpu.firmware


def test_rocm_smi_values_are_strings_and_may_be_words() -> None:
    memory = parse_rocm_smi(tool_outputs.read("rocm-smi/mi300x-showmeminfo-vram.json")).gpus[0]
    assert (value(memory.vram_total_bytes), value(memory.vram_used_bytes)) == (205822885888, 2654650368)
    secondary = parse_rocm_smi(tool_outputs.read("rocm-smi/telegraf-rx6700xt_rocm602.json")).gpus[0]
    assert isinstance(secondary.power_w, Unknown)
    assert "Secondary die" in secondary.power_w.reason
    tenants = parse_rocm_smi(tool_outputs.read("rocm-smi/mi300x-showpids.json")).tenants
    assert value(tenants) == {28389: 2353860608}


@pytest.mark.parametrize(
    ("name", "said"),
    [("err-driver-not-loaded.txt", "Driver not initialized"), ("err-no-gpus-lowpower.txt", "No AMD GPUs specified")],
)
def test_rocm_smi_without_a_card_says_why(name: str, said: str) -> None:
    found = parse_rocm_smi(tool_outputs.read(f"rocm-smi/{name}"))
    assert found.gpus == {}
    assert said in found.why


def test_rocm_smi_ras_counts_by_block() -> None:
    counts = parse_rasinfo(tool_outputs.read("rocm-smi/showrasinfo_text.txt"))
    assert counts[0]["UMC"] == RasCounts(correctable=3, uncorrectable=1)
    assert "ATHUB" not in counts[0]
    assert counts[1]["UMC"] == RasCounts(0, 0)


def test_rocminfo_agents_are_devices_by_address() -> None:
    text = tool_outputs.read("rocminfo/mi300x_x4_rocminfo.txt")
    agents = parse_rocminfo(text)
    assert isinstance(agents, Known)
    assert [value(agent.address) for agent in agents.value] == [
        "0000:26:00.0",
        "0000:46:00.0",
        "0000:65:00.0",
        "0000:85:00.0",
    ]
    assert {value(agent.isa) for agent in agents.value} == {"gfx942"}
    for cut in (text[: len(text) // 2], tool_outputs.read("rocminfo/err-module-not-loaded.txt"), ""):
        assert isinstance(parse_rocminfo(cut), Unknown)


def test_versions() -> None:
    assert value(parse_rocm_version(tool_outputs.read("rocm_version/node-scraper-info-versions.txt"))) == "6.4.0-47"
    assert value(parse_rocm_version("7.0.2-56\n")) == "7.0.2-56"
    assert isinstance(parse_rocm_version("7.0.2"), Unknown)
    assert value(parse_module_version(tool_outputs.read("modinfo/node-scraper-amdgpu.txt"))) == "99.88.77"
    inbox = parse_module_version("filename: /lib/modules/6.8.0/kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko\n")
    assert isinstance(inbox, Unknown)
    assert "kernel's own" in inbox.reason


def test_lspci_tells_adapters_by_vendor_and_class() -> None:
    whole = parse_lspci(tool_outputs.read("lspci/ainic-lspci-pass.txt"))
    assert isinstance(whole, Known)
    assert sum(device.is_nic for device in whole.value) == 8
    short = parse_lspci(tool_outputs.read("lspci/ainic-lspci-count-mismatch.txt"))
    assert isinstance(short, Known)
    assert sum(device.is_nic for device in short.value) == 7
    assert not any(device.is_accelerator for device in short.value)


def test_lspci_tells_accelerators_from_the_console() -> None:
    found = parse_lspci(
        "0000:05:00.0 Processing accelerators [1200]: Advanced Micro Devices, Inc. [AMD/ATI] Aqua Vanjaram "
        "[Instinct MI300X] [1002:74a1]\n"
        "0000:26:00.0 Display controller [0380]: Advanced Micro Devices, Inc. [AMD/ATI] Aldebaran/MI200 "
        "[Instinct MI210] [1002:740f] (rev 02)\n"
        "0000:c6:00.0 VGA compatible controller [0300]: ASPEED Technology, Inc. ASPEED Graphics Family [1a03:2000]\n"
    )
    assert isinstance(found, Known)
    assert [device.is_accelerator for device in found.value] == [True, True, False]


def test_lspci_details_of_links_and_access_control() -> None:
    found = parse_lspci(tool_outputs.read("lspci/gpud-lspci-vvv.txt"))
    assert isinstance(found, Known)
    devices = {device.address: device for device in found.value}
    slow = devices["0000:00:0c.0"]
    assert (value(slow.link_gts), value(slow.max_link_gts), value(slow.downgraded)) == (5.0, 8.0, True)
    assert value(slow.acs_source_validation) is True
    nic = devices["0000:1a:00.0"]
    assert (value(nic.link_gts), value(nic.link_width), value(nic.downgraded)) == (32.0, 16, False)
    assert (value(nic.read_request_bytes), value(nic.relaxed_ordering), value(nic.driver)) == (4096, True, "mlx5_core")
    assert isinstance(nic.acs_source_validation, Unknown)


@pytest.mark.parametrize("name", ["ionic-lspci_grep_84_00_awk.txt", "vvv-gen5-x16-endpoint.txt"])
def test_an_excerpt_of_lspci_without_a_device_is_unknown(name: str) -> None:
    assert isinstance(parse_lspci(tool_outputs.read(f"lspci/{name}")), Unknown)


def events(name: str) -> list[tuple[str, Grade, str]]:
    found = parse_kernel_log(tool_outputs.read(f"dmesg/{name}"))
    return [(event.category, event.grade, event.address) for event in found]


def test_the_kernel_log_of_a_gpu_that_fails() -> None:
    assert events("ns-ras-poison-consumed.log") == [
        ("ras", Grade.FATAL, "0000:68:00.0"),
        ("ras", Grade.FATAL, "0000:68:00.0"),
        ("ras", Grade.FATAL, "0000:01:00.0"),
        ("ras", Grade.FATAL, "0000:02:00.0"),
    ]
    assert [grade for _, grade, _ in events("ns-bad-page-threshold.log")] == [Grade.FATAL, Grade.FATAL]
    assert events("ns-ras-ue-ce.log") == [("ras", Grade.WARNING, "0000:0c:00.0")]
    assert events("ns-umc-ce.log")[1][0] == "iommu"
    sample = events("node-scraper-dmesg_sample.log")
    assert len(sample) == 9
    assert sum(grade is Grade.FATAL for _, grade, _ in sample) == 3


def test_the_kernel_log_of_a_cpu_that_fails() -> None:
    assert [(category, grade) for category, grade, _ in events("ns-mce-machine-check.log")] == [
        ("cpu", Grade.WARNING),
        ("cpu", Grade.FATAL),
        ("cpu", Grade.WARNING),
        ("ras", Grade.WARNING),
        ("pcie", Grade.WARNING),
    ]
    assert {category for category, _, _ in events("ns-mce-full.log")} == {"cpu"}


@pytest.mark.parametrize("name", ["gpud-kmsg.1.log", "gpud-kmsg.2.peermem.log"])
def test_a_log_of_another_vendor_says_nothing(name: str) -> None:
    assert events(name) == []


def test_times_in_every_format() -> None:
    line = "amdgpu 0000:0c:00.0: amdgpu: poison is consumed by client 12, kick off gpu reset flow"
    for text, at_s, since_boot_s in (
        (f"kern  :err   : 2024-11-24T17:53:23,500000-06:00 {line}", 1732492403.5, None),
        (f"2024-11-24T17:53:23,500000-06:00 {line}", 1732492403.5, None),
        (f"2024-11-24T17:53:23-0600 host-1 kernel: {line}", 1732492403.0, None),
        (f"[ 4661.513291] {line}", None, 4661.513291),
        (f"kern  :err   : [ 4661.513291] {line}", None, 4661.513291),
        (f"3,4023,4661513291,-;{line}", None, 4661.513291),
        (line, None, None),
    ):
        (event,) = parse_kernel_log(text)
        assert (event.at_s, event.since_boot_s, event.address) == (at_s, since_boot_s, "0000:0c:00.0")


@pytest.mark.parametrize(
    ("status", "grade"), [("0x98000800003e0000", Grade.WARNING), ("0xbea0000000000108", Grade.FATAL)]
)
def test_an_error_bank_is_fatal_when_its_register_says_uncorrected(status: str, grade: Grade) -> None:
    amdgpu = "amdgpu 0000:03:00.0: {1}[Hardware Error]:"
    log = f"{amdgpu} Accelerator Check Architecture events logged\n{amdgpu} ACA[01/01].STATUS={status}\n"
    (event,) = parse_kernel_log(log)
    assert (event.category, event.grade) == ("ras", grade)


@pytest.mark.parametrize(
    "line",
    [
        "amdgpu 0000:0c:00.0: amdgpu: socket: 0, die: 1, 0 correctable hardware errors detected in total in umc block",
        "amdgpu 0000:0c:00.0: amdgpu: 0 uncorrectable hardware errors detected in umc block",
        "amdgpu 0000:0c:00.0: amdgpu: GPU reset(1) succeeded!",
        "pcieport 0000:00:01.1: AER: enabled with IRQ 34",
        "pcieport 0000:00:01.1: DPC: error containment capabilities: Int Msg #0, RPExt+ PoisonedTLP+ SwTrigger+",
        "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode",
        "nvme0n1: p1 p2",
        "mlx5_core 0000:1a:00.0: Link up",
        "RAS: Correctable Errors collector initialized.",
        "[drm] amdgpu: dpc is not supported",
    ],
)
def test_lines_of_a_healthy_boot_are_no_events(line: str) -> None:
    assert parse_kernel_log(line) == ()


@pytest.mark.parametrize(
    ("line", "category", "grade"),
    [
        ("amdgpu: socket: 0 10 uncorrectable hardware errors detected in umc block", "ras", Grade.FATAL),
        ("amdgpu 0000:c1:00.0: amdgpu: GPU reset begin!", "gpu", Grade.FATAL),
        ("amdgpu 0000:c1:00.0: amdgpu: GPU reset(2) failed", "gpu", Grade.FATAL),
        ("[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx_0.0.0 timeout, signaled seq=1", "gpu", Grade.FATAL),
        ("[drm:amdgpu_device_ip_init [amdgpu]] *ERROR* hw_init of IP block <psp> failed -22", "gpu", Grade.FATAL),
        ("amdgpu 0000:c1:00.0: amdgpu: Fatal error during GPU init", "gpu", Grade.FATAL),
        ("amdgpu: qcm fence wait loop timeout expired", "gpu", Grade.FATAL),
        (
            "amdgpu: The cp might be in an unrecoverable state due to an unsuccessful queues preemption",
            "gpu",
            Grade.FATAL,
        ),
        ("amdgpu 0000:c1:00.0: amdgpu: SMU: I'm not done with your previous command", "gpu", Grade.FATAL),
        ("amdgpu 0000:c1:00.0: amdgpu: [gfxhub0] no-retry page fault (src_id:0 ring:24)", "gpu", Grade.WARNING),
        (
            "pcieport 0000:00:01.1: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction",
            "pcie",
            Grade.FATAL,
        ),
        ("pcieport 0000:00:01.1: AER: Correctable error message received from 0000:0c:00.0", "pcie", Grade.WARNING),
        ("pcieport 0000:00:01.1: AER: Uncorrected (Non-Fatal) error received: 0000:01:00.0", "pcie", Grade.WARNING),
        ("pcieport 0000:00:01.1: DPC: containment event, status:0x1f01 source:0x0000", "pcie", Grade.FATAL),
        ("pcieport 0000:00:01.1: pciehp: Slot(4): Link Down", "pcie", Grade.FATAL),
        ("watchdog: BUG: soft lockup - CPU#12 stuck for 26s! [python3:4711]", "hang", Grade.FATAL),
        ("INFO: task python3:4711 blocked for more than 120 seconds.", "hang", Grade.WARNING),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "hang", Grade.WARNING),
        ("python3 invoked oom-killer: gfp_mask=0x140cca", "memory", Grade.WARNING),
        ("Memory cgroup out of memory: Killed process 4711 (python3)", "memory", Grade.WARNING),
        ("mlx5_core 0000:1a:00.0 ens1np0: Link down", "link", Grade.WARNING),
        ("EXT4-fs error (device nvme0n1p2): ext4_lookup:1855: inode #2", "disk", Grade.WARNING),
    ],
)
def test_lines_that_matter(line: str, category: str, grade: Grade) -> None:
    (event,) = parse_kernel_log(f"kern  :err   : 2026-01-07T10:02:00,123456-06:00 {line}\n")
    assert (event.category, event.grade) == (category, grade)
    assert event.line.endswith(line)


def test_words_that_announce_a_pattern_are_in_lower_case() -> None:
    assert [pattern.what for pattern in PATTERNS if any(word != word.lower() for word in pattern.words)] == []


def test_where_a_cut_log_begins() -> None:
    log = "rest of a line\nkern  :info  : 2024-11-24T17:53:23,000000-06:00 something\n"
    assert first_time(log, None) == 1732492403.0
    assert first_time("rest\n[  10.5] something\n", 1000.0) == 1010.5
    assert first_time("nothing\nwith a time\n", 1000.0) is None


@pytest.mark.parametrize(
    "name", tool_outputs.names("rocm-smi", "rocminfo", "rocm_version", "lspci", "dmesg", "modinfo")
)
def test_every_output_is_read_by_every_parser_without_a_crash(name: str) -> None:
    text = tool_outputs.read(name)
    assert all(isinstance(event, KernelEvent) for event in parse_kernel_log(text))
    smi = parse_rocm_smi(text)
    assert smi.gpus or smi.why
    for reading in (parse_rocminfo(text), parse_lspci(text), parse_rocm_version(text), parse_module_version(text)):
        assert isinstance(reading, Known) or reading.reason

"""NIC and host outputs, damaged: no parser crashes on any real output, and no NIC or host check passes that did not.

`PDCTL_HEALTH_EXAMPLES=10000` runs as many cases as the issue of the health checks asks for.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Set
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.health.envelope import Envelope
from pdctl.health.finding import Verdict
from pdctl.health.parse import ethtool, fabric_tests, ibv_devinfo, kernel_text, memory, niccli, nicctl, nicctl_text
from pdctl.health.parse.df import df
from pdctl.health.parse.ibstat import ibstat
from pdctl.health.parse.ip_link import ip_links
from pdctl.health.parse.mlnx_qos import mlnx_qos
from pdctl.health.parse.mst import mst_status
from pdctl.health.parse.rdma_tool import rdma_devs, rdma_links, rdma_statistics
from pdctl.health.parse.show_gids import show_gids
from pdctl.model.reading import Known, Unknown
from tests import tool_outputs
from tests.property.health_mutations import TEXTS, damaged_file, damaged_item
from tests.unit.deployments import r1_2p3d
from tests.unit.health_fleet import judge_envelopes
from tests.unit.health_nodes import changed, healthy
from tests.unit.health_verdicts import NODE, with_env

CASES = settings(max_examples=int(os.environ.get("PDCTL_HEALTH_EXAMPLES", "25")), deadline=None)
IB = "/sys/class/infiniband"

PARSERS: Mapping[str, tuple[Callable[[str], object], ...]] = {
    "rdma_link": (rdma_links,),
    "rdma_dev": (rdma_devs,),
    "rdma_statistic": (rdma_statistics, rdma_links),
    "ibv_devinfo": (ibv_devinfo.ibv_devinfo, ibv_devinfo.ibv_devices),
    "ibstat": (ibstat,),
    "ethtool": (ethtool.ethtool_link, ethtool.ethtool_driver),
    "ethtool_S": (ethtool.ethtool_statistics,),
    "mlnx_qos": (mlnx_qos,),
    "niccli": (niccli.niccli_devices, niccli.niccli_qos, niccli.app_entries),
    "nicctl": (
        nicctl.nicctl_cards,
        nicctl.nicctl_ports,
        nicctl.nicctl_lifs,
        nicctl.nicctl_queue_pairs,
        lambda text: nicctl.nicctl_statistics(text, "port"),
        nicctl_text.nicctl_qos,
        nicctl_text.nicctl_dcqcn,
        nicctl_text.nicctl_firmware,
        nicctl_text.nicctl_text_ports,
    ),
    "show_gids": (show_gids,),
    "mst": (mst_status,),
    "modinfo": (kernel_text.modinfo,),
    "numactl": (memory.numactl,),
    "lsmem": (memory.lsmem,),
    "free": (memory.free_bytes,),
    "df": (df,),
    "ip_addr": (ip_links,),
    "ip_link": (ip_links,),
    "ib_write_bw": (fabric_tests.ib_write_bw,),
    "rccl_tests": (fabric_tests.rccl_bus_bandwidth,),
}
"""What reads the outputs of a folder. Each parser is also given its neighbours' outputs: a wrapper may mix them up."""

EVERY = tuple(parser for parsers in PARSERS.values() for parser in parsers)


@pytest.mark.parametrize("name", tool_outputs.names(*PARSERS))
@settings(max_examples=max(3, CASES.max_examples // 100), deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_no_parser_crashes_on_a_damaged_output(name: str, seed: int) -> None:
    rng = random.Random(seed)
    text = tool_outputs.read(name)
    for _ in range(rng.randrange(1, 3)):
        text = rng.choice(TEXTS)(text, rng)
    for parser in (*PARSERS[name.split("/")[0]], rng.choice(EVERY)):
        parser(text)


@given(text=st.text(max_size=300))
@settings(max_examples=CASES.max_examples, deadline=None)
def test_no_parser_crashes_on_any_text(text: str) -> None:
    for parser in EVERY:
        parser(text)


@cache
def sick() -> Envelope:
    """A node with a fault for most NIC and host checks."""
    files: dict[str, str | None] = {
        f"{IB}/mlx5_0/ports/1/state": "1: DOWN\n",
        f"{IB}/mlx5_1/ports/1/rate": "200 Gb/sec (4X HDR)\n",
        f"{IB}/mlx5_2/ports/1/link_layer": "InfiniBand\n",
        f"{IB}/mlx5_4/device/current_link_width": "8\n",
        f"{IB}/mlx5_5/ports/1/gids/3": None,
        f"{IB}/mlx5_5/ports/1/gids/7": "0000:0000:0000:0000:0000:ffff:c0a8:1501\n",
        f"{IB}/mlx5_5/ports/1/gid_attrs/types/7": "RoCE v2\n",
        **{f"{IB}/mlx5_3/ports/1/gid_attrs/types/{index}": "IB/RoCE v1\n" for index in range(4)},
        "/sys/class/net/rdma6/mtu": "1500\n",
        "/sys/class/net/rdma6/ecn/roce_np/enable/3": "0\n",
        "/proc/sys/kernel/numa_balancing": "1\n",
        "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "powersave\n",
        "/proc/meminfo": "MemTotal:       2000000000 kB\nMemAvailable:   1000000 kB\n",
    }
    whole = healthy()
    outputs: dict[str, str | None] = {
        "mlnx_qos.rdma7": whole.items["mlnx_qos.rdma7"].stdout.replace("0   0   0   1", "0   0   0   0"),
        "chronyc": whole.items["chronyc"].stdout.replace(": Normal", ": Not synchronised"),
        "timedatectl": whole.items["timedatectl"].stdout.replace("NTPSynchronized=yes", "NTPSynchronized=no"),
        "pgrep.bench": "4242\n",
        "systemctl.failed": "a.service loaded failed failed A\n1 loaded units listed.\n",
    }
    path = f"{IB}/mlx5_7/ports/1/hw_counters/out_of_sequence"
    moved = changed(whole, files=files, outputs=outputs)
    return moved.model_copy(update={"samples": {**moved.samples, path: ("1\n", "2\n", "9\n")}})


def passed(envelope: Envelope) -> tuple[Set[tuple[str, str]], list[str]]:
    """(what passes of NIC and host checks, defects that were met)."""
    report, _ = judge_envelopes(with_env(MORI_IB_GID_INDEX="1", NCCL_IB_TC="64"), {NODE: envelope})
    mine = [each for each in report.findings if each.subject.node == NODE]
    rooms = ("nic.", "host.")
    good = {
        (each.check, each.subject.device)
        for each in mine
        if each.verdict is Verdict.PASS and each.check.startswith(rooms)
    }
    return good, [each.why for each in mine if "itself failed" in each.why or "not be parsed" in each.why]


@cache
def intact(*, well: bool) -> Set[tuple[str, str]]:
    return passed(healthy() if well else sick())[0]


def hurt(envelope: Envelope, rng: random.Random) -> Envelope:
    """Some of what is about NICs and the host, damaged; files and links of RDMA devices gone too."""
    items, files, samples = dict(envelope.items), dict(envelope.files), dict(envelope.samples)
    links = dict(envelope.links)
    about = [name for name in sorted(items) if not name.startswith(("amd-smi", "rocm"))]
    for name in rng.sample(about, rng.randrange(1, 6)):
        items[name] = damaged_item(items[name], rng)
    ours = [path for path in sorted(files) if path.startswith((IB, "/sys/class/net", "/proc"))]
    for path in rng.sample(ours, rng.randrange(0, 40)):
        samples.pop(path, None)
        if rng.random() < 0.3 and path.startswith(IB):
            del files[path]
        else:
            files[path] = damaged_file(files[path], rng)
    for path in rng.sample(sorted(links), rng.randrange(0, 3)):
        del links[path]
    return envelope.model_copy(update={"items": items, "files": files, "samples": samples, "links": links})


@CASES
@given(seed=st.integers(0, 1 << 32), well=st.booleans())
def test_damage_passes_no_nic_or_host_check(seed: int, well: bool) -> None:
    found, defects = passed(hurt(healthy() if well else sick(), random.Random(seed)))
    assert defects == []
    assert found - intact(well=well) == set()


def test_the_sick_node_fails_what_it_should() -> None:
    """The property above is about something: these do not pass on the sick node."""
    report, _ = judge_envelopes(r1_2p3d(), {NODE: sick()})
    failed = {each.check for each in report.findings if each.verdict is Verdict.FAIL}
    assert failed >= {
        "nic.port_state",
        "nic.rate",
        "nic.link_layer",
        "nic.gid",
        "nic.gid_index",
        "nic.mtu",
        "nic.pcie_link",
        "nic.pfc",
        "nic.dcqcn",
        "nic.errors",
        "nic.sources_agree",
        "host.numa_balancing",
        "host.cpu_governor",
        "host.ram",
        "host.clock",
        "host.stray_bench",
        "host.failed_units",
    }


EXPLAINED = {
    "ib_write_bw/ainic-crashed.log",
    "ib_write_bw/ainic-empty.log",
    "nicctl/command_mappings.json",
    "nicctl/sys_class_infiniband_rocep132s0_device_vendor.txt",
    "nicctl/sys_class_infiniband_rocep68s0_device_vendor.txt",
    "rccl_tests/phase2-rccl-crash.log",
}
"""Outputs that hold no result of their tool: runs that failed, and files that are none of its outputs."""


@pytest.mark.parametrize("name", tool_outputs.names(*PARSERS))
def test_every_real_output_is_read_or_says_why_not(name: str) -> None:
    text = tool_outputs.read(name)
    readings = [parser(text) for parser in PARSERS[name.split("/")[0]]]
    assert any(isinstance(reading, Known) for reading in readings) == (name not in EXPLAINED)
    assert all(reading.reason for reading in readings if isinstance(reading, Unknown))

"""The kernel's settings: NUMA balancing, IOMMU, ACS, limits, processors, huge pages, paths between rails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pdctl.health.check import Check, Trait, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_scope import fabric, listed
from pdctl.health.parse.ip_route import Rule
from pdctl.health.parse.limits import UNLIMITED
from pdctl.model.reading import Known, Reading, Unknown
from pdctl.model.role import SupervisorKind

GIB = 1 << 30
GPUS_OF_A_NODE = 8
"""Ranks beyond this leave the node, and with expert parallelism talk across rails."""


def _numa_balancing(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    yield word_on(
        facts.host.numa_balancing,
        lambda value: value == 0,
        expected="0",
        fix="sysctl -w kernel.numa_balancing=0   # and in /etc/sysctl.d; pdctl check --fix does the first",
        why="the kernel unmaps pages to see who uses them, and GPU kernels stall on the faults (ROCm documentation)",
    )


def _iommu(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    def good(parameters: Mapping[str, str]) -> bool:
        return parameters.get("iommu") == "pt" or _off(parameters) or not facts.host.iommu_groups

    yield word_on(
        facts.host.cmdline,
        good,
        expected="iommu=pt, or no IOMMU",
        show=lambda parameters: f"iommu={parameters.get('iommu', 'unset')}",
        fix="add iommu=pt to GRUB_CMDLINE_LINUX, update-grub, reboot",
        why="with translation on, every DMA of GPUs and NICs goes through the IOMMU's tables",
    )


def _off(parameters: Mapping[str, str]) -> bool:
    return "off" in (parameters.get("iommu"), parameters.get("amd_iommu"), parameters.get("intel_iommu"))


def _acs(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """In a virtual machine access control is the host's business."""
    virtual, pci = facts.host.virtual, facts.host.pci
    if isinstance(virtual, Known) and virtual.value != "none":
        return
    promise = "ACS source validation off on every bridge"
    if isinstance(pci, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(pci.source),), why=pci.reason)
        return
    bridges = [device for device in pci.value if "bridge" in device.class_name.lower() or device.class_code == "0604"]
    on = [bridge.address for bridge in bridges if bridge.acs_source_validation == Known(True, pci.source)]
    told = [bridge for bridge in bridges if isinstance(bridge.acs_source_validation, Known)]
    if not on and not told:
        why = "lspci shows no access control capability; it needs root"
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(pci.source),), why=why)
        return
    yield Word(
        Verdict.FAIL if on else Verdict.PASS,
        f"on at {listed(on)}" if on else f"off on {len(told)} bridges",
        promise,
        evidence=(Evidence(pci.source, f"ACSCtl SrcValid+ at {listed(on)}" if on else f"{len(told)} bridges"),),
        fix="setpci -s BRIDGE ECAP_ACS+6.w=0000 for each; or disable ACS in the BIOS" if on else "",
        why="peer-to-peer traffic between GPUs and NICs goes up to the root complex and back" if on else "",
    )


def _memlock(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """The limit where engines start. systemd and docker set their own; a plain process has its login's."""
    wanted = expected.thresholds.memlock_bytes
    own = expected.supervisor is SupervisorKind.PROCESS
    yield word_on(
        facts.host.locked_memory,
        lambda limit: limit >= wanted,
        expected=f"unlimited, or >= {wanted // GIB} GiB",
        show=_size,
        fix="'* - memlock unlimited' in /etc/security/limits.d/, then log in anew",
        why="memory cannot be registered for RDMA" if own else "of logins; engines get their own limit from their unit",
        severity=Severity.BLOCK if own else Severity.WARN,
    )
    low = {
        pid: limit.value
        for pid, limit in facts.host.tenant_memlock.items()
        if isinstance(limit, Known) and limit.value < wanted
    }
    if low:
        yield Word(
            Verdict.FAIL,
            listed(f"pid {pid}: {_size(limit)}" for pid, limit in low.items()),
            f"unlimited, or >= {wanted // GIB} GiB",
            "processes on GPUs",
            evidence=tuple(Evidence(f"/proc/{pid}/limits", _size(limit)) for pid, limit in low.items()),
            fix="restart them with an unlimited memlock (docker: --ulimit memlock=-1)",
            why="they cannot register memory for RDMA",
        )


def _size(limit: int) -> str:
    if limit >= UNLIMITED:
        return "unlimited"
    return f"{limit / GIB:.4g} GiB" if limit >= GIB else f"{limit // 1024} KiB"


def _files(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if expected.supervisor is SupervisorKind.PROCESS:  # the others' units set their own
        yield word_on(
            facts.host.open_files,
            lambda limit: limit >= expected.thresholds.nofile,
            expected=f">= {expected.thresholds.nofile}",
            fix="'* - nofile 1048576' in /etc/security/limits.d/, then log in anew",
            why="an engine with many connections runs out of file descriptors",
        )


def _pids(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if isinstance(facts.host.pids_max, Known):  # without the file there is no such limit
        yield word_on(
            facts.host.pids_max,
            lambda most: most is None or most >= 10_000,
            expected="no limit, or >= 10000 tasks",
            show=lambda most: "no limit" if most is None else f"{most} tasks",
            fix="raise TasksMax of the slice",
            why="an engine starts thousands of threads",
        )


def _governor(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    governors = facts.host.governors
    if isinstance(governors, Unknown) and "no CPU has" in governors.reason:
        return  # virtual machines, and CPUs whose firmware decides
    yield word_on(
        governors,
        lambda names: names == ("performance",),
        expected="performance on every CPU",
        show=", ".join,
        fix="cpupower frequency-set -g performance",
        why="a CPU that clocks down delays every launch of a kernel and every step of the scheduler",
    )


def _paths(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Traffic between different rails needs loose reverse-path filters and a route out of the rail it came in."""
    if not any(slot.judged and slot.ep and slot.ranks > GPUS_OF_A_NODE for slot in expected.slots):
        return
    filters, rules = facts.host.rp_filter, facts.nic.rules
    for device in fabric(facts, expected):
        if isinstance(device.netdev, Unknown):
            continue
        both = (filters.get("all", _NO_FILTER), filters.get(device.netdev.value, _NO_FILTER))
        bad = next((each for each in both if isinstance(each, Unknown)), None)
        effective: Reading[int] = bad or Known(
            max(each.value for each in both if isinstance(each, Known)),
            f"net.ipv4.conf.{device.netdev.value}.rp_filter",
        )
        yield word_on(
            effective,
            lambda mode: mode != 1,
            expected="rp_filter 0 or 2",
            device=device.name,
            fix=f"sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{device.netdev.value}.rp_filter=2",
            why="expert parallelism over nodes talks across rails, and strict filters drop what comes in elsewhere",
        )
        sources = frozenset(str(each.ip) for each in device.ipv4)
        addresses = listed(sorted(sources)) or "ADDRESS"
        ruled = rules if isinstance(rules, Unknown) else Known(_ruled(rules.value, sources), rules.source)
        yield word_on(
            ruled,
            lambda yes: yes,
            expected=f"a rule from {addresses}",
            show=lambda yes: "a rule" if yes else "no rule",
            device=device.name,
            fix=f"ip rule add from {addresses} table TABLE   # with the rail's gateway in it",
            why="answers would leave by another rail",
        )


def _ruled(rules: tuple[Rule, ...], sources: frozenset[str]) -> bool:
    return any(rule.source.split("/")[0] in sources for rule in rules)


_NO_FILTER = Unknown("it was not read", "/proc/sys/net/ipv4/conf")


def _shown(reading: Reading[str]) -> Mapping[str, Reading[str]]:
    return {"": reading}


def _parameters(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    """What of the command line is about PCI, NUMA, IOMMU and the GPU; boot images and disks differ rightly."""
    read = facts.host.cmdline
    if isinstance(read, Unknown):
        return {"": read}
    kept = [
        f"{key}={value}" if value else key
        for key, value in sorted(read.value.items())
        if key.startswith(("pci", "amdgpu.", "numa", "iommu", "amd_iommu", "intel_iommu", "isolcpus", "nohz"))
    ]
    return {"": Known(" ".join(kept) or "none", read.source)}


def _cpus(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    cpus = facts.host.cpus
    return {"": cpus if isinstance(cpus, Unknown) else Known(f"{cpus.value} CPUs", cpus.source)}


def _numa(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    numa = facts.host.numa
    if isinstance(numa, Unknown):
        return {}
    return {"": Known(f"{len(numa.value.nodes)} NUMA nodes", numa.source)}


CHECKS = (
    Check(
        "host.numa_balancing", "NUMA balancing off", Severity.BLOCK,
        ("/proc/sys/kernel/numa_balancing",), _numa_balancing, essential=True,
    ),
    Check("host.iommu", "IOMMU passes through", Severity.WARN, ("/proc/cmdline",), _iommu),
    Check("host.acs", "PCIe access control off", Severity.WARN, ("lspci.vvv",), _acs),
    Check("host.memlock", "memory may be locked", Severity.BLOCK, ("/proc/self/limits", "/proc/*/limits"), _memlock),
    Check("host.nofile", "enough file descriptors", Severity.WARN, ("/proc/self/limits",), _files),
    Check("host.pids", "enough tasks", Severity.WARN, ("/sys/fs/cgroup/pids.max",), _pids),
    Check(
        "host.cpu_governor", "CPUs run at full speed", Severity.WARN,
        ("/sys/devices/system/cpu/*/cpufreq/scaling_governor",), _governor,
    ),
    Check(
        "host.rail_paths", "packets may cross rails", Severity.BLOCK,
        ("/proc/sys/net/ipv4/conf/*/rp_filter", "ip.rule"), _paths,
    ),
)  # fmt: skip

TRAITS = (
    Trait("drift.kernel", "kernel", Severity.INFO, ("uname",), lambda facts: _shown(facts.host.kernel), pin="kernel"),
    Trait("drift.kernel_parameters", "kernel parameters", Severity.INFO, ("/proc/cmdline",), _parameters),
    Trait("drift.cpus", "number of CPUs", Severity.WARN, ("/sys/devices/system/cpu/online",), _cpus),
    Trait("drift.numa_nodes", "number of NUMA nodes", Severity.WARN, ("numactl",), _numa),
    Trait(
        "drift.huge_pages", "transparent huge pages", Severity.INFO,
        ("/sys/kernel/mm/transparent_hugepage/enabled",), lambda facts: _shown(facts.host.huge_pages),
    ),
)  # fmt: skip

"""What is known of a node besides its GPUs and NICs: kernel settings, limits, memory, file systems, clock, ports."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pdctl.health.envelope import Envelope
from pdctl.health.host_files import FileSystems, ModelFiles, file_systems, image_id, model_files
from pdctl.health.outputs import output
from pdctl.health.parse.clock_sync import ClockSync, chronyc, timedatectl
from pdctl.health.parse.files import file_field
from pdctl.health.parse.kernel_text import bracketed, cmdline, failed_units
from pdctl.health.parse.limits import proc_limits, soft_limit
from pdctl.health.parse.lspci import PciDevice, parse_lspci
from pdctl.health.parse.memory import Memory, Numa, meminfo, numactl
from pdctl.health.parse.sockets import Listener, listeners
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

_GOVERNOR: Final = re.compile(r"/sys/devices/system/cpu/cpu\d+/cpufreq/scaling_governor")
_RP_FILTER: Final = re.compile(r"/proc/sys/net/ipv4/conf/([^/]+)/rp_filter")
_TENANT_LIMITS: Final = re.compile(r"/proc/(\d+)/limits")
_CPUS: Final = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the node's clock is ahead of the controller's: between `low_s` and `high_s`. The width is the time that
    the question and the answer took."""

    low_s: float
    high_s: float

    @property
    def middle_s(self) -> float:
        return (self.low_s + self.high_s) / 2

    def __str__(self) -> str:
        return f"{self.middle_s:+.3f} s ± {(self.high_s - self.low_s) / 2:.3f} s"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One node's. `locked_memory`, `open_files`: soft limits of the login, in bytes and files. `tenant_memlock`: the
    limit of every process that holds GPUs, by pid. `bench`: pids of benchmark clients; `compilers`: of those that fill
    a JIT cache; `jit_locks`: paths of its locks. Lists that a tool would have printed are unknown where it did not run.
    """

    numa_balancing: Reading[int]
    cmdline: Reading[Mapping[str, str]]
    iommu_groups: bool
    virtual: Reading[str]
    pci: Reading[tuple[PciDevice, ...]]
    locked_memory: Reading[int]
    open_files: Reading[int]
    tenant_memlock: Mapping[int, Reading[int]]
    pids_max: Reading[int | None]
    memory: Memory
    numa: Reading[Numa]
    huge_pages: Reading[str]
    governors: Reading[tuple[str, ...]]
    cpus: Reading[int]
    file_systems: FileSystems
    model: ModelFiles
    image: Reading[str]
    clock: Reading[ClockSync]
    clock_offset: Reading[ClockOffset]
    listeners: Reading[tuple[Listener, ...]]
    rp_filter: Mapping[str, Reading[int]]
    failed_units: Reading[tuple[str, ...]]
    uptime_s: Reading[float]
    bench: Reading[tuple[int, ...]]
    compilers: Reading[tuple[int, ...]]
    jit_locks: Reading[tuple[str, ...]]
    kernel: Reading[str]


def host_facts(envelope: Envelope) -> HostFacts:
    """What one envelope tells of the host. Never raises for what a node may have sent."""
    limits = _file(envelope, "/proc/self/limits", proc_limits)
    return HostFacts(
        numa_balancing=file_field(envelope.files, "/proc/sys/kernel/numa_balancing").count(),
        cmdline=_file(envelope, "/proc/cmdline", cmdline),
        iommu_groups="/sys/kernel/iommu_groups/0" in envelope.links,
        virtual=_virtual(envelope),
        pci=_item(envelope, "lspci.vvv", parse_lspci),
        locked_memory=soft_limit(limits, "Max locked memory"),
        open_files=soft_limit(limits, "Max open files"),
        tenant_memlock=_tenant_memlock(envelope),
        pids_max=_pids_max(envelope),
        memory=meminfo(envelope.files["/proc/meminfo"].text if "/proc/meminfo" in envelope.files else ""),
        numa=_item(envelope, "numactl", numactl),
        huge_pages=_file(
            envelope,
            "/sys/kernel/mm/transparent_hugepage/enabled",
            lambda text: bracketed(text, "transparent_hugepage"),
        ),
        governors=_governors(envelope),
        cpus=_cpus(envelope),
        file_systems=file_systems(envelope),
        model=model_files(envelope),
        image=image_id(envelope),
        clock=_clock(envelope),
        clock_offset=clock_offset(envelope),
        listeners=_item(envelope, "ss", listeners),
        rp_filter={
            match.group(1): file_field(envelope.files, path).count()
            for path in envelope.files
            if path.startswith("/proc/") and (match := _RP_FILTER.fullmatch(path))
        },
        failed_units=_item(envelope, "systemctl.failed", failed_units),
        uptime_s=_uptime(envelope),
        bench=_pgrep(envelope, "pgrep.bench"),
        compilers=_pgrep(envelope, "pgrep.compiler"),
        jit_locks=_item(envelope, "jit.locks", _locks),
        kernel=Known(envelope.kernel, "uname") if envelope.kernel else Unknown("the collector did not say", "uname"),
    )


def clock_offset(envelope: Envelope) -> Reading[ClockOffset]:
    """The node's clock against the controller's. The node read its own at its end, and knows how long it took: its
    start was after the question, its end before the answer."""
    source = "the controller's clock before and after"
    if envelope.asked_s is None or envelope.answered_s is None or not envelope.wall_s:
        return Unknown("the collection did not note it", source)
    low, high = envelope.wall_s - envelope.answered_s, envelope.wall_s - envelope.seconds - envelope.asked_s
    if low > high:
        return Unknown("a clock was set while it was read", source)
    return Known(ClockOffset(low, high), source)


def _file(envelope: Envelope, path: str, parse: Callable[[str], Reading[T]]) -> Reading[T]:
    text = file_field(envelope.files, path).text()
    return text if isinstance(text, Unknown) else parse(f"{text.value}\n")


def _item(envelope: Envelope, item: str, parse: Callable[[str], Reading[T]]) -> Reading[T]:
    text = output(envelope, item)
    return parse(text.value) if isinstance(text, Known) else text


def _pgrep(envelope: Envelope, item: str) -> Reading[tuple[int, ...]]:
    """Pids. `pgrep` that finds nothing ends with 1 and prints nothing; with 0 it has printed some."""
    found = envelope.items.get(item)
    if found is not None and found.status == 1 and not found.stdout.strip() and not found.stderr.strip():
        return Known((), item)
    read = output(envelope, item)
    if isinstance(read, Unknown):
        return read
    lines = read.value.splitlines()
    pids = tuple(int(line.split()[0]) for line in lines if re.match(r"\d{1,10}( |\Z)", line))
    if found is None or found.status != 0 or len(pids) != len(lines):
        return Unknown(f"it says {lines[0][:60]!r}", item)
    return Known(pids, item)


def _locks(text: str) -> Reading[tuple[str, ...]]:
    """Paths of locks. The cache's own directory is always listed, first: without it there was no answer."""
    rows = [re.fullmatch(r"\d{1,12}\.\d+ (/.*)", line) for line in text.splitlines()]
    paths = tuple(row.group(1) for row in rows if row is not None)
    if not paths or len(paths) != len(rows) or not text.endswith("\n"):
        return Unknown("its list of locks is not whole", "jit.locks")
    return Known(paths[1:], "jit.locks")


def _virtual(envelope: Envelope) -> Reading[str]:
    """`systemd-detect-virt` ends with 1 where it says "none"."""
    read = output(envelope, "virt")
    return read if isinstance(read, Unknown) else Known(read.value.strip(), read.source)


def _tenant_memlock(envelope: Envelope) -> dict[int, Reading[int]]:
    return {
        int(match.group(1)): soft_limit(_file(envelope, path, proc_limits), "Max locked memory")
        for path in envelope.files
        if path.startswith("/proc/") and (match := _TENANT_LIMITS.fullmatch(path))
    }


def _pids_max(envelope: Envelope) -> Reading[int | None]:
    """None: no limit."""
    field = file_field(envelope.files, "/sys/fs/cgroup/pids.max")
    text, count = field.text(), field.count()
    if isinstance(text, Known) and text.value == "max":
        return Known(None, text.source)
    return count if isinstance(count, Unknown) else Known(count.value, count.source)


def _governors(envelope: Envelope) -> Reading[tuple[str, ...]]:
    """The distinct ones, sorted; unknown where one CPU's cannot be read, or where the CPU has none."""
    reads = [file_field(envelope.files, path).text() for path in envelope.files if _is_governor(path)]
    bad = next((read for read in reads if isinstance(read, Unknown)), None)
    if bad is not None:
        return bad
    names = {read.value for read in reads if isinstance(read, Known)}
    source = "/sys/devices/system/cpu/*/cpufreq/scaling_governor"
    return Known(tuple(sorted(names)), source) if names else Unknown("no CPU has a frequency governor", source)


def _is_governor(path: str) -> bool:
    return path.startswith("/sys/devices/system/cpu/") and _GOVERNOR.fullmatch(path) is not None


def _cpus(envelope: Envelope) -> Reading[int]:
    read = file_field(envelope.files, "/sys/devices/system/cpu/online").text()
    if isinstance(read, Unknown):
        return read
    if not _CPUS.fullmatch(read.value):
        return Unknown(f"{read.value[:40]!r} is no list of CPUs", read.source)
    spans = [span.partition("-") for span in read.value.split(",")]
    return Known(sum(int(last or first) - int(first) + 1 for first, _, last in spans), read.source)


def _clock(envelope: Envelope) -> Reading[ClockSync]:
    by_chrony = _item(envelope, "chronyc", chronyc)
    return by_chrony if isinstance(by_chrony, Known) else _item(envelope, "timedatectl", timedatectl)


def _uptime(envelope: Envelope) -> Reading[float]:
    read = file_field(envelope.files, "/proc/uptime").text()
    if isinstance(read, Unknown):
        return read
    match = re.fullmatch(r"(\d{1,12}\.\d+) \d+\.\d+", read.value)
    return (
        Known(float(match.group(1)), read.source)
        if match
        else Unknown(f"{read.value[:40]!r} is no uptime", read.source)
    )

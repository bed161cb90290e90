"""GPU memory: its size, what of it is in use where nothing of ours runs, and who holds it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from pdctl.health.check import Check, Word, word_on
from pdctl.health.checks.folded import folded
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.gpu_device import Gpu
from pdctl.health.gpu_tenants import Tenant
from pdctl.model.reading import Known, Reading, Unknown, value_or
from pdctl.model.unit import unit_name

GIB: Final = 1 << 30
DAEMONS: Final = re.compile(
    r"gpuagent|rocm-smi|rocm_smi|amd-smi|rocminfo|amdgpu-exporter|device-metrics|metrics-expor|rdc"
)
"""Names of what watches GPUs and may hold a context on them: AMD's agent, tools, exporter and data center daemon."""

_PROC = "/sys/class/kfd/kfd/proc/*"
_USED = "/sys/bus/pci/drivers/amdgpu/*/mem_info_vram_used"


@folded
def _total(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    sizes = [gpu.memory.total_bytes.value for gpu in facts.gpu.gpus if isinstance(gpu.memory.total_bytes, Known)]
    usual = Counter(sizes).most_common(1)[0][0] if sizes else 0
    kind = expected.kind
    for gpu in facts.gpu.gpus:
        promise = f"{_gib(usual)} as its neighbours" if kind is None else f"{_gib(kind.vram_bytes)} ({kind.name})"
        yield word_on(
            gpu.memory.total_bytes,
            lambda size: size == usual and (kind is None or kind.vram_fits(size)),
            expected=promise,
            show=_gib,
            device=gpu.name,
            gpus=(gpu.index,),
            fix="cat /sys/bus/pci/drivers/amdgpu/*/mem_info_vram_total; sudo amd-smi bad-pages",
            why="another kind of GPU than the inventory says, a partition, or memory that was given up as bad",
        )


@folded
def _idle(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """VRAM that nobody who is known to KFD holds, on GPUs where no unit of ours runs: a ghost's.

    What a living process holds is another check's (`gpu.foreign_process`), but for daemons, which should hold little.
    """
    thresholds = expected.thresholds
    for gpu in facts.gpu.gpus:
        if gpu.index in expected.serving_gpus:
            continue
        total = gpu.memory.total_bytes
        limit = thresholds.vram_idle_bytes
        if isinstance(total, Known):
            limit = min(limit, round(thresholds.vram_idle_fraction * total.value))
        held = sum(value_or(tenant.vram_bytes[gpu.index], 0) for tenant in _holders(facts, gpu) if not _daemon(tenant))
        yield word_on(
            gpu.memory.used_bytes,
            lambda size, held=held, limit=limit: size - held <= limit,  # type: ignore[misc]
            expected=f"<= {_gib(limit)} beyond what its processes hold",
            show=lambda size, held=held: f"{_gib(size)} in use, {_gib(held)} of it held by processes",  # type: ignore[misc]
            device=gpu.name,
            gpus=(gpu.index,),
            fix=f"sudo fuser -v /dev/kfd /dev/dri/renderD*; sudo amd-smi reset -G -g {gpu.index}   # the reset last",
            why="nobody holds it that KFD knows of: a ghost of a process that died, or a driver's leak",
        )


@folded
def _foreign(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Processes with memory on GPUs where no unit of ours runs, but for ours and for daemons that watch GPUs."""
    tenants = facts.gpu.tenants
    promise = "no process but ours holds memory"
    if isinstance(tenants, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(tenants.source),), why=tenants.reason)
        return
    for gpu in facts.gpu.gpus:
        if gpu.index in expected.serving_gpus:
            continue
        held = [tenant for tenant in tenants.value if not is_ours(tenant, expected)]
        unclear = [tenant for tenant in held if _unclear(tenant, gpu)]
        foreign = [tenant for tenant in held if value_or(_held(tenant, gpu), 0) and not _daemon(tenant)]
        shown_all = "; ".join(shown(tenant, gpu) for tenant in foreign or unclear)
        pids = " ".join(str(tenant.pid) for tenant in foreign)
        verdict = Verdict.FAIL if foreign else Verdict.UNKNOWN if unclear else Verdict.PASS
        yield Word(
            verdict,
            shown_all or "nobody else",
            promise,
            device=gpu.name,
            gpus=(gpu.index,),
            evidence=tuple(Evidence(tenant.source, shown(tenant, gpu)) for tenant in foreign or unclear)
            or (Evidence(tenants.source, "nobody else"),),
            fix=f"ps -o pid,user,etime,args -p {pids.replace(' ', ',')}   # then: sudo kill {pids}" if foreign else "",
            why="an engine would find less memory than it was planned for" if foreign else "",
        )


def is_ours(tenant: Tenant, expected: Expectations) -> bool:
    """Whether its cgroup, or its container's labels, name a unit of this cluster."""
    owner = value_or(tenant.owner, "")
    return unit_name(expected.cluster, "") in owner or f"pdctl.cluster={expected.cluster}," in f"{owner},"


def shown(tenant: Tenant, gpu: Gpu) -> str:
    """One tenant, for people."""
    size = tenant.vram_bytes.get(gpu.index)
    held = _gib(size.value) if isinstance(size, Known) else "an unknown amount"
    return f"pid {tenant.pid} ({value_or(tenant.name, 'name unknown')}) holds {held}"


def _held(tenant: Tenant, gpu: Gpu) -> Reading[int]:
    return tenant.vram_bytes.get(gpu.index, Known(0, tenant.source))


def _unclear(tenant: Tenant, gpu: Gpu) -> bool:
    """Whether it may hold memory there: how much cannot be read, or on which GPU it is."""
    if _daemon(tenant):
        return False
    somewhere = tenant.vram_bytes.get(-1)
    return isinstance(_held(tenant, gpu), Unknown) or (somewhere is not None and value_or(somewhere, 1) > 0)


def _holders(facts: NodeFacts, gpu: Gpu) -> list[Tenant]:
    tenants = value_or(facts.gpu.tenants, ())
    return [tenant for tenant in tenants if gpu.index in tenant.vram_bytes]


def _daemon(tenant: Tenant) -> bool:
    return DAEMONS.match(value_or(tenant.name, "")) is not None


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"


TOTAL = Check(
    "gpu.vram_total",
    "GPU memory has its size",
    Severity.BLOCK,
    ("/sys/bus/pci/drivers/amdgpu/*/mem_info_vram_total",),
    _total,
    essential=True,
)
IDLE = Check("gpu.vram_idle", "idle GPUs are empty", Severity.BLOCK, (_USED,), _idle, essential=True)
FOREIGN = Check(
    "gpu.foreign_process", "nobody else uses the GPUs", Severity.BLOCK, (f"{_PROC}/vram_*", "amd-smi.process"), _foreign
)
CHECKS = (TOTAL, IDLE, FOREIGN)

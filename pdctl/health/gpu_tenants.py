"""Who holds memory on a node's GPUs: KFD's processes in sysfs, which anybody can read, and `amd-smi process`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pdctl.health.envelope import Envelope
from pdctl.health.gpu_amd_smi import PROCESS, AmdSmi
from pdctl.health.outputs import output
from pdctl.health.parse.kfd_processes import PROC, parse_kfd_processes
from pdctl.health.parse.kfd_topology import KfdTopology
from pdctl.model.reading import Known, Reading, Unknown


@dataclass(frozen=True, slots=True)
class Tenant:
    """One process that holds a compute context. `vram_bytes` by GPU index, -1 for one that KFD does not place.

    `owner` says whose it is: its cgroup, and the names and labels of its container.
    """

    pid: int
    name: Reading[str]
    owner: Reading[str]
    vram_bytes: Mapping[int, Reading[int]]
    source: str


def read_tenants(
    envelope: Envelope, kfd: KfdTopology, amd_smi: AmdSmi, index_of: Mapping[str, int]
) -> Reading[tuple[Tenant, ...]]:
    """All of them, by pid: whom one source sees is there. Unknown where neither can say that there is nobody else."""
    shown = _of_amd_smi(amd_smi, index_of)
    if isinstance(kfd.gpus, Unknown):
        return shown
    index_by_id = {
        gpu.gpu_id.value: index_of[gpu.address.value]
        for gpu in kfd.gpus.value
        if isinstance(gpu.gpu_id, Known) and isinstance(gpu.address, Known)
    }
    found = {tenant.pid: tenant for tenant in _of_kfd(envelope, index_by_id)}
    for tenant in shown.value if isinstance(shown, Known) else ():
        known = found.get(tenant.pid)
        if known is None:
            found[tenant.pid] = tenant
        elif not tenant.vram_bytes.keys() <= known.vram_bytes.keys():
            found[tenant.pid] = replace(known, vram_bytes={**tenant.vram_bytes, **known.vram_bytes})
    return Known(tuple(found[pid] for pid in sorted(found)), PROC)


def _of_kfd(envelope: Envelope, index_by_id: Mapping[int, int]) -> list[Tenant]:
    found = []
    listed = output(envelope, "docker.ps")
    containers = listed.value.splitlines() if isinstance(listed, Known) else []
    for process in parse_kfd_processes(envelope.files):
        held: dict[int, Reading[int]] = {}
        for gpu_id, used in process.vram_bytes.items():
            index = index_by_id.get(gpu_id, -1)  # -1: a GPU of which KFD does not say which one it is
            before = held.get(index)
            if isinstance(before, Known) and isinstance(used, Known):
                held[index] = Known(before.value + used.value, used.source)
            elif not isinstance(before, Unknown):
                held[index] = used
        owner = _with_container(process.cgroup, containers)
        found.append(Tenant(process.pid, process.name, owner, held, f"{PROC}/{process.pid}"))
    return found


def _with_container(cgroup: Reading[str], containers: Sequence[str]) -> Reading[str]:
    """A container's cgroup holds its id only; `docker ps` tells its name and labels."""
    if isinstance(cgroup, Unknown):
        return cgroup
    shown = next(
        (line for line in containers if (words := line.split()) and len(words[0]) >= 12 and words[0] in cgroup.value),
        "",
    )
    return Known(f"{cgroup.value} {shown}".strip(), cgroup.source)


def _of_amd_smi(amd_smi: AmdSmi, index_of: Mapping[str, int]) -> Reading[tuple[Tenant, ...]]:
    """Unknown unless every device is spoken of. A row of which nobody says which device it is may be of any: -1."""
    held: dict[int, dict[int, Reading[int]]] = {}
    names: dict[int, Reading[str]] = {}
    spoken_of = set()
    for number, shown in amd_smi.processes.items():
        if isinstance(shown, Unknown):
            return shown
        index = index_of.get(amd_smi.logical.get(number, ""), -1)
        spoken_of.add(index)
        for process in shown.value:
            names[process.pid] = process.name
            held.setdefault(process.pid, {})[index] = process.vram_bytes
    if not amd_smi.processes or not spoken_of >= set(index_of.values()):
        return Unknown(amd_smi.silent.get(PROCESS) or "amd-smi process does not show all GPUs", PROCESS)
    nothing = Unknown("amd-smi says nothing of cgroups", PROCESS)
    return Known(tuple(Tenant(pid, names[pid], nothing, held[pid], PROCESS) for pid in sorted(held)), PROCESS)

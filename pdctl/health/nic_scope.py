"""Which of a node's RDMA devices the fabric checks are about, and whose GPUs one of them concerns.

The inventory decides where it names devices (`MORI_RDMA_DEVICES`, `NCCL_IB_HCA`, `UCX_NET_DEVICES`). Else it is every
device but the management interface's; if those are more than the inventory counts (`nics`), the ones below the GPUs'
PCIe switches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.nic_device import RdmaDevice
from pdctl.health.nic_facts import NicFacts
from pdctl.model.reading import Known

MORI_DEVICES = "MORI_RDMA_DEVICES"
NCCL_HCA = "NCCL_IB_HCA"
UCX_DEVICES = "UCX_NET_DEVICES"


def fabric(facts: NodeFacts, expected: Expectations) -> tuple[RdmaDevice, ...]:
    """The devices that KV and collectives move over. Empty where none is needed, there is none, or they are unknown:
    `nic.present` says which, once for all checks."""
    if not expected.rdma:
        return ()
    known = facts.nic.devices
    return fabric_of(facts.nic, named_devices(expected), expected.spec.nics) if isinstance(known, Known) else ()


def fabric_of(nic: NicFacts, named: tuple[str, ...], count: int) -> tuple[RdmaDevice, ...]:
    """The devices of the fabric, by name. `named`: what the inventory names; `count`: how many it says there are."""
    devices = nic.devices.value if isinstance(nic.devices, Known) else ()
    if named:
        return tuple(device for device in devices if device.name in named)
    apart = tuple(device for device in devices if not _management(nic, device))
    candidates = apart if len(apart) >= min(count, 1) else devices
    if count and len(candidates) > count:
        near = tuple(device for device in candidates if isinstance(nic.affinity.get(device.name), Known))
        return near if len(near) >= count else candidates
    return candidates


def named_devices(expected: Expectations) -> tuple[str, ...]:
    """RDMA devices that the inventory names for the slots in scope, in its order; () where it names none."""
    found: list[str] = []
    for env in [slot.env for slot in expected.slots if slot.judged] or [expected.env]:
        found += [name for name in devices_in(env) if name not in found]
    return tuple(found)


def devices_in(env: Mapping[str, str]) -> tuple[str, ...]:
    """The devices that an engine's environment names: the first of the three variables that lists any by full name.

    A list that begins with ^ excludes, and one of prefixes ("mlx5", without =) names none.
    """
    mori = env.get(MORI_DEVICES, "").strip()
    if mori and not mori.startswith("^"):
        return _names(mori)
    nccl = env.get(NCCL_HCA, "").strip()
    if nccl.startswith("="):
        return _names(nccl[1:])
    ucx = env.get(UCX_DEVICES, "").strip()
    return _names(ucx) if ucx and ucx != "all" and ":" in ucx else ()


def gpus_of(device: RdmaDevice, facts: NodeFacts, expected: Expectations) -> tuple[int, ...] | None:
    """The GPU whose rail it is, where there is a NIC for every GPU; else None: all of the node."""
    near = facts.nic.affinity.get(device.name)
    if not isinstance(near, Known):
        return None
    named = named_devices(expected)
    placed = len(named) or sum(isinstance(each, Known) for each in facts.nic.affinity.values())
    return (near.value.gpu,) if placed >= expected.spec.gpus else None


def _names(text: str) -> tuple[str, ...]:
    return tuple(word.strip().split(":")[0] for word in text.split(",") if word.strip())


def _management(nic: NicFacts, device: RdmaDevice) -> bool:
    if not isinstance(nic.management, Known) or not isinstance(device.netdev, Known):
        return False
    return nic.management.value in (device.netdev.value, device.master)


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names for a line of text."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more

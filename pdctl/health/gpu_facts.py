"""What a node's outputs tell of its GPUs: sysfs first, amd-smi second, rocm-smi third. Nothing is judged here.

A device is known by its PCI address. In partition modes (DPX, CPX) one device shows itself as several GPUs, to amd-smi
and to KFD; they are put together here, with the first partition's figures, which are the device's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from pdctl.health.counters import Counted, CounterId
from pdctl.health.envelope import Envelope
from pdctl.health.gpu_amd_smi import AmdSmi, read_amd_smi
from pdctl.health.gpu_device import Gpu, Told, gpu_of
from pdctl.health.gpu_driver import Driver, read_driver
from pdctl.health.gpu_links import Links, read_links
from pdctl.health.gpu_tenants import Tenant, read_tenants
from pdctl.health.kernel_events import KernelLog, read_kernel_log
from pdctl.health.outputs import output
from pdctl.health.parse.amd_smi_cper import Cper
from pdctl.health.parse.amdgpu_files import DRIVER, GpuFiles
from pdctl.health.parse.amdgpu_sysfs import SysfsGpu, parse_amdgpu, sysfs_gpu
from pdctl.health.parse.fields import Field
from pdctl.health.parse.kfd_topology import NODES, KfdGpu, KfdTopology, parse_kfd_topology
from pdctl.health.parse.lspci import AMD, parse_lspci
from pdctl.health.parse.pci_address import first_function
from pdctl.health.parse.rocm_smi import RocmSmi, RocmSmiGpu, parse_rocm_smi, rocm_smi_gpu
from pdctl.health.parse.rocminfo import parse_rocminfo
from pdctl.model.reading import Known, Reading, Unknown, value_or

ROCM_SMI = "rocm-smi.all"
KFD = "KFD"


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """All GPUs of one node, by index. `counts`: devices by source, KFD's first; `counters`: what should not move."""

    gpus: tuple[Gpu, ...]
    counts: Mapping[str, Reading[int]]
    driver: Driver
    links: Links
    tenants: Reading[tuple[Tenant, ...]]
    kernel: KernelLog
    cper: Reading[tuple[Cper, ...]]
    counters: tuple[Counted, ...]

    def gpu(self, index: int) -> Gpu | None:
        """The device of that index, if it is there."""
        return next((gpu for gpu in self.gpus if gpu.index == index), None)


def gpu_facts(envelope: Envelope) -> GpuFacts:
    """From one envelope. Never raises for what a node may have sent."""
    kfd, sysfs, amd_smi = parse_kfd_topology(envelope.files), parse_amdgpu(envelope), read_amd_smi(envelope)
    said = output(envelope, ROCM_SMI)
    rocm = _rocm(parse_rocm_smi(said.value if isinstance(said, Known) else ""))
    offered = _offered(kfd)
    order = _order(offered, {*sysfs, *amd_smi.logical.values()})
    gpus = tuple(
        gpu_of(
            index,
            address,
            offered.get(address) or len(amd_smi.partitions(address)),
            _told(address, sysfs, amd_smi, rocm),
        )
        for index, address in enumerate(order)
    )
    return GpuFacts(
        gpus=gpus,
        counts=_counts(envelope, kfd, sysfs, amd_smi),
        driver=read_driver(envelope, amd_smi),
        links=read_links(kfd, amd_smi, order),
        tenants=read_tenants(envelope, kfd, amd_smi, {address: index for index, address in enumerate(order)}),
        kernel=read_kernel_log(envelope),
        cper=amd_smi.cper,
        counters=tuple(_counters(gpus)),
    )


def _order(offered: Mapping[str, int], others: Set[str]) -> tuple[str, ...]:
    """KFD's order, with the devices that only others see where their addresses belong: names stay with the hardware."""
    order = list(offered)
    for address in sorted(others - offered.keys()):
        behind = next((place for place, known in enumerate(order) if known > address), len(order))
        order.insert(behind, address)
    return tuple(order)


def _offered(kfd: KfdTopology) -> Mapping[str, int]:
    """Devices that KFD offers, in its order, with the number of their partitions. None where it does not place one of
    them: the others would move up, and a fault would be told of a neighbour."""
    found: dict[str, int] = {}
    gpus: tuple[KfdGpu, ...] = value_or(kfd.gpus, ())
    for gpu in gpus:
        if isinstance(gpu.address, Unknown):
            return {}
        found[gpu.address.value] = found.get(gpu.address.value, 0) + 1
    return found


def _told(address: str, sysfs: Mapping[str, SysfsGpu], amd_smi: AmdSmi, rocm: Mapping[str, RocmSmiGpu]) -> Told:
    return Told(
        sysfs=sysfs.get(address) or sysfs_gpu(GpuFiles(address, f"{DRIVER}/{address}", {}, {})),
        static=amd_smi.static_of(address),
        metric=amd_smi.metric_of(address),
        bad_pages=amd_smi.bad_pages_of(address),
        rocm=rocm.get(address, rocm[""]),
        xgmi=amd_smi.xgmi_of(address),
        firmware=amd_smi.firmware_of(address),
    )


def _rocm(rocm: RocmSmi) -> Mapping[str, RocmSmiGpu]:
    """By address; under "" what it tells of a device that it does not show."""
    shown = {first_function(gpu.address.value): gpu for gpu in rocm.gpus.values() if isinstance(gpu.address, Known)}
    return {**shown, "": rocm_smi_gpu(-1, Field(None, ROCM_SMI, "", rocm.why))}


def _counts(
    envelope: Envelope, kfd: KfdTopology, sysfs: Mapping[str, SysfsGpu], amd_smi: AmdSmi
) -> Mapping[str, Reading[int]]:
    """Devices, not partitions: by KFD, the driver, the tools, and the bus, which sees those without a driver."""
    driven = Known(len(sysfs), DRIVER) if sysfs else Unknown(f"{DRIVER} has no device", DRIVER)
    bus, agents = output(envelope, "lspci"), output(envelope, "rocminfo")
    return {
        KFD: _devices(kfd),
        "amdgpu": driven,
        "amd-smi": amd_smi.count,
        "lspci": bus if isinstance(bus, Unknown) else _accelerators(bus.value),
        "rocminfo": agents if isinstance(agents, Unknown) else _agents(agents.value),
    }


def _devices(kfd: KfdTopology) -> Reading[int]:
    if isinstance(kfd.gpus, Unknown):
        return kfd.gpus
    addresses = set()
    for gpu in kfd.gpus.value:
        if isinstance(gpu.address, Unknown):
            return gpu.address
        addresses.add(gpu.address.value)
    return Known(len(addresses), NODES)


def _accelerators(text: str) -> Reading[int]:
    devices = parse_lspci(text)
    if isinstance(devices, Unknown):
        return devices
    accelerators = [device for device in devices.value if device.is_accelerator]
    graphics = [device for device in devices.value if device.vendor == AMD and device.class_code == "0300"]
    return Known(len(accelerators or graphics), devices.source)


def _agents(text: str) -> Reading[int]:
    agents = parse_rocminfo(text)
    if isinstance(agents, Unknown):
        return agents
    addresses = set()
    for agent in agents.value:
        if isinstance(agent.address, Unknown):
            return agent.address
        addresses.add(first_function(agent.address.value))
    return Known(len(addresses), agents.source)


def _counters(gpus: tuple[Gpu, ...]) -> Iterator[Counted]:
    for gpu in gpus:
        identity = value_or(gpu.unique_id, gpu.address)
        for counter, values in gpu.series.items():
            yield Counted(CounterId(gpu.name, counter, identity), values, f"{DRIVER}/{gpu.address}")

"""Everything that a node's amd-smi says, parsed once, and looked up by PCI address.

Only `amd-smi list` and `static` say which index is which device. Where neither can be read, or they contradict each
other, nobody knows whose amd-smi's figures are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pdctl.health.envelope import Envelope
from pdctl.health.outputs import output
from pdctl.health.parse.amd_smi_bad_pages import BadPages, bad_pages_of, parse_bad_pages
from pdctl.health.parse.amd_smi_cper import Cper, parse_cper
from pdctl.health.parse.amd_smi_firmware import parse_firmware
from pdctl.health.parse.amd_smi_list import Listing, parse_list
from pdctl.health.parse.amd_smi_metric import MetricGpu, metric_gpu, parse_metric
from pdctl.health.parse.amd_smi_process import GpuProcess, parse_process
from pdctl.health.parse.amd_smi_static import StaticGpu, parse_static, static_gpu
from pdctl.health.parse.amd_smi_topology import Pair, parse_topology
from pdctl.health.parse.amd_smi_version import Versions, parse_version
from pdctl.health.parse.amd_smi_xgmi import XgmiGpu, parse_xgmi
from pdctl.health.parse.fields import Field
from pdctl.health.parse.pci_address import first_function
from pdctl.model.reading import Known, Reading, Unknown

LIST = "amd-smi.list"
VERSION = "amd-smi.version"
METRIC = "amd-smi.metric"
STATIC = "amd-smi.static"
FIRMWARE = "amd-smi.firmware"
PROCESS = "amd-smi.process"
BAD_PAGES = "amd-smi.bad-pages"
TOPOLOGY = "amd-smi.topology"
XGMI = "amd-smi.xgmi"
CPER = "amd-smi.ras-cper"


@dataclass(frozen=True, slots=True)
class AmdSmi:
    """`logical`: the device of each index. `silent`: by item, why it has nothing. Records are by amd-smi's index."""

    listing: Listing
    count: Reading[int]  # of devices: partitions of one are one
    logical: Mapping[int, str]
    versions: Versions
    static: Mapping[int, StaticGpu]
    metric: Mapping[int, MetricGpu]
    bad_pages: Mapping[int, BadPages]
    firmware: Mapping[int, Reading[Mapping[str, str]]]
    processes: Mapping[int, Reading[tuple[GpuProcess, ...]]]
    topology: Reading[Mapping[Pair, Reading[str]]]
    xgmi: Mapping[str, XgmiGpu]
    cper: Reading[tuple[Cper, ...]]
    silent: Mapping[str, str]

    def partitions(self, address: str) -> tuple[int, ...]:
        """The indices under which a device is shown, ascending."""
        return tuple(sorted(index for index, device in self.logical.items() if device == address))

    def static_of(self, address: str) -> StaticGpu:
        index = self._first(address)
        return self.static.get(index) or static_gpu(index, self._nothing(STATIC))

    def metric_of(self, address: str) -> MetricGpu:
        index = self._first(address)
        return self.metric.get(index) or metric_gpu(index, self._nothing(METRIC))

    def bad_pages_of(self, address: str) -> BadPages:
        """Pages of a GPU that nobody can place may be of any that amd-smi does not name: they count for each."""
        found = self.bad_pages.get(self._first(address))
        if found is not None:
            return found
        strays = [pages for index, pages in self.bad_pages.items() if index not in self.logical]
        nothing = bad_pages_of(self._nothing(BAD_PAGES))
        return BadPages(
            _most((pages.retired for pages in strays), nothing.retired),
            _most((pages.pending for pages in strays), nothing.pending),
            _most((pages.unreservable for pages in strays), nothing.unreservable),
        )

    def firmware_of(self, address: str) -> Reading[Mapping[str, str]]:
        return self.firmware.get(self._first(address)) or self._nothing(FIRMWARE).unknown()

    def xgmi_of(self, address: str) -> XgmiGpu:
        nothing = Unknown(self._nothing(XGMI).missing, XGMI)
        return self.xgmi.get(address) or XgmiGpu(nothing, nothing)

    def _first(self, address: str) -> int:
        return next(iter(self.partitions(address)), -1)

    def _nothing(self, item: str) -> Field:
        """For all figures of a device of which an item says nothing."""
        why = self.silent.get(item) or self.silent.get(LIST) or f"{item.replace('.', ' ')} shows no such GPU"
        return Field(None, item, "", why)


def _most(counts: Iterable[Reading[int]], nothing: Reading[int]) -> Reading[int]:
    """The highest count above 0 of GPUs that nobody can place; `nothing` where there is none."""
    known = [count.value for count in counts if isinstance(count, Known) and count.value > 0]
    return Known(max(known), "amd-smi bad-pages, of a GPU that it does not name") if known else nothing


def read_amd_smi(envelope: Envelope) -> AmdSmi:
    """From one envelope. Never raises."""
    said = {item: output(envelope, item) for item in _ITEMS}
    text = {item: reading.value if isinstance(reading, Known) else "" for item, reading in said.items()}
    silent = {item: reading.reason for item, reading in said.items() if isinstance(reading, Unknown)}
    listing, static = parse_list(text[LIST]), parse_static(text[STATIC])
    logical = _devices(listing, static)
    return AmdSmi(
        listing=listing,
        count=_count(listing, silent),
        logical=logical,
        versions=parse_version(text[VERSION]),
        static=static,
        metric=parse_metric(text[METRIC]),
        bad_pages=parse_bad_pages(text[BAD_PAGES]),
        firmware=parse_firmware(text[FIRMWARE]),
        processes=parse_process(text[PROCESS]),
        topology=Unknown(silent[TOPOLOGY], TOPOLOGY) if TOPOLOGY in silent else parse_topology(text[TOPOLOGY]),
        xgmi=parse_xgmi(text[XGMI]),
        cper=Unknown(silent[CPER], CPER) if CPER in silent else parse_cper(text[CPER]),
        silent=silent,
    )


_ITEMS = (LIST, VERSION, METRIC, STATIC, FIRMWARE, PROCESS, BAD_PAGES, TOPOLOGY, XGMI, CPER)


def _devices(listing: Listing, static: Mapping[int, StaticGpu]) -> Mapping[int, str]:
    """The device of each index; an index that two outputs give different devices has none."""
    found: dict[int, set[str]] = {}
    addresses = [(gpu.index, gpu.address) for gpu in listing.gpus]
    addresses += [(index, gpu.address) for index, gpu in static.items()]
    for index, address in addresses:
        if isinstance(address, Known):
            found.setdefault(index, set()).add(first_function(address.value))
    return {index: next(iter(devices)) for index, devices in found.items() if len(devices) == 1}


def _count(listing: Listing, silent: Mapping[str, str]) -> Reading[int]:
    if LIST in silent:
        return Unknown(silent[LIST], LIST)
    if isinstance(listing.count, Unknown):
        return listing.count
    devices = set()
    for gpu in listing.gpus:
        if isinstance(gpu.address, Unknown):
            return gpu.address
        devices.add(first_function(gpu.address.value))
    return Known(len(devices), listing.count.source)

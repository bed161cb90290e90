"""`amd-smi list`: which index is which PCI device, which KFD node, which partition."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.health.parse.pci_address import read_address
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "amd-smi list"


@dataclass(frozen=True, slots=True)
class Listed:
    """One logical GPU: a partition of a device is one of its own (DPX, CPX)."""

    index: int
    address: Reading[str]
    kfd_id: Reading[int]
    node_id: Reading[int]
    partition_id: Reading[int]


@dataclass(frozen=True, slots=True)
class Listing:
    """`count`: logical GPUs; unknown where the list may go on. `denied`: what amd-smi says of missing rights, or ""."""

    gpus: tuple[Listed, ...]
    count: Reading[int]
    denied: str = ""


def parse_list(text: str) -> Listing:
    """JSON or text of any version."""
    found = rows(text, SOURCE)
    gpus = tuple(_listed(index, found.by_gpu[index]) for index in sorted(found.by_gpu))
    if gpus and found.open_ended:
        why = f"{SOURCE} does not say as text whether there are more than {len(gpus)}"
        return Listing(gpus, Unknown(why, SOURCE), found.denied)
    whole = gpus and not found.damaged
    return Listing(gpus, Known(len(gpus), SOURCE) if whole else Unknown(found.why, SOURCE), found.denied)


def _listed(index: int, gpu: Field) -> Listed:
    return Listed(
        index=index,
        address=read_address(gpu.any_of("bdf", "gpu_bdf")),
        kfd_id=gpu["kfd_id"].count(),
        node_id=gpu["node_id"].count(),
        partition_id=gpu["partition_id"].count(),
    )

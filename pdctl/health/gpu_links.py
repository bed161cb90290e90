"""How the GPUs of a node are linked: KFD's io_links first, `amd-smi topology` second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pdctl.health.gpu_amd_smi import AmdSmi
from pdctl.health.parse.kfd_topology import NODES, KfdTopology
from pdctl.health.parse.pci_address import first_function
from pdctl.model.reading import Known, Reading, Unknown

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Links:
    """Types by pair of GPU indices, the lower first. `kfd` and `amd_smi` are kept apart, so that each can be blamed."""

    kfd: Reading[Mapping[Pair, str]]
    amd_smi: Reading[Mapping[Pair, Reading[str]]]


def read_links(kfd: KfdTopology, amd_smi: AmdSmi, order: Sequence[str]) -> Links:
    """`order`: addresses by index."""
    index_of = {address: index for index, address in enumerate(order)}
    return Links(_kfd(kfd, index_of), _amd_smi(amd_smi, index_of))


def _kfd(kfd: KfdTopology, index_of: Mapping[str, int]) -> Reading[Mapping[Pair, str]]:
    if isinstance(kfd.gpus, Unknown):
        return kfd.gpus
    at = {gpu.node: index_of[gpu.address.value] for gpu in kfd.gpus.value if isinstance(gpu.address, Known)}
    found: dict[Pair, str] = {}
    for (start, end), kind in kfd.links.items():
        if start in at and end in at and at[start] != at[end]:
            pair = (min(at[start], at[end]), max(at[start], at[end]))
            found[pair] = kind if found.get(pair, kind) == kind else f"{kind} and {found[pair]}"
    return Known(found, f"{NODES}/*/io_links") if found else Unknown("KFD shows no link between GPUs", NODES)


def _amd_smi(amd_smi: AmdSmi, index_of: Mapping[str, int]) -> Reading[Mapping[Pair, Reading[str]]]:
    if isinstance(amd_smi.topology, Unknown):
        return amd_smi.topology
    found: dict[Pair, Reading[str]] = {}
    for (start, end), kind in amd_smi.topology.value.items():
        one, other = index_of.get(first_function(start)), index_of.get(first_function(end))
        if one is None or other is None or one == other:
            continue
        pair = (min(one, other), max(one, other))
        known = found.get(pair)
        if known is None or isinstance(kind, Unknown) or (isinstance(known, Known) and kind.value != "XGMI"):
            found[pair] = kind
    return Known(found, amd_smi.topology.source)

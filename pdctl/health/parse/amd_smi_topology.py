"""`amd-smi topology`: how every pair of GPUs is linked. JSON has `links` in each record, text a table of addresses."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.amd_smi_tables import tables
from pdctl.health.parse.fields import Field
from pdctl.health.parse.pci_address import read_address
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "amd-smi topology"
SELF = "SELF"

Pair = tuple[str, str]


def parse_topology(text: str) -> Reading[Mapping[Pair, Reading[str]]]:
    """The link type ("XGMI", "PCIE") from one PCI address to another, for all pairs that the output speaks of.

    A GPU whose own record is there but whose links cannot be read makes all of it unknown: they may be the bad ones.
    """
    found = rows(text, SOURCE)
    if not found.by_gpu:
        return _from_table(text, found.why)
    if found.damaged:
        return Unknown(f"{SOURCE}: {found.why}", SOURCE)
    links: dict[Pair, Reading[str]] = {}
    for gpu in found.by_gpu.values():
        own, listed = read_address(gpu["bdf"]), gpu["links"]
        if isinstance(own, Unknown) or len(listed.elements()) < len(found.by_gpu):
            return own if isinstance(own, Unknown) else listed.unknown(f"{SOURCE} shows not all links of {gpu.path}")
        for link in listed.elements():
            other = read_address(link["bdf"])
            if isinstance(other, Unknown):
                return other
            if other.value != own.value:
                links[own.value, other.value] = _link_type(link["link_type"])
    return Known(links, SOURCE)


def _link_type(field: Field) -> Reading[str]:
    word = field.text()
    return word if isinstance(word, Unknown) else Known(word.value.upper(), word.source)


def _from_table(text: str, why: str) -> Reading[Mapping[Pair, Reading[str]]]:
    header, body = tables(text).get("LINK TYPE TABLE", ((), ()))
    if not body:
        return Unknown(why, SOURCE)
    links: dict[Pair, Reading[str]] = {}
    for row in body:
        if len(row.cells) != len(header):
            return Unknown(f"{SOURCE}: the row of {row.address} does not have {len(header)} cells", SOURCE)
        for other, cell in zip(header, row.cells, strict=True):
            if row.address != other:
                links[row.address, other] = _link_type(Field(cell, SOURCE, f"{row.address} to {other}"))
    if len(body) < len(header):
        return Unknown(f"{SOURCE} is cut off: {len(body)} of {len(header)} rows", SOURCE)
    return Known(links, SOURCE)

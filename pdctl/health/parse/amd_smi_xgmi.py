"""`amd-smi xgmi`: the state of the links between GPUs (since ROCm 6.4), and their rate.

A state is "U" up, "D" down, "X" disabled, "SELF", "N/A"; several links to one GPU are joined ("U/U"). ROCm 7 prints
three documents at once, with a list of states per port and another per other GPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_tables import tables
from pdctl.health.parse.fields import GBIT_PER_S, Field
from pdctl.health.parse.json_documents import Json, as_list, as_object, documents
from pdctl.health.parse.pci_address import pci_address
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "amd-smi xgmi"
_NOT_SUPPORTED = re.compile(r"\bN/A\b")
_RATE = re.compile(r"([\d.]+)\s+([GM]b/s)")


@dataclass(frozen=True, slots=True)
class XgmiGpu:
    """One GPU's links. `states`: all that were shown of it, "U", "D" or "X" each; () is no list that says so."""

    states: Reading[tuple[str, ...]]
    rate_gbps: Reading[float]  # Gbit/s of one lane


def parse_xgmi(text: str) -> Mapping[str, XgmiGpu]:
    """By PCI address; JSON or text. A GPU that is not shown is not in it."""
    found = documents(text)
    records = [record for value in found.values for record in _records(value)]
    by_address: dict[str, list[Mapping[str, Json]]] = {}
    for record in records or _from_tables(text):
        address = pci_address(str(record.get("bdf", "")))
        if address is not None:
            by_address.setdefault(address, []).append(record)
    return {address: _gpu(address, own) for address, own in by_address.items()}


def _records(value: Json) -> Iterator[Mapping[str, Json]]:
    """Records of a GPU, however deep they lie; not the ends of links inside of them."""
    record = as_object(value)
    if "bdf" in record and ("link_metrics" in record or "link_status" in record):
        yield record
        return
    for inner in (*as_list(value), *record.values()):
        yield from _records(inner)


def _gpu(address: str, records: Sequence[Mapping[str, Json]]) -> XgmiGpu:
    fields = [Field(record, SOURCE, address) for record in records]
    states: list[str] = []
    for field in fields:
        listed = field["link_status"]
        if listed.missing or listed.value == "N/A":
            continue
        words = [_NOT_SUPPORTED.sub("", str(part.value).upper()) for part in listed.elements()]
        shown = [word.strip() for each in words for word in each.split("/") if word.strip() not in {"", "SELF"}]
        if not words or not set(shown) <= {"U", "D", "X"}:
            return XgmiGpu(listed.unknown(), _rate(fields))
        states += shown
    missing = Unknown(f"{SOURCE} shows no link status of {address}", SOURCE)
    return XgmiGpu(Known(tuple(sorted(states)), SOURCE) if states else missing, _rate(fields))


def _rate(fields: Sequence[Field]) -> Reading[float]:
    for field in fields:
        metrics = field["link_metrics"]
        if not metrics.missing:
            return metrics["bit_rate"].quantity(GBIT_PER_S, least=0.1)
    return Unknown(f"{SOURCE} shows no bit rate", SOURCE)


def _from_tables(text: str) -> Iterator[Mapping[str, Json]]:
    for title, (_, body) in tables(text).items():
        for row in body:
            if "STATUS" in title:
                yield {"bdf": row.address, "link_status": list(row.cells)}
            elif match := _RATE.match(" ".join(row.cells)):
                yield {"bdf": row.address, "link_metrics": {"bit_rate": f"{match[1]} {match[2]}"}}

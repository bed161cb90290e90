"""PCI addresses as every tool writes them, in one form: "0000:1b:00.0", lower case."""

from __future__ import annotations

import re

from pdctl.health.parse.fields import Field
from pdctl.model.reading import Known, Reading, Unknown

_ADDRESS = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")


def pci_address(text: str) -> str | None:
    """The address in its one form; a domain that is left out is 0000. None: it is none."""
    match = _ADDRESS.fullmatch(text.strip())
    return f"{match[1] or '0000'}:{match[2]}:{match[3]}.{match[4]}".lower() if match else None


def read_address(field: Field) -> Reading[str]:
    """A field that should hold an address."""
    word = field.text()
    if isinstance(word, Unknown):
        return word
    address = pci_address(word.value)
    return Known(address, word.source) if address is not None else field.unknown()


def first_function(address: str) -> str:
    """Function 0 of the same device: amd-smi and KFD number a GPU's partitions as functions."""
    return f"{address[:-1]}0"


def from_location(domain: int, location_id: int) -> str:
    """The address that KFD and rocminfo write as a number: bus << 8 | device << 3 | function."""
    return f"{domain:04x}:{location_id >> 8 & 0xFF:02x}:{location_id >> 3 & 0x1F:02x}.{location_id & 7}"

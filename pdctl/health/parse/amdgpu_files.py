"""The files below /sys/bus/pci/drivers/amdgpu/<address>, sorted out by device once: an envelope has thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.envelope import Envelope, File
from pdctl.health.parse.fields import Field
from pdctl.health.parse.files import file_field, text_field
from pdctl.health.parse.pci_address import pci_address

DRIVER: Final = "/sys/bus/pci/drivers/amdgpu"


@dataclass(frozen=True, slots=True)
class GpuFiles:
    """One device's, by their name below its directory; in order."""

    address: str
    directory: str
    files: Mapping[str, File]
    samples: Mapping[str, tuple[str, ...]]

    def at(self, name: str) -> Field:
        """One file."""
        field = file_field(self.files, name)
        path = f"{self.directory}/{name}"
        return Field(field.value, path, "", field.missing.replace(name, path, 1))

    def looks(self, name: str) -> tuple[Field, ...]:
        """Every look at one file: the samples, oldest first, then the single one."""
        return (*self.series(name), self.at(name))

    def series(self, name: str) -> tuple[Field, ...]:
        """The samples of one file, oldest first; the single look where there are none."""
        texts = self.samples.get(name, ())
        return tuple(text_field(text, f"{self.directory}/{name}") for text in texts) or (self.at(name),)


def gpu_files(envelope: Envelope) -> Mapping[str, GpuFiles]:
    """By address, in order."""
    files: dict[str, dict[str, File]] = {}
    samples: dict[str, dict[str, tuple[str, ...]]] = {}
    for path, file in envelope.files.items():
        if (split := _split(path)) is not None:
            files.setdefault(split[0], {})[split[1]] = file
    for path, texts in envelope.samples.items():
        if (split := _split(path)) is not None:
            samples.setdefault(split[0], {})[split[1]] = texts
    return {
        address: GpuFiles(address, f"{DRIVER}/{address}", dict(sorted(own.items())), samples.get(address, {}))
        for address, own in sorted(files.items())
    }


def _split(path: str) -> tuple[str, str] | None:
    """(address, name below it)."""
    if not path.startswith(f"{DRIVER}/"):
        return None
    device, _, name = path[len(DRIVER) + 1 :].partition("/")
    address = pci_address(device)
    return (address, name) if address is not None and name else None

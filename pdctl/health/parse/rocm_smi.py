"""rocm-smi, of ROCm 4.3 to 7: `--json` (all values are strings), and the lines "GPU[0] : key: value" of its text.

Keys have changed in spelling only ("Card series", "Card Series"), so they are compared in lower case. "system" holds
what belongs to no card: the driver's version, and processes as "PID28389": "name, GPUs, VRAM, SDMA, CU".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import Json, as_object, documents
from pdctl.health.parse.pci_address import read_address
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "rocm-smi"
_LINE = re.compile(r"GPU\[(\d+)\]\s*: ([^:]+?):\s+(.+?)\s*\Z")
_DRIVER = re.compile(r"^Driver version:\s*(\S+)\s*$", re.MULTILINE)
_CARD = re.compile(r"card(\d+)\Z")
_LINK = re.compile(r"\(([\d.]+)GT/s x(\d+)")
_DENIED = re.compile(
    r"Permission denied|not initialized|No AMD GPUs|low-power state|not in render group", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class RocmSmiGpu:
    """One card, with the same units as elsewhere."""

    index: int
    address: Reading[str]
    market_name: Reading[str]
    device_id: Reading[str]
    vram_total_bytes: Reading[int]
    vram_used_bytes: Reading[int]
    hotspot_c: Reading[float]
    memory_c: Reading[float]
    power_w: Reading[float]
    power_cap_w: Reading[float]
    perf_level: Reading[str]
    link_gts: Reading[float]
    link_width: Reading[int]
    replays: Reading[int]
    vbios: Reading[str]
    compute_partition: Reading[str]
    memory_partition: Reading[str]
    firmware: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RocmSmi:
    """`tenants`: VRAM in bytes by process, if processes were asked for. `why`: why a card is not in `gpus`."""

    gpus: Mapping[int, RocmSmiGpu]
    driver: Reading[str]
    tenants: Reading[Mapping[int, int]]
    why: str


def parse_rocm_smi(text: str) -> RocmSmi:
    """JSON, or text with one figure a line. A card that is not shown is not in it."""
    found = documents(text)
    cards: dict[int, dict[str, Json]] = {}
    system: dict[str, Json] = {}
    for value in found.values:
        for name, record in as_object(value).items():
            inside = {key.strip().lower().rstrip(":"): item for key, item in as_object(record).items()}
            if card := _CARD.match(name):
                cards.setdefault(int(card[1]), {}).update(inside)
            elif name == "system":
                system.update(inside)
    if not cards and not system and not found.damaged:
        cards, system = _from_lines(text)
    said = next((line.strip() for line in text.splitlines() if _DENIED.search(line)), "")
    why = f"{SOURCE}: {said or found.why_empty}"
    gpus = {index: rocm_smi_gpu(index, Field(card, SOURCE, f"card{index}")) for index, card in cards.items()}
    node = Field(system, SOURCE, "system") if system else Field(None, SOURCE, "system", why)
    return RocmSmi(gpus, node["driver version"].text(), _tenants(node), why)


def _from_lines(text: str) -> tuple[dict[int, dict[str, Json]], dict[str, Json]]:
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines.pop()
    cards: dict[int, dict[str, Json]] = {}
    for line in lines:
        if match := _LINE.match(line.strip()):
            cards.setdefault(int(match[1]), {}).setdefault(match[2].strip().lower(), match[3])
    driver = _DRIVER.search(text)
    return cards, {"driver version": driver[1]} if driver and cards else {}


def rocm_smi_gpu(index: int, card: Field) -> RocmSmiGpu:
    """From one card's record; all unknown from a missing one."""
    speed, width = _link(card["pcie clock level"])
    return RocmSmiGpu(
        index=index,
        address=read_address(card["pci bus"]),
        market_name=card["card series"].text(),
        device_id=card.any_of("device id", "gpu id").text(),
        vram_total_bytes=card["vram total memory (b)"].size_bytes(bare="b"),
        vram_used_bytes=card["vram total used memory (b)"].size_bytes(bare="b"),
        hotspot_c=card["temperature (sensor junction) (c)"].celsius(),
        memory_c=card["temperature (sensor memory) (c)"].celsius(),
        power_w=card.any_of("current socket graphics package power (w)", "average graphics package power (w)").watts(),
        power_cap_w=card["max graphics package power (w)"].watts(),
        perf_level=card["performance level"].text(),
        link_gts=speed,
        link_width=width,
        replays=card["pcie replay count"].count(),
        vbios=card["vbios version"].text(),
        compute_partition=card["compute partition"].text(),
        memory_partition=card["memory partition"].text(),
        firmware=_firmware(card),
    )


def _link(field: Field) -> tuple[Reading[float], Reading[int]]:
    """ "1 (16.0GT/s x16)": level, speed and width in use."""
    word = field.text()
    match = _LINK.search(word.value) if isinstance(word, Known) else None
    if match is None:
        return field.unknown(), field.unknown()
    return Field(f"{match[1]} GT/s", SOURCE, field.path).gt_per_s(), Field(match[2], SOURCE, field.path).count()


def _firmware(card: Field) -> Mapping[str, str]:
    found = {}
    for key, field in card.items():
        version = field.text()
        if key.endswith(" firmware version") and isinstance(version, Known):
            found[key.removesuffix(" firmware version").upper()] = version.value
    return found


def _tenants(system: Field) -> Reading[Mapping[int, int]]:
    found: dict[int, int] = {}
    for key, field in system.items():
        if key.startswith("pid") and key[3:].isdigit():
            parts = str(field.value).split(", ")
            used = Field(parts[2] if len(parts) > 2 else None, SOURCE, field.path).size_bytes(bare="b")
            if isinstance(used, Unknown):
                return used
            found[int(key[3:])] = used.value
    return Known(found, SOURCE) if found else Unknown(f"{SOURCE} was not asked for processes", SOURCE)

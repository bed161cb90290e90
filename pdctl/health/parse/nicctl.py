"""AMD's `nicctl … --json` (Pollara, ionic): cards, ports, logical interfaces, their statistics.

Seen with firmware 1.117: every value is a string, one key can stand twice in an object, and without any card it exits
with status 0 and prints nothing, which is unknown here and never "no fault".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import Json, documents
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

SOURCE: Final = "nicctl"
_SPEED: Final = re.compile(r"(\d{1,4})\s*G(?:bps)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NicctlCard:
    """One adapter. `bdf`: its Ethernet function, as sysfs names it; `card_bdf`: the card's upstream port."""

    id: str
    bdf: Reading[str]
    card_bdf: Reading[str]
    product: Reading[str]
    firmware: Reading[str]
    serial: Reading[str]
    mac: Reading[str]


@dataclass(frozen=True, slots=True)
class NicctlPort:
    """One port. `card` is a card's id, or its PCI address in text output. `link_downs`: since the card's own boot."""

    card: str
    id: str
    admin: Reading[str]
    status: Reading[str]
    speed_gbps: Reading[float]
    mtu_bytes: Reading[int]
    pause: Reading[str]
    link_downs: Reading[int]
    mac: Reading[str]


@dataclass(frozen=True, slots=True)
class NicctlLif:
    """One logical interface: a physical or virtual function with its network device."""

    card: str
    id: str
    netdev: Reading[str]
    status: Reading[str]
    rdma_mtu: Reading[int]


def nicctl_cards(text: str) -> Reading[tuple[NicctlCard, ...]]:
    """`nicctl show card --json`."""
    return _read(text, lambda nic: [_card(nic)])


def nicctl_ports(text: str) -> Reading[tuple[NicctlPort, ...]]:
    """`nicctl show port --json`, of one card or of all."""
    return _read(text, lambda nic: [_port(_id(nic), port) for port in nic["port"].elements()])


def nicctl_lifs(text: str) -> Reading[tuple[NicctlLif, ...]]:
    """`nicctl show lif --json`."""
    return _read(text, lambda nic: [_lif(_id(nic), lif) for lif in nic["lif"].elements()])


def nicctl_statistics(text: str, kind: str) -> Reading[tuple[tuple[str, Mapping[str, Reading[int]]], ...]]:
    """`nicctl show port|lif statistics --json`: (id, counters by name) of each; `kind` is "port" or "lif".

    Rates ("33.16 Gbps" of `--rate`) are no counters: unknown.
    """

    def each(nic: Field) -> list[tuple[str, Mapping[str, Reading[int]]]]:
        return [
            (_id(entry["spec"]), {name: value.count() for name, value in entry["statistics"].items()})
            for entry in nic[kind].elements()
        ]

    return _read(text, each)


def nicctl_queue_pairs(text: str) -> Reading[tuple[tuple[str, Mapping[str, Reading[int]]], ...]]:
    """`nicctl show rdma queue-pair statistics --json`: (lif/queue pair, counters by path) of each queue pair.

    A function without queue pairs shows "" in their place. Rows without an id are left out.
    """

    def each(nic: Field) -> list[tuple[str, Mapping[str, Reading[int]]]]:
        return [
            (f"{_id(lif['spec'])}/{_id(pair['spec'])}", dict(_leaves(pair["statistics"])))
            for lif in nic["lif"].elements()
            for pair in lif["queue_pair"].elements()
        ]

    return _read(text, each, empty_ok=True)


def speed_gbps(reading: Reading[str]) -> Reading[float]:
    """Gb/s of "400G"."""
    if isinstance(reading, Unknown):
        return reading
    match = _SPEED.fullmatch(reading.value)
    if match is None or not int(match.group(1)):
        return Unknown(f"{reading.value[:40]!r} is no speed", reading.source)
    return Known(float(match.group(1)), reading.source)


def _read(text: str, each: Callable[[Field], list[T]], *, empty_ok: bool = False) -> Reading[tuple[T, ...]]:
    """What `each` finds in every card of every document; unknown where that is nothing."""
    found = documents(text)
    cards = [card for value in found.values for card in _cards(value)]
    rows = [row for card in cards for row in each(card)]
    if found.damaged:
        return Unknown(found.why_empty, SOURCE)
    if rows or (empty_ok and cards):
        return Known(tuple(rows), SOURCE)
    return Unknown("it names no NIC" if found.values else found.why_empty, SOURCE)


def _cards(value: Json) -> Iterator[Field]:
    for card in Field(value, SOURCE)["nic"].elements():
        if _id(card):
            yield card


def _id(field: Field) -> str:
    said = field["id"].text()
    return said.value if isinstance(said, Known) else ""


def _card(nic: Field) -> NicctlCard:
    return NicctlCard(
        id=_id(nic),
        bdf=_lower(nic["eth_bdf"].text()),
        card_bdf=_lower(nic["pcie_bdf"].text()),
        product=nic["product_name"].text(),
        firmware=nic["firmware_version"].text(),
        serial=nic["serial_number"].text(),
        mac=_lower(nic["fru_mac_address"].text()),
    )


def _port(card: str, port: Field) -> NicctlPort:
    spec, status = port["spec"], port["status"]
    return NicctlPort(
        card=card,
        id=_id(spec),
        admin=spec["admin_state"].text(),
        status=status["operational_status"].text(),
        speed_gbps=speed_gbps(status["port_speed"].text()),
        mtu_bytes=spec["mtu"].count(),
        pause=spec["pause_type"].text(),
        link_downs=status["number_of_link_down_events"].count(),
        mac=_lower(status["mac_address"].text()),
    )


def _lif(card: str, lif: Field) -> NicctlLif:
    return NicctlLif(
        card=card,
        id=_id(lif["spec"]),
        netdev=lif["status"]["name"].text(),
        status=lif["status"]["oper_state"].text(),
        rdma_mtu=lif["spec"]["rdma_mtu"].count(),
    )


def _leaves(field: Field, path: str = "") -> Iterator[tuple[str, Reading[int]]]:
    for name, inner in field.items():
        below = f"{path}.{name}" if path else name
        if isinstance(inner.value, Mapping):
            yield from _leaves(inner, below)
        else:
            yield below, inner.count()


def _lower(reading: Reading[str]) -> Reading[str]:
    return Known(reading.value.lower(), reading.source) if isinstance(reading, Known) else reading

"""iproute2's `rdma link`, `rdma dev` and `rdma statistic`, as text and as JSON.

Formats: iproute2 rdma/link.c, dev.c, stat.c. `physical_state` is LINK_UP since 5.x; lines may end in a blank, and
statistics of AMD's ionic driver spell one counter `resp_rx_outouf_seq`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pdctl.health.parse.json_documents import Json, records
from pdctl.health.parse.rdma_words import physical_state, port_state
from pdctl.health.parse.text_values import count_of, nothing_in, text_of, under
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

_LINK: Final = re.compile(r"(?:link\s+|\d+/\d+:\s+)(\S+?)/(\d{1,3}):?\s+(.*)")
_DEV: Final = re.compile(r"(?:dev\s+)?(?:\d+:\s+)?([A-Za-z][\w.-]*):?\s+(node_type\s.*)")
_STAT: Final = re.compile(r"link\s+(\S+?)/(\d{1,3})\s+(.*)")


@dataclass(frozen=True, slots=True)
class RdmaLink:
    """One port as `rdma link` shows it. `netdev` is unknown where the port has none (InfiniBand, a dead driver)."""

    device: str
    port: int
    state: Reading[str]
    physical: Reading[str]
    netdev: Reading[str]


@dataclass(frozen=True, slots=True)
class RdmaDev:
    """One device as `rdma dev` shows it. GUIDs in lower case, as printed."""

    device: str
    firmware: Reading[str]
    node_guid: Reading[str]


@dataclass(frozen=True, slots=True)
class RdmaStatistics:
    """The counters of one port, by their names in the driver."""

    device: str
    port: int
    counters: Mapping[str, Reading[int]] = field(default_factory=dict)


def rdma_links(text: str) -> Reading[tuple[RdmaLink, ...]]:
    """`rdma link [-j]`. Unknown where it holds no link at all: no RDMA device looks the same as no output."""
    source = "rdma link"
    rows = _json_rows(text)
    found = [
        _link(name, port, row, source)
        for name, port, row in (_json_ports(rows) if rows is not None else _text_ports(text, _LINK))
    ]
    return _some(found, text, source)


def rdma_devs(text: str) -> Reading[tuple[RdmaDev, ...]]:
    """`rdma dev [-j]`."""
    source = "rdma dev"
    rows = _json_rows(text)
    found = []
    if rows is not None:
        found = [_dev(str(row["ifname"]), row, source) for row in rows if isinstance(row.get("ifname"), str)]
    else:
        for line in text.splitlines():
            if match := _DEV.fullmatch(line.strip()):
                found.append(_dev(match.group(1), _words(match.group(2)), source))
    return _some(found, text, source)


def rdma_statistics(text: str) -> Reading[tuple[RdmaStatistics, ...]]:
    """`rdma statistic [-j]`: counters by name; one that is no number is unknown, one that is absent absent."""
    source = "rdma statistic"
    rows = _json_rows(text)
    ports = _json_ports(rows) if rows is not None else _text_ports(text, _STAT)
    return _some([_statistics(name, port, row, source) for name, port, row in ports], text, source)


def _json_rows(text: str) -> tuple[Mapping[str, Json], ...] | None:
    """The rows of the JSON, None where the output is text."""
    rows, found = records(text)
    return rows if found.values or found.damaged else None


def _json_ports(rows: tuple[Mapping[str, Json], ...]) -> Iterator[tuple[str, int, Mapping[str, Json]]]:
    for row in rows:
        name, port = row.get("ifname"), row.get("port", 1)
        if isinstance(name, str) and name and isinstance(port, int) and not isinstance(port, bool):
            yield name, port, row


def _text_ports(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, int, Mapping[str, Json]]]:
    for line in text.splitlines():
        if match := pattern.fullmatch(line.strip()):
            yield match.group(1), int(match.group(2)), _words(match.group(3))


def _words(text: str) -> dict[str, Json]:
    """`state ACTIVE physical_state LINK_UP netdev eth0` as pairs; a last word without a value is left out."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=False))


def _link(name: str, port: int, row: Mapping[str, Json], source: str) -> RdmaLink:
    netdev = text_of(row["netdev"], source) if "netdev" in row else Unknown("no network device is named", source)
    return RdmaLink(
        device=name,
        port=port,
        state=under(row, "state", source, port_state),
        physical=under(row, "physical_state", source, physical_state),
        netdev=netdev,
    )


def _dev(name: str, row: Mapping[str, Json], source: str) -> RdmaDev:
    return RdmaDev(
        device=name,
        firmware=under(row, "fw", source, text_of),
        node_guid=under(row, "node_guid", source, text_of),
    )


def _statistics(name: str, port: int, row: Mapping[str, Json], source: str) -> RdmaStatistics:
    skipped = {"ifindex", "ifname", "port"}
    return RdmaStatistics(name, port, {key: count_of(raw, source) for key, raw in row.items() if key not in skipped})


def _some(found: list[T], text: str, source: str) -> Reading[tuple[T, ...]]:
    return Known(tuple(found), source) if found else nothing_in(text, source)

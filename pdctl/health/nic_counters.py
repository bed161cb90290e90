"""Which counters tell that a fabric port has a fault, by vendor; and the counters of an envelope, for their gains.

Names: Linux drivers mlx5 (`counters.c`), bnxt_re (`hw_counters.c`), ionic (`ionic_hw_stats.c`, which spells one of them
"outouf"). Which of them are errors: MoRI env_check, node-scraper, CVS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pdctl.health.counters import Counted, CounterId
from pdctl.health.envelope import Envelope
from pdctl.health.nic_device import RdmaDevice, Vendor
from pdctl.health.nic_sysfs import NET, ROOT
from pdctl.health.outputs import output
from pdctl.health.parse.ethtool import ethtool_statistics
from pdctl.health.parse.files import file_field, text_field
from pdctl.health.parse.nicctl import nicctl_cards, nicctl_ports
from pdctl.model.reading import Known

ERRORS: Final[Mapping[Vendor, tuple[str, ...]]] = {
    Vendor.NVIDIA: (
        "out_of_sequence",
        "packet_seq_err",
        "local_ack_timeout_err",
        "rnr_nak_retry_err",
        "out_of_buffer",
    ),
    Vendor.BROADCOM: (
        "to_retransmits",
        "seq_err_naks_rcvd",
        "max_retry_exceeded",
        "rx_roce_discards",
        "oos_drop_count",
    ),
    Vendor.AMD: ("req_rx_pkt_seq_err", "resp_rx_outouf_seq", "tx_rdma_ack_timeout", "tx_rdma_retx_pkts"),
}
"""Packets that had to be sent again, came out of order, or found no buffer."""

CONGESTION: Final[Mapping[Vendor, tuple[str, ...]]] = {
    Vendor.NVIDIA: ("np_cnp_sent", "rp_cnp_handled", "np_ecn_marked_roce_packets"),
    Vendor.BROADCOM: ("tx_cnp_pkts", "rx_cnp_pkts", "rx_ecn_marked_pkts"),
    Vendor.AMD: ("tx_rdma_cnp_pkts", "rx_rdma_cnp_pkts", "rx_rdma_ecn_pkts"),
}
"""Congestion notifications sent and received, packets marked."""

LINK_DOWNED: Final = "link_downed"
CARRIER_CHANGES: Final = "carrier_changes"
LINK_DOWN_EVENTS: Final = "number_of_link_down_events"
"""What an AMD card itself counts since its own boot (`nicctl show port`), which a reboot of the node does not reset."""

DISCARDS: Final = re.compile(r"(?:rx|tx)_(?:prio[0-7]_)?discards(?:_phy)?|rx_prio[0-7]_cong_discard|frames_rx_dropped")
"""Packets that the port itself threw away, in `ethtool -S`: on a lossless priority there should be none."""

_COUNTER: Final = re.compile(rf"{ROOT}/([^/]+)/ports/1/(counters|hw_counters)/([^/]+)")


def counted(envelope: Envelope, devices: Iterable[RdmaDevice]) -> tuple[Counted, ...]:
    """The counters that checks watch, of first ports and their network devices, one value for each look at them."""
    by_name = {device.name: device for device in devices}
    watched = {name: frozenset(_watched(device)) for name, device in by_name.items()}
    found: list[Counted] = []
    for path in sorted({*envelope.files, *envelope.samples}):
        if not path.startswith(ROOT):
            continue
        match = _COUNTER.fullmatch(path)
        if match is not None and match.group(3) in watched.get(match.group(1), ()):
            found += _counted(envelope, path, by_name[match.group(1)], match.group(3))
    for device in by_name.values():
        if isinstance(device.netdev, Known):
            found += _counted(envelope, f"{NET}/{device.netdev.value}/{CARRIER_CHANGES}", device, CARRIER_CHANGES)
            found += _discards(envelope, device, device.netdev.value)
    found += _link_downs(envelope, by_name.values())
    return tuple(found)


def _watched(device: RdmaDevice) -> tuple[str, ...]:
    """The counters in its port's directories that checks ask for; a port has a hundred others."""
    vendor = device.vendor.value if isinstance(device.vendor, Known) else Vendor.OTHER
    return (LINK_DOWNED, *ERRORS.get(vendor, ()), *CONGESTION.get(vendor, ()))


def _counted(envelope: Envelope, path: str, device: RdmaDevice, counter: str) -> Iterator[Counted]:
    """The counter at `path`; nothing where one of its looks cannot be read ("N/A (no PMA)")."""
    texts = envelope.samples.get(path, ())
    looks = [text_field(text, path).count() for text in texts] or [file_field(envelope.files, path).count()]
    values = tuple(look.value for look in looks if isinstance(look, Known))
    if len(values) == len(looks):
        yield Counted(CounterId(device.name, counter, device.identity), values, path)


def _discards(envelope: Envelope, device: RdmaDevice, netdev: str) -> Iterator[Counted]:
    item = f"ethtool-S.{netdev}"
    text = output(envelope, item)
    read = ethtool_statistics(text.value) if isinstance(text, Known) else text
    if not isinstance(read, Known):
        return
    for name, value in read.value.items():
        if DISCARDS.fullmatch(name) and isinstance(value, Known):
            yield Counted(CounterId(device.name, name, device.identity), (value.value,), item)


def _link_downs(envelope: Envelope, devices: Iterable[RdmaDevice]) -> Iterator[Counted]:
    """Of AMD's cards: ports are told by a card's id, cards by the PCI address of their Ethernet function."""
    cards, ports = output(envelope, "nicctl.card"), output(envelope, "nicctl.port")
    if not isinstance(cards, Known) or not isinstance(ports, Known):
        return
    known, read = nicctl_cards(cards.value), nicctl_ports(ports.value)
    if not isinstance(known, Known) or not isinstance(read, Known):
        return
    by_address = {device.bdf: device for device in devices if device.bdf}
    by_card = {card.id: by_address.get(card.bdf.value) for card in known.value if isinstance(card.bdf, Known)}
    for port in read.value:
        device = by_card.get(port.card)
        if device is not None and isinstance(port.link_downs, Known):
            identity = CounterId(device.name, LINK_DOWN_EVENTS, device.identity)
            yield Counted(identity, (port.link_downs.value,), "nicctl.port")

"""What counters gained since the last check: errors, discarded packets, congestion, links that went down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pdctl.health.check import Check, Word
from pdctl.health.counters import Gain
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_counters import CARRIER_CHANGES, CONGESTION, DISCARDS, ERRORS, LINK_DOWN_EVENTS, LINK_DOWNED
from pdctl.health.nic_device import RdmaDevice, Vendor
from pdctl.health.nic_scope import fabric, gpus_of, listed
from pdctl.health.nic_sysfs import ROOT
from pdctl.model.reading import Known, Reading, Unknown

_HW = f"{ROOT}/*/ports/1/hw_counters/*"


def _errors(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device in fabric(facts, expected):
        names = ERRORS.get(device.vendor.value, ()) if isinstance(device.vendor, Known) else ()
        if names:
            yield _word(
                facts,
                expected,
                device,
                names,
                "no new transport error",
                fix="ethtool -S on both ends; PFC of the RDMA priority there and on the switch; then cable and optics",
                why="packets were lost, came out of order or found no buffer: transfers are repeated and slow",
            )


def _flaps(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Only mlx5 counts links that went down as InfiniBand does, AMD's cards do it by themselves; every driver counts
    changes of the carrier."""
    for device in fabric(facts, expected):
        known = isinstance(device.vendor, Known) and device.vendor.value is Vendor.NVIDIA
        names = (LINK_DOWNED, CARRIER_CHANGES) if known else (CARRIER_CHANGES,)
        if isinstance(facts.gains.of(device.name, LINK_DOWN_EVENTS), Known):
            names = (*names, LINK_DOWN_EVENTS)  # one look per check: from the second one on
        yield _word(
            facts,
            expected,
            device,
            names,
            "the link stayed up",
            fix="dmesg | grep -i 'link'; reseat or change the cable, look at the switch port's log",
            why="a link that went down once mostly does so again, and cuts every transfer on it",
        )


def _discards(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """`ethtool -S` has one look per check, so that the first check of a boot says nothing here."""
    for device in fabric(facts, expected):
        names = sorted(
            each.id.counter
            for each in facts.counted
            if each.id.device == device.name and DISCARDS.fullmatch(each.id.counter)
        )
        gains = [facts.gains.of(device.name, name) for name in names]
        if any(isinstance(gain, Known) for gain in gains):
            yield _word(
                facts,
                expected,
                device,
                tuple(names),
                "no packet thrown away by the port",
                fix="check PFC and buffers of the RDMA priority on the NIC and on its switch port",
                why="a lossless priority must not lose packets: PFC does not work on one of the two ends",
            )


def _congestion(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Notifications say that DCQCN works; very many in one window that the fabric is overloaded (CVS: above 1000)."""
    limit = expected.thresholds.cnp
    for device in fabric(facts, expected):
        names = CONGESTION.get(device.vendor.value, ()) if isinstance(device.vendor, Known) else ()
        gains = {name: facts.gains.of(device.name, name) for name in names}
        known = {name: gain.value for name, gain in gains.items() if isinstance(gain, Known)}
        if not known:
            continue
        many = {name: gain for name, gain in known.items() if gain.count > limit}
        yield Word(
            Verdict.FAIL if many else Verdict.PASS,
            _shown(many or known),
            f"<= {limit} congestion notifications per window",
            device.name,
            gpus_of(device, facts, expected),
            (Evidence(_HW, _shown(known)),),
            fix="look for one hot receiver or an oversubscribed uplink; compare DCQCN settings of both ends"
            if many
            else "",
            why="senders are throttled by DCQCN" if many else "",
        )


def _word(
    facts: NodeFacts,
    expected: Expectations,
    device: RdmaDevice,
    counters: Iterable[str],
    promise: str,
    *,
    fix: str,
    why: str,
) -> Word:
    """One word on several counters: it fails where one of them grew, and is unknown where one of them is."""
    gains: dict[str, Reading[Gain]] = {name: facts.gains.of(device.name, name) for name in counters}
    grown = {name: gain.value for name, gain in gains.items() if isinstance(gain, Known) and gain.value.count > 0}
    gpus = gpus_of(device, facts, expected)
    if grown:
        shown = _shown(grown)
        return Word(Verdict.FAIL, shown, promise, device.name, gpus, _evidence(facts, device, grown), fix, why)
    missing = {name: gain for name, gain in gains.items() if isinstance(gain, Unknown)}
    if missing:
        reason = listed(f"{name}: {gain.reason}" for name, gain in missing.items())
        return Word(Verdict.UNKNOWN, "unknown", promise, device.name, gpus, (Evidence(_HW),), why=reason)
    known = {name: gain.value for name, gain in gains.items() if isinstance(gain, Known)}
    return Word(Verdict.PASS, "+0", promise, device.name, gpus, _evidence(facts, device, known))


def _evidence(facts: NodeFacts, device: RdmaDevice, gains: dict[str, Gain]) -> tuple[Evidence, ...]:
    """Where each counter was read, and what it gained."""
    sources = {each.id.counter: each.source for each in facts.counted if each.id.device == device.name}
    return tuple(Evidence(sources.get(name, _HW), f"{name} {gain}") for name, gain in sorted(gains.items()))


def _shown(gains: dict[str, Gain]) -> str:
    return listed(f"{name} {gain}" for name, gain in sorted(gains.items()))


CHECKS = (
    Check("nic.errors", "no new transport errors", Severity.WARN, (_HW,), _errors),
    Check(
        "nic.link_flaps",
        "links stay up",
        Severity.WARN,
        (f"{ROOT}/*/ports/1/counters/link_downed", "/sys/class/net/*/carrier_changes"),
        _flaps,
    ),
    Check("nic.discards", "ports throw no packets away", Severity.WARN, ("ethtool-S.*",), _discards),
    Check("nic.congestion", "congestion stays moderate", Severity.INFO, (_HW,), _congestion),
)

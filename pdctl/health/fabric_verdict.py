"""What the fabric's tests say: each session's results to words, and whose fault it is.

A NIC that fails with every peer while a peer of it works with others is named alone; where that cannot be told, both
ends are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final, TypeAlias, TypeVar

from pdctl.health.check import Figure, FleetCheck, Tier, Word
from pdctl.health.fabric import FabricNic, Refused, Session
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.parse.fabric_tests import Bandwidth, Pingpong
from pdctl.model.check_policy import Thresholds
from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

_PINGED: Final = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")


@dataclass(frozen=True, slots=True)
class Ping:
    """Echoes asked for and come back."""

    sent: int
    received: int


def ping(text: str) -> Reading[Ping]:
    """The statistics of iputils or busybox `ping`; Unknown where it printed none."""
    match = _PINGED.search(text)
    if match is None:
        said = text.strip().splitlines()
        return Unknown(said[-1][:100] if said else "it printed nothing", "ping")
    return Known(Ping(int(match[1]), int(match[2])), "ping")


@dataclass(frozen=True, slots=True)
class Broken:
    """A test that ran and did not get through, with what it said: a failure, where Unknown is none."""

    reason: str
    source: str = ""


Outcome: TypeAlias = Known[T] | Unknown | Broken


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session's tests; `latency` in microseconds. What was not run after an earlier failure is Unknown with why."""

    session: Session
    ping: Outcome[Ping]
    pingpong: Outcome[Pingpong]
    latency: Outcome[float]
    bandwidth: Outcome[Bandwidth]


IDS: Final = (
    "fabric.ping",
    "fabric.rc_pingpong",
    "fabric.write_lat",
    "fabric.write_bw",
    "fabric.untested",
    "outlier.write_bw",
)

Good = Callable[[SessionResult], bool | None]
"""Whether a session passed one test; None: unknown."""


def fabric_checks(results: Sequence[SessionResult], refused: Sequence[Refused]) -> tuple[FleetCheck, ...]:
    """Checks that say what these tests found, to be judged with the others."""

    def check(name: str, title: str, severity: Severity, words: Callable[[Thresholds], Iterable[Word]]) -> FleetCheck:
        return FleetCheck(
            f"fabric.{name}", title, severity, (name,), lambda fleet: words(fleet.policy.thresholds), tier=Tier.T2
        )

    return (
        check("ping", "rails reach each other", Severity.BLOCK, lambda _: _ping_words(results)),
        check("rc_pingpong", "RDMA connections stand", Severity.BLOCK, lambda _: _pingpong_words(results)),
        check("write_lat", "RDMA latency", Severity.WARN, lambda limits: _latency_words(results, limits)),
        check("write_bw", "RDMA bandwidth", Severity.WARN, lambda limits: _bandwidth_words(results, limits)),
        check("untested", "every planned pair is tested", Severity.INFO, lambda _: _untested(refused)),
    )


def fabric_figure(results: Sequence[SessionResult]) -> Figure:
    """Each NIC's bandwidth, the median of its sessions, to be compared over the nodes of a pool."""

    def read(facts: NodeFacts) -> Mapping[str, Reading[float]]:
        found: dict[str, list[float]] = {}
        for each in results:
            for nic in (each.session.client, each.session.server):
                if nic.node == facts.node and isinstance(each.bandwidth, Known):
                    found.setdefault(nic.device, []).append(each.bandwidth.value.average_gbps)
        return {device: Known(median(rates), "ib_write_bw") for device, rates in found.items()}

    title = "RDMA bandwidth as on other nodes"
    return Figure("outlier.write_bw", title, "Gb/s", Severity.WARN, ("ib_write_bw",), read)


def least_gbps(session: Session, thresholds: Thresholds) -> float:
    """What `ib_write_bw` must reach: 300 Gb/s on 400 Gb/s ports (MoRI env_check), in proportion on slower ones."""
    rates = [nic.rate_gbps for nic in (session.client, session.server) if nic.rate_gbps]
    rate = min((*rates, thresholds.write_bw_reference_gbps))
    return thresholds.write_bw_warn_gbps * rate / thresholds.write_bw_reference_gbps


def _ping_words(results: Sequence[SessionResult]) -> Iterator[Word]:
    def good(result: SessionResult) -> bool | None:
        return _good(result.ping, lambda value: value.received == value.sent > 0)

    for result in results:
        reading = result.ping
        shown = _shown(reading, lambda value: f"{value.received} of {value.sent} echoes")
        fix = f"ip route get {result.session.server.address} from {result.session.client.address}"
        yield from _words(results, result, good, reading, shown, "every echo answered", fix)


def _pingpong_words(results: Sequence[SessionResult]) -> Iterator[Word]:
    def good(result: SessionResult) -> bool | None:
        return _good(result.pingpong, lambda _: True)

    for result in results:
        shown = _shown(result.pingpong, lambda value: f"{value.usec_per_iteration:.1f} us an exchange")
        fix = "compare GID types, MTU and PFC of both ends: `pdctl check` names those that differ"
        yield from _words(results, result, good, result.pingpong, shown, "a reliable connection", fix)


def _latency_words(results: Sequence[SessionResult], thresholds: Thresholds) -> Iterator[Word]:
    limit_us = thresholds.write_latency_us

    def good(result: SessionResult) -> bool | None:
        return _good(result.latency, lambda latency_us: latency_us <= limit_us)

    for result in results:
        shown = _shown(result.latency, lambda latency_us: f"{latency_us:.1f} us")
        fix = "look for CPU power saving, PCIe relaxed ordering, and hops between the two ports"
        yield from _words(results, result, good, result.latency, shown, f"<= {limit_us:g} us", fix)


def _bandwidth_words(results: Sequence[SessionResult], thresholds: Thresholds) -> Iterator[Word]:
    def good(result: SessionResult) -> bool | None:
        return _good(result.bandwidth, lambda value: value.average_gbps >= least_gbps(result.session, thresholds))

    for result in results:
        shown = _shown(result.bandwidth, lambda value: f"{value.average_gbps:.0f} Gb/s")
        expected = f">= {least_gbps(result.session, thresholds):.0f} Gb/s"
        fix = "look at both ports' rate, PCIe link and error counters"
        yield from _words(results, result, good, result.bandwidth, shown, expected, fix)


def _good(outcome: Outcome[T], enough: Callable[[T], bool]) -> bool | None:
    if isinstance(outcome, Known):
        return enough(outcome.value)
    return False if isinstance(outcome, Broken) else None


def _words(
    results: Sequence[SessionResult],
    result: SessionResult,
    good: Good,
    outcome: Outcome[Any],
    shown: str,
    expected: str,
    fix: str,
) -> Iterator[Word]:
    passed = good(result)
    session = result.session
    why = "" if isinstance(outcome, Known) else outcome.reason
    word = Word(
        Verdict.UNKNOWN if passed is None else Verdict.PASS if passed else Verdict.FAIL,
        f"{session.name}: {shown}",
        expected,
        evidence=(Evidence(outcome.source, why or shown),),
        fix=fix if passed is False else "",
        why=why,
    )
    for nic in guilty(results, result, good) if passed is False else (session.client,):
        yield replace(word, node=nic.node, device=nic.device, gpus=nic.gpus or None)


def guilty(results: Sequence[SessionResult], failed: SessionResult, good: Good) -> tuple[FabricNic, ...]:
    """The ends to name for a failed session."""
    works = {nic.name for each in results if good(each) for nic in (each.session.client, each.session.server)}
    ends = (failed.session.client, failed.session.server)
    suspects = tuple(nic for nic in ends if nic.name not in works)
    return suspects if len(suspects) == 1 else ends


def _untested(refused: Sequence[Refused]) -> Iterator[Word]:
    for each in refused:
        nic = each.session.client
        yield Word(
            Verdict.UNKNOWN, f"{each.session.name}: not tested", "tested", nic.device, (), why=each.why, node=nic.node
        )


def _shown(outcome: Outcome[T], show: Callable[[T], str]) -> str:
    if isinstance(outcome, Known):
        return show(outcome.value)
    return "did not get through" if isinstance(outcome, Broken) else "no result"

"""A node that is slower than its peers: below 0.9x the median of the pool's nodes (the factor is a threshold)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from pdctl.health.check import Figure, Fleet, FleetCheck, Word
from pdctl.health.drift import pools, readings_of
from pdctl.health.finding import Evidence, Verdict
from pdctl.model.reading import Known, Reading, Unknown

MIN_NODES = 3
"""With two nodes the median lies between them, and either could be the odd one."""


def outlier_check(figure: Figure) -> FleetCheck:
    """The check that compares `figure` over the nodes of every pool."""
    return FleetCheck(figure.id, figure.title, figure.severity, figure.reads, lambda fleet: _judge(figure, fleet))


def _judge(figure: Figure, fleet: Fleet) -> Iterator[Word]:
    read = {node: readings_of(figure.read, facts) for node, facts in fleet.nodes.items()}
    fraction = fleet.policy.thresholds.outlier_fraction
    said: set[str] = set()
    for members in pools(fleet):
        middle = pool_middle([read.get(node, {}) for node in members])
        for node in members:
            if node not in read or node in said:
                continue
            said.add(node)
            for device, reading in read[node].items():
                word = _word(figure, node, device, reading, middle, fraction)
                if word is not None:
                    yield word


@dataclass(frozen=True, slots=True)
class Middle:
    """The median over a pool's nodes: of those that know their figure, and as high as it could be if the others knew
    theirs (infinite where too few do). Only who is near the higher one passes: to know less must never look better."""

    known: float
    at_most: float


def pool_middle(read: Sequence[Mapping[str, Reading[float]]]) -> Middle | None:
    """The median over nodes of each node's own median; None with fewer than three nodes that know their figure."""
    own = []
    for devices in read:
        known = [reading.value for reading in devices.values() if isinstance(reading, Known)]
        if known:
            own.append(median(known))
    if len(own) < MIN_NODES:
        return None
    return Middle(median(own), median([*own, *[inf] * (len(read) - len(own))]))


def _word(
    figure: Figure, node: str, device: str, reading: Reading[float], middle: Middle | None, fraction: float
) -> Word | None:
    if isinstance(reading, Unknown):
        evidence = (Evidence(reading.source),) if reading.source else ()
        expected = f"at least {fraction:g}x the median of its pool"
        return Word(Verdict.UNKNOWN, "unknown", expected, device, (), evidence, why=reading.reason, node=node)
    if middle is None:
        return None
    observed = f"{reading.value:.4g} {figure.unit}"
    expected = (
        f">= {fraction * middle.known:.4g} {figure.unit} ({fraction:g}x the median {middle.known:.4g} of its pool)"
    )
    evidence = (Evidence(reading.source, observed),)
    if reading.value < fraction * middle.known:
        return Word(Verdict.FAIL, observed, expected, device, None, evidence, node=node)
    if reading.value >= fraction * middle.at_most:
        return Word(Verdict.PASS, observed, expected, device, None, evidence, node=node)
    return None

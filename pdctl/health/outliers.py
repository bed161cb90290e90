"""A node that is slower than its peers: below 0.9x the median of the pool's nodes (the factor is a threshold)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    said: set[str] = set()
    for members in pools(fleet):
        middle = pool_median({node: read[node] for node in members})
        for node in members:
            if node in said:
                continue
            said.add(node)
            for device, reading in read[node].items():
                word = _word(figure, node, device, reading, middle, fleet.policy.thresholds.outlier_fraction)
                if word is not None:
                    yield word


def pool_median(read: Mapping[str, Mapping[str, Reading[float]]]) -> float | None:
    """The median over nodes of each node's own median; None with fewer than three nodes that know their figure."""
    own = []
    for devices in read.values():
        known = [reading.value for reading in devices.values() if isinstance(reading, Known)]
        if known:
            own.append(median(known))
    return median(own) if len(own) >= MIN_NODES else None


def _word(
    figure: Figure, node: str, device: str, reading: Reading[float], middle: float | None, fraction: float
) -> Word | None:
    if isinstance(reading, Unknown):
        evidence = (Evidence(reading.source),) if reading.source else ()
        expected = f"at least {fraction:g}x the median of its pool"
        return Word(Verdict.UNKNOWN, "unknown", expected, device, (), evidence, why=reading.reason, node=node)
    if middle is None:
        return None
    good = reading.value >= fraction * middle
    observed = f"{reading.value:.4g} {figure.unit}"
    expected = f">= {fraction * middle:.4g} {figure.unit} ({fraction:g}x the median {middle:.4g} of its pool)"
    verdict = Verdict.PASS if good else Verdict.FAIL
    return Word(verdict, observed, expected, device, None, (Evidence(reading.source, observed),), node=node)

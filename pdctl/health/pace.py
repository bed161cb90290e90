"""Pace: one timed request per fresh engine, against its pool's others and against what it took before.

A GPU that runs slow answers health checks and passes every static check; only a request shows it (found in production
as one engine at half speed for hours). Fails above 1.5x of either; the factor is a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from pdctl.health.check import Word
from pdctl.health.finding import Evidence, Finding, Severity, Subject, Verdict
from pdctl.health.policy import severity_of, unknown_is
from pdctl.model.check_policy import CheckPolicy, UnknownIs
from pdctl.model.deployment import Instance
from pdctl.model.reading import Reading, Unknown

CHECK = "engine.pace"
TITLE = "a fresh engine answers as fast as its peers"
KEPT = 8
"""How many of an engine's own earlier times its profile holds."""


@dataclass(frozen=True, slots=True)
class PaceProfile:
    """What one engine took before, newest last, in seconds. Times of another spec hash are of another engine."""

    spec_hash: str
    times_s: tuple[float, ...] = ()

    def with_time(self, spec_hash: str, seconds: float) -> PaceProfile:
        """The profile after one more good time. Keep only times that passed: a slow one would excuse the next."""
        times = self.times_s if spec_hash == self.spec_hash else ()
        return PaceProfile(spec_hash, (*times, seconds)[-KEPT:])


def pace_word(
    took: Reading[float],
    peers_s: Mapping[str, float],
    profile: PaceProfile | None,
    *,
    spec_hash: str,
    factor: float = 1.5,
) -> Word:
    """The word on one engine: `took` in seconds, `peers_s` the latest times of the pool's other engines.

    UNKNOWN where the request got no answer, or where there is nothing to compare with.
    """
    own = profile.times_s if profile is not None and profile.spec_hash == spec_hash else ()
    limits = []
    if peers_s:
        limits.append((median(peers_s.values()), f"the median of {len(peers_s)} in its pool"))
    if own:
        limits.append((median(own), f"the median of its own last {len(own)}"))
    expected = " and ".join(f"<= {factor * middle:.3g} s ({factor:g}x {what})" for middle, what in limits)
    if isinstance(took, Unknown):
        return Word(Verdict.UNKNOWN, "unknown", expected, why=took.reason)
    observed = f"{took.value:.3g} s"
    evidence = (Evidence(took.source, observed),)
    if not limits:
        why = "the first of its pool and its first time: nothing to compare with"
        return Word(Verdict.UNKNOWN, observed, expected, evidence=evidence, why=why)
    if all(took.value <= factor * middle for middle, _ in limits):
        return Word(Verdict.PASS, observed, expected, evidence=evidence)
    fix = "look at the GPUs' clocks, power caps and temperatures, and at who else uses the node: `pdctl check`"
    return Word(Verdict.FAIL, observed, expected, evidence=evidence, fix=fix, why="it would hold its whole pool up")


def judge_pace(instance: Instance, word: Word, policy: CheckPolicy) -> Finding | None:
    """The finding of one engine's word; None where the policy leaves it out. It blocks the slots of all its parts."""
    severity = severity_of(policy, CHECK, Severity.BLOCK)
    unknown = unknown_is(policy, CHECK, essential=False)
    if severity is None or (word.verdict is Verdict.UNKNOWN and unknown is UnknownIs.IGNORE):
        return None
    slots = tuple(dict.fromkeys(f"{part.node}.{part.slot}" for part in instance.parts))
    return Finding(
        check=CHECK,
        verdict=word.verdict,
        severity=severity,
        subject=Subject(instance.leader.node, slots[0], instance.name),
        observed=word.observed,
        expected=word.expected,
        evidence=word.evidence,
        fix=word.fix,
        why=word.why,
        title=TITLE,
        slots=slots,
        unknown_blocks=unknown is UnknownIs.BLOCK,
    )

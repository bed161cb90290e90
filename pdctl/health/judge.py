"""From the facts of all nodes to one report.

A check that raises is a defect of ours: it becomes an UNKNOWN finding that names it. It is never a crash and never a
pass, and it does not hide what other checks say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pdctl.health.check import Check, Fleet, FleetCheck, Word
from pdctl.health.drift import drift_check
from pdctl.health.finding import Evidence, Finding, Severity, Subject, Verdict
from pdctl.health.outliers import outlier_check
from pdctl.health.policy import severity_of, unknown_is
from pdctl.health.registry import REGISTRY, Registry
from pdctl.health.report import Fitness, Report, SlotVerdict, by_urgency
from pdctl.model.check_policy import UnknownIs

DEFECT = "this is a defect of pdctl: save the envelope (`pdctl check --save DIR`) and report it"


def judge(fleet: Fleet, registry: Registry = REGISTRY) -> Report:
    """Every check on every node, and the checks that compare nodes."""
    findings = sorted(_findings(fleet, registry), key=by_urgency)
    slots = tuple(_slot_verdicts(fleet, findings))
    return Report(tuple(findings), slots, tuple(sorted(fleet.nodes)), dict(fleet.unreachable))


def fleet_checks(registry: Registry) -> tuple[FleetCheck, ...]:
    """The checks that compare nodes: those written out, and one for each trait and figure."""
    return (
        *registry.fleet,
        *(drift_check(trait) for trait in registry.traits),
        *(outlier_check(figure) for figure in registry.figures),
    )


def _findings(fleet: Fleet, registry: Registry) -> Iterator[Finding]:
    for name, facts in fleet.nodes.items():
        for defect in facts.defects:
            yield _defect("pdctl.parse", "every output can be read", name, defect, fleet)
        for check in registry.checks:
            yield from _node_findings(fleet, check, name)
    for compared in fleet_checks(registry):
        words = _words(lambda compared=compared: compared.judge(fleet))  # type: ignore[misc]
        yield from _named(fleet, compared, words, next(iter(fleet.nodes), ""))


def _node_findings(fleet: Fleet, check: Check, name: str) -> Iterator[Finding]:
    facts, expected = fleet.nodes[name], fleet.expected[name]
    yield from _named(fleet, check, _words(lambda: check.judge(facts, expected)), name)


def _words(ask: Callable[[], Iterable[Word]]) -> tuple[Word, ...]:
    """What a check says. What it said before it raised counts, and that it raised is a word of its own."""
    said: list[Word] = []
    try:
        said.extend(ask())
    except Exception as error:  # any defect of a check, whatever it is
        said.append(
            Word(Verdict.UNKNOWN, "unknown", why=f"the check failed: {type(error).__name__}: {error}", fix=DEFECT)
        )
    return tuple(said)


def _named(fleet: Fleet, check: Check | FleetCheck, words: Iterable[Word], node: str) -> Iterator[Finding]:
    """Findings of the words, under the policy and in scope. A check that is switched off says nothing."""
    own = severity_of(fleet.policy, check.id, check.severity)
    if own is None:
        return
    overridden = fleet.policy.severity_override(check.id) is not None
    unknown = unknown_is(fleet.policy, check.id, essential=check.essential)
    for word in words:
        if word.verdict is Verdict.UNKNOWN and unknown is UnknownIs.IGNORE:
            continue
        on = word.node or node
        expected = fleet.expected.get(on)
        if expected is not None and expected.leaves_out(word.gpus):
            continue
        slots = expected.slots_of(word.gpus) if expected is not None else ()
        yield Finding(
            check=check.id,
            verdict=word.verdict,
            severity=own if overridden or word.severity is None else word.severity,
            subject=Subject(on, slots[0] if len(slots) == 1 else "", word.device),
            observed=word.observed,
            expected=word.expected,
            evidence=word.evidence,
            fix=word.fix,
            why=word.why,
            title=check.title,
            slots=slots,
            unknown_blocks=unknown is UnknownIs.BLOCK,
        )


def _defect(check: str, title: str, node: str, cause: str, fleet: Fleet) -> Finding:
    expected = fleet.expected.get(node)
    return Finding(
        check=check,
        verdict=Verdict.UNKNOWN,
        severity=Severity.WARN,
        subject=Subject(node),
        observed="unknown",
        expected=title,
        evidence=(Evidence("envelope", cause),),
        fix=DEFECT,
        why=cause,
        title=title,
        slots=expected.slots_of(None) if expected is not None else (),
    )


def _slot_verdicts(fleet: Fleet, findings: Iterable[Finding]) -> Iterator[SlotVerdict]:
    blocking = [finding for finding in findings if finding.blocks]
    for name, expected in fleet.expected.items():
        for slot in expected.slots:
            if not slot.judged:
                continue
            blockers = tuple(finding for finding in blocking if slot.id in finding.slots)
            if name not in fleet.nodes:
                yield SlotVerdict(slot.id, name, Fitness.UNKNOWN, blockers, fleet.unreachable.get(name))
                continue
            yield SlotVerdict(slot.id, name, _fitness(blockers), blockers)


def _fitness(blockers: tuple[Finding, ...]) -> Fitness:
    if not blockers:
        return Fitness.FIT
    failed = any(finding.verdict is Verdict.FAIL for finding in blockers)
    return Fitness.BLOCKED if failed else Fitness.UNKNOWN

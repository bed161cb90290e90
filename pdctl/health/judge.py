"""From the facts of all nodes to one report.

A check that raises is a defect of ours: it becomes an UNKNOWN finding that names it. It is never a crash and never a
pass, and it does not hide what other checks say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pdctl.health.check import Check, Fleet, FleetCheck, Word
from pdctl.health.drift import drift_check
from pdctl.health.facts import NotRead
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
    scopes = _Scopes(fleet)
    for name, facts in fleet.nodes.items():
        for defect in facts.defects:
            yield _defect("pdctl.parse", "every output can be read", name, defect, fleet)
        for check in registry.checks:
            yield from _named(scopes, check, _words(check.judge, facts, fleet.expected[name]), name)
    for compared in fleet_checks(registry):
        yield from _named(scopes, compared, _words(compared.judge, fleet), next(iter(fleet.nodes), ""))


def _words(judge_: Callable[..., Iterable[Word]], *about: object) -> tuple[Word, ...]:
    """What a check says. What it said before it raised counts, and that it raised is a word of its own."""
    said: list[Word] = []
    try:
        said.extend(judge_(*about))
    except NotRead as missing:
        said.append(Word(Verdict.UNKNOWN, "unknown", why=str(missing)))
    except Exception as error:  # any defect of a check, whatever it is
        cause = f"the check itself failed: {type(error).__name__}: {error}"
        said.append(Word(Verdict.UNKNOWN, "unknown", why=cause, fix=DEFECT))
    return tuple(said)


@dataclass(slots=True)
class _Scopes:
    """Which slots a word is about, worked out once for each node and set of GPUs: a node has hundreds of words."""

    fleet: Fleet
    _known: dict[tuple[str, tuple[int, ...] | None], tuple[str, ...] | None] = field(default_factory=dict)

    def slots(self, node: str, gpus: tuple[int, ...] | None) -> tuple[str, ...] | None:
        """Ids of the slots in scope; None where all of `gpus` belong to slots out of scope."""
        if (node, gpus) not in self._known:
            expected = self.fleet.expected.get(node)
            out = expected is not None and expected.leaves_out(gpus)
            found = expected.slots_of(gpus) if expected is not None else ()
            self._known[node, gpus] = None if out else found
        return self._known[node, gpus]


def _named(scopes: _Scopes, check: Check | FleetCheck, words: Iterable[Word], node: str) -> Iterator[Finding]:
    """Findings of the words, under the policy and in scope. A check that is switched off says nothing."""
    policy = scopes.fleet.policy
    own = severity_of(policy, check.id, check.severity)
    if own is None:
        return
    overridden = policy.severity_override(check.id) is not None
    unknown = unknown_is(policy, check.id, essential=check.essential)
    for word in words:
        slots = scopes.slots(word.node or node, word.gpus)
        if slots is None or (word.verdict is Verdict.UNKNOWN and unknown is UnknownIs.IGNORE):
            continue
        yield Finding(
            check=check.id,
            verdict=word.verdict,
            severity=own if overridden or word.severity is None else word.severity,
            subject=Subject(word.node or node, slots[0] if len(slots) == 1 else "", word.device),
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

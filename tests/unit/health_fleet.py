"""Fleets for tests of the judging frame: envelopes of a line or two, checks and traits that read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pdctl.health.check import Check, Figure, Fleet, Trait, Word, word_on
from pdctl.health.counters import Baseline
from pdctl.health.envelope import Envelope, Item
from pdctl.health.expectations import Expectations, Situation
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Severity
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.report import Report
from pdctl.model.check_policy import CheckPolicy
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Trouble
from pdctl.model.reading import Known, Reading, Unknown
from tests.unit.deployments import r1_2p3d


def envelope(node: str, **outputs: str) -> Envelope:
    """What `node` sent: `outputs` by item id. A machine id per node, one boot."""
    items = {name: Item(argv=(name,), status=0, stdout=text) for name, text in outputs.items()}
    return Envelope(node=node, machine_id=f"machine-{node}", boot_id="boot-1", wall_s=1000.0, items=items)


def fleet(
    outputs: Mapping[str, Mapping[str, str]],
    *,
    deployment: Deployment | None = None,
    policy: CheckPolicy | None = None,
    situation: Situation | None = None,
    unreachable: Mapping[str, Trouble] | None = None,
) -> Fleet:
    """A fleet of r1-2p3d (two prefill nodes, three decode nodes) that sent `outputs` by node and item."""
    sent = {node: envelope(node, **items) for node, items in outputs.items()}
    return fleet_of(deployment or r1_2p3d(), sent, policy=policy, situation=situation, unreachable=unreachable or {})


def number(facts: NodeFacts, item: str) -> Reading[int]:
    """The number that an item printed."""
    found = facts.envelope.items.get(item)
    if found is None or not found.stdout.strip().lstrip("-").isdigit():
        return Unknown(f"{item} did not say", item)
    return Known(int(found.stdout), item)


def below(item: str, limit: int, severity: Severity = Severity.BLOCK, *, essential: bool = False) -> Check:
    """Passes where the item's number is below `limit`."""

    def judge(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
        yield word_on(number(facts, item), lambda n: n < limit, expected=f"< {limit}", fix=f"lower {item}")

    return Check(f"test.{item}", item, severity, (item,), judge, essential=essential)


def per_gpu(item: str) -> Check:
    """The item prints the bad GPUs: "3 5"."""

    def judge(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
        bad = {int(text) for text in facts.envelope.items[item].stdout.split()}
        for gpu in range(expected.spec.gpus):
            reading = Known(gpu in bad, item)
            yield word_on(reading, lambda is_bad: not is_bad, expected="good", device=f"gpu{gpu}", gpus=(gpu,))

    return Check(f"test.{item}", item, Severity.BLOCK, (item,), judge)


def raising(error: Exception) -> Check:
    """A check with a defect."""

    def judge(facts: NodeFacts, expected: Expectations) -> Iterable[Word]:
        raise error

    return Check("test.defect", "defect", Severity.BLOCK, (), judge)


def trait(item: str, severity: Severity = Severity.WARN, *, pin: str = "", whole_fleet: bool = False) -> Trait:
    """The item's text, unknown where it is missing or empty."""

    def read(facts: NodeFacts) -> Mapping[str, Reading[str]]:
        found = facts.envelope.items.get(item)
        if found is None or not found.stdout:
            return {"": Unknown("not collected", item)}
        return {"": Known(found.stdout, item)}

    return Trait(f"drift.{item}", item, severity, (item,), read, pin=pin, whole_fleet=whole_fleet)


def figure(item: str) -> Figure:
    """The item's number as a figure of the node."""

    def read(facts: NodeFacts) -> Mapping[str, Reading[float]]:
        found = number(facts, item)
        return {"": found if isinstance(found, Unknown) else Known(float(found.value), found.source)}

    return Figure(f"outlier.{item}", item, "GB/s", Severity.WARN, (item,), read)


def judge_envelopes(
    deployment: Deployment,
    envelopes: Mapping[str, Envelope],
    *,
    policy: CheckPolicy | None = None,
    situation: Situation | None = None,
    unreachable: Mapping[str, Trouble] | None = None,
    baselines: Mapping[str, Baseline] | None = None,
) -> tuple[Report, Mapping[str, Baseline]]:
    """The report, and the baselines to keep for the next one."""
    fleet = fleet_of(
        deployment,
        envelopes,
        policy=policy,
        situation=situation,
        unreachable=unreachable,
        baselines=baselines,
    )
    return judge(fleet), {name: facts.baseline() for name, facts in fleet.nodes.items()}

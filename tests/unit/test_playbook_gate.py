"""What a gate makes of a Snapshot: met, not met, or unknown, which never passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.inventory.playbook_schema import CompareSection, GateVerb
from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Alert, AlertLevel, InstanceFigures, Snapshot, Vital
from pdctl.plan.playbook_gate import Condition, Settling, Trail, look
from tests.unit.telemetry.snapshots import Bench, served

ALL = frozenset({"n1.main.0", "n2.main.0", "n3.main.0"})


def having(snapshot: Snapshot, **changes: object) -> Snapshot:
    """The snapshot with n2's instance changed."""
    name = "n2.main.0"
    changed: InstanceFigures = replace(snapshot.instances[name], **changes)  # type: ignore[arg-type]
    return replace(snapshot, instances={**snapshot.instances, name: changed})


def seen(gate: GateVerb, snapshot: Snapshot, *, watched_s: float = 60.0) -> tuple[Condition, ...]:
    compared = frozenset({"n2.main.0"}) if gate.compare else frozenset()
    return look(gate, snapshot, watched_s=watched_s, members=ALL, compared=compared)


@pytest.mark.parametrize(
    ("changes", "met", "saw"),
    [
        ({}, True, "all 3"),
        ({"member": False}, False, "no member: n2.main.0"),
        ({"vital": Vital.HUNG}, False, "hung: n2.main.0"),
        ({"vital": Vital.STARTING, "member": False}, False, "starting: n2.main.0"),
        ({"member": None, "why": "nobody told"}, None, "nobody told: n2.main.0"),
        ({"vital": Vital.STALE, "why": "no answer for 5 s"}, None, "no answer for 5 s: n2.main.0"),
    ],
)
def test_all_are_members_only_if_every_one_is_known_to_be(
    changes: dict[str, object], met: bool | None, saw: str
) -> None:
    (condition,) = seen(GateVerb(members="all"), having(served(), **changes))
    assert (condition.met, condition.saw) == (met, saw)


def test_an_instance_that_is_not_in_the_snapshot_is_unknown() -> None:
    (condition,) = look(GateVerb(members="all"), served(), watched_s=60.0, members=frozenset({"n9.main.0"}))
    assert (condition.met, condition.saw) == (None, "unknown: n9.main.0")


def test_no_alert_is_known_only_after_a_while_and_one_for_information_is_none() -> None:
    gate, quiet = GateVerb(alerts="none"), replace(served(), alerts=())
    assert seen(gate, quiet, watched_s=5.0)[0].met is None
    assert seen(gate, quiet)[0].met is True
    alert = Alert("hung:n2", AlertLevel.PAGE, "n2", "hangs", "", 0.0)
    assert seen(gate, replace(quiet, alerts=(alert,)), watched_s=1.0)[0] == Condition("no alert", False, "n2: hangs")
    assert seen(gate, replace(quiet, alerts=(replace(alert, level=AlertLevel.INFO),)))[0].met is True


def test_attainment_is_met_by_its_lower_end_and_never_by_what_is_unknown() -> None:
    snapshot = served()
    view = snapshot.client[60]

    def of(both: Figure | Unknown, at_least: float) -> bool | None:
        shown = replace(view, attainment=replace(view.attainment, both=both))
        gate = GateVerb(attainment=at_least)
        return seen(gate, replace(snapshot, client={**snapshot.client, 60: shown}))[0].met

    assert of(Figure(0.96, 0.99, 0.0), 0.95) is True
    assert of(Figure(0.94, 0.99, 0.0), 0.95) is False
    assert of(Unknown("no requests"), 0.01) is None
    assert seen(GateVerb(attainment=0.5), replace(snapshot, client={}))[0].met is None


def with_itl(snapshot: Snapshot, name: str, itl: Figure | Unknown) -> Snapshot:
    instance = snapshot.instances[name]
    window = min(instance.windows)
    found = instance.windows[window]
    latencies = replace(found.latencies, itl=replace(found.latencies.itl, p99=itl))
    windows = {**instance.windows, window: replace(found, latencies=latencies)}
    return replace(snapshot, instances={**snapshot.instances, name: replace(instance, windows=windows)})


@pytest.mark.parametrize(
    ("own", "peer", "met"),
    [
        (Figure.exact(0.054, 0.0), Figure.exact(0.05, 0.0), True),
        (Figure.exact(0.056, 0.0), Figure.exact(0.05, 0.0), False),
        (Figure(0.01, 0.05, 0.0), Figure(0.01, 0.05, 0.0), True),
        (Unknown("no tokens"), Figure.exact(0.05, 0.0), None),
        (Figure.exact(0.05, 0.0), Unknown("no tokens"), None),
    ],
)
def test_an_instance_is_compared_with_its_peers_of_the_pool(
    own: Figure | Unknown, peer: Figure | Unknown, met: bool | None
) -> None:
    gate = GateVerb(compare=comparing("n2", itl_p99="10%"))
    snapshot = with_itl(with_itl(served(), "n2.main.0", own), "n3.main.0", peer)
    (condition,) = seen(gate, snapshot)
    assert condition.met is met
    assert condition.wanted == "n2.main.0 itl p99 within +10% of its peers"


def comparing(select: str, **figures: str) -> CompareSection:
    return CompareSection.model_validate({"select": select, **figures})


def test_prefill_writes_no_tokens_so_its_itl_is_no_condition() -> None:
    gate = GateVerb(members="all", compare=comparing("n1", itl_p99="10%"))
    found = look(gate, served(), watched_s=60.0, members=ALL, compared=frozenset({"n1.main.0"}))
    assert [condition.wanted for condition in found] == ["3 members"]


def test_before_the_first_figures_nothing_passes() -> None:
    gate = GateVerb(members="all", alerts="none", attainment=0.5, compare=comparing("n2", itl_mean="10%"))
    assert [condition.met for condition in seen(gate, Bench().build(), watched_s=0.0)] == [None] * 4


def test_it_has_to_hold_without_a_break() -> None:
    good, bad = (Condition("x", True, ""),), (Condition("x", None, ""),)
    settling = Settling(10.0)
    told = [settling.take(each, second) for second, each in enumerate([good] * 10 + [bad] + [good] * 11)]
    assert told == [False] * 21 + [True]


def test_a_figure_is_the_mean_of_the_last_ticks_and_unknown_as_soon_as_it_is() -> None:
    gate, trail = GateVerb(compare=comparing("n2", itl_p99="10%")), Trail(10.0)

    def told(second: float, own: Figure | Unknown) -> bool | None:
        snapshot = with_itl(with_itl(served(), "n2.main.0", own), "n3.main.0", Figure.exact(0.05, 0.0))
        snapshot = replace(snapshot, taken_s=second)
        trail.take(snapshot)
        (condition,) = look(gate, snapshot, watched_s=60.0, compared=frozenset({"n2.main.0"}), trail=trail)
        return condition.met

    assert told(0.0, Figure.exact(0.06, 0.0)) is False
    assert told(1.0, Figure.exact(0.04, 0.0)) is True, "50 ms on average"
    assert told(2.0, Unknown("no tokens")) is None
    assert told(3.0, Figure.exact(0.06, 0.0)) is False, "what came before the gap does not count"
    assert told(20.0, Figure.exact(0.05, 0.0)) is True, "nor what is too old"

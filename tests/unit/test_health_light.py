"""The light look: alerts that stand until their check passes, whatever cannot be read meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pdctl.health.checks import reach
from pdctl.health.finding import Severity
from pdctl.health.judge import judge
from pdctl.health.light import light_alerts, light_registry
from pdctl.health.registry import REGISTRY, Registry
from pdctl.health.report import Report
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import Alert, AlertLevel
from tests.unit.health_fleet import below, fleet

CHECK = replace(below("heat", 20), id="gpu.temperature", title="hotspot below its limit")
ALL = Registry(checks=(CHECK, below("slow", 5)), fleet=reach.FLEET_CHECKS)
NODE = "mi300x-01"


def look(outputs: Mapping[str, str] | None) -> Report:
    """One look at one node; None: it could not be reached."""
    if outputs is None:
        return judge(fleet({}, unreachable={NODE: Trouble("timed out")}), light_registry(ALL))
    return judge(fleet({NODE: outputs}), light_registry(ALL))


def standing(*looks: Mapping[str, str] | None) -> Mapping[str, Alert]:
    """The alerts on the node after these looks, one every 10 s."""
    alerts: Mapping[str, Alert] = {}
    for index, outputs in enumerate(looks):
        alerts = light_alerts(look(outputs), alerts, 1000.0 + 10 * index)
    return {name: alert for name, alert in alerts.items() if alert.subject.startswith(NODE)}


def test_a_failure_raises_an_alert_that_keeps_its_age() -> None:
    (alert,) = standing({"heat": "99"}, {"heat": "98"}).values()
    assert (alert.id, alert.level, alert.subject) == (f"gpu.temperature:{NODE}", AlertLevel.PAGE, NODE)
    assert alert.cause == "hotspot below its limit: 98, expected < 20"
    assert (alert.since_s, alert.hint) == (1000.0, "lower heat")


def test_a_pass_ends_it() -> None:
    assert standing({"heat": "99"}, {"heat": "10"}) == {}


def test_what_cannot_be_read_any_more_has_not_recovered() -> None:
    (alert,) = standing({"heat": "99"}, {}, {}).values()
    assert alert.since_s == 1000.0
    assert alert.cause.count("cannot be read now") == 1
    assert standing({"heat": "99"}, {}, {"heat": "10"}) == {}


def test_an_unknown_alone_is_no_alert() -> None:
    assert standing({}) == {}


def test_a_node_that_cannot_be_reached_is_an_alert_beside_those_that_stood() -> None:
    found = standing({"heat": "99"}, None)
    assert set(found) == {f"gpu.temperature:{NODE}", f"reach.ssh:{NODE}"}
    assert "timed out" in found[f"reach.ssh:{NODE}"].cause
    assert set(standing({"heat": "99"}, None, {"heat": "1"})) == set()


def test_only_what_a_light_look_can_answer_is_judged() -> None:
    assert [check.id for check in light_registry(ALL).checks] == ["gpu.temperature"]
    ids = light_registry(REGISTRY).ids()
    assert "reach.ssh" in ids
    assert "gpu.memory_budget" not in ids


def test_levels_follow_severity() -> None:
    mild = replace(CHECK, severity=Severity.WARN)
    report = judge(fleet({NODE: {"heat": "99"}}), Registry(checks=(mild,)))
    assert [alert.level for alert in light_alerts(report, {}, 0.0).values()] == [AlertLevel.WARN]

"""Alerts stand for a reason, wait before they speak, and do not flap."""

from __future__ import annotations

from dataclasses import replace

from pdctl.model.figure import Figure
from pdctl.model.snapshot import Alert, AlertLevel, PairFigures, PairState, Snapshot, Vital
from pdctl.telemetry.alerts import AlertBook, Change
from pdctl.telemetry.bottleneck import bottleneck
from tests.unit.telemetry.snapshots import served


def at(snapshot: Snapshot, second: float, **vitals: Vital) -> Snapshot:
    instances = dict(snapshot.instances)
    for node, vital in vitals.items():
        name = f"{node}.main.0"
        instances[name] = replace(instances[name], vital=vital, why="because")
    return replace(snapshot, taken_s=second, instances=instances)


def ids(alerts: tuple[Alert, ...]) -> list[str]:
    return [alert.id for alert in alerts]


def test_a_healthy_cluster_raises_nothing() -> None:
    book = AlertBook()
    for second in range(60):
        alerts, changes = book.take(at(served(), float(second)))
        assert not [alert for alert in alerts if not alert.id.startswith("slo:")]
        assert not [change for change in changes if not change.alert.id.startswith("slo:")]


def test_a_hung_engine_pages_at_once_with_what_to_do() -> None:
    alerts, changes = AlertBook().take(at(served(), 0.0, n2=Vital.HUNG))
    (alert,) = [alert for alert in alerts if alert.subject == "n2.main.0"]
    assert alert.level is AlertLevel.PAGE
    assert "pdctl restart n2.main.0" in alert.hint
    assert Change(alert, raised=True) in changes


def test_a_silent_moment_is_no_alert() -> None:
    book = AlertBook(raise_after_s=10.0)
    assert "silent:n2.main.0" not in ids(book.take(at(served(), 0.0, n2=Vital.STALE))[0])
    assert "silent:n2.main.0" not in ids(book.take(at(served(), 5.0))[0])
    assert "silent:n2.main.0" not in ids(book.take(at(served(), 11.0, n2=Vital.STALE))[0])
    assert "silent:n2.main.0" in ids(book.take(at(served(), 22.0, n2=Vital.STALE))[0])


def test_a_flapping_engine_is_one_alert_that_counts() -> None:
    book = AlertBook(clear_after_s=30.0)
    raised = 0
    for second in range(0, 60, 2):
        _, changes = book.take(at(served(), float(second), **({"n2": Vital.HUNG} if second % 4 else {})))
        raised += sum(change.alert.id == "hung:n2.main.0" for change in changes)
    alerts, _ = book.take(at(served(), 60.0, n2=Vital.HUNG))
    (alert,) = [alert for alert in alerts if alert.id == "hung:n2.main.0"]
    assert raised == 1
    assert alert.folded > 10


def test_an_alert_clears_after_its_cause_is_gone_for_a_while_and_says_so() -> None:
    book = AlertBook(clear_after_s=30.0)
    book.take(at(served(), 0.0, n2=Vital.HUNG))
    assert "hung:n2.main.0" in ids(book.take(at(served(), 20.0))[0])
    alerts, changes = book.take(at(served(), 31.0))
    assert "hung:n2.main.0" not in ids(alerts)
    assert [change.raised for change in changes if change.alert.id == "hung:n2.main.0"] == [False]


def test_a_broken_pair_is_named() -> None:
    pair = PairFigures("n1.main.0", "n3.main.0", PairState.BROKEN, Figure.exact(1.0, 0.0), 2, 5, "decode answered 500")
    alerts, _ = AlertBook().take(replace(at(served(), 0.0), pairs=(pair,)))
    (alert,) = [alert for alert in alerts if alert.id.startswith("pair:")]
    assert alert.subject == "n1.main.0 -> n3.main.0"
    assert "decode answered 500" in alert.cause


def test_slow_prompts_without_a_queue_are_told_from_a_queue() -> None:
    """Every eleventh request takes 3 s to its first token, where 1 s is wanted for 95 %."""
    assert bottleneck(served(70)).startswith("prefill: TTFT misses 1 s without a queue")

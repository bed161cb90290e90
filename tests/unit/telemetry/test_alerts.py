"""Alerts stand for a reason, wait before they speak, and do not flap."""

from __future__ import annotations

from dataclasses import replace

from pdctl.model.figure import Figure
from pdctl.model.snapshot import (
    NOT_RUNNING,
    STOPPED,
    Alert,
    AlertLevel,
    PairFigures,
    PairState,
    Snapshot,
    Source,
    Vital,
)
from pdctl.telemetry.alerts import AlertBook, Change
from pdctl.telemetry.bottleneck import bottleneck
from tests.unit.telemetry.scrapes import counter
from tests.unit.telemetry.snapshots import Bench, engine, served


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


def test_an_engine_that_went_down_and_up_three_times_is_flapping_until_ten_quiet_minutes_have_passed() -> None:
    book, snapshot = AlertBook(), served()
    first: float | None = None
    for second in range(1300):
        down = second < 240 and second % 60 < 20  # back at 20, 80, 140 and 200
        alerts, _ = book.take(at(snapshot, float(second), **({"n2": Vital.DOWN} if down else {})))
        if "flapping:n2.main.0" in ids(alerts) and first is None:
            first = float(second)
        assert "flapping:n3.main.0" not in ids(alerts)
    assert first == 140 + book.raise_after_s
    assert "flapping:n2.main.0" not in ids(alerts)


def test_restarts_between_two_snapshots_count_as_flapping_too() -> None:
    book, snapshot = AlertBook(raise_after_s=0.0), served()
    for second in range(5):
        instances = {**snapshot.instances}
        instances["n3.main.0"] = replace(instances["n3.main.0"], generation=1 + second)
        alerts, _ = book.take(at(replace(snapshot, instances=instances), float(second)))
    (alert,) = [alert for alert in alerts if alert.id == "flapping:n3.main.0"]
    assert "came back 4 times" in alert.cause


def test_a_node_that_cannot_be_reached_is_one_alert_and_its_engines_flap_not() -> None:
    book, snapshot = AlertBook(raise_after_s=0.0), served()
    for second in range(20):
        away = second % 2 == 0
        nodes = {**snapshot.nodes}
        nodes["n2"] = replace(nodes["n2"], reachable=not away, why="no route to n2" if away else "")
        told = replace(at(snapshot, float(second), **({"n2": Vital.STALE} if away else {})), nodes=nodes)
        alerts, _ = book.take(told)
    assert [found for found in ids(alerts) if "n2" in found] == ["node:n2"]
    (alert,) = [alert for alert in alerts if alert.id == "node:n2"]
    assert alert.cause == "no route to n2; nothing is known of n2.main.0"


def test_a_clock_that_is_set_back_neither_keeps_an_alert_for_ever_nor_hides_a_new_one() -> None:
    book, snapshot = AlertBook(raise_after_s=10.0, clear_after_s=30.0), served()
    book.take(at(snapshot, 5000.0, n2=Vital.HUNG, n3=Vital.STALE))
    book.take(at(snapshot, 5005.0, n3=Vital.STALE))
    for second in range(1000, 1012):
        alerts, _ = book.take(at(snapshot, float(second), n3=Vital.STALE))
    assert "silent:n3.main.0" in ids(alerts)
    for second in range(1012, 1040):
        alerts, _ = book.take(at(snapshot, float(second)))
    assert "hung:n2.main.0" not in ids(alerts)


def waiting_for_kv(seconds: int, *, prefill_works: bool) -> Snapshot:
    bench = Bench()
    for second in range(seconds):
        bench.now_s = float(second)
        bench.scrape("n1", engine(1.0, [0.1] * (second if prefill_works else 0), running=1, steps=second))
        for node in ("n2", "n3"):
            bench.scrape(node, engine(1.0, running=0) + counter("num_requests_waiting_by_reason", 2, reason="deferred"))
    return bench.build()


def test_kv_that_was_handed_over_and_does_not_arrive_is_a_stall_at_once_and_a_long_prompt_is_none() -> None:
    assert "kv-stall:decode" in ids(AlertBook().take(waiting_for_kv(12, prefill_works=True))[0])
    assert "kv-stall:decode" not in ids(AlertBook().take(waiting_for_kv(5, prefill_works=True))[0])
    assert "kv-stall:decode" not in ids(AlertBook().take(waiting_for_kv(12, prefill_works=False))[0])
    assert "kv-stall:decode" in ids(AlertBook().take(waiting_for_kv(70, prefill_works=False))[0])


def test_members_of_whom_nothing_was_heard_lately_are_not_said_to_be_missing() -> None:
    snapshot = served()
    for age_s, wanted in ((1.0, True), (60.0, False), (None, False)):
        router = replace(snapshot.router, members={"n1.main.0": False}, membership_age_s=age_s)
        alerts, _ = AlertBook().take(at(replace(snapshot, router=router), 0.0))
        assert ("router:no-prefill" in ids(alerts)) is wanted


def test_one_slow_request_of_three_does_not_burn_the_slo() -> None:
    for count, wanted in ((3, False), (30, True)):
        bench, book = Bench(), AlertBook(raise_after_s=0.0)
        for second in range(70):
            bench.now_s = float(second)
            for node in ("n1", "n2", "n3"):
                bench.scrape(node, engine(1.0, [3.0] * (count if second > 20 and node == "n2" else 0), steps=second))
        assert ("slo:ttft" in ids(book.take(bench.build())[0])) is wanted


def computed_at_decode(tokens_a_request: float) -> Snapshot:
    """Ten requests a second on each decode engine, of whose prompts it computes so many tokens itself."""
    bench = Bench()
    for second in range(70):
        bench.now_s = float(second)
        own = counter("prompt_tokens_by_source_total", tokens_a_request * 10 * second, source="local_compute")
        for node in ("n1", "n2", "n3"):
            told = engine(1.0, [0.2] * (10 * second), steps=second).splitlines(keepends=True)
            bench.scrape(node, "".join(line for line in told if "local_compute" not in line) + own)
    return bench.build()


def test_the_last_token_of_each_prompt_is_decodes_own_and_a_whole_prompt_is_not() -> None:
    """MoRI-IO in READ asks for all tokens but the last (vLLM 0.33): that is no KV that did not come."""
    for tokens, wanted in ((1.0, False), (100.0, True)):
        assert ("recompute:decode" in ids(AlertBook(0.0).take(computed_at_decode(tokens))[0])) is wanted


def test_a_cluster_that_was_taken_down_is_one_alert_and_an_engine_that_died_is_its_own() -> None:
    for last, wanted in ((NOT_RUNNING, ["cluster:down"]), ("SIGKILL", ["down:n1.main.0", "down:n2.main.0"])):
        snapshot = served()
        instances = {
            name: replace(instance, vital=Vital.DOWN, why=last if name == "n3.main.0" else NOT_RUNNING)
            for name, instance in snapshot.instances.items()
        }
        router = replace(snapshot.router, vital=Vital.DOWN, why=NOT_RUNNING)
        found = ids(AlertBook(0.0).take(replace(snapshot, instances=instances, router=router))[0])
        assert found[: len(wanted)] == wanted
        assert ("router:down" in found) is (len(found) > 1)


def test_an_engine_between_its_stop_and_its_start_is_no_page() -> None:
    """As in a move. One that stays away is told after a while, one that died at once."""

    def levels(why: str, *, after_s: float) -> list[AlertLevel]:
        book, found = AlertBook(), []
        for at_s in (0.0, after_s):
            snapshot = at(served(), at_s, n2=Vital.DOWN)
            instances = {**snapshot.instances, "n2.main.0": replace(snapshot.instances["n2.main.0"], why=why)}
            alerts, _ = book.take(replace(snapshot, instances=instances))
            found = [alert.level for alert in alerts if alert.id == "down:n2.main.0"]
        return found

    for why, level in ((STOPPED, AlertLevel.WARN), (NOT_RUNNING, AlertLevel.PAGE)):
        assert levels(why, after_s=5.0) == []
        assert levels(why, after_s=15.0) == [level]
    assert levels("killed by SIGKILL", after_s=1.0) == [AlertLevel.PAGE]


def test_a_prometheus_that_is_gone_is_one_alert_and_not_one_of_every_engine() -> None:
    why = "no answer for 9 s: http://prom.example: connection refused"
    for vital, source, wanted in (
        (Vital.STALE, Source.PROMETHEUS, ["silent:prometheus"]),
        (Vital.STALE, Source.LIVE, ["silent:n1.main.0", "silent:n2.main.0", "silent:n3.main.0"]),
        (Vital.UP, Source.PROMETHEUS, ["silent:n1.main.0", "silent:n2.main.0"]),
    ):
        snapshot = served()
        instances = {name: replace(each, vital=Vital.STALE, why=why) for name, each in snapshot.instances.items()}
        instances["n3.main.0"] = replace(instances["n3.main.0"], vital=vital)
        alerts, _ = AlertBook(0.0).take(replace(snapshot, instances=instances, source=source))
        assert ids(alerts) == wanted


def test_an_engine_that_somebody_holds_and_restarts_is_not_flapping() -> None:
    book = AlertBook(raise_after_s=0.0)
    for second in range(0, 90, 10):
        snapshot = at(served(), float(second), n2=Vital.DOWN if second % 20 else Vital.UP)
        instances = {**snapshot.instances, "n2.main.0": replace(snapshot.instances["n2.main.0"], held="drained by ops")}
        alerts, _ = book.take(replace(snapshot, instances=instances))
        assert "flapping:n2.main.0" not in ids(alerts)


def test_what_is_held_and_stopped_or_away_is_no_alert() -> None:
    held = "drained by ops@bastion: new fans"
    for away in (Vital.DOWN, Vital.STALE, Vital.UNKNOWN):
        snapshot = at(served(), 0.0, n2=away, n3=away)
        instances = {**snapshot.instances, "n2.main.0": replace(snapshot.instances["n2.main.0"], held=held)}
        nodes = {**snapshot.nodes, "n2": replace(snapshot.nodes["n2"], reachable=False, why="no route to n2")}
        alerts, _ = AlertBook(raise_after_s=0.0).take(replace(snapshot, instances=instances, nodes=nodes))
        assert [found for found in ids(alerts) if "n2" in found] == []
        assert [found for found in ids(alerts) if "n3" in found] != []

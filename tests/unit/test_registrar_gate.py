"""The registrar's gate, as tables: when a member is unfit, and who is withheld for it."""

from __future__ import annotations

import pytest

from pdctl.routers.registrar_gate_on_node import Health, Work, choose_withheld, read_work

HUNG_S = 30.0


def members(**roles: str) -> list[dict[str, str]]:
    return [{"name": name, "type": role} for name, role in roles.items()]


@pytest.mark.parametrize(
    ("answers", "unfit"),
    [
        ("bb", False),
        ("bbb", True),
        ("bbgbb", False),
        ("bbbg", True),
        ("bbbgbg", True),
        ("bbbgg", False),
        ("bbbggbb", False),
        ("gggggbbb", True),
    ],
)
def test_three_bad_answers_withhold_and_two_good_ones_restore(answers: str, unfit: bool) -> None:
    health = Health(HUNG_S)
    for second, answer in enumerate(answers):
        health.observe(float(second), "" if answer == "g" else "/health answers 503", None)
    assert (health.since is not None) is unfit


@pytest.mark.parametrize(
    ("polls", "unfit"),
    [
        pytest.param([(0, 1, 5), (29, 1, 5), (30, 1, 5), (31, 1, 5)], False, id="two bad ones so far"),
        pytest.param([(0, 1, 5), (30, 1, 5), (31, 1, 5), (32, 1, 5)], True, id="three"),
        pytest.param([(0, 0, 5), (30, 0, 5), (60, 0, 5), (90, 0, 5)], False, id="idle"),
        pytest.param([(0, 1, 5), (29, 1, 6), (58, 1, 7), (87, 1, 8)], False, id="slow but moving"),
        pytest.param([(0, 1, 5), (20, 0, 5), (40, 1, 5), (60, 1, 5)], False, id="idle in between"),
        pytest.param([(0, 1, 5), (30, 1, 5), (31, 1, 2), (32, 1, 2)], False, id="counters restarted"),
    ],
)
def test_hang_is_work_without_progress(polls: list[tuple[float, float, float]], unfit: bool) -> None:
    health = Health(HUNG_S)
    for now, busy, progress in polls:
        health.observe(now, "", Work(busy, progress))
    assert (health.since is not None) is unfit


def test_unknown_work_changes_nothing() -> None:
    health = Health(HUNG_S)
    health.observe(0.0, "", Work(1, 5))
    for now in (10.0, 31.0, 32.0, 33.0, 34.0):
        health.observe(now, "", None)
    assert health.since is None
    assert health.last == "ok"


def test_member_withheld_before_a_restart_has_to_move_first() -> None:
    health = Health(HUNG_S, unfit_since=100.0)
    for now in (100.0, 101.0, 102.0):
        health.observe(now, "", Work(1, 5))
    assert health.since == 100.0
    for now in (103.0, 104.0):
        health.observe(now, "", Work(1, 6))
    assert health.since is None


@pytest.mark.parametrize(
    ("roles", "unfit", "withheld", "alerts"),
    [
        pytest.param({"a": "P"}, {"a": 1.0}, set(), 1, id="the last one"),
        pytest.param({"a": "P", "b": "P"}, {"a": 2.0, "b": 1.0}, {"b"}, 1, id="both ill: the first to fall"),
        pytest.param({"a": "P", "b": "D"}, {"a": 1.0, "b": 1.0}, set(), 2, id="roles count apart"),
        pytest.param(dict.fromkeys("abc", "D"), {"a": 1.0, "b": 2.0}, {"a"}, 1, id="half of three is one"),
        pytest.param(dict.fromkeys("abcd", "D"), {"a": 3.0, "b": 2.0, "c": 1.0}, {"b", "c"}, 1, id="half of four"),
        pytest.param(dict.fromkeys("abcd", "M"), {}, set(), 0, id="all well"),
    ],
)
def test_never_the_last_and_never_more_than_half(
    roles: dict[str, str], unfit: dict[str, float], withheld: set[str], alerts: int
) -> None:
    found, said = choose_withheld(members(**roles), unfit)
    assert (found, len(said)) == (withheld, alerts)


FIGURES = (
    'vllm:num_requests_running{engine="0"} 1.0\nvllm:num_requests_running{engine="1"} 2.0\n'
    'vllm:num_requests_waiting{engine="0"} 4.0\nvllm:num_requests_waiting{engine="1"} 0.0\n'
    'vllm:iteration_tokens_total_count{engine="0"} 10.0\nvllm:iteration_tokens_total_sum{engine="0"} 99.0\n'
    'vllm:generation_tokens_total{engine="0"} 7.0\nvllm:generation_tokens_created{engine="0"} 1.7e+09\n'
)


@pytest.mark.parametrize(
    ("text", "work"),
    [
        pytest.param(FIGURES, Work(7.0, 17.0), id="summed over ranks"),
        pytest.param(
            FIGURES + 'vllm:num_requests_waiting_by_reason{engine="0",reason="deferred"} 3.0\n',
            Work(4.0, 17.0),
            id="waiting for remote KV is the peer's doing",
        ),
        pytest.param(FIGURES.replace("4.0", "NaN"), None, id="NaN is unknown"),
        pytest.param(FIGURES.replace("4.0", "many"), None, id="no number"),
        pytest.param(FIGURES.replace("iteration", "iterations"), None, id="renamed"),
        pytest.param("", None, id="empty"),
        pytest.param("<html>", None, id="no metrics at all"),
    ],
)
def test_work_is_read_or_unknown(text: str, work: Work | None) -> None:
    assert read_work(text) == work

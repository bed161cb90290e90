"""The registrar's log: what changed, once, and a flapping member folded."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.routers.registrar_log_on_node import FOLD_S, Log, news


def member(name: str, registered: bool = True, why: str = "ok", generation: int = 1) -> dict[str, Any]:
    return {"name": name, "generation": generation, "registered": registered, "why": why}


def state(*members: dict[str, Any], seq: int = 1, router: str = "ok", alerts: tuple[str, ...] = ()) -> dict[str, Any]:
    reachable = router == "ok"
    return {
        "epoch": 1,
        "seq": seq,
        "router": {"reachable": reachable, "why": router},
        "members": list(members),
        "alerts": list(alerts),
    }


ILL = "withheld: /health answers 503"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, state(member("p")), ["members file: epoch 1, seq 1, 1 members", "the router answers"]),
        (state(), state(member("p")), ["registered p, generation 1"]),
        (state(member("p")), state(member("p")), []),
        (state(member("p")), state(), ["removed p, generation 1"]),
        (
            state(member("p")),
            state(member("p", generation=2), seq=2),
            ["members file: epoch 1, seq 2, 1 members", "removed p, generation 1", "registered p, generation 2"],
        ),
        (state(member("p")), state(member("p", False, ILL)), [f"not registered p, generation 1: {ILL}"]),
        (
            state(member("p", False, "not taken by the router yet")),
            state(member("p", False, ILL)),
            [f"not registered p, generation 1: {ILL}"],
        ),
        (state(member("p", False, "withheld: hung: 31 s")), state(member("p", False, "withheld: hung: 32 s")), []),
        (state(), state(router="refused"), ["the router does not answer: refused"]),
        (state(router="refused"), state(router="timed out"), []),
        (state(router="refused"), state(), ["the router answers"]),
        (state(), state(alerts=("p is bad",)), ["alert: p is bad"]),
        (state(alerts=("p is bad",)), state(), ["over: p is bad"]),
    ],
)
def test_what_changed_is_said(before: dict[str, Any], after: dict[str, Any], said: list[str]) -> None:
    found = news(before, after)
    assert found[: len(said)] == said
    assert before == {} or len(found) == len(said)


def test_a_member_that_flaps_is_folded() -> None:
    log = Log()
    well, ill = state(member("p")), state(member("p", False, ILL))
    assert "registered p, generation 1" in log.lines(well, 0.0)
    said = [line for second in range(1, 31) for line in log.lines(ill if second % 2 else well, float(second))]
    assert said == [f"not registered p, generation 1: {ILL}"]
    log.lines(well, 40.0)
    assert log.lines(ill, 1.0 + FOLD_S) == [
        f"not registered p, generation 1: {ILL} (and 14 times since it was last said)"
    ]

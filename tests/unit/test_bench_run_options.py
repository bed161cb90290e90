"""What the options of `pdctl bench run` come to, and that all mistakes are told at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.bench.drivers.chosen import DRIVERS
from pdctl.bench.point import Point
from pdctl.cli.bench.option_lists import rates, slo
from pdctl.cli.bench.run_typed import Typed, read
from pdctl.errors import TraceInvalid, UsageError
from pdctl.model.deployment import Slo

URL = Typed(url="http://127.0.0.1:1")


def points(**typed: object) -> tuple[Point, ...]:
    return read(replace(URL, **typed), DRIVERS).points("server")  # type: ignore[arg-type]


def test_a_published_concurrency_keeps_its_requests_and_its_rate() -> None:
    [one] = points(scenario=("1k/1k",), concurrency="320")
    assert one.load.startswith("c320-r")
    assert len(one.workload.asked) == 640
    assert one.workload.concurrency == 320
    assert one.workload.span_s > 0


def test_a_rate_of_inf_makes_it_a_closed_loop() -> None:
    [one] = points(scenario=("1k/1k",), concurrency="320", rate="inf")
    assert (one.load, one.workload.span_s) == ("c320", 0.0)


def test_loads_are_every_concurrency_at_every_rate_and_seeds_come_outermost() -> None:
    found = points(scenario=("16/4",), concurrency="2,4", rate="1,2", requests="3", repeats="2")
    assert [one.id for one in found][:5] == [
        "server/16-4/c2-r1/s0",
        "server/16-4/c2-r2/s0",
        "server/16-4/c4-r1/s0",
        "server/16-4/c4-r2/s0",
        "server/16-4/c2-r1/s1",
    ]
    assert {len(one.workload.asked) for one in found} == {3}


def test_a_duration_makes_as_many_open_arrivals_and_ends_closed_loops() -> None:
    [one] = points(scenario=("16/4",), rate="20", duration="5s", arrivals="constant")
    assert (len(one.workload.asked), one.duration_s) == (100, None)
    [closed] = points(scenario=("16/4",), concurrency="2", duration="5s")
    assert closed.duration_s == 5.0
    assert len(closed.workload.asked) >= 200


def test_the_articles_targets_come_with_its_scenario() -> None:
    wanted = read(replace(URL, scenario=("mori",)), DRIVERS)
    assert len(wanted.offers) == 20
    assert wanted.scenario_slo == Slo(1.0, 0.05, 0.9)


def test_a_trace_is_played_as_recorded_or_faster(tmp_path: Path) -> None:
    trace = tmp_path / "day.jsonl"
    lines = [{"at": at, "input_len": 8, "output_len": 2} for at in (0, 4)]
    trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
    as_it_is, faster = points(trace=str(trace)), points(trace=str(trace), rate="2")
    assert [(one.id, one.workload.span_s) for one in (*as_it_is, *faster)] == [
        ("server/day/trace/s0", 4.0),
        ("server/day/x2/s0", 2.0),
    ]
    trace.write_text('{"at": -1}\n')
    with pytest.raises(TraceInvalid):
        points(trace=str(trace))


def test_segments_depend_on_the_seed() -> None:
    first, second = points(segments="10:8-16:2-4:1", rate="5", seeds="0,1")
    assert first.id == "server/segments/r5/s0"
    assert first.workload.asked != second.workload.asked


def test_all_mistakes_are_told_at_once() -> None:
    typed = replace(
        URL,
        scenario=("2k",),
        concurrency="0",
        rate="5-1:1",
        slo="ttft=1s",
        driver="vlm",
        seeds="1",
        repeats="2",
        arrivals="poisson",
        burstiness="2",
    )
    with pytest.raises(UsageError, match="7 mistakes") as caught:
        read(typed, DRIVERS)
    told = "\n".join(caught.value.problems)
    for option in ("--scenario", "--concurrency", "--rate", "--slo", "--driver", "--seeds", "--burstiness"):
        assert option in told


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (Typed(url="http://h:1"), "nothing to send"),
        (Typed(url="http://h:1", scenario=("mori",), segments="1:1-2:1-2:1"), "--scenario and --segments together"),
        (Typed(scenario=("mori",), gpus="8"), "--gpus without --url"),
        (Typed(url="http://h:1", scenario=("4096/256",)), "no loads of its own"),
        (Typed(url="http://h:1", scenario=("mori",), driver="vllm", warm_up="1"), "--warm-up with --driver vllm"),
    ],
)
def test_what_does_not_go_together_is_refused(typed: Typed, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(typed, DRIVERS)


def test_ranges_include_both_ends() -> None:
    assert rates("0.5-2:0.5") == (0.5, 1.0, 1.5, 2.0)
    assert rates("1,2-4:1") == (1.0, 2.0, 3.0, 4.0)
    assert slo("ttft=1s,itl=50ms") == Slo(1.0, 0.05, 0.9)


def test_the_options_say_themselves_again() -> None:
    from pdctl.cli.bench.run import command
    from pdctl.cli.global_options import Globals

    typed = replace(URL, scenario=("mori", "16/4"), counted_from="due", warm_up="0", api_key_env="KEY")
    params = command.make_context("run", list(typed.arguments()), obj=Globals()).params
    again = {name: value for name, value in params.items() if name in Typed.__dataclass_fields__}
    assert Typed(**again) == typed

"""When an instance is drained: all figures of the engine and of the router at 0 for the settle window, none unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pdctl.control.cluster import Cluster
from pdctl.control.ports import Answer, NotAnswering, NotListening
from pdctl.control.steps.context import Generations, RunContext
from pdctl.control.steps.drain import drain
from pdctl.errors import InstanceError
from pdctl.model.observed import NodeView
from pdctl.model.unit import UnitState
from pdctl.plan.steps import Action, Step
from tests.crash import virtual_time
from tests.crash.virtual_time import VirtualClock
from tests.unit.deployments import r1_2p3d
from tests.unit.observations import Scene, names

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = names(R1.instances)
DECODE_NODE = R1.instance(D2).leader.node
WORKER = "10.1.0.1:20000"
SETTLE_S, DRAIN_S = R1.budgets.settle_s, R1.budgets.drain_s
AT_REST = {"running": 0.0, "waiting": 0.0, "kv": 0.0, "fetching": 0.0, "pending": 0.0, "active": 0.0, "prefills": 0.0}
FAMILIES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv": "vllm:kv_cache_usage_perc",
    "fetching": 'vllm:num_requests_kv_fetch_by_stage{stage="in_progress"}',
    "pending": f'vllm_router_pd_pending_decode_requests{{worker="{WORKER}"}}',
    "active": f'vllm_router_pd_active_decode_requests{{worker="{WORKER}"}}',
    "prefills": f'vllm_router_pd_prefill_occupancy{{worker="{WORKER}"}}',
}
BY_ENGINE = ("running", "waiting", "kv", "fetching")

Figures = Mapping[str, float | None]
Story = Callable[[float], Figures | Exception]
"""What is to be read at a time since the drain began; None: that figure is missing from the text."""


@dataclass
class Scripted:
    """HTTP that answers with the figures of the moment."""

    story: Story
    clock: VirtualClock = field(default_factory=VirtualClock)

    async def request(self, node: str, method: str, url: str, **given: Any) -> Answer:
        now = self.story(self.clock.monotonic())
        engine = WORKER in url
        if isinstance(now, Exception):
            if engine:
                raise now
            now = AT_REST
        told = {name: now[name] for name in FAMILIES if (name in BY_ENGINE) == engine}
        served = "" if engine else f'vllm_router_pd_decode_requests_total{{worker="{WORKER}"}} 9\n'
        served += "" if engine else f'vllm_router_pd_prefill_requests_total{{worker="{WORKER}"}} 9\n'
        lines = (f"{FAMILIES[name]} {figure}\n" for name, figure in told.items() if figure is not None)
        return Answer(200, served + "".join(lines))


@dataclass
class Seat:
    """The supervisor of the drained instance's node."""

    view: NodeView

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        return self.view


def drained(story: Story, *, dead: bool = False, said: list[str] | None = None, **how: Any) -> Mapping[str, Any]:
    """The detail of the drain of a decode, in virtual time."""
    told = [] if said is None else said
    scene = Scene.converged(R1)
    seen = scene.seen()
    if dead:
        scene.state(D2, UnitState.FAILED)
    anything = cast(Any, None)

    async def act() -> Mapping[str, Any]:
        seats = {name: cast(Any, Seat(view)) for name, view in scene.seen().nodes.items()}
        http = Scripted(story)
        cluster = Cluster(R1, anything, anything, seats, seats[R1.router.node], cast(Any, http), anything, http.clock)
        generations = Generations(cluster, {}, 1)
        ctx = RunContext(cluster, seen, 1, {}, anything, generations, lambda step, text: told.append(text))
        return await drain(ctx, Step(Action.DRAIN, D2, DECODE_NODE, ""), **how)

    return virtual_time.run(act())


def until(end_s: float, **busy: float | None) -> Story:
    """Those figures until then, and nothing afterwards."""
    return lambda now_s: {**AT_REST, **busy} if now_s < end_s else AT_REST


def test_nothing_in_flight_is_drained_after_the_settle_window() -> None:
    detail = drained(until(0))
    assert (detail["drained"], detail["cut"], detail["in_flight_at_fence"]) == (True, 0, 0)
    assert SETTLE_S <= detail["drained_s"] <= SETTLE_S + 1


@pytest.mark.parametrize("figure", list(AT_REST))
def test_any_figure_that_is_not_0_is_waited_for(figure: str) -> None:
    detail = drained(until(60.0, **{figure: 0.25 if figure == "kv" else 3.0}))
    assert detail["drained"]
    assert 60.0 + SETTLE_S <= detail["drained_s"] <= 60.0 + SETTLE_S + 2
    assert 60.0 <= detail["emptied_s"] <= 61.0
    assert list(detail["at_fence"].values()) == [0.25 if figure == "kv" else 3.0]


@pytest.mark.parametrize("figure", [name for name in AT_REST if name != "fetching"])
def test_a_figure_that_cannot_be_read_is_never_taken_for_0(figure: str) -> None:
    said: list[str] = []
    detail = drained(until(60.0, **{figure: None}), said=said)
    assert detail["drained_s"] >= 60.0 + SETTLE_S
    assert detail["unknown_s"] >= 59.0
    assert any("unknown" in text for text in said)


def test_an_engine_that_does_not_export_what_it_fetches_has_nothing_to_tell() -> None:
    assert drained(until(1e9, fetching=None))["drained"]


def test_an_engine_that_does_not_answer_is_not_idle() -> None:
    silent = drained(lambda now_s: NotAnswering("timed out") if now_s < 60 else AT_REST)
    assert silent["drained_s"] >= 60.0 + SETTLE_S


def test_a_request_that_arrives_within_the_window_begins_it_anew() -> None:
    late = SETTLE_S / 2
    detail = drained(lambda now_s: {**AT_REST, "running": 1.0} if late <= now_s < late + 1 else AT_REST)
    assert detail["drained_s"] >= late + 1 + SETTLE_S


def test_what_is_left_at_the_deadline_is_counted_and_named() -> None:
    detail = drained(until(1e9, running=3.0, waiting=2.0, kv=0.5, active=4.0))
    assert (detail["drained"], detail["cut"], detail["in_flight_at_fence"]) == (False, 5, 5)
    assert detail["left"] == {"running": 3.0, "waiting": 2.0, "KV in use": 0.5, "active at the router": 4.0}
    assert detail["why"] == "running 3, waiting 2, KV in use 50.0%, active at the router 4"
    assert DRAIN_S <= detail["drained_s"] <= DRAIN_S + 1


def test_a_deadline_of_its_own_is_kept() -> None:
    assert drained(until(1e9, running=1.0), deadline_s=10.0)["drained_s"] <= 11.0


def test_where_nothing_stops_it_afterwards_the_deadline_is_a_failure_and_nothing_is_cut() -> None:
    with pytest.raises(InstanceError, match=r"not drained after 10 s: running 1; nothing was cut"):
        drained(until(1e9, running=1.0), deadline_s=10.0, must=True)


def test_an_engine_that_dies_while_it_drains_has_lost_what_it_had() -> None:
    detail = drained(
        lambda now_s: {**AT_REST, "running": 3.0} if now_s < 5 else NotListening("refused"), dead=True, must=True
    )
    assert (detail["drained"], detail["cut"], detail["why"]) == (False, 3, "the engine ended while it drained")


def test_an_engine_that_does_not_run_has_nothing_in_flight() -> None:
    scene = Scene.converged(R1)
    scene.state(D2, UnitState.FAILED)
    anything = cast(Any, None)
    ctx = RunContext(anything, scene.seen(), 1, {}, anything, anything, lambda step, text: None)

    async def act() -> Mapping[str, Any]:
        return await drain(ctx, Step(Action.DRAIN, D2, DECODE_NODE, ""))

    assert virtual_time.run(act())["drained"]

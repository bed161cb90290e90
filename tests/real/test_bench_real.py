"""What the benchmark says of real vLLM is what the engine says of itself, and what `vllm bench serve` says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pdctl.bench.driver import Driver
from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.vllm_serve import VllmServe
from pdctl.bench.figures.figures import Figures as Measured
from pdctl.bench.figures.measure import figures as measure
from pdctl.bench.point import Point, Target
from pdctl.perf.load import Load
from pdctl.ssh.local import LocalShell
from tests.real.engine import real_engine, small_model
from tests.real.figures import Figures
from tests.real.stack import MODEL, VENV, VOCABULARY, Stack
from tests.wire.sim_client import metrics
from tests.wire.sim_engines import Engine

REQUESTS, ISL, OSL, AT_ONCE = 60, 64, 64, 4
FRONT_S = 0.02
"""What HTTP in the API server, loopback and the client may add to a first token; on busy cores, twice that was seen of
single requests."""


@dataclass(frozen=True, slots=True)
class Told:
    """The sums of an engine's histograms and counters (vLLM 0.32, `/metrics`), taken before a load and after it."""

    requests: float
    prompt_tokens: float
    tokens: float
    ttft_s: float
    gaps: float
    gaps_s: float
    e2el_s: float

    def __sub__(self, other: Told) -> Told:
        return Told(*(getattr(self, name) - getattr(other, name) for name in Told.__slots__))


async def told_by(one: Engine) -> Told:
    seen = await metrics(one.port)

    def total(name: str) -> float:
        return sum(value for key, value in seen.items() if key.partition("{")[0] == f"vllm:{name}")

    return Told(
        requests=total("e2e_request_latency_seconds_count"),
        prompt_tokens=total("prompt_tokens_total"),
        tokens=total("generation_tokens_total"),
        ttft_s=total("time_to_first_token_seconds_sum"),
        gaps=total("inter_token_latency_seconds_count"),
        gaps_s=total("inter_token_latency_seconds_sum"),
        e2el_s=total("e2e_request_latency_seconds_sum"),
    )


async def measured_by(driver: Driver, one: Engine, seed: int) -> tuple[Measured, Told]:
    """A closed loop by that driver, and what the engine counted meanwhile."""
    point = Point("cpu", f"{ISL}/{OSL}", f"c{AT_ONCE}", seed, Load(REQUESTS, AT_ONCE).workload(ISL, OSL, seed=seed))
    target = Target(f"http://127.0.0.1:{one.port}", MODEL, "cpu", vocab=VOCABULARY)
    before = await told_by(one)
    found = await driver.run(point, target, on_row=lambda row: None, stop=lambda: False)
    return measure(found.rows, found.took_s), await told_by(one) - before


async def test_figures_are_those_of_the_engine_and_of_vllm_bench_serve(tmp_path: Path, figures: Figures) -> None:
    model = small_model(tmp_path / "model")
    theirs = VllmServe(Means(LocalShell("here"), (str(VENV / "bin/vllm"),), str(model)))
    async with real_engine(tmp_path, model=model, nixl=False) as one:
        await measured_by(BuiltinDriver(warm_up=2), one, 0)
        ours, told = await measured_by(BuiltinDriver(warm_up=0), one, 1)
        tools, tool_told = await measured_by(theirs, one, 2)
    for name, seen, engine in (("pdctl", ours, told), ("vllm bench serve", tools, tool_told)):
        figures.notes.append(in_words(name, seen, engine))
    assert (ours.counts.ok, ours.counts.failed) == (REQUESTS, 0)
    assert (told.requests, told.prompt_tokens, told.tokens) == (REQUESTS, ours.tokens_in, ours.tokens_out)
    assert (ours.tokens_in, ours.tokens_out) == (REQUESTS * ISL, REQUESTS * OSL)
    assert ours.itl is not None
    assert ours.tpot is not None
    assert ours.ttft is not None
    assert ours.e2el is not None
    assert ours.itl.count <= told.gaps == REQUESTS * (OSL - 1), "a server that lags puts several tokens into one event"
    assert ours.tpot.mean_s == pytest.approx(told.gaps_s / told.gaps, rel=0.03)
    assert 0 < ours.ttft.mean_s - told.ttft_s / REQUESTS < FRONT_S
    assert 0 < ours.e2el.mean_s - told.e2el_s / REQUESTS < FRONT_S
    assert (tools.counts.ok, tools.tokens_in, tools.tokens_out) == (REQUESTS, REQUESTS * ISL, REQUESTS * OSL)
    assert tools.tpot is not None
    assert tools.tpot.mean_s == pytest.approx(tool_told.gaps_s / tool_told.gaps, rel=0.15), "it lags: 6 % were seen"


def in_words(name: str, seen: Measured, told: Told) -> str:
    """Means at the client beside those of the engine, in milliseconds."""
    assert seen.ttft is not None
    assert seen.tpot is not None
    assert seen.e2el is not None
    pairs = {
        "TTFT": (seen.ttft.mean_s, told.ttft_s / told.requests),
        "TPOT": (seen.tpot.mean_s, told.gaps_s / told.gaps),
        "E2EL": (seen.e2el.mean_s, told.e2el_s / told.requests),
    }
    means = ", ".join(f"{what} {1e3 * here:.2f} / {1e3 * there:.2f} ms" for what, (here, there) in pairs.items())
    return f"{name} / the engine's own /metrics, {seen.counts.ok} requests {ISL}/{OSL} at c{AT_ONCE}: {means}"


async def test_a_run_through_the_router_and_nixl(serving: Stack, tmp_path: Path) -> None:
    shape = ("--scenario", "64/32", "--concurrency", "4", "--requests", "24", "--vocab", str(VOCABULARY))
    done = await serving.timed("bench", "run", *shape, "--out", str(tmp_path / "run"))
    (point,) = done.events("point_done")
    found = point["figures"]
    assert (found["counts"]["ok"], found["tokens_in"], found["tokens_out"]) == (24, 24 * 64, 24 * 32), done.show
    ttft, tpot = (1e3 * found[name]["mean_s"] for name in ("ttft", "tpot"))
    serving.figures.notes.append(
        f"pdctl bench run through router and NIXL, 1P2D: TTFT {ttft:.1f} ms, TPOT {tpot:.2f} ms, "
        f"{found['itl']['count']} gaps between events of {24 * 31} between tokens"
    )

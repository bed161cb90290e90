"""The options of `pdctl bench run` as they were typed, and as they are read: what to send, with every mistake told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.point import Point
from pdctl.cli.bench.mistakes import Mistakes
from pdctl.cli.bench.option_lists import count, counts, one_of, positive, rates, seconds, seeds, slo, whole
from pdctl.errors import UsageError
from pdctl.model.deployment import Slo
from pdctl.perf.arrivals import CONSTANT, POISSON
from pdctl.perf.load import Load
from pdctl.perf.scenarios import NAMES, Scenario, scenario
from pdctl.perf.segments import segment_load
from pdctl.perf.trace_file import parse_trace
from pdctl.perf.walk import segments_of
from pdctl.perf.workload import Workload

LEAST_REQUESTS = 100
BURSTY = 0.5
DEADLINE_S = 1800.0
_FASTEST_PER_S, _MOST = 100.0, 200_000
"""A closed loop that lasts for a time has so many requests ready for each client a second, and in all."""


@dataclass(frozen=True, slots=True)
class Typed:
    """Every option that says what is measured, as text; None: not given. Field names are those of the options."""

    url: str | None = None
    model: str | None = None
    name: str | None = None
    api: str | None = None
    vocab: str | None = None
    gpus: str | None = None
    price: str | None = None
    api_key_env: str | None = None
    scenario: tuple[str, ...] = ()
    trace: str | None = None
    segments: str | None = None
    concurrency: str | None = None
    rate: str | None = None
    arrivals: str | None = None
    burstiness: str | None = None
    requests: str | None = None
    duration: str | None = None
    deadline: str | None = None
    seeds: str | None = None
    repeats: str | None = None
    slo: str | None = None
    criterion: str | None = None
    counted_from: str | None = None
    driver: str | None = None
    driver_on: str | None = None
    driver_program: str | None = None
    tokenizer: str | None = None
    warm_up: str | None = None
    stall: str | None = None

    def arguments(self) -> tuple[str, ...]:
        """The command line that says the same."""
        found: list[str] = []
        for item in fields(self):
            value = getattr(self, item.name)
            for each in value if isinstance(value, tuple) else () if value is None else (value,):
                found += [f"--{item.name.replace('_', '-')}", each]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Offer:
    """One load of one scenario; `workload` makes it for a seed. `timed`: --duration ends it, rather than its arrivals,
    which were made for that time."""

    scenario: str
    load: str
    workload: Callable[[int], Workload]
    timed: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for. `slo` None: the inventory's, or the scenarios' own. `warm_up`, `stall_s` None: the
    driver's own."""

    offers: tuple[Offer, ...]
    seeds: tuple[int, ...]
    duration_s: float | None
    deadline_s: float
    slo: Slo | None
    scenario_slo: Slo | None
    criterion: Criterion
    counted_from: Literal["sent", "due"]
    driver: str
    warm_up: int | None
    stall_s: float | None
    api: str
    vocab: int
    gpus: int | None
    usd_per_hour: float | None

    def points(self, deployment: str) -> tuple[Point, ...]:
        """Every load under the first seed, then under the next: a run that is stopped has whole curves."""
        return tuple(
            Point(
                deployment,
                offer.scenario,
                offer.load,
                seed,
                offer.workload(seed),
                self.deadline_s,
                self.duration_s if offer.timed else None,
            )
            for seed in self.seeds
            for offer in self.offers
        )


def read(typed: Typed, drivers: tuple[str, ...]) -> Wanted:
    """Raises UsageError with everything that is wrong; BenchError (TraceInvalid) for a trace file that is no trace."""
    wrong = Mistakes()
    given = {item.name: getattr(typed, item.name) for item in fields(typed)}
    if typed.seeds is not None and typed.repeats is not None:
        wrong.add("--seeds and --repeats say the same thing", "--repeats 3 is --seeds 0,1,2")
    chosen = wrong.read("--seeds", typed.seeds, seeds)
    repeats = wrong.read("--repeats", typed.repeats, whole)
    duration_s = wrong.read("--duration", typed.duration, seconds)
    offers, scenarios = _offers(typed, wrong, duration_s)
    criteria = tuple(each.value for each in Criterion)
    criterion = wrong.read("--criterion", typed.criterion, one_of(criteria))
    judged = {each.judged_by for each in scenarios}
    api = wrong.read("--api", typed.api, one_of(("completions", "chat")))
    wanted = Wanted(
        offers=offers,
        seeds=chosen or tuple(range(repeats or 1)),
        duration_s=duration_s,
        deadline_s=wrong.read("--deadline", typed.deadline, seconds) or DEADLINE_S,
        slo=wrong.read("--slo", typed.slo, slo),
        scenario_slo=_common_slo(scenarios),
        criterion=Criterion(criterion or (judged.pop() if len(judged) == 1 else "p99-itl")),
        counted_from=cast(
            Literal["sent", "due"],
            wrong.read("--counted-from", typed.counted_from, one_of(("sent", "due"))) or "sent",
        ),
        driver=wrong.read("--driver", typed.driver, one_of(drivers)) or "builtin",
        warm_up=wrong.read("--warm-up", typed.warm_up, count),
        stall_s=wrong.read("--stall", typed.stall, seconds),
        api=api or "completions",
        vocab=wrong.read("--vocab", typed.vocab, whole) or 1000,
        gpus=wrong.read("--gpus", typed.gpus, whole),
        usd_per_hour=wrong.read("--price", typed.price, positive),
    )
    _together(given, wanted, wrong)
    wrong.refuse("bench run")
    return wanted


def _together(given: Mapping[str, object], wanted: Wanted, wrong: Mistakes) -> None:
    """What does not go together."""
    if given["url"] is None:
        for name in ("model", "gpus", "price"):
            if given[name] is not None:
                wrong.add(f"--{name} without --url", "the inventory says it")
    if wanted.driver != "builtin":
        only_builtin = ["warm_up", "stall"] + ["duration"] * any(offer.timed for offer in wanted.offers)
        for name in only_builtin:
            if given[name] is not None:
                option = f"--{name.replace('_', '-')}"
                wrong.add(f"{option} with --driver {wanted.driver}", "only the built-in driver has it")
    else:
        for name in ("driver_on", "driver_program", "tokenizer"):
            if given[name] is not None:
                wrong.add(f"--{name.replace('_', '-')} with the built-in driver", "it is for `--driver vllm`")


def _offers(typed: Typed, wrong: Mistakes, duration_s: float | None) -> tuple[tuple[Offer, ...], tuple[Scenario, ...]]:
    kinds = [name for name in ("scenario", "trace", "segments") if getattr(typed, name)]
    if len(kinds) != 1:
        said = " and ".join(f"--{name}" for name in kinds)
        hint = f"--scenario {' | '.join(NAMES)} | ISL/OSL, --trace FILE, or --segments '…'"
        wrong.add(f"{said} together" if kinds else "nothing to send", hint)
    concurrencies = wrong.read("--concurrency", typed.concurrency, counts)
    per_s = wrong.read("--rate", typed.rate, rates)
    requests = wrong.read("--requests", typed.requests, whole)
    burstiness = _burstiness(typed, wrong)
    if typed.trace or typed.segments:
        for name in ("arrivals", "burstiness", "requests"):
            if getattr(typed, name) is not None:
                wrong.add(f"--{name} with --{kinds[-1]}", "it has its own arrivals")
    made: list[Offer] = []
    for limit in concurrencies or (None,):
        for rate in per_s or (None,):
            made += _of_file(typed, wrong, limit, rate)
    scenarios = tuple(
        found for name in _split(typed.scenario) if (found := wrong.read("--scenario", name, scenario)) is not None
    )
    shaping = _Shaping(concurrencies, per_s, burstiness, requests, duration_s)
    for each in scenarios:
        loads = list(shaping.loads(each))
        if not loads and typed.concurrency is None and typed.rate is None:
            wrong.add(f"--scenario {each.name} has no loads of its own", "say --concurrency, --rate, or both")
        made += [_of_shape(each, load, requests) for load in loads]
    return tuple(made), scenarios


def _of_shape(shape: Scenario, load: Load, requests: int | None) -> Offer:
    open_loop = load.rate_per_s is not None and load.concurrency is None
    return Offer(
        shape.name,
        load.name,
        lambda seed: load.workload(shape.isl, shape.osl, seed=seed),
        timed=not open_loop or requests is not None,
    )


@dataclass(frozen=True, slots=True)
class _Shaping:
    """What the options say of the loads of a scenario."""

    concurrencies: tuple[int, ...] | None
    rates: tuple[float, ...] | None
    burstiness: float | None
    requests: int | None
    duration_s: float | None

    def loads(self, shape: Scenario) -> Iterator[Load]:
        """The scenario's own, narrowed to the concurrencies that are asked for; or those that are asked for."""
        own = {load.concurrency: load for load in shape.loads if load.concurrency is not None}
        if self.concurrencies is None and self.rates is None:
            yield from (self._sized(load) for load in shape.loads)
            return
        for limit in self.concurrencies or (None,):
            if self.rates is None and limit in own:
                yield self._sized(own[limit])
                continue
            for rate in self.rates or (math.inf,):
                if limit is None and math.isinf(rate):
                    continue
                yield self._sized(Load(self._some(limit), limit, None if math.isinf(rate) else rate))

    def _some(self, limit: int | None) -> int:
        return max(LEAST_REQUESTS, 4 * (limit or 0))

    def _sized(self, load: Load) -> Load:
        requests = self.requests or load.requests
        if self.duration_s is not None and self.requests is None:
            ready = min(_MOST, self.duration_s * _FASTEST_PER_S * (load.concurrency or 1))
            requests = max(1, math.ceil(self.duration_s * load.rate_per_s if load.rate_per_s else ready))
        return Load(requests, load.concurrency, load.rate_per_s, self.burstiness or load.burstiness)


def _of_file(typed: Typed, wrong: Mistakes, limit: int | None, rate: float | None) -> Sequence[Offer]:
    """The offer of a trace or of segments at `rate` times their own."""
    load = "-".join(part for part in (f"c{limit}" if limit else "", f"x{rate:g}" if rate else "") if part)
    if typed.trace:
        try:
            text = Path(typed.trace).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            wrong.add(f"--trace {typed.trace}: {getattr(error, 'strerror', None) or error}")
            return ()
        if rate is not None and math.isinf(rate):
            wrong.add("--rate inf with --trace", "a trace is replayed at a finite multiple of its rate")
            return ()
        played = parse_trace(text, typed.trace, rate=rate or 1.0, concurrency=limit)
        return (Offer(Path(typed.trace).stem, load or "trace", lambda seed: played),)
    if typed.segments:
        segments = wrong.read("--segments", typed.segments, segments_of)
        if segments is None:
            return ()
        found = segments
        load = load.replace("x", "r") or "r1"
        return (Offer("segments", load, lambda seed: segment_load(found, rate or 1.0, seed=seed, concurrency=limit)),)
    return ()


def _burstiness(typed: Typed, wrong: Mistakes) -> float | None:
    arrivals = wrong.read("--arrivals", typed.arrivals, one_of(("poisson", "constant", "bursty")))
    burstiness = wrong.read("--burstiness", typed.burstiness, positive)
    if burstiness is not None:
        if arrivals in ("poisson", "constant"):
            wrong.add(f"--burstiness with --arrivals {arrivals}", "leave one of them out; less than 1 is bursty")
        return burstiness
    return {"poisson": POISSON, "constant": CONSTANT, "bursty": BURSTY}.get(arrivals) if arrivals else None


def _split(names: tuple[str, ...]) -> list[str]:
    """`--scenario a --scenario b` and `--scenario a,b` say the same."""
    return [part.strip() for name in names for part in name.split(",") if part.strip()]


def _common_slo(scenarios: Sequence[Scenario]) -> Slo | None:
    """The targets of the scenarios, where all have the same."""
    found = {each.slo for each in scenarios}
    return found.pop() if len(found) == 1 else None


def refuse_empty(points: Sequence[Point]) -> None:
    """Raises UsageError for a load that offers nothing."""
    empty = [point.id for point in points if not point.workload.asked]
    if empty:
        raise UsageError(f"{empty[0]} sends no request", hint="a longer --duration, or a higher --rate")

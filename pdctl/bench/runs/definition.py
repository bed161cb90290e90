"""What a run measures, as far as a later one has to agree with it to go on; and in what two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.verdict import CountedFrom
from pdctl.bench.point import Point, Target
from pdctl.model.deployment import Slo
from pdctl.perf.workload import Workload


@dataclass(frozen=True, slots=True)
class TargetNote:
    """What is kept of a target: no key, no password. `layout`: its pools in words, where an inventory says."""

    url: str
    model: str
    api: str
    prompt: str
    vocab: int
    gpus: int | None = None
    usd_per_hour: float | None = None
    layout: str = ""


@dataclass(frozen=True, slots=True)
class PointNote:
    """One point. `workload` is the sha256 of every request that it offers, and when."""

    id: str
    deployment: str
    scenario: str
    load: str
    seed: int
    requests: int
    concurrency: int | None
    span_s: float
    deadline_s: float
    duration_s: float | None
    workload: str


@dataclass(frozen=True, slots=True)
class Definition:
    """`settings`: what else changes the figures (warm-up, stall), by name. `targets`: by deployment."""

    driver: str
    targets: Mapping[str, TargetNote]
    points: tuple[PointNote, ...]
    slo: Slo | None = None
    criterion: Criterion = Criterion.P99_ITL
    counted_from: CountedFrom = "sent"
    settings: Mapping[str, str] = field(default_factory=dict)


def note_target(target: Target, layout: str = "") -> TargetNote:
    """Without what is secret: the key, and a login in the URL."""
    parts = urlsplit(target.url)
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return TargetNote(
        url,
        target.model,
        target.api.value,
        target.prompt.value,
        target.vocab,
        target.gpus,
        target.usd_per_hour,
        layout,
    )


def note_point(point: Point) -> PointNote:
    """The point with its workload by digest."""
    return PointNote(
        id=point.id,
        deployment=point.deployment,
        scenario=point.scenario,
        load=point.load,
        seed=point.seed,
        requests=len(point.workload.asked),
        concurrency=point.workload.concurrency,
        span_s=round(point.workload.span_s, 6),
        deadline_s=point.deadline_s,
        duration_s=point.duration_s,
        workload=_digest(point.workload),
    )


def define(
    driver: str,
    targets: Mapping[str, TargetNote],
    points: Sequence[Point],
    *,
    slo: Slo | None = None,
    criterion: Criterion = Criterion.P99_ITL,
    counted_from: CountedFrom = "sent",
    settings: Mapping[str, str] | None = None,
) -> Definition:
    """The definition of a run over `points`."""
    noted = tuple(note_point(point) for point in points)
    return Definition(driver, targets, noted, slo, criterion, counted_from, settings or {})


def differences(old: Definition, new: Definition) -> tuple[str, ...]:
    """One line for each thing in which `new` is another run than `old`; none: it is the same."""
    return tuple(_differ(old, new))


def _differ(old: Definition, new: Definition) -> Iterator[str]:
    for name in ("driver", "slo", "criterion", "counted_from"):
        yield from _changed(name, getattr(old, name), getattr(new, name))
    for name in sorted({*old.settings, *new.settings}):
        yield from _changed(name, old.settings.get(name), new.settings.get(name))
    for name in sorted({*old.targets, *new.targets}):
        yield from _fields(f"target {name}", old.targets.get(name), new.targets.get(name))
    before, after = ({point.id: point for point in each.points} for each in (old, new))
    for name in dict.fromkeys((*before, *after)):
        yield from _fields(f"point {name}", before.get(name), after.get(name))


def _fields(what: str, old: Any, new: Any) -> Iterator[str]:
    if old is None or new is None:
        yield f"{what}: new" if old is None else f"{what}: not asked for now"
        return
    changed = [item.name for item in fields(old) if getattr(old, item.name) != getattr(new, item.name)]
    if changed == ["workload"]:
        yield f"{what}: other lengths or arrivals"
    for name in changed:
        if name != "workload":
            yield from _changed(f"{what}: {name}", getattr(old, name), getattr(new, name))


def _changed(what: str, old: Any, new: Any) -> Iterator[str]:
    if old != new:
        yield f"{what}: was {_said(old)}, now {_said(new)}"


def _said(value: Any) -> str:
    if isinstance(value, Slo):
        return f"ttft {value.ttft_s:g} s, itl {value.itl_s:g} s, attainment {value.attainment:g}"
    return "nothing" if value is None or value == "" else str(value)


def _digest(workload: Workload) -> str:
    found = hashlib.sha256(f"{workload.concurrency}\n".encode())
    for asked in workload.asked:
        line = [round(asked.at_s, 9), asked.isl, asked.osl, asked.prefix_id, asked.prefix_len]
        found.update(json.dumps(line).encode())
    return found.hexdigest()

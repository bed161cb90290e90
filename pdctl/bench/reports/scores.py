"""A run scored as Narwhal's tools score theirs, and its rows in the files that those tools read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from pdctl.bench.figures.journal import journal_lines, meta_line, sample_lines
from pdctl.bench.figures.moves import SlotMove, since, splits
from pdctl.bench.figures.score import TARGET, Score, goodput_rate, in_flight_at_moves, score
from pdctl.bench.runs.definition import PointNote
from pdctl.bench.runs.read import ReadPoint, Run
from pdctl.model.deployment import Slo
from pdctl.perf.stations import Following, Moved, following
from pdctl.perf.walk import Station

_RATE = re.compile(r"(?:^|-)[rx](\d+(?:\.\d+)?)(?:-|$)")


@dataclass(frozen=True, slots=True)
class Course:
    """What a fleet was to follow, and did: the split at the start, the moves, the right split by time."""

    start: tuple[int, int]
    moves: Sequence[SlotMove] = ()
    stations: Sequence[Station] = ()


@dataclass(frozen=True, slots=True)
class ScoredPoint:
    """`rate`: offered requests a second, or the multiple of a trace's own; None of a closed loop. `moves`: those that
    began while the point was measured. `following` None: no course was given."""

    note: PointNote
    score: Score
    rate: float | None
    moves: tuple[Moved, ...] = ()
    following: Following | None = None


@dataclass(frozen=True, slots=True)
class Goodputs:
    """The highest rate of a deployment under a scenario that reached the target (None: no rate did), seeds averaged."""

    deployment: str
    scenario: str
    rate: float | None
    attainments: Mapping[float, float]


def score_run(run: Run, slo: Slo, course: Course | None = None) -> tuple[ScoredPoint, ...]:
    """Every measured point, in the run's order. `slo.itl_s` is the target of mean TPOT."""
    return tuple(_scored(point, slo, course) for point in run.done)


def goodputs(scored: Sequence[ScoredPoint], target: float = TARGET) -> tuple[Goodputs, ...]:
    """For every deployment and scenario that was measured under rates."""
    rated = [(each.note.deployment, each.note.scenario, each.rate, each) for each in scored if each.rate is not None]
    found = []
    for (deployment, scenario), group in groupby(sorted(rated, key=lambda each: each[:3]), key=lambda each: each[:2]):
        attainments = {
            rate: fmean(each.score.attainment for *_, each in same)
            for rate, same in groupby(group, lambda each: each[2])
        }
        found.append(Goodputs(deployment, scenario, goodput_rate(attainments, target), attainments))
    return tuple(found)


def peer_files(run: Run, scored: Sequence[ScoredPoint]) -> dict[str, str]:
    """File name -> text: for each point its journal, its samples, and the moves as `state.after.json` has them. Names
    are `<arm>.<tag>.journal.jsonl` with the deployment as the arm, as `narwhal-report --dir` wants them."""
    files = {}
    meta = meta_line(run.meta.pdctl, run.meta.commit or None)
    for point, each in zip(run.done, scored, strict=True):
        note = point.note
        tag = re.sub(r"[^A-Za-z0-9.x-]+", "-", f"{note.scenario}-{note.load}-s{note.seed}")
        name = f"{note.deployment.replace('.', '-')}.{tag}"
        rows = list(point.rows())
        files[f"{name}.journal.jsonl"] = meta + "".join(journal_lines(rows, f"{run.meta.run}/{note.id}"))
        files[f"{name}.samples.jsonl"] = meta + "".join(sample_lines(rows, each.rate or 1.0))
        if each.following is not None:
            flips = [_flip(move) for move in each.moves]
            files[f"{name}.state.after.json"] = json.dumps({"flips": flips}) + "\n"
    return files


def _scored(point: ReadPoint, slo: Slo, course: Course | None) -> ScoredPoint:
    rows = list(point.rows())
    rate = _RATE.search(point.note.load)
    plain = ScoredPoint(point.note, score(rows, slo), float(rate[1]) if rate else None)
    stretches = point.stretches
    if course is None or len(stretches) != 1:
        return plain  # a point that was cut and went on has a time of its own, that of no clock
    started = datetime.fromisoformat(stretches[0].started).timestamp()
    ended_s = max((row.sent_s + row.e2el_s for row in rows), default=0.0)
    within = [move for move in since(course.moves, started) if 0 <= move.at_s <= ended_s]
    held = in_flight_at_moves(rows, within)
    moves = tuple(
        move if move.in_flight is not None else replace(move, in_flight=count)
        for move, count in zip(within, held, strict=True)
    )
    kept = following(splits(course.moves, course.start, started), moves, course.stations)
    if not course.stations and ended_s > 0:
        kept = replace(kept, reversals_per_hour=kept.reversals * 3600.0 / ended_s)
    return replace(plain, moves=moves, following=kept)


def _flip(move: Moved) -> dict[str, Any]:
    return {"iid": move.engine, "to": move.to, "at": move.at_s, "prefill_inflight": move.in_flight or 0}


def write_peer_files(directory: Path, files: Mapping[str, str]) -> list[str]:
    """Write them below `directory`, which is made. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return [str(directory / name) for name in files]

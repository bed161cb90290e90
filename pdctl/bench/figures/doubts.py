"""What of a point's rows makes its figures less than they seem. Pure; one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.in_flight import lags_s
from pdctl.bench.figures.spread import Spread, quantile
from pdctl.bench.row import Row

FEW = 100
"""With fewer samples than this the 99th percentile is the largest of them. (The attainment of even 100 requests swings
by about +-14 of 100 from seed to seed: simulated for the MORI-IO article's points.)"""
LAG_S = 0.05
BUNDLED = 2.0
"""Mean ITL over mean TPOT from which events are taken to carry several tokens (SGLang's streams do: 28x was seen)."""


def doubts(
    rows: Sequence[Row], itl: Spread | None, tpot: Spread | None, *, criterion: Criterion | None
) -> tuple[str, ...]:
    """`itl` and `tpot` of the ok rows; `criterion` None: there are no targets."""
    ok = [row for row in rows if row.ok]
    return (
        *_failures(rows, ok),
        *_bundled(itl, tpot, criterion),
        *_gapless(itl, tpot, criterion),
        *_lengths(ok),
        *_unseen(ok),
        *_lag(rows),
        *_few(ok),
    )


def _failures(rows: Sequence[Row], ok: Sequence[Row]) -> Iterator[str]:
    if not rows:
        yield "no request was sent"
    elif not ok:
        yield f"all {len(rows)} requests failed: there are no latencies, and no rates"
    elif len(ok) < len(rows):
        yield f"{len(rows) - len(ok)} of {len(rows)} requests failed: latencies and rates are those of the others"


def _bundled(itl: Spread | None, tpot: Spread | None, criterion: Criterion | None) -> Iterator[str]:
    if itl is None or tpot is None or itl.mean_s <= BUNDLED * tpot.mean_s:
        return
    ratio = f"{itl.mean_s / tpot.mean_s:.1f} x" if tpot.mean_s > 0 else "infinitely above"
    text = f"mean ITL is {ratio} mean TPOT: events carry several tokens, so gaps are not those between tokens"
    yield text + ("; judge by TPOT instead" if criterion is Criterion.P99_ITL else "")


def _gapless(itl: Spread | None, tpot: Spread | None, criterion: Criterion | None) -> Iterator[str]:
    if itl is None and tpot is not None:
        yield "no times between single tokens" + ("; judged by TPOT" if criterion is Criterion.P99_ITL else "")


def _lengths(ok: Sequence[Row]) -> Iterator[str]:
    outputs = sum(row.tokens != row.osl for row in ok)
    if outputs:
        yield f"{outputs} of {len(ok)} answers have another length than was asked for"
    counted = [row for row in ok if row.prompt_tokens is not None]
    prompts = sum(row.prompt_tokens != row.isl for row in counted)
    if prompts:
        wanted, got = sum(row.isl for row in counted), sum(row.prompt_tokens or 0 for row in counted)
        yield f"{prompts} of {len(counted)} prompts have another length than was asked for ({got} tokens for {wanted})"


def _unseen(ok: Sequence[Row]) -> Iterator[str]:
    unseen = sum(row.ttft_s is None for row in ok)
    if unseen:
        yield f"{unseen} of {len(ok)} answers were not streamed: they have no TTFT and count as misses"


def _lag(rows: Sequence[Row]) -> Iterator[str]:
    lags = sorted(lags_s(rows))
    late_s = quantile(lags, 0.99) if lags else 0.0
    if late_s > LAG_S:
        yield f"the client sent late: p99 {late_s * 1e3:.0f} ms after a request was due and had a place"


def _few(ok: Sequence[Row]) -> Iterator[str]:
    if 0 < len(ok) < FEW:
        yield f"only {len(ok)} ok requests: P99 is close to their largest value, and attainment is coarse"

"""Rows of one point -> its figures, as `vllm bench serve` and the articles that use it define them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pdctl.bench.figures.doubts import doubts
from pdctl.bench.figures.figures import Criterion, Figures, Goodput
from pdctl.bench.figures.in_flight import mean_in_flight, peak_in_flight
from pdctl.bench.figures.spread import spread
from pdctl.bench.figures.verdict import CountedFrom, e2el_s, met, ttft_s
from pdctl.bench.row import Row
from pdctl.model.deployment import Slo
from pdctl.model.outcome import OutcomeCounts

_SECONDS_PER_HOUR = 3600.0


def figures(
    rows: Sequence[Row],
    took_s: float,
    *,
    slo: Slo | None = None,
    criterion: Criterion = Criterion.P99_ITL,
    gpus: int | None = None,
    usd_per_hour: float | None = None,
    counted_from: CountedFrom = "sent",
) -> Figures:
    """The figures of `rows`, in any order, of a point that took `took_s` seconds.

    ITL is over the gaps of all requests together, TPOT over requests. Rates are per second of `took_s`. Tokens in
    are the server's count where it gave one, else those wanted. `tokens_per_usd` counts tokens in and out, as Moreh's
    report does. `gpus` and `usd_per_hour` are those of the whole deployment.
    """
    ok = [row for row in rows if row.ok]
    tokens_in = sum(row.isl if row.prompt_tokens is None else row.prompt_tokens for row in ok)
    tokens_out = sum(row.tokens for row in ok)
    tps_out, tps_total = _rate(tokens_out, took_s), _rate(tokens_in + tokens_out, took_s)
    in_flight = mean_in_flight(rows, took_s)
    itl = spread(gap_s for row in ok for gap_s in row.gaps_s)
    tpot = spread(row.tpot_s for row in ok if row.tpot_s is not None)
    return Figures(
        counts=OutcomeCounts.of(row.outcome for row in rows),
        duration_s=took_s,
        requests_per_s=_rate(len(ok), took_s),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tps_in=_rate(tokens_in, took_s),
        tps_out=tps_out,
        tps_total=tps_total,
        ttft=spread(first_s for row in ok if (first_s := ttft_s(row, counted_from)) is not None),
        itl=itl,
        tpot=tpot,
        e2el=spread(e2el_s(row, counted_from) for row in ok),
        queued=spread(row.queued_s for row in ok),
        in_flight_mean=in_flight,
        in_flight_peak=peak_in_flight(rows),
        goodput=_goodput(rows, took_s, slo, criterion, counted_from) if slo is not None else None,
        tpsu=tps_out / in_flight if in_flight > 0 else None,
        tpsg=tps_out / gpus if gpus else None,
        tokens_per_usd=tps_total * _SECONDS_PER_HOUR / usd_per_hour if usd_per_hour else None,
        warnings=doubts(rows, itl, tpot, criterion=criterion if slo is not None else None),
    )


def _goodput(rows: Sequence[Row], took_s: float, slo: Slo, criterion: Criterion, counted_from: CountedFrom) -> Goodput:
    good = [row for row in rows if met(row, slo, criterion, counted_from)]
    return Goodput(
        ttft_s=slo.ttft_s,
        itl_s=slo.itl_s,
        criterion=criterion,
        met=len(good),
        offered=len(rows),
        requests_per_s=_rate(len(good), took_s),
        tokens_per_s=_rate(sum(row.tokens for row in good), took_s),
    )


def _rate(amount: int, took_s: float) -> float:
    return amount / took_s if took_s > 0 else 0.0

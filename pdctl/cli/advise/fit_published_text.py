"""`pdctl advise fit --published` as text: every row's error, then what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pdctl.cli.advise.constants_text import UNITS, constants
from pdctl.cli.advise.fit_published_found import Published, Refits
from pdctl.perf.builtin_profiles import QWEN3_235B_MI300X, R1_MI300X, R1_WITHOUT
from pdctl.perf.published_r1 import TOLD_APART, Contest, MeanMax, Said, Verdict, calibrates, contests
from pdctl.perf.published_score import Check, held_out, margins, score, winners
from pdctl.perf.step_time import StepConstants


def lines(found: Published) -> Iterator[str]:
    """The whole report."""
    yield from constants(R1_MI300X)
    yield ""
    yield from _rows(found)
    yield ""
    yield from _summary(found)
    yield ""
    yield from _winners(found)
    yield ""
    yield from constants(QWEN3_235B_MI300X)
    yield ""
    yield from _attained(found)
    if found.refits is not None:
        yield ""
        yield from _refits(found.refits)
    yield ""
    yield from map(_check, found.checks)


def _rows(found: Published) -> Iterator[str]:
    without = {(one.row.scenario, one.row.concurrency, one.row.layout): one for o in found.left_out for one in o.said}
    yield "                      error of the calibration, %      error without its scenario, %"
    yield "  scenario  conc  layout   E2EL     TPS  P99 ITL          E2EL     TPS  P99 ITL"
    for said in found.said:
        row = said.row
        other = without.get((row.scenario, row.concurrency, row.layout))
        mark = "*" if calibrates(row) else " "
        beside = _errors(other) if other else ""
        yield f"{mark} {row.scenario:8} {row.concurrency:5}  {row.layout:6} {_errors(said)}      {beside}".rstrip()
    yield "* calibration row; all others are held out"


def _errors(said: Said) -> str:
    itl = "       -" if said.itl_error is None else f"{100 * said.itl_error:+8.1f}"
    return f"{100 * said.e2el_error:+6.1f}  {100 * said.tokens_error:+6.1f} {itl}"


def _summary(found: Published) -> Iterator[str]:
    yield "mean (max) absolute error, %       E2EL           TPS         P99 ITL     improvement ratio"
    yield _scored("held out", *held_out(found.said))
    everyone = [one for each in found.left_out for one in each.said]
    fought = [one for each in found.left_out for one in contests(each.said)]
    for each in found.left_out:
        yield _scored(f"without {each.scenario}", each.said, contests(each.said))
    if everyone:
        yield _scored("left out, all four", everyone, fought)


def _scored(name: str, rows: Sequence[Said], fought: Sequence[Contest]) -> str:
    one = score(rows, fought)
    spreads = "  ".join(_spread(each) for each in (one.e2el, one.tokens, one.itl_p99, one.ratio))
    return f"  {name:26} {spreads}"


def _spread(errors: MeanMax | None) -> str:
    return f"{'-':>12} " if errors is None else f"{100 * errors.mean:5.1f} ({100 * errors.max:4.1f})"


def _winners(found: Published) -> Iterator[str]:
    fought = contests(found.said)
    margin = margins(held_out(found.said)[1])
    won = winners(fought, margin)
    yield (
        f"winners, called from {100 * margin.splits:.1f} % on between two splits and {100 * margin.colocated:.1f} % "
        "against colocated (the model's own errors of the ratio):"
    )
    yield (
        f"  published gap over {100 * TOLD_APART:.0f} %: {won.clear_right} of {won.clear} right, "
        f"{won.clear_close} too close, {won.clear_wrong} wrong"
    )
    yield f"  smaller: {won.tie_close} of {won.ties} too close, {won.tie_right} called right, {won.tie_wrong} wrong"
    for each in fought:
        verdict = each.verdict(margin.of(each))
        if verdict is not (Verdict.RIGHT if each.told_apart else Verdict.CLOSE):
            yield (
                f"    {each.scenario} at {each.concurrency}, {each.metric.value}, {each.first} -> {each.second}: "
                f"published {100 * (each.published - 1):+.1f} %, said {100 * (each.said - 1):+.1f} %: {verdict.value}"
            )


def _attained(found: Published) -> Iterator[str]:
    yield "  layout  mode   req/s  published  said  off (requests of 100)"
    for each in found.attained:
        row = each.row
        yield (
            f"  {row.layout:6}  {row.mode:5}  {row.rate_per_s:5g}  {100 * row.attained:9.0f}  {100 * each.said:4.0f}  "
            f"{each.off:+4.0f}"
        )


def _refits(refits: Refits) -> Iterator[str]:
    yield "fitted anew from the start, against the built-in constants:"
    yield from _against("r1", refits.r1.constants, R1_MI300X.constants)
    for scenario, one in refits.without.items():
        yield from _against(f"r1 without {scenario}", one.constants, R1_WITHOUT[scenario])
    yield from _against("qwen3", refits.mori.constants, QWEN3_235B_MI300X.constants)
    misses = ", ".join(f"{each.off:+.0f}" for each in refits.mori_left_out)
    yield f"  attainments, each as the other nine tell it: off by {misses} of 100"


def _against(name: str, anew: StepConstants, built_in: StepConstants) -> Iterator[str]:
    changes = []
    for constant in StepConstants.__slots__:
        one, other = getattr(anew, constant), getattr(built_in, constant)
        if one != other:
            changes.append(f"{UNITS[constant][0]} {100 * (one / other - 1):+.2g} %")
    yield f"  {name}: {', '.join(changes) or 'the same'}"


def _check(check: Check) -> str:
    value, limit = (
        (f"{check.value:.0f}", f"{check.limit:.0f}")
        if check.limit >= 1 or not check.limit
        else (f"{100 * check.value:.1f} %", f"{100 * check.limit:.0f} %")
    )
    return f"{'ok    ' if check.met else 'MISSED'} {check.name}: {value} (at most {limit})"

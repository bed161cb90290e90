"""`pdctl advise fit --published --json`: every figure, unrounded; errors as shares."""

from __future__ import annotations

import math
from typing import Any

from pdctl.cli.advise.fit_published_found import Published, Refits
from pdctl.perf.builtin_profiles import QWEN3_235B_MI300X, R1_MI300X
from pdctl.perf.profile import Profile
from pdctl.perf.published_r1 import Contest, MeanMax, Said, calibrates, contests
from pdctl.perf.published_score import Margins, Score, Winners, held_out, margins, score, winners
from pdctl.perf.step_time import StepConstants


def as_json(found: Published) -> dict[str, Any]:
    """One document."""
    rows, fought = held_out(found.said)
    margin = margins(fought)
    return {
        "profiles": {each.name: _profile(each) for each in (R1_MI300X, QWEN3_235B_MI300X)},
        "rows": [_row(said) for said in found.said],
        "held_out": _score(score(rows, fought)),
        "contests": [_contest(each, margin) for each in contests(found.said)],
        "winners": _winners(winners(contests(found.said), margin)) | {"margins": _margins(margin)},
        "leave_one_scenario_out": {
            each.scenario: _score(score(each.said, contests(each.said))) | {"rows": [_row(one) for one in each.said]}
            for each in found.left_out
        },
        "attainment": [
            {
                "layout": each.row.layout,
                "mode": each.row.mode,
                "rate_per_s": each.row.rate_per_s,
                "published": each.row.attained,
                "said": each.said,
                "off_of_100": each.off,
            }
            for each in found.attained
        ],
        "checks": [
            {"name": check.name, "value": check.value, "limit": check.limit, "met": check.met} for check in found.checks
        ],
        "refits": None if found.refits is None else _refits(found.refits),
    }


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "constants": _constants(profile.constants),
        "proxy_s": profile.transfer.proxy_s,
        "factors": {name: _finite(factor) for name, factor in profile.factors.items()},
        "fitted_on": profile.fitted_on,
        "source": profile.source,
    }


def _constants(constants: StepConstants) -> dict[str, float]:
    return {name: getattr(constants, name) for name in StepConstants.__slots__}


def _row(said: Said) -> dict[str, Any]:
    row = said.row
    return {
        "scenario": row.scenario,
        "concurrency": row.concurrency,
        "layout": row.layout,
        "calibration": calibrates(row),
        "published": {"e2el_s": row.e2el_s, "tokens_per_s": row.tokens_per_s, "itl_p99_s": row.itl_p99_s},
        "said": {"e2el_s": said.e2el_s, "tokens_per_s": said.tokens_per_s, "itl_p99_s": said.itl_p99_s},
        "error": {"e2el": said.e2el_error, "tokens_per_s": said.tokens_error, "itl_p99": said.itl_error},
    }


def _contest(each: Contest, margin: Margins) -> dict[str, Any]:
    return {
        "scenario": each.scenario,
        "concurrency": each.concurrency,
        "metric": each.metric.value,
        "layouts": [each.first, each.second],
        "calibration": each.calibrated,
        "published": each.published,
        "said": each.said,
        "ratio_error": each.ratio_error,
        "told_apart": each.told_apart,
        "verdict": each.verdict(margin.of(each)).value,
    }


def _score(found: Score) -> dict[str, Any]:
    return {
        "e2el": _spread(found.e2el),
        "tokens_per_s": _spread(found.tokens),
        "itl_p99": _spread(found.itl_p99),
        "improvement_ratio": _spread(found.ratio),
    }


def _spread(errors: MeanMax | None) -> dict[str, Any] | None:
    return None if errors is None else {"mean": errors.mean, "max": errors.max, "count": errors.count}


def _winners(won: Winners) -> dict[str, Any]:
    return {
        "clear": {"right": won.clear_right, "too_close": won.clear_close, "wrong": won.clear_wrong},
        "ties": {"too_close": won.tie_close, "right": won.tie_right, "wrong": won.tie_wrong},
    }


def _margins(margin: Margins) -> dict[str, float]:
    return {"splits": margin.splits, "colocated": margin.colocated}


def _refits(refits: Refits) -> dict[str, Any]:
    return {
        R1_MI300X.name: {
            "constants": _constants(refits.r1.constants),
            "factors": {name: _finite(factor) for name, factor in refits.r1.factors.items()},
            "rms": refits.r1.rms,
        },
        "without": {name: _constants(fit.constants) for name, fit in refits.without.items()},
        QWEN3_235B_MI300X.name: {
            "constants": _constants(refits.mori.constants),
            "proxy_s": refits.mori.proxy_s,
            "factors": {name: _finite(factor) for name, factor in refits.mori.factors.items()},
            "squares": refits.mori.loss,
            "left_out_off_of_100": [each.off for each in refits.mori_left_out],
        },
    }


def _finite(factor: float) -> float | None:
    """JSON has no infinity: null is "not told"."""
    return factor if math.isfinite(factor) else None

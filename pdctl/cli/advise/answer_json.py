"""An advice as JSON: figures with their errors, seconds and shares as they are."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from pdctl.advisor.advise import Answer
from pdctl.advisor.predict import Estimate, Predicted

_FIGURES = (
    "ttft_median_s",
    "ttft_p99_s",
    "itl_p99_s",
    "e2el_median_s",
    "tokens_per_s",
    "attainment",
    "goodput_per_s",
)


def as_json(answer: Answer) -> dict[str, Any]:
    """The body of an `advice` event. `off` None: it is not known by how much a figure may be off."""
    question, reasons = answer.question, dict(answer.lines)
    return {
        "source": question.source,
        "slo": {"ttft_s": question.slo.ttft_s, "itl_s": question.slo.itl_s},
        "objective": answer.ranking.objective.value,
        "verdict": answer.verdict,
        "best": answer.ranking.best.split.words,
        "too_close": list(answer.ranking.close),
        "now": answer.now.split.words if answer.now else None,
        "goal": answer.goal.split.words,
        "splits": [_split(each, reasons[each.split.words]) for each in answer.ranking.order],
        "cost": asdict(answer.cost) if answer.cost else None,
        "priors": [
            {"says": prior.says, "leaning": prior.leaning.value, "source": prior.source, "disagrees": prior.disagrees}
            for prior in answer.priors
        ],
        "profiles": list(answer.profiles),
        "notes": list(answer.notes),
    }


def _split(predicted: Predicted, why: str) -> dict[str, Any]:
    figures = {name: _estimate(getattr(predicted, name)) for name in _FIGURES}
    return {"split": predicted.split.words, "colocated": predicted.split.colocated, "why": why, **figures}


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "off": None if math.isinf(estimate.off) else estimate.off}

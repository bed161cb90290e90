"""Rules of thumb of the field, as what they are: priors. Each says when it applies, what it holds, and which
measurement disagrees. None decides anything: they stand beside a prediction, or alone where there is no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BLACKWELL: Final = "'Disaggregated prefill and decode' (Blackwell NVL72)"
MORI: Final = "AMD and Embedded LLM, MORI-IO (MI300X, March 2026)"
LLMD: Final = "llm-d on MI300X (May 2026)"


class Leaning(StrEnum):
    """What a prior speaks for."""

    SPLIT = "disaggregate"
    MIXED = "stay colocated"


@dataclass(frozen=True, slots=True)
class Situation:
    """What priors look at. None: not known, and rules that hang on it stay silent.

    `users`: requests in flight; `tokens_per_user_s`: output tokens a second that one user is to see (TPSU).
    `itl_p99_over_slo`, `ttft_over_slo`: whether colocated serving was measured or predicted beyond that target.
    """

    isl: float
    osl: float
    users: float | None = None
    parameters_b: float | None = None
    gpus_in_domain: int | None = None
    tokens_per_user_s: float | None = None
    itl_p99_over_slo: bool | None = None
    ttft_over_slo: bool | None = None


@dataclass(frozen=True, slots=True)
class Prior:
    """A rule. `disagrees`: the measurement that speaks against it, "" where none is known to us."""

    says: str
    leaning: Leaning
    source: str
    applies: Callable[[Situation], bool]
    disagrees: str = ""


LONG_PROMPT: Final = 4096
SHORT_PROMPT: Final = 512
MANY_USERS: Final = 64
FEW_USERS: Final = 8
"""The sources say long, short, high and low without figures; these are ours."""

_MEASURED_ON_8: Final = (
    "measured otherwise: 1.35x E2EL over 5 nodes of 8 MI300X (Moreh, DeepSeek R1), 2.5x goodput on one node of 8 "
    "(MORI-IO, Qwen3-235B)"
)

PRIORS: Final = (
    Prior(
        "models of 13B and less: one pool wins, collectives cost little",
        Leaning.MIXED,
        BLACKWELL,
        lambda it: it.parameters_b is not None and it.parameters_b <= 13,
    ),
    Prior(
        "pure chat with short prompts: prefill is too cheap to be worth a pool of its own",
        Leaning.MIXED,
        BLACKWELL,
        lambda it: it.isl <= SHORT_PROMPT,
    ),
    Prior(
        "fast-link domains of 8 GPUs: decode beyond one domain loses most of the benefit",
        Leaning.MIXED,
        BLACKWELL,
        lambda it: it.gpus_in_domain is not None and it.gpus_in_domain <= 8,
        _MEASURED_ON_8,
    ),
    Prior(
        "models of 70B and more on rack-scale links: disaggregate",
        Leaning.SPLIT,
        BLACKWELL,
        lambda it: (it.parameters_b or 0) >= 70 and (it.gpus_in_domain or 0) > 8,
    ),
    Prior(
        "P99 ITL is beyond its target under load: disaggregate, this is what it is for",
        Leaning.SPLIT,
        MORI,
        lambda it: it.itl_p99_over_slo is True,
    ),
    Prior(
        "TTFT is the binding target: colocated serving may be better",
        Leaning.MIXED,
        MORI,
        lambda it: it.ttft_over_slo is True and it.itl_p99_over_slo is False,
        "measured otherwise with long prompts: 8K/1K on 2P3D cut E2EL by 1.8x (Moreh), most of it queueing for prefill",
    ),
    Prior(
        "many users with long prompts: disaggregate, interference is worst there",
        Leaning.SPLIT,
        MORI,
        lambda it: it.isl >= LONG_PROMPT and (it.users or 0) >= MANY_USERS,
    ),
    Prior(
        "few requests with short prompts: colocated serving is enough",
        Leaning.MIXED,
        MORI,
        lambda it: it.isl <= SHORT_PROMPT and it.users is not None and it.users <= FEW_USERS,
    ),
    Prior(
        "20 to 60 tokens a second and user: disaggregated pools gave more per GPU (gpt-oss-120b, 4096/256)",
        Leaning.SPLIT,
        LLMD,
        lambda it: it.tokens_per_user_s is not None and 20 <= it.tokens_per_user_s <= 60,
    ),
    Prior(
        "below 20 or above 100 tokens a second and user: aggregated engines gave more per GPU (gpt-oss-120b, 4096/256)",
        Leaning.MIXED,
        LLMD,
        lambda it: it.tokens_per_user_s is not None and not 20 <= it.tokens_per_user_s <= 100,
        "measured otherwise for DeepSeek R1 at 5 to 15 tokens a second and user: 2P3D gave 1.2x the throughput (Moreh)",
    ),
)


def that_apply(situation: Situation) -> tuple[Prior, ...]:
    """The priors that have something to say of it, in the order of PRIORS."""
    return tuple(prior for prior in PRIORS if prior.applies(situation))

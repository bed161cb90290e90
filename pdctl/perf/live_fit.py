"""The step equation's constants from what engines export while they serve: no run to play, only means over windows.

Per window and instance, with B sequences decoding on its fullest rank, prompts of `isl` tokens at `prompts_per_s` and
P prompt tokens a step:

    mixed:    mean ITL = (d + e B + f B ctx) / (1 - prompts_per_s (a + b isl))      prompts take steps from decoding
    decode:   mean ITL = (d + e B + f B ctx) / (1 - prompts_per_s g isl)            as KV that lands does
    prefill:  mean time from being scheduled to the first token = a + b P

These hold where prompts rarely share a step and queues are short, so samples of a full engine are not taken. The ranks'
sum (bs) cannot be told from means and stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pdctl.errors import TooThin
from pdctl.model.role import Role
from pdctl.perf.calibrate import Fit, fit
from pdctl.perf.measured import LOAD_STEP
from pdctl.perf.measured_fit import VAGUE
from pdctl.perf.step_time import StepConstants

LEAST_SAMPLES = 6
LEAST_REQUESTS = 30
BUSIEST = 0.9
"""Of an instance's time; beyond it the means say more of queues than of steps."""


@dataclass(frozen=True, slots=True)
class LiveSample:
    """One instance over one window. `running`: sequences on its fullest rank; `context`: tokens of one of them, on
    average; `requests`: how many prompts the window had. `itl_s`, `prefill_s`: means, None where there are none."""

    instance: str
    role: Role
    running: float
    prompts_per_s: float
    isl: float
    context: float
    prompt_tokens_a_step: float
    requests: float
    itl_s: float | None
    prefill_s: float | None


def told(sample: LiveSample, constants: StepConstants) -> tuple[float | None, float | None]:
    """The mean ITL and the mean prefill time that the constants give for a sample; None where it has none."""
    prompt_s = constants.prefill_s + constants.prefill_per_token_s * sample.prompt_tokens_a_step
    itl_s = None
    if sample.itl_s is not None:
        step_s = constants.decode_s + constants.decode_per_seq_s * sample.running
        step_s += constants.decode_per_context_token_s * sample.running * sample.context
        taken_s = constants.landed_per_token_s * sample.isl if sample.role is Role.DECODE else prompt_s
        itl_s = step_s / (1 - min(0.95, sample.prompts_per_s * taken_s))
    return itl_s, prompt_s if sample.prefill_s is not None else None


def fit_live(
    samples: Sequence[LiveSample],
    start: StepConstants | None = None,
    *,
    on_round: Callable[[int, float], None] = lambda done, rms: None,
) -> Fit:
    """The constants, with an infinite error bar on those that the samples do not tell. Raises TooThin."""
    check_samples(samples)
    begin = start or first_guess(samples)
    free = [name for name in _named(samples) if getattr(begin, name) > 0]
    found = fit(lambda constants: residuals(samples, constants), begin, free, rounds=20, on_round=on_round)
    return replace(found, factors={name: one if one <= VAGUE else math.inf for name, one in found.factors.items()})


def residuals(samples: Sequence[LiveSample], constants: StepConstants) -> list[float]:
    """log(told / measured) of every mean."""
    found = []
    for sample in samples:
        itl_s, prefill_s = told(sample, constants)
        if itl_s is not None and sample.itl_s is not None:
            found.append(math.log(itl_s / sample.itl_s))
        if prefill_s is not None and sample.prefill_s is not None:
            found.append(math.log(prefill_s / sample.prefill_s))
    return found


def _named(samples: Sequence[LiveSample]) -> list[str]:
    names = ["decode_s", "decode_per_seq_s", "prefill_s", "prefill_per_token_s"]
    return [*names, "landed_per_token_s"] if any(one.role is Role.DECODE for one in samples) else names


def check_samples(samples: Sequence[LiveSample]) -> None:
    """Raises TooThin, naming all that is missing."""
    missing = []
    writing = [one for one in samples if one.itl_s is not None]
    if len(writing) < LEAST_SAMPLES:
        missing.append(f"{len(writing)} windows with tokens: at least {LEAST_SAMPLES} are wanted")
    requests = sum(one.requests for one in samples if one.role is not Role.DECODE)
    if requests < LEAST_REQUESTS:
        missing.append(f"{requests:.0f} prompts: at least {LEAST_REQUESTS} are wanted")
    if not any(one.prefill_s is not None for one in samples):
        missing.append("no prefill times")
    loads = sorted(max(one.running, 0.1) for one in writing)
    if loads and loads[-1] < LOAD_STEP * loads[0]:
        missing.append("one load level: what a sequence more costs shows only between two")
    if missing:
        raise TooThin(
            f"what was seen covers too little to fit to: {'; '.join(missing)}",
            hint="watch for longer and over several loads, or measure some: `pdctl bench run`",
        )


def first_guess(samples: Sequence[LiveSample]) -> StepConstants:
    """Where the fit begins: from the quickest window of each kind."""
    gaps = [one.itl_s for one in samples if one.itl_s]
    quick_s = min(gaps)
    prompts = [(one.prefill_s, one.prompt_tokens_a_step) for one in samples if one.prefill_s]
    prompt_s, tokens = min(prompts)
    widest = max(one.running for one in samples)
    landed = any(one.role is Role.DECODE for one in samples)
    return StepConstants(
        decode_s=0.9 * quick_s,
        decode_per_seq_s=max(0.005 * quick_s, 0.3 * (max(gaps) - quick_s) / max(1.0, widest)),
        decode_per_context_token_s=0.0,
        prefill_s=0.3 * prompt_s,
        prefill_per_token_s=0.6 * prompt_s / max(1.0, tokens),
        prefill_per_token_of_all_s=0.0,
        landed_per_token_s=0.02 * quick_s / max(1.0, tokens) if landed else 0.0,
    )

"""The fits on Moreh's tables: the calibration on four rows, and the same with one scenario left out at a time.

The structure is frozen: the step equation, ranks in lock step, the limits and policies of the R1 profile. Free are the
six constants of FREE, fewer than the figures they are fitted to. The context's share of a decode step is not among
them: it is the roofline of reading 576 latent values of 61 layers a token at the GPU's memory bandwidth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pdctl.perf.calibrate import Fit, fit
from pdctl.perf.published import R1Row, r1_rows
from pdctl.perf.published_r1 import SEEDS, Said, calibrates, say
from pdctl.perf.step_time import StepConstants

FREE = (
    "decode_s",
    "decode_per_seq_s",
    "prefill_s",
    "prefill_per_token_s",
    "prefill_per_token_of_all_s",
    "landed_per_token_s",
)
START = StepConstants(60e-3, 0.8e-3, 2.2e-8, 0.4, 0.4e-3, 0.025e-3, 1.5e-6)
"""Where every fit begins."""

FEW_SEEDS = range(4)
"""Draws of where requests land, in fits to many rows."""

SCENARIOS = ("1K/1K", "8K/1K", "1K/8K", "8K/8K")


def calibrate_r1(*, on_round: Callable[[int, float], None] = lambda done, rms: None) -> Fit:
    """The constants from the four calibration rows."""
    return _fit([row for row in r1_rows() if calibrates(row)], START, SEEDS, on_round)


def fit_without(scenario: str, *, on_round: Callable[[int, float], None] = lambda done, rms: None) -> Fit:
    """The constants from every row of the other three scenarios."""
    return _fit([row for row in r1_rows() if row.scenario != scenario], START, FEW_SEEDS, on_round)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The rows of one scenario, as constants say them that were fitted on the others."""

    scenario: str
    constants: StepConstants
    said: tuple[Said, ...]


def say_left_out(
    constants: Mapping[str, StepConstants],
    *,
    seeds: Sequence[int] = SEEDS,
    on_row: Callable[[Said], None] = lambda said: None,
) -> tuple[LeftOut, ...]:
    """`constants`: of each scenario, those fitted without it."""
    found = []
    for scenario, one in constants.items():
        rows = []
        for row in r1_rows():
            if row.scenario == scenario:
                rows.append(say(row, one, seeds))
                on_row(rows[-1])
        found.append(LeftOut(scenario, one, tuple(rows)))
    return tuple(found)


def _fit(
    rows: Sequence[R1Row], start: StepConstants, seeds: Sequence[int], on_round: Callable[[int, float], None]
) -> Fit:
    def residuals(constants: StepConstants) -> list[float]:
        return [residual for row in rows for residual in say(row, constants, seeds).residuals()]

    return fit(residuals, start, FREE, on_round=on_round)

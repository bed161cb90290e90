"""The step-time equation, term by term."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from pdctl.perf.step_time import PROFILES, RankLoad, StepConstants, step_time_s

ONES = StepConstants(*[1.0] * 7)
NOTHING = StepConstants(*[0.0] * 7)


def only(name: str) -> StepConstants:
    return replace(NOTHING, **{name: 1.0})


@pytest.mark.parametrize(
    ("constants", "ranks", "expected"),
    [
        (ONES, [], 0.0),
        (ONES, [RankLoad()], 0.0),
        (only("decode_s"), [RankLoad(decoding=3), RankLoad(decoding=5)], 1.0),
        (only("decode_per_seq_s"), [RankLoad(decoding=3), RankLoad(decoding=5)], 5.0),
        (only("decode_per_context_token_s"), [RankLoad(1, 70), RankLoad(1, 30)], 70.0),
        (only("prefill_s"), [RankLoad(prompt_tokens=9)] * 8, 1.0),
        (only("prefill_per_token_s"), [RankLoad(prompt_tokens=9), RankLoad(prompt_tokens=4)], 9.0),
        (only("prefill_per_token_of_all_s"), [RankLoad(prompt_tokens=9), RankLoad(prompt_tokens=4)], 13.0),
        (only("landed_per_token_s"), [RankLoad(landed_tokens=2), RankLoad(landed_tokens=3)], 5.0),
        (ONES, [RankLoad(decoding=1, context_tokens=10, prompt_tokens=4, landed_tokens=2)], 12.0 + 9.0 + 2.0),
    ],
)
def test_each_term_takes_its_maximum_or_sum(constants: StepConstants, ranks: list[RankLoad], expected: float) -> None:
    assert step_time_s(constants, ranks) == expected


def test_one_long_prompt_stalls_a_node_almost_as_long_as_eight() -> None:
    """Why dedicated prefills pay: published constants, DeepSeek R1 on one 8-GPU node."""
    constants = PROFILES["r1-mi300x-ep8"]
    one = step_time_s(constants, [RankLoad(32, 32000, 8192)] + [RankLoad(32, 32000)] * 7)
    eight = step_time_s(constants, [RankLoad(32, 32000, 8192)] * 8)
    assert one > 0.65 * eight
    assert one > 40 * step_time_s(constants, [RankLoad(32, 32000)] * 8)


def test_negative_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="decode_s"):
        replace(NOTHING, decode_s=-1.0)


def test_profiles_name_every_constant() -> None:
    assert len(fields(StepConstants)) == 8
    assert {"laptop", "fast"} <= set(PROFILES)

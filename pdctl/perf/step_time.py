"""How long one engine step takes: the one equation that paces the simulated engine.

    t_step = [B>0] (d + e * max_r B_r + f * max_r ctx_r)
           + [P>0] (a + b * max_r P_r + bs * sum_r P_r)
           + g * (KV tokens landed)

A node is R lock-step ranks (R = 8 for DP8/EP8, R = 1 for pure TP). Of rank r, B_r counts the sequences that decode in
the step, ctx_r their context tokens, P_r the step's prompt tokens. The maximum over ranks, not the sum, is the key: one
8K prompt stalls a colocated node almost as long as eight on eight ranks do.

Around the steps, `front_s` is what client, HTTP and the API server take to bring a request to its engine: it misses the
step that begins meanwhile. It shows where steps last no longer than that, as vLLM's on CPU; elsewhere it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class StepConstants:
    """The equation's constants, in seconds per unit; the letters are those of the equation."""

    decode_s: float  # d: any decoding at all
    decode_per_seq_s: float  # e: per sequence of the fullest rank
    decode_per_context_token_s: float  # f: per context token of the rank with most
    prefill_s: float  # a: any prompt token at all
    prefill_per_token_s: float  # b: per prompt token of the fullest rank
    prefill_per_token_of_all_s: float  # bs: per prompt token of all ranks
    landed_per_token_s: float  # g: per KV token that arrived from a prefill
    front_s: float = 0.0  # no part of a step: from a request's sending until its engine can take it

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative")


@dataclass(frozen=True, slots=True)
class RankLoad:
    """What one rank does in one step: counts of sequences and tokens."""

    decoding: int = 0
    context_tokens: int = 0
    prompt_tokens: int = 0
    landed_tokens: int = 0


def step_time_s(constants: StepConstants, ranks: Sequence[RankLoad]) -> float:
    """Seconds that one lock-step iteration over `ranks` takes; 0.0 when nobody has work."""
    total = 0.0
    most_decoding = max((rank.decoding for rank in ranks), default=0)
    if most_decoding:
        most_context = max(rank.context_tokens for rank in ranks)
        total += constants.decode_s
        total += constants.decode_per_seq_s * most_decoding + constants.decode_per_context_token_s * most_context
    most_prompt = max((rank.prompt_tokens for rank in ranks), default=0)
    if most_prompt:
        all_prompt = sum(rank.prompt_tokens for rank in ranks)
        total += constants.prefill_s
        total += constants.prefill_per_token_s * most_prompt + constants.prefill_per_token_of_all_s * all_prompt
    return total + constants.landed_per_token_s * sum(rank.landed_tokens for rank in ranks)


LAPTOP = StepConstants(10e-3, 0.0, 0.0, 15e-3, 20e-6, 0.0, 0.0)
"""Quick enough to watch on a laptop, slow enough to see queues."""

PROFILES: Mapping[str, StepConstants] = MappingProxyType(
    {
        "laptop": LAPTOP,
        "fast": StepConstants(2e-3, 0.0, 0.0, 2e-3, 1e-6, 0.0, 0.0),
        # Fitted on Moreh's published DeepSeek R1 tables, 5 x 8 MI300X, DP8 + EP8 per node (pdctl.perf.published_fit).
        "r1-mi300x-ep8": StepConstants(61.004e-3, 0.73580e-3, 2.2e-8, 0.51207, 0.37744e-3, 31.144e-6, 1.3126e-6),
        # Fitted on the attainments of the published MORI-IO article, Qwen3-235B, TP4 (pdctl.perf.published_mori).
        "qwen3-235b-mi300x-tp4": StepConstants(17.249e-3, 0.21277e-3, 0.0, 15.700e-3, 58.031e-6, 0.0, 0.0),
    }
)
"""Named constants. Where a source gives no value for a term, the term is 0."""

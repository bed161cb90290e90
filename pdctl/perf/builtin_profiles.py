"""The profiles that pdctl ships: fitted on published tables by `pdctl advise fit --published --refit`.

What the sources do not say is a prior, stated here: KV bytes per token from the models' shapes, 20 GB/s of RDMA and a
hand-shake of 10 ms; vLLM's default chunk of 8192 tokens a rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from pdctl.model.deployment import Parallel
from pdctl.model.role import Role, TransferMode
from pdctl.perf.layout import Placement, Policy, TransferModel
from pdctl.perf.profile import Limits, ModelError, Profile
from pdctl.perf.step_time import PROFILES as CONSTANTS
from pdctl.perf.step_time import StepConstants

R1_KV_BYTES = 61 * 576 * 2.0
"""DeepSeek R1: 61 layers of MLA with 512 + 64 latent values a token, in bf16."""
QWEN3_KV_BYTES = 94 * 2 * 4 * 128 * 2.0
"""Qwen3-235B-A22B: 94 layers, keys and values of 4 KV heads of 128, in bf16."""
BANDWIDTH_BYTES_PER_S = 20e9
HANDSHAKE_S = 10e-3
PROXY_S = 6.6837e-3
"""What the article's proxy adds to a leg; fitted."""

R1_ERROR = ModelError(e2el=0.030, tokens_per_s=0.037, itl_p99=0.041, ratio=0.030, attainment=0.04)
"""Of the held-out rows, as `pdctl advise fit --published` finds them; the tables have no attainment, so that error is
the other profile's."""
QWEN3_ERROR = ModelError(e2el=0.030, tokens_per_s=0.037, itl_p99=0.041, ratio=0.030, attainment=0.04)
"""Attainment: the largest miss of a point that was left out of the fit (`--refit` prints them). The article has nothing
else: the other errors are those of the same model on DeepSeek R1."""

R1_MI300X = Profile(
    name="r1-mi300x-ep8",
    gpu="mi300x",
    model="deepseek-ai/DeepSeek-R1",
    parallel=Parallel(tp=1, dp=8, ep=True),
    constants=CONSTANTS["r1-mi300x-ep8"],
    source="Moreh, 'Multi-Node Disaggregated Inference: DeepSeek R1 671B on AMD Instinct MI300X GPUs', March 2026",
    fitted_on="1K/1K and 8K/1K at concurrency 320, colocated and 2P3D",
    factors=MappingProxyType(
        {
            "decode_s": 1.034,
            "decode_per_seq_s": 1.128,
            "prefill_s": 1.058,
            "prefill_per_token_s": 1.038,
            "prefill_per_token_of_all_s": 1.078,
            "landed_per_token_s": 1.670,
        }
    ),
    transfer=TransferModel(TransferMode.WRITE, R1_KV_BYTES, BANDWIDTH_BYTES_PER_S, HANDSHAKE_S),
    policy=Policy.RANDOM,
    limits=MappingProxyType({Role.MIXED: Limits(placement=Placement.RANDOM), Role.PREFILL: Limits(chunk_tokens=16384)}),
    error=R1_ERROR,
)

QWEN3_235B_MI300X = Profile(
    name="qwen3-235b-mi300x-tp4",
    gpu="mi300x",
    model="Qwen/Qwen3-235B-A22B-FP8",
    parallel=Parallel(tp=4, dp=1, ep=True),
    constants=CONSTANTS["qwen3-235b-mi300x-tp4"],
    source="AMD and Embedded LLM, 'Why Your Single-Node vLLM Setup Needs Prefill-Decode Disaggregation', March 2026",
    fitted_on="the ten attainments of 2xTP4 and of 1P1D, read and write, at 0.5 to 10 requests a second",
    factors=MappingProxyType(
        {
            "decode_s": 1.076,
            "decode_per_seq_s": 1.610,
            "prefill_s": 1.230,
            "prefill_per_token_s": 1.015,
            "proxy_s": math.inf,
        }
    ),
    transfer=TransferModel(TransferMode.WRITE, QWEN3_KV_BYTES, BANDWIDTH_BYTES_PER_S, HANDSHAKE_S, PROXY_S),
    limits=MappingProxyType({Role.PREFILL: Limits(chunk_tokens=4096), Role.DECODE: Limits(chunk_tokens=4096)}),
    error=QWEN3_ERROR,
)

R1_WITHOUT: Mapping[str, StepConstants] = MappingProxyType(
    {
        "1K/1K": StepConstants(61.076e-3, 0.97786e-3, 2.2e-8, 0.44875, 0.39281e-3, 23.689e-6, 1.0755e-6),
        "8K/1K": StepConstants(60.524e-3, 0.94255e-3, 2.2e-8, 0.34637, 0.53659e-3, 32.648e-6, 2.1642e-6),
        "1K/8K": StepConstants(62.872e-3, 0.81813e-3, 2.2e-8, 0.51717, 0.38032e-3, 20.635e-6, 0.98756e-6),
        "8K/8K": StepConstants(61.543e-3, 0.84458e-3, 2.2e-8, 0.49864, 0.38377e-3, 23.636e-6, 1.1604e-6),
    }
)
"""DeepSeek R1's constants as fitted on all published rows but those of one scenario, by its name."""

BUILTIN: Mapping[str, Profile] = MappingProxyType({each.name: each for each in (R1_MI300X, QWEN3_235B_MI300X)})

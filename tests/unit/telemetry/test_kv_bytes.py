"""KV bytes that are derived, against what NIXL counted on a real pair of vLLM engines."""

from __future__ import annotations

import pytest

from pdctl.model.figure import Basis, Figure
from pdctl.model.reading import Unknown
from pdctl.telemetry.families import ENGINE_FAMILIES
from pdctl.telemetry.kv_bytes import KvShape, derived_bytes, kv_shape
from pdctl.telemetry.meter import Meter
from pdctl.telemetry.scan import Scanner
from tests.tool_outputs import read
from tests.unit.telemetry.scrapes import NAMES

TINY_LLAMA = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
}
"""The model of the captured run: vLLM 0.32 on CPU, NIXL 1.5.1, blocks of 32 tokens."""


def test_derived_bytes_are_within_three_per_cent_of_what_nixl_counted() -> None:
    shape = kv_shape(TINY_LLAMA, block_tokens=32, cache_dtype="auto")
    assert shape == KvShape(2 * 2 * 2 * 32 * 2.0, 32)
    meter, scanner = Meter(ENGINE_FAMILIES), Scanner(NAMES)
    for second, when in enumerate(("idle", "")):
        text = read(f"vllm_metrics/vllm-0.32-cpu-metrics_decode{'_' if when else ''}{when}.txt")
        assert meter.feed(float(second), scanner.scan(text[text.index("# ") :]))
    tally = meter.tally(10.0)
    assert tally is not None
    counted = tally.histograms["xfer_bytes"].total
    assert counted > 1e6
    derived = derived_bytes(tally, shape, age_s=0.0)
    assert isinstance(derived, Figure)
    assert derived.low <= counted <= derived.high
    assert derived.middle == pytest.approx(counted, rel=0.03)
    assert derived.basis is Basis.DERIVED


@pytest.mark.parametrize(
    ("config", "cache_dtype", "per_token"),
    [
        pytest.param(
            {"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "torch_dtype": "bfloat16"},
            "auto",
            61 * 576 * 2,
            id="DeepSeek-R1, MLA",
        ),
        pytest.param(
            {"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "torch_dtype": "bfloat16"},
            "fp8_e4m3",
            61 * 576,
            id="MLA, FP8 cache",
        ),
        pytest.param(
            {
                "num_hidden_layers": 94,
                "num_attention_heads": 64,
                "num_key_value_heads": 4,
                "head_dim": 128,
                "hidden_size": 4096,
                "torch_dtype": "bfloat16",
            },
            "auto",
            2 * 94 * 4 * 128 * 2,
            id="Qwen3-235B, GQA",
        ),
        pytest.param(
            {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096, "dtype": "float16"},
            "auto",
            2 * 32 * 32 * 128 * 2,
            id="MHA",
        ),
    ],
)
def test_bytes_per_token_of_known_models(config: dict[str, object], cache_dtype: str, per_token: float) -> None:
    shape = kv_shape(config, block_tokens=16, cache_dtype=cache_dtype)
    assert isinstance(shape, KvShape)
    assert shape.bytes_per_token == per_token


def test_the_latent_kv_of_mla_lies_on_every_tp_rank() -> None:
    config: dict[str, object] = {
        "num_hidden_layers": 61,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "torch_dtype": "bfloat16",
    }
    shape = kv_shape(config, block_tokens=16, cache_dtype="auto", copies=8)
    assert isinstance(shape, KvShape)
    assert shape.bytes_per_token == 8 * 61 * 576 * 2


@pytest.mark.parametrize(
    "config", [{}, {"num_hidden_layers": "2"}, {"num_hidden_layers": 2, "torch_dtype": "bfloat16"}]
)
def test_a_config_that_does_not_say_it_is_unknown(config: dict[str, object]) -> None:
    assert isinstance(kv_shape(config, block_tokens=16, cache_dtype="auto"), Unknown)

"""KV bytes that are derived, against what NIXL counted on a real pair of vLLM engines."""

from __future__ import annotations

import pytest

from pdctl.model.figure import Basis, Figure
from pdctl.model.reading import Unknown
from pdctl.telemetry.families import ENGINE_FAMILIES
from pdctl.telemetry.histogram import Histogram
from pdctl.telemetry.kv_bytes import KvShape, derived_bytes, kv_shape
from pdctl.telemetry.meter import Meter, Tally, merge_tallies
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


def test_every_tp_rank_has_a_head_of_kv_even_where_there_are_fewer_heads_than_ranks() -> None:
    shape = kv_shape(TINY_LLAMA, block_tokens=16, cache_dtype="auto", copies=8)
    assert isinstance(shape, KvShape)
    assert shape.bytes_per_token == 2 * 2 * 8 * 32 * 2.0


@pytest.mark.parametrize(
    ("more", "cache_dtype"),
    [
        pytest.param({}, "fp8_ds_mla", id="scales beside FP8"),
        pytest.param({"index_topk": 2048}, "auto", id="an index beside KV"),
        pytest.param({"layer_types": ["full_attention", "sliding_attention"]}, "auto", id="layers with a window"),
    ],
)
def test_layouts_that_hold_more_or_less_than_the_formula_are_unknown(more: dict[str, object], cache_dtype: str) -> None:
    assert isinstance(kv_shape({**TINY_LLAMA, **more}, block_tokens=16, cache_dtype=cache_dtype), Unknown)


def test_a_pool_whose_engines_were_watched_for_different_times_adds_their_rates() -> None:
    """10 requests of 33 tokens a second from each: the one that joined late counts in full, with its padding."""
    tallies = []
    for elapsed_s in (100.0, 10.0):
        requests = 10 * elapsed_s
        lengths = Histogram((50.0, float("inf")), (requests, requests), 33 * requests, requests)
        tallies.append(
            Tally(elapsed_s, {("prompt_source", "external_kv_transfer"): 33 * requests}, {"prompt_length": lengths})
        )
    merged = merge_tallies(tallies)
    assert merged is not None
    derived = derived_bytes(merged, KvShape(1.0, 32), age_s=0.0)
    assert isinstance(derived, Figure)
    assert derived.low <= 2 * 10 * 64 <= derived.high
    assert merged.events_per_s("prompt_length") == pytest.approx(20.0)
    assert merged.total_per_s("prompt_length") == pytest.approx(660.0)

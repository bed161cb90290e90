"""KV bytes that crossed, where the connector does not count them: tokens that arrived, in whole blocks, times bytes."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.figure import Basis, Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.telemetry.meter import Tally


@dataclass(frozen=True, slots=True)
class KvShape:
    """How much KV one token takes on all layers, both of K and V, over all TP ranks; and tokens per block, which are
    `assumed_blocks` where the pool's arguments do not set them.

    MHA and GQA: 2 * layers * kv_heads * head_dim * bytes, at least one head a TP rank; MLA: layers * (kv_lora_rank +
    qk_rope_head_dim) * bytes, once per TP rank that receives it (vLLM 0.33 v1/kv_cache_interface.py).
    """

    bytes_per_token: float
    block_tokens: int
    assumed_blocks: bool = False

    def told(self, block_tokens: int | None) -> KvShape:
        """With the block size that the engines tell, where they do: attention backends may have chosen it."""
        return self if block_tokens is None else KvShape(self.bytes_per_token, block_tokens)


def kv_shape(config: dict[str, object], *, block_tokens: int, cache_dtype: str, copies: int = 1) -> KvShape | Unknown:
    """From the model's `config.json`. `copies`: TP ranks; each receives the whole latent KV (MLA), and one head of KV
    at least (vLLM 0.33 config/model.py, get_num_kv_heads). Unknown for layouts that are more than that."""
    if odd := _odd_layout(config, cache_dtype):
        return Unknown(odd, "config.json")
    width = _width(cache_dtype, str(config.get("torch_dtype") or config.get("dtype") or ""))
    layers = _whole(config, "num_hidden_layers")
    if width is None or layers is None:
        return Unknown("the model's config names no layers or no data type", "config.json")
    rank, rope = _whole(config, "kv_lora_rank"), _whole(config, "qk_rope_head_dim")
    if rank is not None and rope is not None:
        return KvShape(float(layers * (rank + rope) * width * copies), block_tokens)
    heads = _whole(config, "num_attention_heads")
    kv_heads = _whole(config, "num_key_value_heads") or heads
    hidden = _whole(config, "hidden_size")
    head = _whole(config, "head_dim") or (hidden // heads if hidden and heads else None)
    if kv_heads is None or head is None:
        return Unknown("the model's config names no heads", "config.json")
    return KvShape(float(2 * layers * max(kv_heads, copies) * head * width), block_tokens)


def _odd_layout(config: dict[str, object], cache_dtype: str) -> str:
    """Why tokens times bytes would be wrong: scales beside FP8 (DeepSeek V3.2), layers that keep a window or a state
    instead of all tokens. "" where it would not."""
    if "ds_mla" in cache_dtype or "index_topk" in config:
        return "the cache keeps scales or an index beside KV: bytes per token are not in the model's config"
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and any(kind != "full_attention" for kind in kinds):
        return "some of the model's layers do not keep all tokens"
    return ""


def derived_bytes(tally: Tally, shape: KvShape | Unknown, age_s: float) -> Fig:
    """Bytes per second that arrived by KV transfer, from the decode side's token counter.

    Blocks move whole, and a counter of tokens does not tell how full the last block of each request was: the interval
    runs from no padding at all to one token in each last block.
    """
    if isinstance(shape, Unknown):
        return shape
    tokens = tally.rate("prompt_source", "external_kv_transfer")
    if tokens is None:
        tokens = tally.rate("external_hits")
    if tokens is None:
        return Unknown("the engine does not show where its prompt tokens come from", "prompt_tokens_by_source")
    lengths = tally.events_per_s("prompt_length")
    requests = tokens if lengths is None else min(lengths, tokens)  # a request that got any KV got a token of it
    padding = requests * (shape.block_tokens - 1)
    low, high = tokens * shape.bytes_per_token, (tokens + padding) * shape.bytes_per_token
    assumed = " (vLLM's default: the pool does not say)" if shape.assumed_blocks else ""
    note = f"tokens moved, in whole blocks of {shape.block_tokens}{assumed}"
    return Figure(low, high, age_s, Basis.DERIVED, note)


def _width(cache_dtype: str, model_dtype: str) -> int | None:
    """Bytes of one element; `auto` is the model's own type (vLLM 0.33 config/cache.py)."""
    name = model_dtype if cache_dtype in ("", "auto") else cache_dtype
    for part, width in (("fp8", 1), ("int8", 1), ("bfloat16", 2), ("float16", 2), ("half", 2), ("float32", 4)):
        if part in name:
            return width
    return None


def _whole(config: dict[str, object], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

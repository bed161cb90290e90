"""Synthetic requests: what the n-th request of a load asks. Pure, and the same for the same seed."""

from __future__ import annotations

import random
from typing import Any

from pdctl.model.load import Api, LoadSpec, PromptKind

FIRST_TOKEN_ID = 10  # the lowest ids of most vocabularies are special tokens
WORDS = (
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "island",
    "juniper",
    "kettle",
    "lantern",
    "meadow",
    "north",
    "orchard",
    "pebble",
    "quarry",
    "river",
    "summit",
    "timber",
)


def prompt(spec: LoadSpec, index: int) -> list[int] | str:
    """The prompt of request `index`: exactly `spec.isl` token ids, or as many words."""
    rng = random.Random(f"{spec.seed}/{index}")
    if spec.prompt is PromptKind.WORDS:
        return " ".join(rng.choices(WORDS, k=spec.isl))
    return rng.choices(range(min(FIRST_TOKEN_ID, spec.vocab - 1), spec.vocab), k=spec.isl)


def is_streamed(spec: LoadSpec, index: int) -> bool:
    """Whether request `index` is streamed: the share holds, to within one, over the first n requests for any n."""
    return int((index + 1) * spec.stream_share) > int(index * spec.stream_share)


def body(spec: LoadSpec, index: int) -> dict[str, Any]:
    """The JSON body of request `index`. The output length is forced: `ignore_eos` and equal bounds."""
    asked = prompt(spec, index)
    question: dict[str, Any] = (
        {"messages": [{"role": "user", "content": asked}]} if spec.api is Api.CHAT else {"prompt": asked}
    )
    fixed = {"model": spec.model, "max_tokens": spec.osl, "min_tokens": spec.osl, "ignore_eos": True, "temperature": 0}
    if not is_streamed(spec, index):
        return fixed | question | {"stream": False}
    return fixed | question | {"stream": True, "stream_options": {"include_usage": True}}

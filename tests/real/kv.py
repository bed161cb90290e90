"""What an engine's metrics say about the KV that moved, by vLLM's counters and by NIXL's; and what it must come to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

import httpx

from pdctl.engines.probes import parse_load
from tests.fleet.command import Json

_SAMPLE = re.compile(r"^(?P<name>vllm:nixl_\w+)\{[^}]*\} (?P<value>\S+)$", re.MULTILINE)
_BLOCK = re.compile(r'^vllm:cache_config_info\{[^}]*\bblock_size="(\d+)"', re.MULTILINE)
FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Kv:
    """Prompt tokens by where their KV came from; NIXL's transfers and bytes; what went wrong or was left to expire."""

    local_tokens: float = 0
    external_tokens: float = 0
    transfers: float = 0
    transferred_bytes: float = 0
    failed: float = 0
    expired: float = 0

    def __add__(self, other: Kv) -> Kv:
        return Kv(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __sub__(self, other: Kv) -> Kv:
        return Kv(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(self)))


NOTHING = Kv()


async def kv_of(instance: Json) -> Kv:
    """Of the engine behind one instance of a status."""
    text = await _metrics(instance)
    load = parse_load(text)
    assert load.local_compute_tokens is not None
    assert load.external_kv_tokens is not None
    nixl = {match["name"]: float(match["value"]) for match in _SAMPLE.finditer(text)}
    return Kv(
        load.local_compute_tokens,
        load.external_kv_tokens,
        nixl["vllm:nixl_bytes_transferred_count"],
        nixl["vllm:nixl_bytes_transferred_sum"],
        nixl["vllm:nixl_num_failed_transfers_total"],
        nixl["vllm:nixl_num_kv_expired_reqs_total"],
    )


async def kv_of_role(seen: Json, role: str) -> Kv:
    """Of all engines of a role in a status, added up."""
    total = NOTHING
    for instance in seen["instances"]:
        if instance["role"] == role:
            total += await kv_of(instance)
    return total


async def running_at(instance: Json) -> float:
    """Requests that the engine has in hand."""
    running = parse_load(await _metrics(instance)).running
    assert running is not None
    return running


async def block_tokens_of(instance: Json) -> int:
    """How many tokens a KV block of that engine holds, as it says itself."""
    found = _BLOCK.search(await _metrics(instance))
    assert found is not None
    return int(found[1])


def kv_bytes_per_token(model: Path) -> int:
    """Of a model with grouped attention in float32, by its config.json: keys and values of every layer."""
    config = json.loads((model / "config.json").read_text())
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return int(2 * config["num_hidden_layers"] * config["num_key_value_heads"] * head_dim * FLOAT32_BYTES)


def derived_bytes(moved: Kv, block_tokens: int, bytes_per_token: int) -> float:
    """What must have moved by vLLM's own count of tokens, for prompts of about one length: whole blocks move."""
    blocks = -(-moved.external_tokens / moved.transfers // block_tokens)
    return moved.transfers * blocks * block_tokens * bytes_per_token


async def _metrics(instance: Json) -> str:
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        answer = await client.get(f"http://{instance['endpoint']}/metrics")
    answer.raise_for_status()
    return answer.text

"""What an engine's metrics say about the KV that moved, by vLLM's counters and by NIXL's."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from pdctl.engines.probes import parse_load
from tests.fleet.command import Json

_SAMPLE = re.compile(r"^(?P<name>vllm:nixl_\w+)\{[^}]*\} (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kv:
    """Prompt tokens by where their KV came from; NIXL's transfers and bytes; what went wrong or was left to expire."""

    local_tokens: float
    external_tokens: float
    transfers: float
    transferred_bytes: float
    failed: float
    expired: float

    def __sub__(self, other: Kv) -> Kv:
        return Kv(
            self.local_tokens - other.local_tokens,
            self.external_tokens - other.external_tokens,
            self.transfers - other.transfers,
            self.transferred_bytes - other.transferred_bytes,
            self.failed - other.failed,
            self.expired - other.expired,
        )

    def __add__(self, other: Kv) -> Kv:
        return self - (NOTHING - other)


NOTHING = Kv(0, 0, 0, 0, 0, 0)


async def kv_of(instance: Json) -> Kv:
    """Of the engine behind one instance of a status."""
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        answer = await client.get(f"http://{instance['endpoint']}/metrics")
    answer.raise_for_status()
    load = parse_load(answer.text)
    assert load.local_compute_tokens is not None
    assert load.external_kv_tokens is not None
    nixl = {match["name"]: float(match["value"]) for match in _SAMPLE.finditer(answer.text)}
    return Kv(
        load.local_compute_tokens,
        load.external_kv_tokens,
        nixl["vllm:nixl_bytes_transferred_count"],
        nixl["vllm:nixl_bytes_transferred_sum"],
        nixl["vllm:nixl_num_failed_transfers_total"],
        nixl["vllm:nixl_num_kv_expired_reqs_total"],
    )


async def kv_of_role(seen: Json, role: str) -> Kv:
    """Of all engines of a role, added up."""
    total = NOTHING
    for instance in seen["instances"]:
        if instance["role"] == role:
            total += await kv_of(instance)
    return total

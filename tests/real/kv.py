"""What an engine's metrics say about the KV that moved, by vLLM's counters and by NIXL's; and what it must come to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import httpx

from pdctl.engines.probes import parse_load
from pdctl.model.figure import Figure
from pdctl.telemetry.families import ENGINE_FAMILIES, scraped_names
from pdctl.telemetry.kv_bytes import KvShape, derived_bytes, kv_shape
from pdctl.telemetry.meter import Meter
from pdctl.telemetry.scan import Scanner
from tests.fleet.command import Json

_SAMPLE = re.compile(r"^(?P<name>vllm:nixl_\w+)\{[^}]*\} (?P<value>\S+)$", re.MULTILINE)
_BLOCK = re.compile(r'^vllm:cache_config_info\{[^}]*\bblock_size="(\d+)"', re.MULTILINE)


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
    text = await metrics_of(instance)
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
    running = parse_load(await metrics_of(instance)).running
    assert running is not None
    return running


async def shape_of(instance: Json, model: Path) -> KvShape:
    """How much KV a token takes there: by the model's config, and by the block size that the engine names."""
    found = _BLOCK.search(await metrics_of(instance))
    assert found is not None
    config = json.loads((model / "config.json").read_text())
    shape = kv_shape(config, block_tokens=int(found[1]), cache_dtype="auto")
    assert isinstance(shape, KvShape)
    return shape


@dataclass(frozen=True, slots=True)
class Bytes:
    """KV bytes that arrived: between which bounds telemetry derives them, and what the connector counted."""

    low: float = 0
    high: float = 0
    counted: float = 0

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


def by_telemetry(scrapes: Iterable[tuple[str, str]], shape: KvShape) -> Bytes:
    """What pdctl's telemetry makes of two scrapes of each decode engine."""
    total = Bytes()
    for pair in scrapes:
        meter, scanner = Meter(ENGINE_FAMILIES), Scanner(scraped_names(ENGINE_FAMILIES))
        for at_s, text in enumerate(pair):  # a second apart: its rates are totals
            assert meter.feed(float(at_s), scanner.scan(text))
        tally = meter.tally(1.0)
        assert tally is not None
        derived = derived_bytes(tally, shape, age_s=0.0)
        assert isinstance(derived, Figure)
        counted = tally.histograms["xfer_bytes"].total
        total = Bytes(total.low + derived.low, total.high + derived.high, total.counted + counted)
    return total


async def metrics_of(instance: Json) -> str:
    """The text of its `/metrics`."""
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        answer = await client.get(f"http://{instance['endpoint']}/metrics")
    answer.raise_for_status()
    return answer.text

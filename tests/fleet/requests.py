"""Requests as clients send them, to the router of a simulated cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from pdctl.bench.load import run_load
from pdctl.model.load import LoadReport, LoadSpec
from pdctl.sim.fleet_inventory import MODEL_NAME


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one completion; status 0 where there was no connection."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        return self.status == 200 and '"finish_reason"' in self.text


async def completion(url: str) -> Answer:
    """One small completion through the router."""
    body = {"model": MODEL_NAME, "prompt": "Where do nodes go at night?", "max_tokens": 4}
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        try:
            answer = await client.post(f"{url}/v1/completions", json=body)
        except httpx.TransportError as error:
            return Answer(0, str(error))
        return Answer(answer.status_code, answer.text)


async def load_until(url: str, stop: Callable[[], bool], *, osl: int = 32, concurrency: int = 3) -> LoadReport:
    """A load of streams until `stop` says so: few, for every one of their tokens costs the commands under test CPU."""
    spec = LoadSpec(
        url=url, model=MODEL_NAME, concurrency=concurrency, isl=128, osl=osl, requests=100_000, deadline_s=60.0
    )
    return await run_load(spec, stop=stop)

"""The router's own figures of what it still holds for a worker: what a drain must see at 0.

The router picks a pair before the prefill leg, so a fenced decode is `pending` there long before the engine knows of
the request; the figures survive the member's eviction (measured with vllm-router 0.1.17).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "vllm_router_"
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: \d+)?$")
_WORKER = re.compile(r'(?:^|,)worker="([^"]*)"')
_GIVEN = ("pd_requests_total", "processed_requests_total")
_HELD = ("pd_pending_decode_requests", "pd_active_decode_requests", "pd_prefill_occupancy")
_DECODES, _PREFILLS = "pd_decode_requests_total", "pd_prefill_requests_total"


@dataclass(frozen=True, slots=True)
class RouterLoad:
    """Requests that the router holds for one worker, over all ranks; None: unknown, never to be read as 0.

    `pending` and `active` are decode legs before and after their dispatch, `occupancy` is prefill legs.
    """

    pending: float | None
    active: float | None
    occupancy: float | None


UNKNOWN = RouterLoad(None, None, None)


def parse_router_load(text: str, worker: str) -> RouterLoad:
    """The load of `worker` (`host:port`, with or without scheme) in the router's Prometheus text.

    A router that never chose a worker has no series of it, and before its first request none at all: that is 0. A
    worker that has served legs but lacks the gauge is unknown, and so is a text that is no metrics of this router.
    """
    samples = _samples(text, _bare(worker))
    if samples is None:
        return UNKNOWN

    def figure(name: str, served: str) -> float | None:
        return samples.get(name, None if served in samples else 0.0)

    return RouterLoad(
        figure("pd_pending_decode_requests", _DECODES),
        figure("pd_active_decode_requests", _DECODES),
        figure("pd_prefill_occupancy", _PREFILLS),
    )


@dataclass(frozen=True, slots=True)
class RouterUse:
    """What clients do with a router: requests that it has been given since its start, and legs that it holds now."""

    given: float
    held: float


def parse_router_use(text: str) -> RouterUse | None:
    """Over all workers; None where that is not known."""
    given = held = 0.0
    ours = not text.strip()
    for line in text.splitlines():
        sample = _SAMPLE.match(line.strip())
        if sample is None or not sample["name"].startswith(_PREFIX):
            continue
        ours = True
        name = sample["name"].removeprefix(_PREFIX)
        try:
            value = float(sample["value"])
        except ValueError:
            return None
        given += value if name in _GIVEN else 0.0
        held += value if name in _HELD else 0.0
    return RouterUse(given, held) if ours else None


def _samples(text: str, worker: str) -> Mapping[str, float] | None:
    """Sums over ranks by family, of one worker; None where the text is not what a vllm-router prints."""
    sums: dict[str, float] = {}
    ours = not text.strip()
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        sample = _SAMPLE.match(line.strip())
        if sample is None:
            return None
        if not sample["name"].startswith(_PREFIX):
            continue
        ours = True
        found = _WORKER.search(sample["labels"] or "")
        if found is None or _bare(found[1]) != worker:
            continue
        try:
            value = float(sample["value"])
        except ValueError:
            return None
        name = sample["name"].removeprefix(_PREFIX)
        sums[name] = sums.get(name, 0.0) + value
    return sums if ours else None


def _bare(worker: str) -> str:
    """Labels carry `http://host:port` or `host:port`, depending on the outcome."""
    return worker.partition("://")[2].rstrip("/") if "://" in worker else worker.rstrip("/")

"""Tallies and gauges to the figures of a snapshot. What a target does not show is unknown, with the family's name."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.model.figure import Basis, Fig, Figure, Latency
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Flow, KvTransfer, Latencies, Load, Window
from pdctl.telemetry.meter import Tally

FAILED_REASONS = ("abort", "error", "repetition")
"""`finished_reason` of requests that were not served whole (vLLM 0.33)."""

_LATENCIES = ("ttft", "itl", "tpot", "queue", "prefill", "decode", "e2e")


def load(gauges: Mapping[tuple[str, str], float], age_s: float) -> Load:
    """What is in hand now. Deferred requests are waiting ones; SGLang counts them in queues of their own."""

    def gauge(key: str, split: str = "") -> Fig:
        value = gauges.get((key, split))
        return Unknown("the engine does not show it", key) if value is None else Figure.exact(value, age_s)

    deferred = gauge("waiting_by", "deferred")
    if isinstance(deferred, Unknown):
        queues = [gauges[key, ""] for key in ("transfer_queue", "prealloc_queue") if (key, "") in gauges]
        if queues:
            deferred = Figure.exact(sum(queues), age_s)
    return Load(gauge("running"), gauge("waiting"), deferred, gauge("kv_usage"))


def window(tally: Tally, age_s: float) -> Window:
    """Rates and latencies over the tally's time."""
    return Window(tally.elapsed_s, _flow(tally, age_s), _latencies(tally, age_s))


def kv_transfer(tally: Tally, age_s: float, bytes_derived: Fig, bytes_nic: Fig) -> KvTransfer:
    """What moved, from the receiving (decode) side's tally; the derived and the NIC's figures come from elsewhere."""
    moved, transfers = tally.total_per_s("xfer_bytes"), tally.events_per_s("xfer_bytes")
    took = tally.histograms.get("xfer_time")
    silent = Unknown("the KV connector exports no metrics", "MoRI-IO up to vLLM 0.33 has none")
    return KvTransfer(
        bytes_measured=silent if moved is None else Figure.exact(moved, age_s),
        bytes_derived=bytes_derived,
        bytes_nic=bytes_nic,
        transfers=silent if transfers is None else Figure.exact(transfers, age_s),
        transfer_time=took.latency(age_s) if took else Latency.unknown(silent.reason, silent.source),
        failed=_rate(tally, "xfer_failed", age_s, silent),
        expired=_rate(tally, "xfer_expired", age_s, silent),
        local_compute=_rate(tally, "prompt_source", age_s, split="local_compute"),
    )


def _flow(tally: Tally, age_s: float) -> Flow:
    finished = tally.rates("finished")
    steps = tally.events_per_s("step_tokens")
    errors: dict[str, Fig] = {
        reason: Figure.exact(rate, age_s) for reason, rate in finished.items() if reason in FAILED_REASONS
    }
    for reason, rate in tally.rates("rejected").items():
        errors[f"rejected: {reason}"] = Figure.exact(rate, age_s)
    ended = tally.total_per_s("output_length")
    tokens_out = _rate(tally, "tokens_out", age_s)
    requests = _rate(tally, "requests", age_s)
    if finished:
        requests = Figure.exact(sum(finished.values()), age_s)
    return Flow(
        requests=requests,
        tokens_in=_rate(tally, "tokens_in", age_s),
        tokens_out=tokens_out,
        steps=_not_shown("step_tokens") if steps is None else Figure.exact(steps, age_s),
        preemptions=_rate(tally, "preemptions", age_s),
        prefix_hit_share=_share(tally, "prefix_hits", "prefix_queries", age_s),
        errors=errors,
        tokens_ended=tokens_out if ended is None else Figure.exact(ended, age_s),
    )


def _latencies(tally: Tally, age_s: float) -> Latencies:
    found = {
        key: tally.histograms[key].latency(age_s)
        if key in tally.histograms
        else Latency.unknown("the engine does not show it", key)
        for key in _LATENCIES
    }
    return Latencies(**found)


def _rate(tally: Tally, family: str, age_s: float, otherwise: Unknown | None = None, *, split: str = "") -> Fig:
    rate = tally.rate(family, split)
    return (otherwise or _not_shown(family)) if rate is None else Figure.exact(rate, age_s)


def _share(tally: Tally, part: str, whole: str, age_s: float) -> Fig:
    hits, asked = tally.counters.get((part, "")), tally.counters.get((whole, ""))
    if hits is None or asked is None:
        return _not_shown(whole)
    if asked <= 0:
        return Unknown("nothing was looked up in this window")
    return Figure.exact(hits / asked, age_s, Basis.DERIVED)


def _not_shown(family: str) -> Unknown:
    return Unknown("the engine does not show it", family)

"""What a column of a profile means, whatever it is called. Pure.

Names are read as words: case, punctuation and units in brackets do not matter, so `d_tp`, `D TP` and `tensor-parallel`
are one column, and `Decode Output (tok/s)`, `decode_tok_s` and `output_throughput` another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pdctl.bench.sizing.points import Phase

_TOKEN: Final = re.compile(r"p(?:50|90|95|99)\b|[a-z]+|\d+")

PHASES: Final[Mapping[str, Phase]] = {
    **dict.fromkeys(("p", "prefill", "prefills", "prefiller"), Phase.PREFILL),
    **dict.fromkeys(("d", "decode", "decodes", "decoder"), Phase.DECODE),
    **dict.fromkeys(("agg", "aggregated", "aggregate", "mixed", "colocated", "unified"), Phase.AGGREGATED),
}

_NAMES: Final[Mapping[str, str]] = {
    "tp": "tp|tp size|tensor|tensor parallel|tensor parallel size|tensor parallelism",
    "dp": "dp|dp size|data|data parallel|data parallel size|data parallelism",
    "width": "config|configuration|parallelism|parallel|layout|width",
    "gpus": "gpus|gpu count|gpus count|num gpus|num gpu|n gpus|n gpu|ngpus|ngpu|gpus per instance|gpus per replica"
    "|gpus per worker",
    "concurrency": "concurrency|conc|c|max concurrency|users|batch|batch size|bs|num seqs|in flight",
    "isl": "isl|input|input len|input length|input tokens|prompt len|prompt length|prompt tokens|random input len"
    "|input sequence length",
    "osl": "osl|output len|output length|output tokens|random output len|output sequence length",
    "model": "model|model name|model id",
    "phase": "phase|role|kind|type|stage|workload type|mode",
    "source": "source|raw|raw run|run|run path",
    "kv_bytes_per_token": "kv bytes per token|kv bytes token|kv cache bytes per token|bytes per token",
    "kv_bytes_per_s": "kv bandwidth bytes per s|kv bytes per s|bandwidth bytes per s",
    "note": "seed|requests|failed|note|notes|comment|date|host|node|gpu|name|ep",
    "tpsu": "tpsu",
    "tpsg": "tpsg",
    "best_p_gpus": "best p gpus|best prefill gpus",
    "total_gpus": "total gpus",
}
_PLAIN: Final[Mapping[str, str]] = {name: means for means, names in _NAMES.items() for name in names.split("|")}
_TOKEN_WORDS: Final = frozenset({"tok", "toks", "token", "tokens"})
_PER_SECOND: Final = frozenset({"s", "sec", "second", "seconds", "throughput", "tput", "thpt", "rate"})
_RATE_WORDS: Final = frozenset({"tps", "throughput", "tput", "thpt", "toks"})
_REQUESTS: Final = frozenset({"req", "reqs", "request", "requests"})  # a request *rate* is what was offered
_SECONDS: Final[Mapping[str, float]] = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_STATISTICS: Final[Mapping[str, str]] = {
    **{word: word for word in ("p99", "p95", "p90", "mean", "median")},
    "p50": "median",
    "avg": "mean",
    "average": "mean",
}

FIGURES: Final = ("output", "total", "input", "tok_s", "req_s")
DERIVED: Final = ("tpsu", "tpsg", "demand", "best_p_gpus", "total_gpus", "p_gpus")
_P_GPUS: Final = re.compile(r"(?:p|prefill) gpus (?:at )?((?:tp|dp|g) \d+(?: (?:dp|g) \d+)*)")
_WIDTH: Final = re.compile(r"\btp \d+(?: x? ?dp \d+)?\b|\bdp \d+\b")
_AT: Final = re.compile(r"\b(?:c|conc|concurrency) (\d+)\b")


@dataclass(frozen=True, slots=True)
class Column:
    """`means`: `tp`, `dp`, `gpus`, `width`, `concurrency`, `isl`, `osl`, `model`, `phase`, `source`, `note`; of
    throughputs `output`, `total`, `input`, `tok_s` (unsaid which), `req_s`; `ttft`, `tpot`, `itl`; what is derived from
    a match: `tpsu`, `tpsg`, `demand`, `best_p_gpus`, `total_gpus`, `p_gpus`; or "" where it is not known.

    `phase`, `width`, `concurrency`: those that the name itself says (`prefill_tp2`, `c16`). `unit_s`: the seconds in
    its unit, if it says one. `of`: a latency's statistic.
    """

    means: str
    phase: Phase | None = None
    per_gpu: bool = False
    unit_s: float | None = None
    of: str = ""
    width: str = ""
    concurrency: int | None = None


def words_of(name: str) -> list[str]:
    """`P_GPUs @TP=1` -> p, gpus, tp, 1."""
    return _TOKEN.findall(name.lower().replace("_", " "))


def phase_of(name: str) -> Phase | None:
    """The phase that a name or a value says: `decode-only`."""
    return next((PHASES[word] for word in words_of(name) if word in PHASES), None)


def column(name: str) -> Column:
    """What `name` means."""
    words = words_of(name)
    text = " ".join(words)
    claimed = _P_GPUS.fullmatch(text)
    if claimed:
        return Column("p_gpus", width=claimed[1].replace(" ", ""))
    if "demand" in words:
        return Column("demand")
    if text in _PLAIN:
        return Column(_PLAIN[text])
    phase = phase_of(name)
    rest = " ".join(word for word in words if word not in PHASES)
    plain = _PLAIN.get(rest)
    if plain and plain not in DERIVED:
        return Column(plain, phase)
    width, at = _WIDTH.search(rest), _AT.search(rest)
    left = _AT.sub("", _WIDTH.sub("", rest)).split()
    found = Column("tok_s", phase) if (width or at) and not left else _measured(left, phase)
    if found.means not in FIGURES:
        return found
    return replace(found, width=width[0].replace(" ", "") if width else "", concurrency=int(at[1]) if at else None)


def _measured(words: list[str], phase: Phase | None) -> Column:
    here = set(words)
    for latency in ("ttft", "tpot", "itl"):
        if latency in here:
            unit = next((_SECONDS[word] for word in reversed(words) if word in _SECONDS), None)
            of = next((_STATISTICS[word] for word in words if word in _STATISTICS), "")
            return Column(latency, phase, unit_s=unit, of=of) if here.isdisjoint({"std", "stddev"}) else Column("")
    if here & {"std", "stddev", "peak", "gap"}:
        return Column("")
    if {"user"} & here and (here & _RATE_WORDS or here & _TOKEN_WORDS):
        return Column("tpsu", phase)
    if (here & _REQUESTS and here & (_PER_SECOND - {"rate"})) or here & {"rps", "qps"}:
        return Column("req_s", phase)
    if not (here & _RATE_WORDS or (here & _TOKEN_WORDS and here & _PER_SECOND)):
        return Column("")
    per_gpu = bool(here & {"gpu", "gpus"})
    for which, names in (("total", {"total"}), ("input", {"input", "in", "prompt"})):
        if here & names:
            return Column(which, phase, per_gpu)
    return Column("output" if here & {"output", "out", "generation", "gen"} else "tok_s", phase, per_gpu)

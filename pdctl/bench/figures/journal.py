"""Rows in the columns of Narwhal's journals and samples, so that its tools and ours can score one another's runs.

Column names and meanings are those of its `docs/Api.md`, `bench.py` and `provenance.py` (August 2026). What our client
cannot know is null: `crossed` and the instances where an answer does not name them, and the instances of earlier
attempts. `ttft_s` is the client's, as in that peer's samples; its router's journal ends it at the prefill instance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome


def meta_line(version: str, commit: str | None) -> str:
    """The first line of either file: which build wrote it."""
    return _line({"meta": {"package": "pdctl", "version": version, "git": commit}})


def journal_lines(rows: Iterable[Row], run: str) -> Iterator[str]:
    """A line per request, in the order in which they were sent. `run` tells runs in one file apart."""
    for row in sorted(rows, key=lambda row: (row.sent_s, row.index)):
        yield _line(journal_row(row, run))


def sample_lines(rows: Iterable[Row], rate_per_s: float) -> Iterator[str]:
    """What `narwhal-bench --out` writes: `rid` is the request's place in the trace, by which a walk is scored."""
    for row in sorted(rows, key=lambda row: row.index):
        sample = {"rate": rate_per_s, "rid": f"b{row.index}", **_measured(row), "wanted_len": row.osl}
        yield _line(sample)


def journal_row(row: Row, run: str) -> dict[str, Any]:
    """One request. Rows that were refused carry `refused` and `refused_cause` too, as there."""
    known = bool(row.prefill and row.decode)
    said: dict[str, Any] = {
        "run": run,
        "rid": row.request_id,
        "client_rid": row.request_id,
        "arrived": row.sent_s,
        "wanted_len": row.osl,
        **_measured(row),
        "first_byte_s": row.first_byte_s,
        "prefill_iid": row.prefill or None,
        "decode_iid": row.decode or None,
        "crossed": row.prefill != row.decode if known else None,
        "attempts": [None] * (row.attempts - 1) + [row.decode or None],
        "tenant": "anonymous",
    }
    if row.outcome is Outcome.REFUSED:
        said |= {"refused": True, "refused_cause": row.refusal or None}
    return said


def _measured(row: Row) -> dict[str, Any]:
    return {
        "input_len": row.isl if row.prompt_tokens is None else row.prompt_tokens,
        "output_len": row.tokens,
        "ttft_s": row.ttft_s,
        "tpot_s": row.tpot_s if row.ok else None,
        "error": None if row.ok else row.error or row.refusal or row.outcome.value,
    }


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said) + "\n"

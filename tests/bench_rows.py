"""Rows of requests made up for tests."""

from __future__ import annotations

from typing import Any

from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome


def row(index: int = 0, **changes: Any) -> Row:
    """A request of 8 tokens in and 3 out that took 0.4 s: its first token after 0.2 s, then gaps of 0.1 s."""
    fields: dict[str, Any] = {
        "index": index,
        "request_id": f"r{index}",
        "at_s": 0.0,
        "sent_s": 0.0,
        "isl": 8,
        "osl": 3,
        "outcome": Outcome.OK,
        "ttft_s": 0.2,
        "e2el_s": 0.4,
        "gaps_s": (0.1, 0.1),
        "tokens": 3,
    }
    return Row(**(fields | changes))

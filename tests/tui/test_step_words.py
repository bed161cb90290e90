"""What finished steps say: words, and never the journal's own notation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pdctl.tui.step_words import step_words

AT_FENCE = {"running": 4.0, "waiting": 1.0, "KV in use": 0.004}


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({}, ""),
        (
            {"drained": True, "cut": 0, "in_flight_at_fence": 5, "at_fence": AT_FENCE, "emptied_s": 0.2},
            "5 in hand, none cut (4 running, 1 waiting, <1% KV in use), empty after 0.2s",
        ),
        (
            {"drained": False, "cut": 3, "in_flight_at_fence": 3, "at_fence": {}, "left": {"KV in use": 0.12}},
            "not drained, 3 in hand, at least 3 cut, left: 12% KV in use",
        ),
        ({"drained": True, "cut": 0, "why": "not running"}, "not running"),
        ({"evicted": "was no member"}, "was no member"),
        ({"evicted_s": 4.11}, "forgotten after 4.1s"),
        ({"pool": None, "was": "decode", "inventory": "/x.yaml", "digest": "2d5c89"}, "decode -> spare"),
        ({"pool": "decode", "digest": "2d5c89"}, "pool decode"),
        ({"existed": True, "forced": False, "leftovers": 0}, ""),
        ({"existed": True, "forced": True, "leftovers": 2}, "had to be killed, 2 left behind, killed"),
        (
            {"generation": 3, "endpoint": "10.0.0.1:8000", "gpus": [0, 1, 2, 3, 6], "pids": [12]},
            "generation 3, at 10.0.0.1:8000, GPUs 0-3,6",
        ),
        ({"gpus": [5]}, "GPU 5"),
        ({"partner": "b.main.0", "took_s": 0.2, "pairs": 3, "broken": {"c": "refused"}},
         "with b.main.0, 3 pairs tried, broken with c (refused)"),
        ({"partner": None, "skipped": True}, "not proven, as asked"),
        ({"new": [1, {"a": 2.0}], "odd_s": 61.0}, "new 1, 2 a, odd 1m01s"),
    ],
)  # fmt: skip
def test_a_step_speaks_in_words(detail: Mapping[str, Any], said: str) -> None:
    assert step_words(detail) == said

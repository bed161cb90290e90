"""What a move came to, in words: for who watches it, and in the journal."""

from __future__ import annotations

import pytest

from pdctl.cli.commands.events import line
from pdctl.model.events import Moved, as_json
from pdctl.text.phrases import phrase

DONE = Moved("n2.main", "prefill", "decode", "moved", 12, 3.5, 0, {"fence": 5.0, "drain": 3.5}, 8.5, {"a": 1}, {"a": 2})


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (DONE, "moved       n2.main: prefill -> decode in 8.5s, 12 requests in hand at the fence, none cut"),
        (
            Moved("n2.main", "prefill", "", "moved", 1, 30.0, 1, {}, 30.0),
            "moved       n2.main: prefill -> spare in 30s, 1 request in hand at the fence, 1 request cut",
        ),
        (Moved("w0", "", "decode", "moved", None, None, 0, {}, 2.0), "moved       w0: spare -> decode in 2.0s"),
        (
            Moved("n2.main", "prefill", "decode", "put back", 3, None, 0, {}, 1.0),
            "move        n2.main: prefill -> decode: put back",
        ),
    ],
)
def test_phrase(event: Moved, said: str) -> None:
    assert phrase(event) == (said,)


def test_the_journal_tells_it_whole() -> None:
    entry = as_json(DONE, ts=1.0, run="r", cluster="c")
    assert (entry["in_flight_at_fence"], entry["cut"], entry["drained_s"]) == (12, 0, 3.5)
    assert (entry["phases"], entry["generations_after"]) == ({"fence": 5.0, "drain": 3.5}, {"a": 2})
    assert line(entry).endswith("moved n2.main: prefill -> decode, moved after 8.5 s, 12 in hand at the fence, 0 cut")

"""A snapshot survives JSON whole, and what is none is refused with the place."""

from __future__ import annotations

import json

import pytest

from pdctl.telemetry.codec import from_json, to_json, to_plain
from tests.unit.telemetry.snapshots import served


def test_a_snapshot_survives_json_without_loss() -> None:
    snapshot = served()
    assert from_json(to_json(snapshot)) == snapshot
    assert "Infinity" in to_json(snapshot).decode(), "the example has a quantile without an upper end"


def test_a_recording_of_before_there_were_ranks_is_read() -> None:
    snapshot = served()
    old = json.loads(to_json(snapshot))
    for instance in old["instances"].values():
        del instance["ranks"]
    assert from_json(json.dumps(old)) == snapshot


def test_plain_data_is_strict_json() -> None:
    json.dumps(to_plain(served()), allow_nan=False)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cluster": 3}'])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        from_json(text)

"""A snapshot survives JSON whole, and what is none is refused with the place."""

from __future__ import annotations

import pytest

from pdctl.telemetry.codec import from_json, to_json, to_plain
from tests.unit.telemetry.snapshots import served


def test_a_snapshot_survives_json_without_loss() -> None:
    snapshot = served()
    assert from_json(to_json(snapshot)) == snapshot
    assert "Infinity" in to_json(snapshot).decode(), "the example has a quantile without an upper end"


def test_plain_data_is_strict_json() -> None:
    import json

    json.dumps(to_plain(served()), allow_nan=False)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cluster": 3}'])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        from_json(text)

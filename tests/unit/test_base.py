"""The base of an `up`: nobody undoes a colleague's change unknowingly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.control.base import BaseRecord, check_base
from pdctl.control.lease import Applied, parse_applied
from pdctl.errors import StaleBase
from tests.unit.deployments import r1_2p3d

R1 = replace(r1_2p3d(), digest="ours")
THEIRS = Applied("theirs", "kim@laptop", 1_800_000_000.0, "…")


@pytest.mark.parametrize(
    ("applied", "base", "adopt"),
    [
        (None, None, False),  # a new cluster
        (replace(THEIRS, digest="ours"), None, False),  # the same inventory, from another machine
        (replace(THEIRS, digest="former"), "former", False),  # we applied it last, and changed it since
        (THEIRS, None, True),
        (THEIRS, "former", True),
    ],
)
def test_what_may_go_on(applied: Applied | None, base: str | None, adopt: bool) -> None:
    check_base(R1, applied, base, adopt=adopt)


@pytest.mark.parametrize("base", [None, "former"])
def test_an_older_base_is_refused_and_says_who_and_when(base: str | None) -> None:
    with pytest.raises(
        StaleBase, match=r"kim@laptop applied another inventory to r1-2p3d on 2027-01-15 08:00 UTC"
    ) as e:
        check_base(R1, THEIRS, base, adopt=False)
    assert "--adopt" in e.value.hint


def test_a_damaged_record_of_what_was_applied_is_no_licence_to_go_on() -> None:
    damaged = parse_applied({"at": "yesterday"})
    with pytest.raises(StaleBase, match="is not known: its record on the lease node is damaged") as e:
        check_base(R1, damaged, None, adopt=False)
    assert "--adopt" in e.value.hint
    check_base(R1, damaged, None, adopt=True)


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 1e300, -1e300])
def test_a_time_that_is_none_is_said_to_be_unknown(at: float) -> None:
    with pytest.raises(StaleBase, match="on unknown time"):
        check_base(R1, replace(THEIRS, at=at), None, adopt=False)


def test_the_record_survives_and_is_the_clusters_own(tmp_path: Path) -> None:
    record = BaseRecord.of(R1, tmp_path)
    assert record.read() is None
    record.write("former")
    assert BaseRecord.of(R1, tmp_path).read() == "former"
    assert BaseRecord.of(replace(R1, cluster="another"), tmp_path).read() is None
    assert BaseRecord.of(replace(R1, lease_node="mi300x-02"), tmp_path).read() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"'])
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    record = BaseRecord.of(R1, tmp_path)
    record.write("former")
    record.path.write_text(content)
    assert record.read() is None

"""Counters are judged by what they gained, and only against an earlier look that still holds."""

from __future__ import annotations

from pathlib import Path

from pdctl.health.counters import Baseline, Counted, CounterId, gains, next_baseline
from pdctl.health.pace import PaceProfile
from pdctl.health.records import FileRecords, MemoryRecords
from pdctl.model.reading import Known, Unknown

FLAPS = CounterId("mlx5_0", "link_downed", "guid-a")


def gained(*values: int, base: Baseline | None, identity: str = "guid-a", boot: str = "boot-1") -> int | str:
    """The gain, or why it is unknown."""
    counted = Counted(CounterId("mlx5_0", "link_downed", identity), values, "sysfs")
    found = gains([counted], "machine-1", boot, 160.0, base).of("mlx5_0", "link_downed")
    return found.value.count if isinstance(found, Known) else found.reason


BASE = Baseline("machine-1", "boot-1", 100.0, {FLAPS: 7})


def test_only_what_came_since_the_last_check_counts() -> None:
    assert gained(7, base=BASE) == 0
    assert gained(9, base=BASE) == 2
    found = gains([Counted(FLAPS, (9,), "sysfs")], "machine-1", "boot-1", 160.0, BASE).of("mlx5_0", "link_downed")
    assert isinstance(found, Known)
    assert str(found.value) == "+2 since the last check (60 s)"


def test_the_first_check_compares_two_looks_of_its_own() -> None:
    assert gained(500, 500, base=None) == 0
    assert gained(500, 503, base=None) == 3
    assert gained(500, base=None) == "no earlier look to compare with; the next check will know"


def test_a_reboot_voids_the_baseline() -> None:
    assert gained(3, 3, base=BASE, boot="boot-2") == 0
    assert "no earlier look" in str(gained(3, base=BASE, boot="boot-2"))
    assert "no earlier look" in str(gained(9, base=Baseline("machine-1", "", 1.0, {FLAPS: 7}), boot=""))


def test_a_swapped_device_or_another_machine_voids_the_baseline() -> None:
    assert "no earlier look" in str(gained(900, base=BASE, identity="guid-b"))
    assert "no earlier look" in str(gained(900, base=Baseline("machine-2", "boot-1", 100.0, {FLAPS: 7})))


def test_a_counter_that_fell_is_unknown_and_counts_anew() -> None:
    assert "it fell from 7 to 2" in str(gained(2, base=BASE))
    after = next_baseline([Counted(FLAPS, (2,), "sysfs")], "machine-1", "boot-1", 160.0)
    assert gained(2, base=after) == 0


def test_what_was_not_read_is_unknown() -> None:
    assert isinstance(gains([], "machine-1", "boot-1", 1.0, BASE).of("mlx5_0", "link_downed"), Unknown)


def test_records_outlive_the_process_and_keep_other_nodes(tmp_path: Path) -> None:
    records = FileRecords.of("r1", tmp_path)
    assert dict(records.baselines()) == {}
    records.keep_baselines({"n1": BASE})
    records.keep_baselines({"n2": Baseline("machine-2", "boot-9", 5.0, {})})
    records.keep_paces({"n1.all.0": PaceProfile("abc", (1.0, 1.1))})
    again = FileRecords.of("r1", tmp_path)
    assert again.baselines()["n1"] == BASE
    assert set(again.baselines()) == {"n1", "n2"}
    assert again.paces() == {"n1.all.0": PaceProfile("abc", (1.0, 1.1))}
    assert [path.name for path in (tmp_path / "health").iterdir()] == ["r1.json"]


def test_damaged_records_count_as_none(tmp_path: Path) -> None:
    records = FileRecords.of("r1", tmp_path)
    records.keep_baselines({"n1": BASE})
    records.path.write_text(records.path.read_text()[:-20])
    assert dict(records.baselines()) == {}
    records.keep_baselines({"n1": BASE})
    assert records.baselines()["n1"] == BASE


def test_records_in_memory_behave_alike() -> None:
    records = MemoryRecords()
    records.keep_baselines({"n1": BASE})
    records.keep_paces({"n1.all.0": PaceProfile("abc", (1.0,))})
    assert records.baselines() == {"n1": BASE}
    assert records.paces()["n1.all.0"].times_s == (1.0,)

"""Who watches over a cluster: what it tells whom, and that it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.follow import SettledFile, linked
from pdctl.control.heal import EVERYBODY, HangBook
from pdctl.control.journal import Session
from pdctl.control.keeper import Keeper, alert_of
from pdctl.control.opened import open_cluster
from pdctl.model.events import Event, Warned
from pdctl.model.keeper_events import (
    Healed,
    HealFailed,
    Healing,
    HealWaits,
    InventoryRejected,
    KeepingBegan,
    Quarantined,
)
from pdctl.model.snapshot import AlertLevel, Snapshot, Vital
from pdctl.text.phrases import phrase


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (Healing("n1.main.0", ("n1.main",), "killed by SIGKILL"), AlertLevel.WARN),
        (HealFailed("n1.main.0", "it does not serve"), AlertLevel.PAGE),
        (Quarantined("n1.main.0", ("n1.main",), "killed by SIGKILL"), AlertLevel.PAGE),
        (HealWaits("n1.main.0", "killed by SIGKILL; it may not start: gpu.count: 7 of 8"), AlertLevel.WARN),
        (HealWaits(EVERYBODY, "somebody else has the lease"), None),
        (Healed("n1.main.0", "killed by SIGKILL"), None),
        (Warned("of something else"), None),
    ],
)
def test_who_is_told_of_what_happened_to_an_engine(event: Event, level: AlertLevel | None) -> None:
    change = alert_of(event, 5.0)
    assert (change.alert.level if change is not None else None) == level


def test_a_quarantine_says_how_it_ends() -> None:
    lines = phrase(Quarantined("n1.main.0", ("n1.main",), "killed by SIGKILL"))
    assert "died again: killed by SIGKILL" in lines[0] and "pdctl undrain n1.main" in lines[1]


def test_a_bad_file_is_shown_with_its_problems() -> None:
    lines = phrase(InventoryRejected("/i.yaml", "abc", "2 problems", ("i.yaml:1:1: one", "i.yaml:2:1: two")))
    assert [line.strip() for line in lines[1:]] == ["| i.yaml:1:1: one", "| i.yaml:2:1: two"]


async def test_it_ends_with_the_first_interrupt(tmp_path: Path) -> None:
    events: list[Event] = []
    session = Session(events.append, Interrupt(), "run")
    session.interrupt.ask()
    await Keeper(session, SystemClock(), SettledFile(tmp_path / "none.yaml"), open_cluster).run()
    assert [type(event) for event in events] == [KeepingBegan]


async def test_the_operators_signals_reach_the_run_and_its_trouble_stays_its_own() -> None:
    outer = Session(lambda event: None, Interrupt(), "run")
    async with linked(outer, "run.1") as inner:
        inner.interrupt.stop("the lease was lost", 75)
    assert not outer.interrupt.asked.is_set()
    async with linked(outer, "run.2") as inner:
        outer.interrupt.ask()
        await inner.interrupt.asked.wait()
        assert not inner.interrupt.insisted.is_set()
        outer.interrupt.ask()
        await inner.interrupt.insisted.wait()


def shot(vital: Vital, generation: int = 1) -> Snapshot:
    """A snapshot of one engine, of which only this is looked at."""
    seen = SimpleNamespace(vital=vital, generation=generation)
    return cast(Snapshot, SimpleNamespace(instances={"n1.main.0": seen}))


def test_an_engine_hangs_since_it_was_first_seen_to_and_a_new_launch_has_not_begun() -> None:
    book = HangBook()
    assert book.hung_s(5.0) == {}
    book.take(shot(Vital.HUNG), 10.0)
    book.take(shot(Vital.HUNG), 60.0)
    assert book.hung_s(130.0) == {"n1.main.0": 120.0}
    book.take(shot(Vital.HUNG, generation=2), 140.0)
    assert book.hung_s(150.0) == {"n1.main.0": 10.0}
    book.take(shot(Vital.UP, generation=2), 160.0)
    assert book.hung_s(170.0) == {}

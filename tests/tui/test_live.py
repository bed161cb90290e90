"""Operations on a live cluster: refused where they must be, said where they fail; the next sees what the last made."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pdctl.control import carry_out as carrying
from pdctl.control import history
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.request import MoveRequest, Request
from pdctl.errors import PdctlError, PlanRefused, Unreachable
from pdctl.model.events import Event, Warned
from pdctl.tui.live import LiveOperations
from tests.unit.test_reread import NODE_C, TEXT, edit

REQUEST = MoveRequest(("c",), "prefill")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(TEXT)
    return path


async def test_where_nothing_may_be_changed_nothing_is_asked(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(opened: Opened, request: Request, session: Session) -> int:
        raise AssertionError("it was carried out")

    monkeypatch.setattr(carrying, "carry_out", never)
    async with open_cluster(inventory) as opened:
        operations = LiveOperations(opened, read_only="--read-only", new_run=lambda: "r")
        with pytest.raises(PlanRefused, match="--read-only"):
            await operations.carry_out(REQUEST, lambda event: None, Interrupt())


async def test_what_a_run_made_is_seen_after_it_and_only_one_runs(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, told, changed = asyncio.Event(), list[Event](), list[int]()

    async def slow(opened: Opened, request: Request, session: Session) -> int:
        session.sink(Warned(session.run))
        await go.wait()
        edit(inventory, f"{NODE_C}decode", f"{NODE_C}prefill")
        return 3

    monkeypatch.setattr(carrying, "carry_out", slow)
    async with open_cluster(inventory) as opened:
        operations = LiveOperations(opened, changed=lambda: changed.append(1), new_run=lambda: "r7")
        run = asyncio.create_task(operations.carry_out(REQUEST, told.append, Interrupt()))
        await asyncio.sleep(0)
        with pytest.raises(PlanRefused, match="under way"):
            await operations.carry_out(REQUEST, told.append, Interrupt())
        go.set()
        assert await run == 3
        assert (told, changed) == ([Warned("r7")], [1])
        assert [slot.pool for slot in operations.deployment.slots] == ["prefill", "decode", "prefill"]


async def test_an_error_of_the_system_is_one_that_can_be_said(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(opened: Opened, request: Request, session: Session) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(carrying, "carry_out", broken)
    async with open_cluster(inventory) as opened:
        operations = LiveOperations(opened, new_run=lambda: "r")
        with pytest.raises(PdctlError, match="No space left"):
            await operations.carry_out(REQUEST, lambda event: None, Interrupt())
        with pytest.raises(PdctlError, match="No space left"):  # and the next may try
            await operations.carry_out(REQUEST, lambda event: None, Interrupt())


async def test_a_journal_that_cannot_be_read_is_a_trouble(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(cluster: object, lines: int) -> history.Record:
        raise Unreachable("a", "no route to host")

    monkeypatch.setattr("pdctl.tui.live.record", gone)
    async with open_cluster(inventory) as opened:
        found = await LiveOperations(opened, new_run=lambda: "r").activity(10)
        assert (found.entries, found.trouble) == ((), "a: no route to host")

"""`router move` that is refused before anything begins leaves the operator's file as it was, to the byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.router_move import move_router
from pdctl.inventory.load import load
from pdctl.inventory.place import place
from tests.crash import scenario, virtual_time
from tests.crash.wire import Fault, Wire
from tests.crash.world import INVENTORY, FakeLease, UseCase, World

TEXT = INVENTORY.replace("cluster: crash", "cluster: crash\nlease_node: n1  # stays")


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def moving(file: Path) -> UseCase:
    """The operator's file is a real one here."""

    def as_written(opened: Opened) -> Opened:
        inventory = load(file)
        return Opened(replace(opened.cluster, deployment=place(inventory)), inventory)

    async def act(opened: Opened, session: Session) -> int:
        @asynccontextmanager
        async def again(path: Path) -> AsyncIterator[Opened]:
            yield as_written(opened)

        return await move_router(as_written(opened), "n2", session, again)

    return act


@pytest.mark.parametrize("in_the_way", ["another operator", "the lease node"])
def test_a_router_move_that_does_not_begin_writes_nothing_for_good(tmp_path: Path, in_the_way: str) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(TEXT)

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            if in_the_way == "another operator":
                world.lease = FakeLease(world, Wire())
                refused = await world.command(moving(file))
            else:
                refused = await world.command(moving(file), Wire(1, Fault.REQUEST_LOST))
            assert (refused.code, refused.mutations) == (75 if in_the_way == "another operator" else 4, [])
            assert file.read_text() == TEXT

    virtual_time.run(story())

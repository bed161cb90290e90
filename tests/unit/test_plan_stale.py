"""`plan` on a base that `up` would refuse: it says so beside what it would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.control import planning
from pdctl.control.cluster import Cluster
from pdctl.control.history import Record
from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.opened import Opened
from tests.crash import virtual_time
from tests.crash.world import DEPLOYMENT, World

KIM = Applied("theirs", "kim@laptop", 1_800_000_000.0, "…")


def planned(applied: Applied | None, monkeypatch: pytest.MonkeyPatch, state: Path) -> planning.Planning:
    """The plan for five empty nodes, with that record of what was last applied."""
    seen: list[planning.Planning] = []

    async def recorded(cluster: Cluster, lines: int) -> Record:
        return Record((), applied, damaged=0)

    async def act(opened: Opened, session: Session) -> int:
        seen.append(await planning.plan(opened))
        return 0

    async def story() -> None:
        async with World.alive() as world:
            result = await world.command(act)
            assert (result.code, result.mutations) == (0, [])

    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setattr(planning, "record", recorded)
    virtual_time.run(story())
    return seen[0]


def test_another_inventory_was_applied_since(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = planning.as_json(planned(KIM, monkeypatch, tmp_path))
    stale = document["stale"]
    assert isinstance(stale, dict)
    assert "kim@laptop applied another inventory" in stale["cause"] and "--adopt" in stale["hint"]
    assert document["changes"], "what `up --adopt` would do is shown all the same"


@pytest.mark.parametrize("digest", [None, DEPLOYMENT.digest])
def test_nothing_or_this_very_inventory_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, digest: str | None
) -> None:
    applied = None if digest is None else Applied(digest, "kim@laptop", 1_800_000_000.0, "…")
    assert planning.as_json(planned(applied, monkeypatch, tmp_path))["stale"] is None

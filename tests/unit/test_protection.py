"""Clusters that are read-only or protected by their inventory: refused in the use case, asked for by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import click
import pytest

from pdctl.cli import session as cli_session
from pdctl.cli.global_options import Globals
from pdctl.cli.session import confirm
from pdctl.control.cluster import Cluster
from pdctl.control.journal import Session
from pdctl.control.read_only import refuse_read_only, why_read_only
from pdctl.control.run import Run
from pdctl.errors import Interrupted, PlanRefused
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.plan.steps import Plan
from tests.unit.deployments import mori_1p1d

INVENTORIES = Path(__file__).parents[2] / "inventories"


class Terminal:
    """A stdin or stdout that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_the_inventory_says_so() -> None:
    path = sorted(INVENTORIES.glob("*.yaml"))[0]
    text = path.read_text()
    assert not place(parse(text.encode(), path)).read_only
    marked = place(parse(f"{text}\nread_only: true\nprotected: true\n".encode(), path))
    assert (marked.read_only, marked.protected) == (True, True)


def test_every_change_of_a_read_only_cluster_is_refused_with_the_file_that_says_so() -> None:
    deployment = replace(mori_1p1d(), read_only=True)
    with pytest.raises(PlanRefused, match="read-only") as refusal:
        refuse_read_only(deployment, "up")
    assert deployment.source in refusal.value.hint
    refuse_read_only(mori_1p1d(), "up")
    assert why_read_only(mori_1p1d()) == ""


async def test_the_use_case_itself_refuses_before_it_touches_anything() -> None:
    """Whoever asks: there are no shells, no lease and no session that could be used here."""
    bare = cast(Cluster, SimpleNamespace(deployment=replace(mori_1p1d(), read_only=True), clock=None))
    run = Run(bare, "move", lambda observed, applied, lost: Plan("move", (), ()), cast(Session, None))
    with pytest.raises(PlanRefused, match="`move` changes the cluster"):
        await run.go()


@pytest.fixture
def _protected(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = replace(mori_1p1d(), protected=True, cluster="prod")
    monkeypatch.setattr(cli_session, "read_deployment", lambda path: (None, deployment))
    monkeypatch.setattr(cli_session, "sys", SimpleNamespace(stdin=Terminal(), stdout=Terminal()))


@pytest.mark.usefixtures("_protected")
@pytest.mark.parametrize(("typed", "agreed"), [("prod", True), ("y", False), ("", False), ("production", False)])
def test_a_protected_cluster_wants_its_own_name(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return typed

    monkeypatch.setattr(click, "prompt", prompt)
    if agreed:
        confirm(Globals(), "down", "Take the whole cluster down?")
    else:
        with pytest.raises(Interrupted):
            confirm(Globals(), "down", "Take the whole cluster down?")
    assert "prod is protected" in asked[0]


@pytest.mark.usefixtures("_protected")
def test_yes_was_typed_on_purpose() -> None:
    confirm(Globals(yes=True), "down", "Take the whole cluster down?")

"""One registry: every action has a handler and keys of its own, and what changes the cluster is marked so."""

from __future__ import annotations

from importlib import import_module
from itertools import combinations

import pytest

from pdctl.tui.actions import ACTIONS, Action, Danger, actions_on, twin
from pdctl.tui.app import PdctlApp
from pdctl.tui.commands import Command, parse_command
from pdctl.tui.keys_text import keys_table
from pdctl.tui.screens.activity import RunScreen
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.screens.node import NodeScreen
from pdctl.tui.screens.plan import PlanScreen
from pdctl.tui.settings import Settings
from pdctl.tui.views import VIEWS

SCREENS: dict[str, type[ViewScreen]] = {
    **{view.id: getattr(import_module(view.module), view.class_name) for view in VIEWS},
    "node": NodeScreen,
    "plan": PlanScreen,
    "run": RunScreen,
}


def name(action: Action) -> str:
    return action.id


def test_every_view_is_there_and_knows_its_name() -> None:
    assert {view.id: SCREENS[view.id].VIEW for view in VIEWS} == {view.id: view.id for view in VIEWS}


@pytest.mark.parametrize("action", ACTIONS, ids=name)
def test_every_action_has_a_handler_where_it_is_bound(action: Action) -> None:
    for scope in action.scope or {"pulse"}:
        assert hasattr(SCREENS[scope], f"action_{action.id}") or hasattr(PdctlApp, f"action_{action.id}"), scope


@pytest.mark.parametrize("screen", [*SCREENS, ""])
def test_no_two_actions_of_a_screen_share_a_key_or_a_word(screen: str) -> None:
    for one, other in combinations(actions_on(screen), 2):
        assert not set(one.keys) & set(other.keys), (one.id, other.id)
        assert not set(one.words) & set(other.words), (one.id, other.id)


def test_what_changes_the_cluster_is_marked_so_and_has_a_twin() -> None:
    changing = {action.id: action for action in ACTIONS if action.danger is not Danger.SAFE}
    assert {"move", "drain", "undrain", "restart"} <= set(changing)
    for action in changing.values():
        assert action.twin.startswith("pdctl ")
    assert changing["undrain"].danger is Danger.MUTATING
    assert twin(changing["drain"], "n03") == "pdctl drain n03"


def test_ids_are_unique_and_pdctl_keys_prints_all_of_them() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(set(ids)) == len(ids)
    printed = [line.split()[0] for line in keys_table(Settings())]
    assert printed == ids
    remapped = list(keys_table(Settings(keymap={"move": ("M",)})))
    assert next(line for line in remapped if line.startswith("move")).split()[1] == "M"


@pytest.mark.parametrize(
    ("typed", "leads_to"),
    [("nodes", "go_nodes"), ("nod", "go_nodes"), (":quit", "quit"), ("nodes pool:decode", "go_nodes"), ("mov", "move")],
)
def test_a_command_may_be_shortened(typed: str, leads_to: str) -> None:
    found = parse_command(typed, actions_on("nodes"))
    assert isinstance(found, Command)
    assert found.action.id == leads_to
    assert found.rest == typed.partition(" ")[2]


@pytest.mark.parametrize(("typed", "said"), [("", "nothing"), ("zzz", "no command 'zzz'"), ("p", "may be")])
def test_a_command_that_is_none_is_told(typed: str, said: str) -> None:
    found = parse_command(typed, actions_on("nodes"))
    assert isinstance(found, str)
    assert said in found

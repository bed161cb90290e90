"""The collector as it is sent: one program, for old Pythons, one meaning per name; and the order that goes with it."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter

import pytest

from pdctl.health.bundle import collector
from pdctl.health.collection import Command, Profile, Targets, collection

TARGETS = Targets(model_path="/models/m", image="rocm/vllm:1", paths=("/data",), jit_cache="/cache")


def imported(tree: ast.Module) -> set[str]:
    """Modules that the program imports where it runs: not those that only type checkers see."""
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {*names, *(str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))}


def test_the_collector_is_python_3_6_and_needs_only_the_standard_library() -> None:
    tree = ast.parse(collector().source, feature_version=(3, 6))
    assert {name.partition(".")[0] for name in imported(tree)} <= sys.stdlib_module_names


def test_no_two_fragments_define_the_same_name() -> None:
    defined = [
        node.name for node in ast.parse(collector().source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    assert [name for name, times in Counter(defined).items() if times > 1] == []


@pytest.mark.parametrize("profile", Profile)
def test_every_item_has_an_id_of_its_own_and_a_deadline_below_the_whole(profile: Profile) -> None:
    order = collection(profile, TARGETS)
    assert [name for name, times in Counter(each.id for each in order.commands).items() if times > 1] == []
    assert all(each.timeout_s < order.deadline_s for each in order.commands)
    known = {each.id for each in order.commands}
    assert {each.unless for each in order.commands if each.unless} <= known
    assert json.loads(json.dumps(order.payload()))["commands"][0]["id"] == order.commands[0].id


@pytest.mark.parametrize("command", collection(Profile.FULL, TARGETS).commands, ids=lambda command: command.id)
def test_no_command_changes_anything_or_reads_arguments_of_processes(command: Command) -> None:
    words = set(command.argv)
    assert words.isdisjoint({"set", "reset", "write", "config", "args", "cmd", "-w", "rm"})
    assert not any(word in ("sh", "bash", "eval") for word in command.argv)


def test_the_inventorys_paths_are_asked_about_one_by_one() -> None:
    asked = {command.id: command.argv for command in collection(Profile.FULL, TARGETS).commands}
    assert asked["df./data"][-1] == "/data"
    assert asked["docker.image"][-1] == "rocm/vllm:1"
    assert "model.stat" not in {command.id for command in collection(Profile.FULL, Targets("org/hub-id")).commands}

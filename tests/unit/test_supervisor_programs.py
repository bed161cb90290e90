"""The programs that are sent to nodes: whole, for old Pythons, one meaning per name."""

from __future__ import annotations

import ast
import sys
from collections import Counter

import pytest

from pdctl.supervisors.bundle import STATE, bundle
from pdctl.supervisors.process import process_program

ACTIONS = ["inspect", "take", "forget", "start", "stop"]
FOLLOW = bundle(*STATE, "unit_log_on_node", "follow_on_node")
SOURCES = [*(process_program(action).source for action in ACTIONS), FOLLOW]


def imported(tree: ast.Module) -> set[str]:
    """Modules that the program imports where it runs: not those that only type checkers see."""
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {*names, *(str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))}


@pytest.mark.parametrize("source", SOURCES, ids=[*ACTIONS, "follow"])
def test_a_program_is_python_3_6_and_needs_only_the_standard_library(source: str) -> None:
    tree = ast.parse(source, feature_version=(3, 6))
    assert {name.partition(".")[0] for name in imported(tree)} <= sys.stdlib_module_names


@pytest.mark.parametrize("source", SOURCES, ids=[*ACTIONS, "follow"])
def test_no_two_fragments_of_a_program_define_the_same_name(source: str) -> None:
    defined = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert [name for name, times in Counter(defined).items() if times > 1] == []

"""The docker supervisor's programs: whole, for old Pythons, one meaning per name."""

from __future__ import annotations

import ast
import sys
from collections import Counter

import pytest

from pdctl.supervisors.bundle import bundle
from pdctl.supervisors.docker import docker_program
from pdctl.supervisors.docker_logs import FOLLOW
from tests.unit.test_supervisor_programs import imported

ACTIONS = ["inspect", "take", "forget", "start", "stop"]
SOURCES = [*(docker_program(action).source for action in ACTIONS), bundle(*FOLLOW)]


@pytest.mark.parametrize("source", SOURCES, ids=[*ACTIONS, "follow"])
def test_a_program_is_python_3_6_and_needs_only_the_standard_library(source: str) -> None:
    tree = ast.parse(source, feature_version=(3, 6))
    assert {name.partition(".")[0] for name in imported(tree)} <= sys.stdlib_module_names


@pytest.mark.parametrize("source", SOURCES, ids=[*ACTIONS, "follow"])
def test_no_two_fragments_of_a_program_define_the_same_name(source: str) -> None:
    tree = ast.parse(source)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assigned = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id != "TYPE_CHECKING"
    ]
    assert [name for name, times in Counter(defined + assigned).items() if times > 1] == []

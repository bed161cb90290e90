"""The rules of the house that no linter knows: sizes, names, docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import source_tree

FILE_LINES = 400
FUNCTION_LINES = 60
BANNED_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}

TESTS = tuple(sorted(Path(__file__).parents[1].rglob("*.py")))


def function_lengths(tree: ast.Module) -> list[tuple[int, str]]:
    """(lines, name) of every function and method, nested ones too."""
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, node.name)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


@pytest.mark.parametrize("files", [source_tree.sources(), TESTS], ids=["pdctl", "tests"])
def test_files_are_one_idea(files: tuple[Path, ...]) -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}


def test_functions_fit_a_screen() -> None:
    long = [
        f"{source_tree.name(path)}: {name} has {lines} lines"
        for path in source_tree.sources()
        for lines, name in function_lengths(source_tree.tree(path))
        if lines > FUNCTION_LINES
    ]
    assert long == []


def test_modules_say_what_they_are_for() -> None:
    silent = [
        source_tree.name(path)
        for path in source_tree.sources()
        if (tree := source_tree.tree(path)).body and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_modules_are_named_after_what_they_do() -> None:
    vague = [source_tree.name(path) for path in source_tree.sources() if BANNED_NAMES & {path.stem, *path.parts}]
    assert vague == []

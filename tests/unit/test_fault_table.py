"""The table of faults is whole, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "faults.md"
NAMED = re.compile(r"`(\S+\.py)::(\w+)`")
INSTEAD = re.compile(r"issue \d+|needs a GPU \(.+\)")


def rows() -> dict[int, list[str]]:
    """The cells of every row of the matrix, by its number."""
    lines = [line.strip("|").split(" | ") for line in TABLE.read_text().splitlines() if re.match(r"\| \d", line)]
    found = {int(cells[0]): [cell.strip() for cell in cells[1:]] for cells in lines}
    assert len(found) == len(lines), "a number stands twice"
    return found


@cache
def named_in(file: str) -> set[str]:
    """Names of the tests in a file of the suite, also those in classes."""
    tree = ast.parse((TESTS / file).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_fault_of_the_matrix_has_its_row() -> None:
    assert list(rows()) == list(range(1, 55))


@pytest.mark.parametrize("number", rows())
def test_a_fault_names_tests_that_exist_or_says_why_it_has_none(number: int) -> None:
    failure, expected, shown_by = rows()[number]
    assert failure and expected
    named = NAMED.findall(shown_by)
    assert named or INSTEAD.fullmatch(shown_by)
    assert NAMED.sub("", shown_by).strip() == "" or not named
    assert [f"{file}::{test}" for file, test in named if test not in named_in(file)] == []

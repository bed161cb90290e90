"""Every test below needs vLLM in a virtual environment of its own; without it, all are skipped with one line.

The figures of a run (start times, requests by outcome, KV moved) are printed at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.figures import Figures
from tests.real.stack import VENV, Stack, vllm_nodes

_HERE = Path(__file__).parent
_FIGURES = Figures()
_TEST_S = 900.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(_TEST_S))
            if not (VENV / "bin/vllm").exists():
                item.add_marker(pytest.mark.skip(reason=f"no vLLM in {VENV.name}: `make real-test` installs it"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = list(_FIGURES.lines())
    if lines:
        terminalreporter.section("real vLLM: figures of this run")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    return _FIGURES


@pytest.fixture(scope="package")
def nodes(tmp_path_factory: pytest.TempPathFactory, figures: Figures) -> Iterator[Stack]:
    """Three nodes and an inventory for 1P2D; nothing is up at first."""
    with vllm_nodes(tmp_path_factory.mktemp("real"), figures) as stack:
        yield stack


@pytest.fixture
async def serving(nodes: Stack) -> Stack:
    """1P2D that serves whole; costs an `up` only after a test that changed it."""
    seen = await nodes.status()
    if not seen["serving"] or seen["ratio"] != "1P2D":
        await nodes.timed("up")
    return nodes

"""How often an engine that loads is asked: often enough to be noticed at once, rarely enough to be no load itself."""

from __future__ import annotations

import pytest

from pdctl.control.steps.ready import look_pause_s, probe_pause_s


@pytest.mark.parametrize(("waited_s", "pause_s"), [(0, 0.25), (10, 0.25), (20, 0.5), (40, 1.0), (600, 1.0)])
def test_probes_of_health(waited_s: float, pause_s: float) -> None:
    assert probe_pause_s(waited_s) == pause_s


@pytest.mark.parametrize(
    ("waited_s", "budget_s", "pause_s"), [(0, 600, 1.0), (4, 600, 2.0), (600, 600, 5.0), (600, 8, 2.0), (600, 1, 1.0)]
)
def test_looks_at_the_unit(waited_s: float, budget_s: float, pause_s: float) -> None:
    assert look_pause_s(waited_s, budget_s) == pause_s

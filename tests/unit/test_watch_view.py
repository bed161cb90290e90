"""The table of `watch`: nothing wraps in a narrow terminal, and what is wrong is always there."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from pdctl.cli.watch_view import WIDE, view
from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Alert, AlertLevel, PairFigures, PairState, Snapshot, Vital
from pdctl.telemetry.bottleneck import bottleneck
from tests.unit.telemetry.snapshots import Bench, served


def shown(snapshot: Snapshot, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(view(snapshot, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def troubled() -> Snapshot:
    snapshot = served()
    alert = Alert("hung:n2", AlertLevel.PAGE, "n2.main.0", "no step " * 20, "`pdctl restart n2.main.0`", 1.0, folded=2)
    decode = snapshot.pools["decode"]
    window = decode.windows[10]
    flow = replace(window.flow, errors={"error": Figure.exact(0.5, 0.0), "abort": Figure.exact(0.0, 0.0)})
    pool = replace(decode, windows={**decode.windows, 10: replace(window, flow=flow)})
    instances = {**snapshot.instances}
    instances["n2.main.0"] = replace(instances["n2.main.0"], vital=Vital.HUNG)
    return replace(
        snapshot, pools={**snapshot.pools, "decode": pool}, instances=instances, alerts=(alert,), bottleneck="x " * 80
    )


@pytest.mark.parametrize("width", [60, 80, 100, WIDE])
def test_every_row_is_one_line_of_the_terminal(width: int) -> None:
    lines = shown(troubled(), width)
    assert max(map(len, lines)) <= width
    for name in ("prefill", "decode ", "n1.main.0", "n3.main.0"):
        assert sum(line.startswith(name) for line in lines) == 1
    assert not any("…" in line for line in lines if line.startswith(("n1", "n2", "n3", "decode", "prefill", "pool")))


def test_a_narrow_terminal_drops_columns_and_a_wide_one_shows_them() -> None:
    narrow, wide = shown(troubled(), 60), shown(troubled(), WIDE)
    assert not any("tok/s in" in line for line in narrow)
    assert any("tok/s in" in line and "KV B/s" in line for line in wide)
    for lines in (narrow, wide):
        assert any("err/s" in line for line in lines)


def test_errors_are_shown_with_their_reason_where_there_are_some_and_take_no_room_where_not() -> None:
    assert "errors in decode: error 0.5/s" in shown(troubled(), 80)
    assert not any("err" in line for line in shown(served(), 80))


def test_canaries_have_a_line_of_their_own() -> None:
    def pair(prefill: str, state: PairState, handoff: Fig) -> PairFigures:
        return PairFigures(prefill, "n2.main.0", state, handoff, 0, 1)

    pairs = (
        pair("n1.main.0", PairState.OK, Figure.exact(0.064, 1.0)),
        pair("n4.main.0", PairState.OK, Figure.exact(0.3, 1.0)),
        pair("n5.main.0", PairState.BROKEN, Unknown("its last canary failed")),
        pair("n6.main.0", PairState.UNTRIED, Unknown("not tried")),
    )
    assert "pairs: 2 ok, 1 broken, 1 untried; canaries 64-300ms" in shown(replace(served(), pairs=pairs), 80)
    assert not any("pairs" in line for line in shown(served(), 80))


def test_what_cannot_be_told_is_not_what_holds_it_back() -> None:
    lines = shown(replace(served(), bottleneck="unknown: no engine of prefill answers"), 80)
    assert "what holds it back is not known: no engine of prefill answers" in lines
    assert bottleneck(Bench().build()) == "", "nobody was asked yet"


def test_alerts_come_before_the_instances_which_a_low_terminal_cuts() -> None:
    lines = shown(troubled(), 80)
    alert = next(place for place, line in enumerate(lines) if line.startswith("! n2.main.0"))
    assert "pdctl restart n2.main.0" in lines[alert + 1]
    assert alert < next(place for place, line in enumerate(lines) if line.startswith("instance"))

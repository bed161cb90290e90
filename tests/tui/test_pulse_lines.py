"""Pulse in columns: whole at every size, aligned, and what is wrong is always there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.model.figure import Basis, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import Snapshot
from pdctl.tui.history import History
from pdctl.tui.pulse_lines import pulse_lines, text_of
from pdctl.tui.pulse_view import pulse
from pdctl.tui.spans import Inked, plain, to_ascii, width
from tests.tui.fleet import exact, instance, pool, snapshot

SIZES = [(78, 20), (78, 21), (98, 27), (158, 45), (198, 57)]
"""What is left of 80x23, 80x24 and so on between the lines above and below, and a margin."""

WORDS = (
    *("TTFT", "ITL", "TPOT", "PREFILL", "DECODE", "canary", "GB/s", "tok/s", "router up", "waiting", "goal 95%"),
    *("held back by", "n03.main.0 no step", "2 broken", "97%", "2/3"),
)


def lines_of(tick: Snapshot, columns: int = 78, rows: int = 21, *, ascii_only: bool = False) -> tuple[Inked, ...]:
    history = History()
    for second in range(30):
        history.add(replace(tick, taken_s=tick.taken_s - 30 + second))
    history.add(tick)
    return pulse_lines(pulse(tick, history), history, columns, rows, ascii_only=ascii_only)


def shown(tick: Snapshot, columns: int = 78, rows: int = 21) -> str:
    return text_of(lines_of(tick, columns, rows))


def with_pools(tick: Snapshot, role: Role, count: int) -> Snapshot:
    """That role's pool `count` times over."""
    one = tick.pools[role.value]
    return replace(
        tick,
        pools={**tick.pools, **{f"{role}-{place}": replace(one, name=f"{role}-{place}") for place in range(1, count)}},
    )


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("faults", [(), (3,), (1, 3, 4)], ids=["well", "one hung", "three hung"])
def test_it_fills_the_screen_and_no_line_is_wider(columns: int, rows: int, faults: tuple[int, ...]) -> None:
    lines = lines_of(snapshot(2, 3, hung=faults), columns, rows)
    assert len(lines) == rows
    assert all(width(line) <= columns for line in lines)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_everything_that_matters_is_there_at_every_size(columns: int, rows: int) -> None:
    text = shown(snapshot(2, 3, hung=(3,)), columns, rows)
    for word in WORDS:
        assert word in text, word


def test_no_word_is_cut_at_80_columns() -> None:
    assert "…" not in shown(snapshot(2, 3, hung=(3,)))


def test_many_requests_are_counted_in_shorter_words() -> None:
    tick = snapshot(2, 3)
    decode = tick.pools["decode"]
    many = replace(decode, load=replace(decode.load, running=exact(1234.0), waiting=exact(456.0), deferred=exact(78.0)))
    text = shown(replace(tick, pools={**tick.pools, "decode": many}))
    assert "1.23k run · 456 wait · 78 KV" in text


def test_an_interval_of_bytes_that_does_not_fit_the_link_is_its_bound() -> None:
    tick = snapshot(2, 3)
    decode = tick.pools["decode"]
    wide = Figure(1.2e9, 1.3e9, 0.0, Basis.DERIVED)
    kv = {seconds: replace(moved, bytes_derived=wide) for seconds, moved in decode.kv.items()}
    tick = replace(tick, pools={**tick.pools, "decode": replace(decode, kv=kv)})
    assert "<~1.3GB/s" in shown(tick)
    assert "~1.2G-1.3GB/s" in shown(tick, 158, 45)


def test_the_names_of_values_stand_over_the_values() -> None:
    lines = shown(snapshot()).splitlines()
    heading = next(place for place, line in enumerate(lines) if "PREFILL" in line)
    row = lines[heading + 2]
    for name, value in (("p50", "168-231ms"), ("p99", "720-960ms")):
        assert lines[heading].index(name) + len(name) == row.index(value) + len(value)


def test_alerts_that_do_not_fit_are_counted() -> None:
    text = shown(snapshot(2, 14, hung=tuple(range(3, 13))))
    assert "and 6 more: Health shows them all" in text
    assert len(text.splitlines()) == 21


def test_a_mixed_cluster_has_one_lane_over_the_whole_width() -> None:
    tick = snapshot(1, 1)
    mixed = pool(Role.MIXED, [instance(1, Role.MIXED), instance(2, Role.MIXED)])
    text = shown(replace(tick, pools={"mixed": mixed}, pairs=()))
    assert "MIXED" in text
    assert "2/2 members" in text
    assert "canary" not in text
    assert "DECODE" not in text


@pytest.mark.parametrize("count", [2, 3])
def test_pools_of_one_role_share_its_lane(count: int) -> None:
    text = shown(with_pools(snapshot(2, 3), Role.DECODE, count))
    assert f"━ {3 * count}/{3 * count}" in text
    assert f"members in {count} pools" in shown(with_pools(snapshot(2, 3), Role.DECODE, count), 160, 45)
    for place in range(1, count):
        assert f"decode-{place}" in text


def test_pools_in_few_rows_are_short_and_whole() -> None:
    text = shown(with_pools(snapshot(2, 3), Role.DECODE, 4))
    assert "…" not in text
    assert "decode-3 3/3  15 run · 3 wait" in text


def test_more_pools_than_rows_are_counted() -> None:
    lines = lines_of(with_pools(snapshot(2, 3), Role.DECODE, 12))
    assert len(lines) == 21
    assert "pools more" in text_of(lines)


def test_old_figures_show_their_age_in_place_of_a_trend() -> None:
    tick = snapshot()
    history = History()
    history.add(tick)
    text = text_of(pulse_lines(pulse(tick, history, 10, 42.0), history, 78, 21))
    assert text.count("42s") >= 10


def test_without_unicode_every_character_is_ascii_and_in_its_place() -> None:
    tick = snapshot(2, 3, hung=(3,))
    whole = lines_of(tick, 160, 45, ascii_only=True)
    plain_lines = [to_ascii(line) for line in whole]
    assert all(plain(line).isascii() for line in plain_lines)
    assert [width(line) for line in plain_lines] == [width(line) for line in whole]


def test_a_tick_that_changes_nothing_changes_no_line() -> None:
    """What does not flicker is not painted: the figures of two equal ticks are equal to the character."""
    tick = snapshot()
    changed = sum(
        before != after for before, after in zip(lines_of(tick), lines_of(replace(tick, seq=tick.seq + 1)), strict=True)
    )
    assert changed == 0

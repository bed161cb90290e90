"""A snapshot as a table for `pdctl watch`: pools first, then what is wrong, then instances. A pure view."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pdctl.model.figure import Basis, Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import (
    WINDOWS_S,
    Alert,
    AlertLevel,
    InstanceFigures,
    KvTransfer,
    PairFigures,
    PairState,
    PoolFigures,
    Snapshot,
    Source,
    Vital,
    Window,
)
from pdctl.telemetry.bottleneck import UNTOLD
from pdctl.text.escape import one_line
from pdctl.text.figures import amount, seconds, share

_GOOD = (Vital.UP, Vital.DRAINING, Vital.STARTING)
_COLUMNS = ("ttft", "itl p50", "itl p99", "run", "wait", "kv", "tok/s in", "tok/s out", "KV B/s", "err/s")
_DROPPED_FIRST = ("tok/s in", "itl p50", "KV B/s", "kv", "wait", "tok/s out", "ttft", "run", "itl p99")
"""Where a terminal is too narrow for all columns, these go one after the other; errors stay."""
_GAP = 2
ALERTS_MAX = 6
WIDE = 200
"""Columns where nobody looks at a terminal of some width: a pipe, a file."""


def view(snapshot: Snapshot, window_s: int = WINDOWS_S[0], width: int = WIDE) -> RenderableType:
    """The whole, in `width` columns: nothing wraps. Latencies and rates are over `window_s`; instances have the
    shortest window only, and come last, as a low terminal cuts what is at the end."""
    parts: list[RenderableType] = [_line(line, "bold") for line in _head(snapshot, window_s)]
    parts.append(_pools(snapshot, window_s, width))
    parts += [_line(one_line(line), "red") for pool in snapshot.pools.values() if (line := _errors(pool, window_s))]
    if snapshot.pairs:
        parts.append(_pairs(snapshot.pairs))
    if snapshot.bottleneck:
        told = snapshot.bottleneck.removeprefix(UNTOLD)
        words = "held back by" if told == snapshot.bottleneck else "what holds it back is not known:"
        parts.append(_line(f"{words} {one_line(told)}", "yellow"))
    for alert in snapshot.alerts[:ALERTS_MAX]:
        parts += _alert(alert)
    if len(snapshot.alerts) > ALERTS_MAX:
        parts.append(_line(f"  and {len(snapshot.alerts) - ALERTS_MAX} alerts more: `pdctl --json watch`", "dim"))
    parts += [_line(one_line(note), "dim") for note in snapshot.notes]
    parts.append(_instances(snapshot, width))
    return Group(*parts)


def _head(snapshot: Snapshot, window_s: int) -> tuple[str, str]:
    client = snapshot.client[window_s]
    when = time.strftime("%H:%M:%S", time.localtime(snapshot.taken_s))
    source = "" if snapshot.source is Source.LIVE else f" [{snapshot.source.value}]"
    attained = f"TTFT<{snapshot.slo.ttft_s:g}s {share(client.attainment.ttft)}"
    gaps = f"ITL<{snapshot.slo.itl_s * 1e3:g}ms {share(client.attainment.itl)}"
    client_ttft = f"client ttft {seconds(client.ttft.mean)} p99 {seconds(client.ttft.p99)}"
    rate = f"{amount(snapshot.router.requests)} req/s"
    return (f"{snapshot.cluster} {when}{source}  {rate}  (last {window_s} s)", f"{client_ttft}  {attained}  {gaps}")


def _pools(snapshot: Snapshot, window_s: int, width: int) -> Table:
    rows = []
    for pool in snapshot.pools.values():
        members = "?" if pool.members is None else str(pool.members)
        rows.append(((pool.name, f"{members}/{pool.instances}", *_cells(pool, window_s)), _unseen(pool)))
    return _table(("pool", "members"), rows, width)


def _pairs(pairs: Sequence[PairFigures]) -> Text:
    """How many pairs stand how, and the quickest and the slowest canary; alerts name those that fail."""
    counts = Counter(pair.state for pair in pairs)
    states = ", ".join(f"{counts[state]} {state.value}" for state in PairState if counts[state])
    took = [pair.handoff_s for pair in pairs if isinstance(pair.handoff_s, Figure)]
    low, high = min((each.low for each in took), default=0.0), max((each.high for each in took), default=0.0)
    handoff = f"; canaries {seconds(Figure(low, high, 0.0, Basis.CANARY))}" if took else ""
    bad = counts[PairState.BROKEN] or counts[PairState.SUSPECT]
    return _line(f"pairs: {states}{handoff}", "yellow" if bad else "")


def _errors(pool: PoolFigures, window_s: int) -> str:
    """What went wrong in the window, by reason; "" where nothing did."""
    kv = pool.kv[window_s]
    found = {**pool.windows[window_s].flow.errors, "KV transfers failed": kv.failed, "KV expired": kv.expired}
    shown = [f"{reason} {amount(figure)}/s" for reason, figure in found.items() if _known(figure)]
    return f"errors in {pool.name}: {', '.join(shown)}" if shown else ""


def _known(figure: Fig) -> float:
    """What is surely there; 0 where nothing is."""
    return figure.low if isinstance(figure, Figure) else 0.0


def _unseen(pool: PoolFigures) -> str:
    return "yellow" if pool.left_out else ""


def _instances(snapshot: Snapshot, width: int) -> Table:
    rows = []
    for instance in snapshot.instances.values():
        good = instance.vital in _GOOD
        style = "dim" if instance.held else "" if good and instance.member else "yellow" if good else "red"
        rows.append(((instance.name, _state(instance), *_cells(instance, WINDOWS_S[0])), style))
    return _table(("instance", "state"), rows, width)


def _state(instance: InstanceFigures) -> str:
    word = instance.vital.value
    if instance.held and instance.member is not True:
        held = instance.held.partition(" ")[0]
        return held if instance.vital is Vital.UP else f"{held}, {word}"
    if instance.vital is Vital.UP and instance.member is not True:
        word = "up, no member" if instance.member is False else "up, member?"
    return word


def _cells(figures: PoolFigures | InstanceFigures, window_s: int) -> tuple[str, ...]:
    window, kv = figures.windows[window_s], figures.kv[window_s]
    moved: Fig = kv.bytes_measured if isinstance(kv.bytes_measured, Figure) else kv.bytes_derived
    return (
        seconds(window.latencies.ttft.mean),
        seconds(window.latencies.itl.p50),
        seconds(window.latencies.itl.p99),
        amount(figures.load.running),
        amount(figures.load.waiting),
        share(figures.load.kv_usage),
        amount(window.flow.tokens_in),
        amount(window.flow.tokens_out),
        amount(moved) if figures.role is not Role.PREFILL else "",
        _errors_per_s(window, kv),
    )


def _errors_per_s(window: Window, kv: KvTransfer) -> str:
    total = sum(_known(figure) for figure in (*window.flow.errors.values(), kv.failed))
    return amount(Figure.exact(total, 0.0)) if total else ""


def _table(first: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], str]], width: int) -> Table:
    """Columns that say nothing are left out, and then as many as do not fit."""
    names = (*first, *_COLUMNS)
    sizes = {name: max([len(name), *(len(cells[place]) for cells, _ in rows)]) for place, name in enumerate(names)}
    kept = [name for place, name in enumerate(names) if name != "err/s" or any(cells[place] for cells, _ in rows)]
    for name in _DROPPED_FIRST:
        if sum(sizes[one] + _GAP for one in kept) - _GAP <= width:
            break
        kept.remove(name)
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for name in kept:
        table.add_column(name, justify="left" if name in first else "right", no_wrap=True)
    for cells, style in rows:
        table.add_row(*(Text(cells[names.index(name)]) for name in kept), style=style)
    return table


def _alert(alert: Alert) -> tuple[Text, Text]:
    style = {AlertLevel.PAGE: "bold red", AlertLevel.WARN: "yellow", AlertLevel.INFO: "dim"}[alert.level]
    sign = "-" if alert.level is AlertLevel.INFO else "!"
    folded = f" (again {alert.folded} times)" if alert.folded else ""
    return _line(one_line(f"{sign} {alert.subject}: {alert.cause}{folded}"), style), _line(
        f"    {one_line(alert.hint)}", "dim"
    )


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")

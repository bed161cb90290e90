"""A snapshot as a table for `pdctl watch`: pools first, then instances, then what is wrong. A pure view."""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pdctl.cli.escape import one_line
from pdctl.cli.figure_text import amount, seconds, share
from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, AlertLevel, InstanceFigures, PoolFigures, Snapshot, Source, Vital

_GOOD = (Vital.UP, Vital.DRAINING, Vital.STARTING)
_COLUMNS = ("ttft", "itl p50", "itl p99", "run", "wait", "kv", "tok/s in", "tok/s out", "KV B/s")


def view(snapshot: Snapshot, window_s: int = WINDOWS_S[0]) -> RenderableType:
    """The whole. Latencies and rates are over `window_s`; instances have the shortest window only."""
    parts: list[RenderableType] = [Text(_head(snapshot, window_s), style="bold"), _pools(snapshot, window_s)]
    if snapshot.bottleneck:
        parts.append(Text(f"held back by {one_line(snapshot.bottleneck)}", style="yellow"))
    parts.append(_instances(snapshot))
    parts += [_alert(alert.level, f"{alert.subject}: {alert.cause} -> {alert.hint}") for alert in snapshot.alerts]
    parts += [Text(one_line(note), style="dim") for note in snapshot.notes]
    return Group(*parts)


def _head(snapshot: Snapshot, window_s: int) -> str:
    client = snapshot.client[window_s]
    when = time.strftime("%H:%M:%S", time.localtime(snapshot.taken_s))
    source = "" if snapshot.source is Source.LIVE else f" [{snapshot.source.value}]"
    attained = f"TTFT<{snapshot.slo.ttft_s:g}s {share(client.attainment.ttft)}"
    gaps = f"ITL<{snapshot.slo.itl_s * 1e3:g}ms {share(client.attainment.itl)}"
    client_ttft = f"client ttft {seconds(client.ttft.mean)} p99 {seconds(client.ttft.p99)}"
    rate = f"{amount(snapshot.router.requests)} req/s"
    return f"{snapshot.cluster} {when}{source}  {rate}  {client_ttft}  {attained}  {gaps}  (last {window_s} s)"


def _pools(snapshot: Snapshot, window_s: int) -> Table:
    table = _table("pool", "members")
    for pool in snapshot.pools.values():
        members = "?" if pool.members is None else str(pool.members)
        table.add_row(pool.name, f"{members}/{pool.instances}", *_cells(pool, window_s), style=_unseen(pool))
    return table


def _unseen(pool: PoolFigures) -> str:
    return "yellow" if pool.left_out else ""


def _instances(snapshot: Snapshot) -> Table:
    table = _table("instance", "state")
    for instance in snapshot.instances.values():
        style = "" if instance.vital in _GOOD and instance.member else "yellow" if instance.vital in _GOOD else "red"
        table.add_row(instance.name, _state(instance), *_cells(instance, WINDOWS_S[0]), style=style)
    return table


def _state(instance: InstanceFigures) -> str:
    word = instance.vital.value
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
    )


def _table(*first: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for name in first:
        table.add_column(name, no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _alert(level: AlertLevel, text: str) -> Text:
    style = {AlertLevel.PAGE: "bold red", AlertLevel.WARN: "yellow", AlertLevel.INFO: "dim"}[level]
    return Text(f"{'!' if level is not AlertLevel.INFO else '-'} {one_line(text)}", style=style)

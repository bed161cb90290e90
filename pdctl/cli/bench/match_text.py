"""A match as text, as JSON and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pdctl.bench.sizing.agree import Agreement, columns_of
from pdctl.bench.sizing.changes import Change, Effect
from pdctl.bench.sizing.fleet_match import FleetAggregated, FleetMatch
from pdctl.bench.sizing.match import Matched
from pdctl.bench.sizing.points import Profile
from pdctl.bench.sizing.slo_match import Dropped, Kept, Rule, Terms


def heading(profile: Profile, file: str) -> list[str]:
    """What was measured."""
    peaks = "  ".join(f"{width.label} {profile.peak(width).tps:g}" for width in profile.widths())
    lines = [
        f"{profile.model or 'model not named'}, ISL {profile.isl}, OSL {profile.osl}: {file}",
        f"prefill, total tok/s: {peaks}",
    ]
    if profile.ignored:
        lines.append(f"not understood, so ignored: {', '.join(profile.ignored)}")
    return lines


def table(rows: Sequence[Matched]) -> list[str]:
    """One line per decode point."""
    widths = [width.label for width in rows[0].p_gpus] if rows else []
    head = ["decode", "conc", "tok/s", "req/s", "demand tok/s", *(f"P@{width}" for width in widths)]
    body = [
        [
            row.point.width.label,
            f"{row.point.concurrency:g}",
            f"{row.point.tps:.1f}",
            f"{row.requests_per_s:.2f}",
            f"{row.demand_tps:.1f}",
            *(str(gpus) for gpus in row.p_gpus.values()),
            str(row.best_p_gpus),
            str(row.total_gpus),
            f"{row.tpsu:.2f}",
            f"{row.tpsg:.2f}",
            row.candidate,
        ]
        for row in rows
    ]
    return aligned([[*head, "best P", "GPUs", "TPSU", "TPSG", "candidate"], *body])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns: the first and the last to the left, figures to the right."""
    sizes = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    last = len(sizes) - 1
    return [
        "  ".join(
            cell.ljust(size) if at in (0, last) else cell.rjust(size)
            for at, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ).rstrip()
        for row in rows
    ]


def agreement(found: Agreement) -> list[str]:
    """How many rows say what the file says; each that does not."""
    if not found.compared:
        return []
    lines = [f"{found.agreed} of {found.compared} rows agree with the file's own columns"]
    lines += [
        f"  {each.place}: {each.column} {each.ours:.10g} here, {each.stated} in the file"
        if each.ours == each.ours
        else f"  {each.place}: {each.column} {each.stated} in the file, which has no prefill of that width"
        for each in found.disagreements
    ]
    return lines


def terms_words(terms: Terms) -> str:
    """`TTFT <= 1 s, 10% prefill headroom`."""
    slo, words = terms.slo, list[str]()
    for name, value in (("TTFT", slo.ttft_s), ("TPOT", slo.tpot_s), ("ITL", slo.itl_s)):
        if value is not None:
            words.append(f"{name} <= {_time(value)}")
    for name, share in (("prefill", terms.headroom.prefill), ("decode", terms.headroom.decode)):
        if share:
            words.append(f"{share:.3g} of {name} kept free")
    if terms.kv:
        gigabytes = terms.kv.bytes_per_s / 1e9
        words.append(f"KV of {terms.kv.bytes_per_token:g} B/token by {terms.kv.mode} at {gigabytes:g} GB/s a GPU")
    if terms.rule is Rule.AICONFIGURATOR:
        words.append("AIConfigurator's rule")
    return ", ".join(words) or "no terms"


def what_changed(found: Sequence[Change]) -> Iterator[str]:
    """Against the plain match, one line for a point that changed."""
    for each in found:
        where = f"  {each.plain.point.width.label} at {each.plain.point.concurrency:g}: "
        now = each.now
        if isinstance(now, Dropped):
            yield f"{where}left out: {now.why}"
        elif each.any:
            why = "; ".join(text for text in (_prefill(now), now.bound) if text)
            before, after = each.plain, now.matched
            change = f"{before.candidate} -> {after.candidate}" if each.more_gpus else after.candidate
            yield f"{where}{change}, TPSG {before.tpsg:.1f} -> {after.tpsg:.1f}{f' ({why})' if why else ''}"
    if not any(each.any for each in found):
        yield "  nothing: every point keeps these terms as plainly matched"


def _prefill(row: Kept) -> str:
    return f"{row.matched.width.label}: {row.usable.why}" if row.usable.why else ""


def effect_lines(found: Sequence[Effect]) -> list[str]:
    """What terms that were not asked for would change."""
    rows = [["  with", "left out", "more prefill", "best TPSG that stays"]]
    for each in found:
        best = (
            f"{each.best.tpsg:.1f}: {each.best.candidate} at {each.best.point.concurrency:g}" if each.best else "none"
        )
        rows.append([f"  {each.words}", f"{each.dropped} of {each.points}", f"{each.more} of {each.points}", best])
    return aligned(rows)


def fleet_lines(
    layouts: Sequence[FleetMatch], aggregated: FleetAggregated | None, nodes: Sequence[int], osl: int
) -> list[str]:
    """The best layout on these nodes, and what comes next."""
    where = f"on {sum(nodes)} GPUs ({_nodes(nodes)})"
    if not layouts:
        return [f"{where}: no layout keeps the terms, or no instance fits"]
    best = layouts[0]
    scarce = "prefill" if best.prefill_per_s < best.decode_per_s else "decode"
    lines = [
        f"{where}: {best.name} at concurrency {best.point.concurrency:g} each: {best.requests_per_s:.2f} req/s, "
        f"TPSU {best.point.tpsu:.1f}, TPSG {best.tpsg:.1f}, {_idle(best.idle)}",
        f"  prefill could do {best.prefill_per_s:.2f} req/s, decode {best.decode_per_s:.2f}: {scarce} decides",
    ]
    lines += [f"  next: {each.name}: {each.requests_per_s:.2f} req/s, {_idle(each.idle)}" for each in layouts[1:3]]
    if aggregated:
        tpsg = aggregated.requests_per_s * osl / aggregated.gpus
        lines.append(
            f"  aggregated: {aggregated.name}: {aggregated.requests_per_s:.2f} req/s, "
            f"TPSU {aggregated.point.tpsu:.1f}, TPSG {tpsg:.1f}, {_idle(aggregated.idle)}"
        )
    return lines


def row_json(row: Matched) -> dict[str, Any]:
    """By the names of the published columns."""
    return {
        **columns_of(row),
        "d_dp": row.point.width.dp,
        "requests_per_s": row.requests_per_s,
        "p_width": row.width.label,
        "p_instances": row.instances,
        "candidate": row.candidate,
        "source": row.point.source,
    }


def change_json(each: Change) -> dict[str, Any]:
    now = each.now
    at = {"d_width": each.plain.point.width.label, "d_concurrency": each.plain.point.concurrency}
    if isinstance(now, Dropped):
        return {**at, "kept": False, "why": now.why}
    why = {"prefill_bound": now.usable.why, "decode_bound": now.bound, "ttft_s": now.usable.ttft_s}
    return {**row_json(now.matched), **at, "kept": True, "changed": each.any, "more_p_gpus": each.more_gpus, **why}


def fleet_json(best: FleetMatch) -> dict[str, Any]:
    return {
        "layout": best.name,
        "prefill_instances": best.prefill,
        "prefill_width": asdict(best.prefill_width),
        "decode_instances": best.decode,
        "decode_width": asdict(best.point.width),
        "decode_concurrency": best.point.concurrency,
        "requests_per_s": best.requests_per_s,
        "prefill_requests_per_s": best.prefill_per_s,
        "decode_requests_per_s": best.decode_per_s,
        "tpsu": best.point.tpsu,
        "tpsg": best.tpsg,
        "gpus": best.gpus,
        "idle_gpus": best.idle,
    }


def as_csv(profile: Profile, rows: Sequence[Matched]) -> str:
    """In the shape of the published tables; it can be read as a profile again."""
    out = io.StringIO()
    peaks = ", ".join(
        f"TP{width.tp}{f'xDP{width.dp}' if width.dp > 1 else ''} {profile.peak(width).tps:g}"
        for width in profile.widths()
    )
    out.write(f"# prefill total tok/s at ISL {profile.isl}, OSL 1: {peaks}; decode OSL {profile.osl}.\n")
    writer = csv.writer(out, lineterminator="\n")
    for at, row in enumerate(rows):
        columns = {"model": profile.model, **columns_of(row)}
        if at == 0:
            writer.writerow(columns)
        writer.writerow(columns.values())
    return out.getvalue()


def _nodes(nodes: Sequence[int]) -> str:
    sizes = sorted(set(nodes), reverse=True)
    return ", ".join(f"{nodes.count(size)} node{'s' if nodes.count(size) > 1 else ''} of {size}" for size in sizes)


def _idle(gpus: int) -> str:
    return "no GPU idle" if not gpus else f"{gpus} GPU{'s' if gpus > 1 else ''} idle"


def _time(value_s: float) -> str:
    return f"{value_s:g} s" if value_s >= 1 else f"{value_s * 1e3:g} ms"

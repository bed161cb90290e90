"""`pdctl bench match`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.tokens_type import TOKENS

if TYPE_CHECKING:
    from pdctl.bench.sizing.points import Profile
    from pdctl.bench.sizing.slo_match import KvCost, Terms

FORMAT = """
\b
A PROFILE is YAML (JSON too) or CSV. Column names are read freely: case and punctuation do not matter, `D TP`,
`d_tp` and `tensor-parallel-size` are one. What a row needs:
  prefill    tp (dp, gpus), total tok/s with OSL 1; concurrency and ttft_ms make its curve
  decode     tp (dp, gpus), concurrency, output tok/s; tpot_ms, itl_ms if measured
  aggregated as decode; only for comparison
and of all rows: isl and osl (or --isl, --osl); model, kv_bytes_per_token and kv_bytes_per_s if known.

\b
  model: gpt-oss-120b
  isl: 4096
  osl: 256
  prefill:
    - {tp: 1, tok_s: 37148}
    - {tp: 2, tok_s: 53577}
  decode:
    - {tp: 2, concurrency: 4, tok_s: 730.9}
    - {tp: 2, concurrency: 8, tok_s: 1329.2}

\b
The same as CSV, with a column `phase`; or prefill in a comment and decode in columns, as published:
  # prefill total tok/s at ISL 4096, OSL 1: TP1 37148, TP2 53577; decode TP2, OSL 256.
  d_tp,d_concurrency,decode_tok_s
  2,4,730.9
"""


@click.command("match", epilog=FORMAT)
@click.option(
    "--profile",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Throughputs of the phases, measured apart: YAML or CSV, see below; or the name of one that comes with "
    "pdctl: gpt-oss-120b-mi300x, llama-3.3-70b-fp8-mi300x.",
)
@click.option("--model", default="", help="Of a profile with several, this one; else its name.")
@click.option("--isl", type=TOKENS, help="Prompt tokens of a request, instead of the profile's.")
@click.option("--osl", type=TOKENS, help="Output tokens of a request, instead of the profile's.")
@click.option("--slo", "slo_text", metavar="ttft=1s,tpot=50ms", help="Targets: ttft, tpot, itl.")
@click.option(
    "--headroom",
    "headroom_text",
    metavar="SHARE",
    help="Share of prefill throughput that is kept free: 0.1; or prefill=0.1,decode=0.08.",
)
@click.option("--gpus", metavar="N", help="The best whole numbers for so many GPUs: 16, 8x2, or 8,8,4.")
@click.option("--fleet", is_flag=True, help="… for the nodes of the inventory (-i).")
@click.option("--gpus-per-node", type=click.IntRange(1), default=8, show_default=True, help="For --gpus N.")
@click.option("--kv-bytes-per-token", type=click.FloatRange(0, min_open=True), help="KV that moves, of a prompt token.")
@click.option("--kv-bandwidth", type=click.FloatRange(0, min_open=True), help="GB/s of one GPU's link.  [default: 20]")
@click.option("--kv-mode", type=click.Choice(["read", "write"]), default="write", show_default=True)
@click.option(
    "--rule",
    type=click.Choice(["md1", "aiconfigurator"]),
    default="md1",
    show_default=True,
    help="How waiting is foreseen where the profile has no prefill curve.",
)
@click.option(
    "--write",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the candidates that come out, and aggregated ones of the same widths, as inventories (from -i) there.",
)
@click.option("--csv", "as_table", is_flag=True, help="Print the match as CSV, in the shape of the published tables.")
@click.pass_obj
def command(
    options: Globals,
    profile: Path,
    model: str,
    isl: int | None,
    osl: int | None,
    slo_text: str | None,
    headroom_text: str | None,
    gpus: str | None,
    fleet: bool,
    gpus_per_node: int,
    kv_bytes_per_token: float | None,
    kv_bandwidth: float | None,
    kv_mode: str,
    rule: str,
    directory: Path | None,
    as_table: bool,
) -> int:
    """Rate matching: how many prefill GPUs keep one decode instance busy, from phases measured apart.

    First the plain match, as tlrmchlsmth/j-pareto does it: for every decode point the prompt tokens that it consumes,
    what every prefill width needs for them, and the fewest GPUs. Where the profile carries the result, it is compared.
    Then what latency targets, headroom, KV transfer and the fleet's whole numbers make of it.
    """
    from pdctl.bench.sizing.profile import Overrides, load_profiles
    from pdctl.bench.sizing.slo_match import Headroom, Rule, Slo, Terms
    from pdctl.cli.bench.match_terms import headroom_from, nodes_from, slo_from

    slo = slo_from(slo_text) if slo_text else Slo()
    headroom = headroom_from(headroom_text) if headroom_text else Headroom()
    nodes = nodes_from(gpus, gpus_per_node) if gpus else _nodes_of(options.inventory) if fleet else ()
    code = 0
    for found in load_profiles(profile, Overrides(model, isl, osl)):
        kv = _kv_cost(found, kv_bytes_per_token, kv_bandwidth, kv_mode)
        terms = Terms(slo, headroom, kv, Rule(rule))
        if options.json:
            say_json(options, "match", _body(found, str(profile), terms, nodes), cluster="")
        elif as_table:
            from pdctl.bench.sizing.match import match
            from pdctl.cli.bench.match_text import as_csv

            click.echo(as_csv(found, match(found)), nl=False)
        else:
            click.echo("\n".join(_lines(found, profile.name, terms, nodes)))
        if directory is not None:
            code = max(code, _write(options, found, terms, nodes, directory))
    return code


def _nodes_of(path: Path) -> tuple[int, ...]:
    """The GPUs of each node of an inventory."""
    from pdctl.inventory.load import load

    return tuple(node.gpus for node in load(path).spec.nodes.values())


def _write(options: Globals, profile: Profile, terms: Terms, nodes: tuple[int, ...], directory: Path) -> int:
    """Each candidate once: of the rows within the terms, of the fleet, and aggregated ones of the widths in them."""
    from pdctl.bench.sizing.fleet_match import fleet_match
    from pdctl.bench.sizing.layouts import aggregated_layouts, layout_named, unique
    from pdctl.bench.sizing.slo_match import kept, slo_match
    from pdctl.cli.bench.candidates import write

    rows = [row.matched for row in kept(slo_match(profile, terms))]
    names = [row.candidate for row in rows]
    best = fleet_match(profile, nodes, terms) if nodes else None
    layouts = [layout_named(name) for name in (*names, *([best.name] if best else []))]
    widths = {width for row in rows for width in (row.point.width, row.width)} | set(profile.widths())
    return write(options, unique([*layouts, *aggregated_layouts(widths)]), directory)


def _kv_cost(
    profile: Profile, bytes_per_token: float | None, gigabytes_per_s: float | None, mode: str
) -> KvCost | None:
    """None where nobody says how large KV is."""
    from pdctl.bench.sizing.slo_match import LINK_BYTES_PER_S, KvCost
    from pdctl.model.role import TransferMode

    size = bytes_per_token or profile.kv_bytes_per_token
    if size is None:
        return None
    rate = gigabytes_per_s * 1e9 if gigabytes_per_s else profile.kv_bytes_per_s or LINK_BYTES_PER_S
    return KvCost(size, rate, TransferMode(mode))


def _lines(profile: Profile, file: str, terms: Terms, nodes: tuple[int, ...]) -> list[str]:
    from pdctl.bench.sizing.agree import agree
    from pdctl.bench.sizing.changes import changes, effects
    from pdctl.bench.sizing.fleet_match import best_layouts, fleet_aggregated
    from pdctl.bench.sizing.match import match
    from pdctl.bench.sizing.slo_match import kept, slo_match
    from pdctl.cli.bench import match_text as text

    plain = match(profile)
    lines = [*text.heading(profile, file), "", *text.table(plain), "", *text.agreement(agree(plain))]
    if terms.plain:
        lines += ["this knows no waiting, no latency target and no headroom; what they would change:"]
        lines += text.effect_lines(list(effects(profile)))
    else:
        rows = slo_match(profile, terms)
        lines += [f"with {text.terms_words(terms)}:"]
        stay = [row.matched for row in kept(rows)]
        lines += ["", *text.table(stay), ""] if stay else ["  no decode point keeps these terms"]
        lines += ["changed against the plain match:", *text.what_changed(changes(profile, rows))]
    if nodes:
        lines += [
            "",
            *text.fleet_lines(
                best_layouts(profile, nodes, terms), fleet_aggregated(profile, nodes, terms), nodes, profile.osl
            ),
        ]
    return lines


def _body(profile: Profile, file: str, terms: Terms, nodes: tuple[int, ...]) -> dict[str, object]:
    from dataclasses import asdict

    from pdctl.bench.sizing.agree import agree
    from pdctl.bench.sizing.changes import changes, effects
    from pdctl.bench.sizing.fleet_match import best_layouts
    from pdctl.bench.sizing.match import match
    from pdctl.bench.sizing.slo_match import slo_match
    from pdctl.cli.bench import match_text as text

    plain = match(profile)
    body: dict[str, object] = {
        "profile": file,
        "model": profile.model,
        "isl": profile.isl,
        "osl": profile.osl,
        "prefill_tok_s": {width.label: profile.peak(width).tps for width in profile.widths()},
        "rows": [text.row_json(row) for row in plain],
        "agreement": asdict(agree(plain)),
        "ignored": list(profile.ignored),
        "terms": asdict(terms),
    }
    if terms.plain:
        body["would_change"] = [
            {
                "with": each.words,
                "left_out": each.dropped,
                "more_prefill": each.more,
                "best": text.row_json(each.best) if each.best else None,
            }
            for each in effects(profile)
        ]
    else:
        found = changes(profile, slo_match(profile, terms))
        body["with_terms"] = [text.change_json(each) for each in found]
    if nodes:
        layouts = best_layouts(profile, nodes, terms)
        body["fleet"] = text.fleet_json(layouts[0]) if layouts else None
        body["fleet_next"] = [text.fleet_json(each) for each in layouts[1:3]]
    return body

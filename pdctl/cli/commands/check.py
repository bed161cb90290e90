"""`pdctl check`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pdctl.cli.check_progress import progress, said
from pdctl.cli.check_table import report_lines
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import change, read
from pdctl.control.check import Checked, check, replay, save_all
from pdctl.control.check_deeper import Deeper, check_deeper
from pdctl.control.check_rules import refuse_misspelt_rules
from pdctl.control.check_scope import nodes_in
from pdctl.control.fix import fix
from pdctl.control.fix import fixes as planned_fixes
from pdctl.control.journal import Session
from pdctl.control.opened import Opened, read_deployment
from pdctl.errors import UsageError
from pdctl.health.finding import Verdict
from pdctl.health.html_report import html_report
from pdctl.inventory.select import select
from pdctl.model.deployment import Deployment
from pdctl.model.events import plain
from pdctl.text.escape import one_line

DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command("check")
@click.argument("selectors", nargs=-1)
@click.option("--save", "save_to", type=DIRECTORY, help="Keep what the nodes sent, raw: one file a node.")
@click.option("--replay", "replay_from", type=DIRECTORY, help="Judge what was kept there; touches no network.")
@click.option("--html", "html_to", type=click.Path(dir_okay=False, path_type=Path), help="Write a report to hand on.")
@click.option(
    "--tier",
    type=click.IntRange(0, 3),
    default=1,
    show_default=True,
    help="0: only whether nodes can be asked; 2: with --fabric; 3: with --floors too.",
)
@click.option("--fabric", is_flag=True, help="Test the rails that KV will move over too: pings, RDMA, bandwidth.")
@click.option("--floors", is_flag=True, help="Measure idle GPUs too: matrix products, HBM, all-reduce; takes minutes.")
@click.option("--fix", "fixes", is_flag=True, help="Show what pdctl may repair itself; with --yes, do it.")
@click.option("--list", "lists", is_flag=True, help="Show every check, what can be pinned, and the thresholds.")
@click.pass_obj
def command(
    options: Globals,
    selectors: tuple[str, ...],
    save_to: Path | None,
    replay_from: Path | None,
    html_to: Path | None,
    tier: int,
    fabric: bool,
    floors: bool,
    fixes: bool,
    lists: bool,
) -> int:
    """Are the nodes fit to serve: GPUs, driver, host, RDMA. Exit 1 when something keeps a slot from serving, 4 when
    nothing does but a node could not be reached.

    SELECTORS limit it to nodes, slots or @pools. Changes nothing on the nodes and leaves nothing there.
    """
    if lists:
        return _list(options)
    fabric, floors = fabric or tier >= 2, floors or tier >= 3
    if replay_from is not None:
        if save_to is not None or fixes or fabric or floors:
            raise UsageError("a replay asks no node: it can save, test and fix nothing", hint="leave --replay out")
        inventory, deployment = read_deployment(options.inventory)
        refuse_misspelt_rules(inventory, deployment.checks)
        replayed = replay(deployment, replay_from, scope=_scope(deployment, selectors))
        _write_html(html_to, deployment, replayed)
        return _show(options, deployment, replayed)

    async def collected(opened: Opened) -> Checked:
        deployment = opened.deployment
        refuse_misspelt_rules(opened.inventory, deployment.checks)
        scope = _scope(deployment, selectors)
        with progress(options, nodes_in(deployment, scope), deployment.cluster) as arrived:
            checked = await check(
                opened.cluster, scope=scope, records=opened.health, arrived=arrived, only_reach=tier == 0
            )
        if fabric or floors:
            deeper = Deeper(fabric, floors, scope)
            report = await check_deeper(opened.cluster, checked.fleet, deeper, tested=said(options, deployment.cluster))
            checked = replace(checked, report=report)
        if save_to is not None:
            save_all(save_to, checked)
        _write_html(html_to, deployment, checked)
        return checked

    async def act(opened: Opened) -> int:
        checked = await collected(opened)
        code = _show(options, opened.deployment, checked)
        if fixes:
            await show_fixes(options, opened, checked)
        return code

    async def repair(opened: Opened, session: Session) -> int:
        checked = await collected(opened)
        code = _show(options, opened.deployment, checked)
        return max(code, await fix(opened, checked, session))

    return change(options, "check --fix", repair) if fixes and options.yes else read(options, act)


async def show_fixes(options: Globals, opened: Opened, checked: Checked) -> None:
    """What `--fix --yes` would do; nothing is done."""
    plan = await planned_fixes(opened, checked)
    if options.json:
        say_json(options, "fixes", {"changes": plain(plan.changes)}, cluster=opened.deployment.cluster)
        return
    click.echo("")
    for each in plan.changes:
        click.echo(f"* would {each.kind.value} {one_line(each.subject)}: {one_line(each.reason)}")
    click.echo("`pdctl check --fix --yes` does it" if plan.changes else "nothing that pdctl may repair itself")


def _scope(deployment: Deployment, selectors: tuple[str, ...]) -> frozenset[str] | None:
    """Ids of the selected slots; None where nothing was selected: all of them."""
    return frozenset(slot.id for slot in select(deployment, selectors).slots) if selectors else None


def _show(options: Globals, deployment: Deployment, checked: Checked) -> int:
    report = checked.report
    if options.json:
        say_json(options, "check", as_json(checked, passed=options.verbose), cluster=deployment.cluster)
        return report.exit_code
    for path, why in checked.unreadable.items():
        click.echo(f"{path}: {why}", err=True)
    for line in report_lines(report, took_s=checked.took_s, verbose=options.verbose):
        click.echo(line)
    return report.exit_code


def _write_html(path: Path | None, deployment: Deployment, checked: Checked) -> None:
    if path is None:
        return
    envelopes = {name: saved.envelope for name, saved in checked.saved.items()}
    newest_s = max((envelope.wall_s for envelope in envelopes.values()), default=0.0)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(newest_s))
    text = html_report(checked.report, cluster=deployment.cluster, when=when, envelopes=envelopes)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def as_json(checked: Checked, *, passed: bool) -> dict[str, Any]:
    """The report as one JSON-able document; findings that passed only if asked for, their number always."""
    report = checked.report
    shown = [each for each in report.findings if passed or each.verdict is not Verdict.PASS]
    return {
        "exit_code": report.exit_code,
        "took_s": round(checked.took_s, 3),
        "nodes": list(report.nodes),
        "unreachable": plain(report.unreachable),
        "slots": [
            {
                "slot": slot.slot,
                "node": slot.node,
                "fitness": slot.fitness.value,
                "checks": list(dict.fromkeys(finding.check for finding in slot.blockers)),
            }
            for slot in report.slots
        ],
        "findings": [{**plain(finding), "blocks": finding.blocks} for finding in shown],
        "passed": sum(1 for each in report.findings if each.verdict is Verdict.PASS),
    }


def _list(options: Globals) -> int:
    from dataclasses import fields

    from pdctl.health.registry import REGISTRY
    from pdctl.model.check_policy import Thresholds

    rows = [
        {"check": each.id, "severity": each.severity.value, "title": each.title, "reads": list(each.reads)}
        for group in (REGISTRY.checks, REGISTRY.fleet, REGISTRY.traits, REGISTRY.figures)
        for each in group
    ]
    ours = Thresholds()
    limits = {each.name: getattr(ours, each.name) for each in fields(Thresholds)}
    if options.json:
        body = {"checks": rows, "pinned": list(REGISTRY.pins()), "thresholds": limits}
        say_json(options, "checks", body, cluster="")
        return 0
    for row in rows:
        click.echo(f"{row['check']:32} {row['severity']:6} {row['title']}")
    click.echo(f"\ncan be pinned: {', '.join(REGISTRY.pins()) or 'nothing'}\n\nthresholds:")
    for name, number in limits.items():
        click.echo(f"  {name}: {number}")
    return 0

"""`pdctl run`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import refuse_read_only
from pdctl.errors import UsageError
from pdctl.text.escape import one_line


@click.command("run")
@click.argument("playbook", required=False)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give a variable of the playbook.")
@click.option("--dry-run", is_flag=True, help="Say what every step would do now; change nothing.")
@click.option("--check", "checks", is_flag=True, help="Only check the playbook's file, and show its variables.")
@click.option("--resume", metavar="RUN", help="Go on with a run that stopped or was killed; or `last`.")
@click.option("--undo", metavar="RUN", help="Take back what a run did, backwards.")
@click.option("--from", "start_at", metavar="STEP", help="Leave out the steps before this one (number or name).")
@click.option("--force", is_flag=True, help="Resume although the playbook was changed since.")
@click.option("--list", "lists", is_flag=True, help="Show the playbooks that come with pdctl, and the newest runs.")
@click.pass_obj
def command(
    options: Globals,
    playbook: str | None,
    settings: tuple[str, ...],
    dry_run: bool,
    checks: bool,
    resume: str | None,
    undo: str | None,
    start_at: str | None,
    force: bool,
    lists: bool,
) -> int:
    """Play PLAYBOOK: a file, or the name of one that comes with pdctl. Every step is a use case of the other commands.

    All of it is checked first: variables, selectors, pools, paths. A run that stops can be resumed or undone from
    where it is; its record lies in the user's state directory.
    """
    if lists:
        return _list(options)
    if sum(each is not None for each in (playbook, resume, undo)) != 1:
        raise UsageError("one of PLAYBOOK, --resume RUN and --undo RUN is needed", hint="`pdctl run --list` shows both")
    if checks:
        return _check(options, playbook)
    if not dry_run:
        refuse_read_only(options, "run")
    from pdctl.cli.playbook_session import foresee, play
    from pdctl.control.playbook_record import RunStore
    from pdctl.control.playbook_runs import begin, find_run, go_on, skip_to
    from pdctl.inventory.playbook_find import find_playbook

    store = RunStore.of_user()
    if playbook is not None:
        given = _given(settings)
        prepared = begin(find_playbook(playbook), given, options.inventory, run=options.run, now_s=time.time())
    elif settings:
        raise UsageError("a run keeps its variables: --set is for new ones", hint="begin a new run with other values")
    else:
        prepared = go_on(find_run(store, resume or undo or ""), undo=undo is not None, force=force)
    if start_at is not None:
        prepared = skip_to(prepared, start_at, time.time())
    return foresee(options, prepared) if dry_run else play(options, store, prepared)


def _given(settings: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {setting!r} is no assignment", hint="write --set NAME=VALUE")
        given[name] = value
    return given


def _check(options: Globals, reference: str | None) -> int:
    from pdctl.inventory.playbook_find import find_playbook
    from pdctl.inventory.playbook_load import load_playbook

    if reference is None:
        raise UsageError("--check is for a playbook, not for a run")
    path = find_playbook(reference)
    playbook = load_playbook(path)
    variables = {name: var.model_dump(mode="json") for name, var in playbook.spec.vars.items()}
    if options.json:
        body = {"file": str(path), "playbook": playbook.spec.name, "about": playbook.spec.about, "vars": variables}
        say_json(options, "valid", body, cluster="")
        return 0
    click.echo(f"{path}: valid; {playbook.spec.name}: {playbook.spec.about}")
    for name, var in playbook.spec.vars.items():
        default = "has to be given" if var.required else f"default {var.default}"
        about = f": {var.help}" if var.help else ""
        click.echo(f"  --set {name}=…  {var.type}, {default}{one_line(about)}")
    return 0


def _list(options: Globals) -> int:
    from pdctl.control.clock import utc
    from pdctl.control.playbook_record import RunStore

    books = _shipped()
    runs = RunStore.of_user().all()[:20]
    if options.json:
        told = [
            {"run": each.run, "playbook": each.name, "cluster": each.cluster, "outcome": each.outcome}
            | {"began": round(each.began_s, 3), "operator": each.operator, "inventory": each.inventory}
            for each in runs
        ]
        say_json(options, "playbooks", {"playbooks": books, "runs": told}, cluster="")
        return 0
    width = max((len(book["name"]) for book in books), default=0)
    for book in books:
        click.echo(f"{book['name']:{width}}  {one_line(book['about'])}")
    if runs:
        click.echo("\nnewest runs:")
    for each in runs:
        click.echo(one_line(f"{each.run}  {each.outcome:8} {utc(each.began_s)}  {each.name} on {each.cluster}"))
    return 0


def _shipped() -> list[dict[str, Any]]:
    from pdctl.inventory.playbook_find import shipped_playbooks
    from pdctl.inventory.playbook_load import load_playbook

    def told(name: str, path: Path) -> dict[str, Any]:
        return {"name": name, "about": load_playbook(path).spec.about, "file": str(path)}

    return [told(name, path) for name, path in shipped_playbooks().items()]

"""The options that every command honours, before its name or after: `pdctl --json status`, `pdctl status --json`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click


def new_run_id() -> str:
    """Names one run of one command in every event and journal line."""
    return os.urandom(4).hex()


@dataclass(slots=True)
class Globals:
    """What the global options say, and the name of this run. One object per command line: options that stand behind a
    command's name are noted in it too, so that whoever tells its error knows them."""

    inventory: Path = Path("inventory.yaml")
    json: bool = False
    yes: bool = False
    read_only: bool = False
    verbose: bool = False
    run: str = field(default_factory=new_run_id)


def with_global_options(command: click.Command, *, root: bool = False) -> click.Command:
    """Give `command`, and the commands below it if it is a group, the global options that it does not have yet.

    Only the `root` reads the environment, so that a variable never overrides what was typed before the command.
    """
    have = {name for param in command.params for name in param.opts}
    command.params += [option for option in _options(environment=root) if not have.intersection(option.opts)]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_global_options(below)
    return command


def _options(*, environment: bool) -> list[click.Option]:
    return [
        _option(
            "-i",
            "--inventory",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="PDCTL_INVENTORY" if environment else None,
            help="The cluster's YAML file.  [env: PDCTL_INVENTORY; default: inventory.yaml]",
        ),
        _option("--json", is_flag=True, help="Machine-readable: one JSON document, or one event a line."),
        _option("--yes", is_flag=True, help="Ask nothing."),
        _option(
            "--read-only",
            is_flag=True,
            envvar="PDCTL_READ_ONLY" if environment else None,
            help="Refuse what changes something.",
        ),
        _option("-v", "--verbose", is_flag=True, help="Show plans, details and tracebacks."),
    ]


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, is_eager=True, callback=_remember, **settings)


def _remember(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    if not isinstance(ctx.obj, Globals):
        ctx.obj = Globals()
    if value is not None and value is not False and option.name is not None:
        setattr(ctx.obj, option.name, value)

"""`pdctl keys`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.terminal_settings import settings_path
from pdctl.tui.keys_text import key_lines, keys_table
from pdctl.tui.settings_file import load_settings


@click.command("keys")
@click.pass_obj
def command(options: Globals) -> int:
    """The keys of the terminal, with your own where your settings file changes them."""
    path = settings_path()
    settings = load_settings(path)
    if options.json:
        actions = [
            {"id": line.action.id, "keys": list(line.action.keys), "about": line.action.about,
             "danger": line.action.danger.value, "screens": sorted(line.action.scope), "twin": line.action.twin}
            for line in key_lines(settings)
        ]  # fmt: skip
        say_json(options, "keys", {"file": str(path), "actions": actions}, cluster="")
        return 0
    for line in keys_table(settings):
        click.echo(line.rstrip())
    click.echo(f"\nYour own keys: {path}\n  keys: {{move: M}}")
    return 0

"""One line of `--json`: what a command says outside of a run's event stream, in the same envelope."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.model.events import stamped


def say_json(options: Globals, event: str, body: Mapping[str, Any], *, cluster: str) -> None:
    """Print `body` as one event. Lines are ASCII, so remote text in them cannot drive a terminal.

    `cluster` is "" where the command ends before it knows one.
    """
    line = stamped(event, body, ts=time.time(), run=options.run, cluster=cluster)
    click.echo(json.dumps(line, default=str))

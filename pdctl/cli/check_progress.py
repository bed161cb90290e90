"""Who has answered, while a check waits for its nodes: a line that is rewritten, or one line a node."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.check_deeper import Tested
from pdctl.health.envelope import Envelope
from pdctl.health.fabric_verdict import SessionResult
from pdctl.model.events import plain
from pdctl.model.observed import Trouble
from pdctl.text.escape import one_line

Arrived = Callable[[str, Envelope | Trouble], None]


@contextmanager
def progress(options: Globals, nodes: tuple[str, ...], cluster: str) -> Iterator[Arrived]:
    """Shows arrivals for as long as it lasts: as events with --json, on stderr else."""
    if options.json:
        yield _as_events(options, cluster)
    elif sys.stderr.isatty():
        yield from _on_terminal(nodes)
    else:
        yield _as_lines


def said(options: Globals, cluster: str) -> Tested:
    """Tells each pair of NICs that was tested as it comes: an event with --json, a line on stderr else."""

    def tested(result: SessionResult, done: int, total: int) -> None:
        if options.json:
            body = {"pair": result.session.name, "bandwidth": plain(result.bandwidth), "done": done, "total": total}
            say_json(options, "fabric_tested", body, cluster=cluster)
        else:
            click.echo(f"{done} of {total}: {one_line(result.session.name)}", err=True)

    return tested


def _as_events(options: Globals, cluster: str) -> Arrived:
    def arrived(node: str, answer: Envelope | Trouble) -> None:
        if isinstance(answer, Trouble):
            body = {"node": node, "cause": answer.cause, "hint": answer.hint}
            say_json(options, "node_unreachable", body, cluster=cluster)
        else:
            body_seen = {"node": node, "seconds": round(answer.seconds, 3), "missing": list(answer.missing)}
            say_json(options, "node_collected", body_seen, cluster=cluster)

    return arrived


def _as_lines(node: str, answer: Envelope | Trouble) -> None:
    if isinstance(answer, Trouble):
        click.echo(f"{node}: {one_line(answer.cause)}", err=True)
    else:
        click.echo(f"{node}: collected in {answer.seconds:.1f} s", err=True)


def _on_terminal(nodes: tuple[str, ...]) -> Iterator[Arrived]:
    from rich.console import Console

    waiting = dict.fromkeys(nodes)

    def text() -> str:
        left = ", ".join(list(waiting)[:4]) + (", …" if len(waiting) > 4 else "")
        return f"{len(nodes) - len(waiting)} of {len(nodes)} nodes answered; waiting for {left or 'nothing'}"

    with Console(stderr=True).status(text()) as status:

        def arrived(node: str, answer: Envelope | Trouble) -> None:
            waiting.pop(node, None)
            status.update(text())

        yield arrived

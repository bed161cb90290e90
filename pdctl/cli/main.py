"""The `pdctl` command: global options, and a table of commands that are imported only when asked for.

`pdctl --help` must cost at most 0.15 s of CPU, so nothing here imports asyncssh, httpx, pydantic, rich or textual.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from pdctl import __version__
from pdctl.cli.global_options import Globals, with_global_options
from pdctl.cli.lazy_group import LazyGroup
from pdctl.cli.silence import silence_stdout
from pdctl.errors import PdctlError, UsageError

COMMANDS = {
    "init": "write an inventory from reachable hosts",
    "validate": "check an inventory: every error at once, located",
    "schema": "print the inventory's JSON Schema, for editors",
    "render": "print what would be started: argv, environment, ports; touches no network",
    "trust": "show and pin the nodes' host keys",
    "check": "are the nodes fit to serve: GPUs, driver, host, RDMA, with evidence",
    "plan": "say what `up` would do, and why",
    "up": "make the cluster what the inventory says",
    "status": "show what runs, what is registered, and what died of what",
    "top": "the terminal: see it all live, move and drain with a key; `pdctl` alone does the same",
    "serve": "the terminal in a browser, read-only, on this machine",
    "keys": "the keys of the terminal",
    "watch": "live figures of pools and instances: latency, load, KV transfer, alerts",
    "canary": "send a tiny request through every prefill x decode pair",
    "export": "write what a Prometheus and a Grafana need to know of the cluster",
    "bundle": "one redacted archive for a bug report or a hand-over",
    "replay": "show a recording of `watch --record`",
    "logs": "show the logs of instances, the router or the registrar",
    "move": "change the pool of slots under load: nothing is lost, and it can be taken back until it stops",
    "restart": "relaunch instances, one of a role at a time",
    "drain": "take slots out of service, and hold them there",
    "undrain": "take holds away, and bring back what they held",
    "pin": "keep slots in their pool: nothing moves them",
    "router": "move the router to another node, or start it anew",
    "down": "fence, drain and stop",
    "bench": "measure: load, goodput, comparisons, phase sweeps, rate matching, Pareto fronts",
    "advise": "which split, how large, whether to disaggregate: predicted, with reasons and errors",
    "run": "play a playbook: use cases in a row, with gates, undo and resume",
    "exec": "run one command on many nodes",
    "events": "show the journal of changes",
    "demo": "a simulated fleet: bring it up, serve a load, take it down",
}


class ReaderGone(Exception):
    """Whoever read our output went away. click would end a BrokenPipeError with 1, which means failure here."""


class RootGroup(LazyGroup):
    """The commands of `pdctl`."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error


@click.group(
    cls=RootGroup,
    table=COMMANDS,
    package="pdctl.cli.commands",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="pdctl")
@click.pass_context
def cli(ctx: click.Context) -> int:
    """Bring prefill/decode clusters up on bare-metal GPU nodes over SSH, watch them, and take them down.

    The inventory says what is wanted; the nodes' own units say what is. A run can be killed at any point: the next
    one, from any machine, goes on from what it finds.

    Without a command, the cluster is shown live in the terminal (`pdctl top`).
    """
    if ctx.invoked_subcommand is not None:
        return 0
    if sys.stdin.isatty() and sys.stdout.isatty() and not ctx.obj.json:
        from pdctl.cli.commands.top import command as top

        return int(ctx.invoke(top))
    click.echo(ctx.get_help())
    return UsageError.exit_code


with_global_options(cli, root=True)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: with its own code, or with the code of the error that ended it."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = Globals()
    try:
        code = cli.main(arguments, prog_name="pdctl", standalone_mode=False, obj=options)
    except PdctlError as error:
        code = _tell(error, options)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.Abort:
        code = 130
    except click.ClickException as error:
        options.json = options.json or "--json" in arguments  # click reads no further than the mistake
        if options.json:
            hint = f"`{error.ctx.command_path} --help`" if isinstance(error, click.UsageError) and error.ctx else ""
            code = _tell(UsageError(error.format_message(), hint=hint), options)
        else:
            error.show()
            code = UsageError.exit_code
    except KeyboardInterrupt:
        code = 130
    except ReaderGone:
        silence_stdout()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: PdctlError, options: Globals) -> int:
    from pdctl.cli.failure import show_failure

    return show_failure(error, options)

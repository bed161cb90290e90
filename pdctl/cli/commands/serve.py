"""`pdctl serve`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.session import STOPS
from pdctl.errors import UsageError

if TYPE_CHECKING:
    from pdctl.cli.served_page import PageServer


@click.command("serve")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs --allow-remote.")
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Listen where others reach it. There is no login: whoever does, sees the cluster and its logs.",
)
@click.option("--public-url", default="", help="Where a reverse proxy shows the page: https://ops.example.")
@click.option("--theme", default=None, help="As of `pdctl top`.")
@click.pass_obj
def command(options: Globals, /, *, port: int, host: str, allow_remote: bool, public_url: str, **flags: Any) -> int:
    """Show the terminal in a browser, read-only, on this machine alone. Ctrl-C ends it.

    One process a tab, which asks the cluster by itself. Needs the extra: `pip install 'pdctl[serve]'`.
    """
    try:
        from pdctl.cli.served_page import PageServer, is_loopback, tab_command
    except ImportError as error:
        raise UsageError(f"`pdctl serve` needs textual-serve: {error}", hint="`pip install 'pdctl[serve]'`") from error
    if not is_loopback(host):
        if not allow_remote:
            raise UsageError(
                f"{host} is not this machine alone, and there is no login",
                hint="--allow-remote if you mean it; better a reverse proxy with one, or `ssh -L`",
            )
        click.echo(f"! anyone who reaches {host}:{port} sees the cluster and its logs: there is no login", err=True)
    from pdctl.control.opened import read_deployment

    _, deployment = read_deployment(options.inventory)  # a mistake is told here, not in every tab
    typed = [part for name, value in flags.items() if value for part in (f"--{name}", str(value))]
    server = PageServer(
        tab_command(options.inventory.absolute(), typed),
        host,
        port,
        title=f"pdctl {deployment.cluster}",
        announce=lambda url: click.echo(f"{deployment.cluster}, read-only, at {url}  (Ctrl-C ends it)"),
        public_url=public_url,
    )
    try:
        asyncio.run(_until_stopped(server))
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be listened on: {error.strerror or error}", hint="--port") from error
    return 0


async def _until_stopped(server: PageServer) -> None:
    stop = asyncio.Event()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.run(stop)

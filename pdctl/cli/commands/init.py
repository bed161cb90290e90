"""`pdctl init`."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import refuse_read_only
from pdctl.control.init import HostFacts, look, parse_host
from pdctl.control.init_template import Draft, default_prefill, inventory_text
from pdctl.errors import UsageError
from pdctl.inventory.load import parse
from pdctl.inventory.scalars import NAME
from pdctl.model.deployment import SshSettings
from pdctl.model.observed import Trouble
from pdctl.text.escape import one_line


@click.command("init")
@click.argument("hosts", nargs=-1, required=True, metavar="[NAME=]HOST[:PORT]...")
@click.option("--cluster", default="cluster", show_default=True, help="Its name, in every unit.")
@click.option("--model", default="deepseek-ai/DeepSeek-R1", show_default=True, help="Name or path on the nodes.")
@click.option("--user", default=getpass.getuser, help="The login on the hosts.  [default: your own]")
@click.option("--identity", type=click.Path(), help="A private key; ~/.ssh's usual ones if left out.")
@click.option("--known-hosts", type=click.Path(), help="A file of pinned keys; pdctl's own if left out.")
@click.option("--jump", help="[user@]host[:port] in front of the hosts.")
@click.option("--accept-new", is_flag=True, help="Pin host keys never seen before instead of refusing them.")
@click.option("--prefill", type=click.IntRange(1), help="Nodes for prefill.  [default: two of five]")
@click.option("--force", is_flag=True, help="Overwrite an inventory.")
@click.pass_obj
def command(  # one parameter per option
    options: Globals,
    hosts: tuple[str, ...],
    cluster: str,
    model: str,
    user: str,
    identity: str | None,
    known_hosts: str | None,
    jump: str | None,
    accept_new: bool,
    prefill: int | None,
    force: bool,
) -> int:
    """Look at HOSTS and write an inventory of those that answer (to -i, else ./inventory.yaml).

    Host keys must be known, or --accept-new given. Nothing is changed on the hosts.
    """
    refuse_read_only(options, "init")
    target = options.inventory
    if target.exists() and not force:
        raise UsageError(f"{target} exists", hint="choose another with -i, or overwrite it with --force")
    if not NAME.fullmatch(cluster):
        raise UsageError(f"--cluster {cluster!r} is no name", hint="1 to 32 of a-z, 0-9 and -, not beginning with -")
    ssh = SshSettings(
        user=user,
        identity=_absolute(identity),
        jump=jump,
        known_hosts=_absolute(known_hosts),
        accept_new=accept_new,
    )
    answers = asyncio.run(look([parse_host(text) for text in hosts], ssh))
    found = [answer for answer in answers if isinstance(answer, HostFacts)]
    troubles = [answer for answer in answers if isinstance(answer, Trouble)]
    for trouble in troubles:
        _say_left_out(options, cluster, trouble)
    if not found:
        return max(trouble.exit_code for trouble in troubles)
    draft = Draft(cluster, model, ssh, min(prefill or default_prefill(len(found)), max(len(found) - 1, 1)))
    text = inventory_text(draft, found)
    try:
        target.write_text(text)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", hint="choose another with -i") from None
    if options.json:
        say_json(options, "written", {"file": str(target), "nodes": len(found)}, cluster=cluster)
    else:
        click.echo(f"{target}: {len(found)} nodes. Look at what is marked (?), then `pdctl validate`.")
    parse(text.encode(), target)  # what the hosts showed may not fit together: say so now, not at the next command
    return 3 if troubles else 0


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


def _say_left_out(options: Globals, cluster: str, trouble: Trouble) -> None:
    if options.json:
        say_json(options, "unreachable", {"cause": trouble.cause, "hint": trouble.hint}, cluster=cluster)
        return
    click.echo(f"left out: {one_line(trouble.cause)}", err=True)
    if trouble.hint:
        click.echo(f"  hint: {one_line(trouble.hint)}", err=True)

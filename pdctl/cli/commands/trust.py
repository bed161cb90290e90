"""`pdctl trust`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

import click

from pdctl.cli.chosen import chosen_nodes
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.opened import read_deployment
from pdctl.control.trust import HostKeyOffer, Offered, offered_keys
from pdctl.errors import UsageError
from pdctl.ssh.pool import trust
from pdctl.text.escape import one_line


@click.command("trust")
@click.argument("selectors", nargs=-1)
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...]) -> int:
    """Show the nodes' host keys and pin them after you have compared the fingerprints.

    A key that differs from a pinned one is never replaced here: find out why it changed first.
    """
    _, deployment = read_deployment(options.inventory)
    asked = asyncio.run(offered_keys(deployment, chosen_nodes(deployment, selectors)))
    cluster = deployment.cluster
    seen: set[tuple[str, int]] = set()
    code = 0
    for item in asked:
        if item.trouble:
            facts = {"node": item.node, "result": "unreachable", "cause": item.trouble, "hint": item.hint}
            _say(options, cluster, facts)
            code = max(code, item.exit_code)
        for offer in item.offers:
            if (offer.host, offer.port) not in seen:
                seen.add((offer.host, offer.port))
                code = max(code, _offer(options, cluster, offer))
        code = max(code, _hidden(options, cluster, item))
    return code


def _offer(options: Globals, cluster: str, offer: HostKeyOffer) -> int:
    where = f"{offer.name} ({offer.host} port {offer.port})"
    facts: dict[str, object] = {
        "node": offer.name,
        "host": offer.host,
        "port": offer.port,
        "fingerprint": offer.fingerprint,
    }
    if offer.trusted:
        _say(options, cluster, {**facts, "result": "trusted already"})
        return 0
    if offer.pinned:
        hint = f"if the change is known, remove the old line from {offer.known_hosts} and run this again"
        cause = f"pinned: {', '.join(offer.pinned)}"
        _say(options, cluster, {**facts, "result": "CHANGED", "cause": cause, "hint": hint})
        return 4
    if options.read_only:
        _say(options, cluster, {**facts, "result": "not trusted", "cause": "--read-only"})
        return 4
    if not options.yes:
        if options.json or not sys.stdin.isatty():
            raise UsageError(
                f"nobody is there to compare the fingerprint of {where}: {offer.fingerprint}",
                hint="compare it by another way, then run this with --yes",
            )
        click.echo(one_line(f"{where} offers {offer.algorithm} {offer.fingerprint}"))
        if not click.confirm("Is this its fingerprint?"):
            _say(options, cluster, {**facts, "result": "not trusted", "cause": "you said no"})
            return 4
    trust(offer)
    _say(options, cluster, {**facts, "result": "pinned", "cause": f"in {offer.known_hosts}"})
    return 0


def _hidden(options: Globals, cluster: str, item: Offered) -> int:
    if item.trouble or item.complete:
        return 0
    hint = "run `pdctl trust` once more: the jump host in front of it had to be trusted first"
    facts = {"node": item.node, "result": "not asked yet", "cause": "behind a jump host", "hint": hint}
    _say(options, cluster, facts)
    return 3


def _say(options: Globals, cluster: str, facts: Mapping[str, object]) -> None:
    if options.json:
        say_json(options, "host_key", facts, cluster=cluster)
        return
    words = [f"{facts['node']}: {facts['result']}"]
    words += [str(facts[key]) for key in ("fingerprint", "cause") if facts.get(key)]
    click.echo(one_line(", ".join(words)))
    if facts.get("hint"):
        click.echo(f"  hint: {one_line(str(facts['hint']))}")

"""`watch --apply` and `watch --heal`: the loop behind the command, with its view of events and its alerts."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

import click

from pdctl.cli.advise.known_profiles import profiles
from pdctl.cli.global_options import Globals
from pdctl.cli.session import change
from pdctl.control.alert_delivery import AlertDelivery
from pdctl.control.decision_book import DecisionBook
from pdctl.control.follow import Follower, SettledFile
from pdctl.control.heal import Healer
from pdctl.control.journal import Session
from pdctl.control.keeper import Keeper, alert_of
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.rebalance import Mode, Rebalance, pace_of, rebalancer_of
from pdctl.control.up import UpOptions
from pdctl.model.events import Event
from pdctl.text.escape import one_line

SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is looked after. `auto`: None, "suggest" or "apply". `restart_s` None: as is usual."""

    applies: bool
    heals: bool
    auto: str | None
    restart_s: float | None
    at_once: int


def keep(options: Globals, kept: Kept, *, on_alert: str | None) -> int:
    """Until a signal comes. Returns the exit code."""

    async def act(opened: Opened, session: Session) -> int:
        async with contextlib.AsyncExitStack() as stack:
            told = await _alerting(stack, session, opened, on_alert)
            clock = opened.cluster.clock
            path = Path(opened.deployment.source)
            follower = None
            if kept.applies:
                file = SettledFile(path)
                follower = Follower(file, UpOptions(at_once=kept.at_once), told, clock, open_cluster)
            healer = Healer(told) if kept.heals else None
            rebalance = _rebalance(kept, told, opened) if kept.auto else None
            await Keeper(told, clock, SettledFile(path), open_cluster, follower, healer, rebalance).run()
        return 0

    return change(options, "watch", act)


def _rebalance(kept: Kept, session: Session, opened: Opened) -> Rebalance:
    """Raises TooThin where the policy cannot know the fleet."""
    deployment = opened.deployment
    return Rebalance(
        session,
        opened.cluster.clock,
        Mode(kept.auto or Mode.SUGGEST),
        rebalancer_of(deployment, profiles(()), kept.restart_s),
        DecisionBook.of(deployment.cluster),
        open_cluster,
        pace_of(deployment),
    )


async def _alerting(stack: contextlib.AsyncExitStack, session: Session, opened: Opened, target: str | None) -> Session:
    """The session whose alerts reach `target` too: a command or a web address."""
    if target is None:
        return session
    delivery = AlertDelivery(target, opened.deployment.cluster, lambda why: click.echo(f"? {one_line(why)}", err=True))
    delivering = asyncio.create_task(delivery.run())
    stack.callback(delivering.cancel)
    stack.push_async_callback(delivery.settle, SETTLE_S)

    def sink(event: Event) -> None:
        session.sink(event)
        change = alert_of(event, opened.cluster.clock.time())
        if change is not None:
            delivery.take(change)

    return Session(sink, session.interrupt, session.run)

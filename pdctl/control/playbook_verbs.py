"""The verbs of playbooks on a real cluster: the same use cases that the commands of the CLI call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pdctl.control.carry_out import carry_out
from pdctl.control.down import down
from pdctl.control.journal import Session
from pdctl.control.observe import observe
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.playbook_gate import check_nodes, sing, smoke, wait_for
from pdctl.control.playbook_ports import Ask, Ended
from pdctl.control.request import DrainRequest, MoveRequest, Request, RestartRequest, UndrainRequest
from pdctl.control.up import UpOptions, up
from pdctl.errors import PlanRefused
from pdctl.inventory.edit import loc_of, put_back, write_if_unchanged, written_at
from pdctl.inventory.load import Inventory, load, parse
from pdctl.inventory.playbook_schema import (
    CanaryVerb,
    CheckVerb,
    ConfirmVerb,
    DownVerb,
    DrainVerb,
    GateVerb,
    MoveVerb,
    RestartVerb,
    SetVerb,
    SmokeVerb,
    UndrainVerb,
    UpVerb,
)
from pdctl.inventory.select import select
from pdctl.model.deployment import Deployment
from pdctl.model.load import LoadRunner
from pdctl.plan.drift import anything_lives
from pdctl.plan.playbook_program import PUT_BACK, Task, with_scalar

Opening = Callable[[Path], AbstractAsyncContextManager[Opened]]


class CarryOut(Protocol):
    """Moves, drains, undrains and restarts: `control.carry_out.carry_out`."""

    def __call__(self, opened: Opened, request: Request, session: Session) -> Awaitable[int]: ...


@dataclass(frozen=True, slots=True)
class ClusterVerbs:
    """The verbs on the cluster of one inventory, which is read anew for every step: steps may have changed it."""

    inventory: Path
    load: LoadRunner
    ask: Ask
    opening: Opening = open_cluster
    carry_out: CarryOut = carry_out
    wall: Callable[[], float] = time.time

    def written(self, task: Task) -> str | None:
        if not isinstance(task.args, SetVerb):
            return None
        text = load(self.inventory).text
        return written_at(text, loc_of(text, task.args.path))

    async def do(self, task: Task, session: Session, was: str | None, *, again: bool) -> Ended:
        match task.args:
            case SetVerb() as args:
                return self._write(args, was) if task.verb == PUT_BACK else self._set(args)
            case ConfirmVerb() as args:
                return await self._confirm(args)
            case _:
                async with self.opening(self.inventory) as opened:
                    end = await self._with(opened, task, session)
                if end.code == 0 and isinstance(task.args, MoveVerb | UndrainVerb) and (again or task.takes_back):
                    return await self._finish(task.args, session)
                return end

    async def _finish(self, args: MoveVerb | UndrainVerb, session: Session) -> Ended:
        """Bring up what a move or an undrain that was cut off has left: the inventory has the word that it should, or
        the hold is gone, and what runs there is fenced, or nothing does. Where the cluster is down it stays so."""
        async with self.opening(self.inventory) as opened:
            if not anything_lives(await observe(opened.cluster)):
                return Ended(0)
            return Ended(await up(opened, UpOptions(_chosen(opened.deployment, args.select)), session))

    async def _with(self, opened: Opened, task: Task, session: Session) -> Ended:
        match task.args:
            case CheckVerb() as args:
                return await check_nodes(opened, args, session.sink)
            case CanaryVerb() as args:
                return await sing(opened, args)
            case SmokeVerb() as args:
                return await smoke(opened, args, self.load, session.interrupt.asked.is_set)
            case GateVerb() as args:
                return await wait_for(opened, args, task.id, session.sink)
            case UpVerb() as args:
                return Ended(await up(opened, up_options(opened.deployment, args), session))
            case DownVerb() as args:
                return Ended(await down(opened, session, only=_chosen(opened.deployment, args.select), now=args.now))
            case _:
                request = request_of(task, self.wall())
                return Ended(await self.carry_out(opened, request, session))

    def _set(self, args: SetVerb) -> Ended:
        inventory = load(self.inventory)
        changed = with_scalar(inventory.text, args, self.inventory)
        return self._replace(inventory, changed, f"{args.path} is {args.value}")

    def _write(self, args: SetVerb, was: str | None) -> Ended:
        if was is None:
            return Ended(0, f"{args.path} was never changed")
        inventory = load(self.inventory)
        changed = put_back(inventory.text, loc_of(inventory.text, args.path), was)
        parse(changed.encode(), self.inventory)
        return self._replace(inventory, changed, f"{args.path} is {was} again")

    def _replace(self, inventory: Inventory, changed: str, said: str) -> Ended:
        if changed == inventory.text:
            return Ended(0, f"{said} already")
        try:
            write_if_unchanged(self.inventory, inventory.digest, changed)
        except OSError as error:
            raise PlanRefused(f"{self.inventory} cannot be written: {error.strerror}") from None
        return Ended(0, said)

    async def _confirm(self, args: ConfirmVerb) -> Ended:
        answer = await self.ask(args.ask, ("yes", "no"))
        if answer is None:
            return Ended(3, "nobody is there to answer", "resume it in a terminal, or with --yes", pause=True)
        return Ended(0, "yes") if answer == "yes" else Ended(1, "the operator said no")


def up_options(deployment: Deployment, args: UpVerb) -> UpOptions:
    """The options of `up` that the step asks for."""
    return UpOptions(
        _chosen(deployment, args.select),
        at_once=args.at_once,
        force=args.force,
        adopt=args.adopt,
        skip_checks=args.skip_checks,
    )


def _chosen(deployment: Deployment, expression: str | None) -> frozenset[str] | None:
    if expression is None:
        return None
    return frozenset(instance.name for instance in select(deployment, (expression,)).instances)


def request_of(task: Task, now_s: float) -> Request:
    """What the task asks for. `now_s` is wall time."""
    match task.args:
        case MoveVerb() as args:
            return MoveRequest(
                (args.select,),
                args.to,
                args.at_once,
                args.force,
                args.on_deadline,
                args.canary,
                args.skip_checks,
            )
        case DrainVerb() as args:
            until_s = None if args.hold_for is None else now_s + args.hold_for
            return DrainRequest((args.select,), args.reason, until_s, args.stop, args.force, args.deadline)
        case UndrainVerb() as args:
            return UndrainRequest((args.select,))
        case RestartVerb() as args:
            return RestartRequest((args.select,), args.at_once, args.force)
        case _:
            raise AssertionError(f"{task.verb} is no request")

"""The steps of a playbook that only look: checks, canaries, requests through the router, and gates on live figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pdctl.control.canaries import canary_rounds
from pdctl.control.check import Checked, check
from pdctl.control.check_deeper import Deeper, check_deeper
from pdctl.control.check_rules import refuse_misspelt_rules
from pdctl.control.check_said import check_ended, failed_checks
from pdctl.control.journal import Sink
from pdctl.control.opened import Opened
from pdctl.control.playbook_ports import Ended
from pdctl.control.watch import alerted, watching
from pdctl.inventory.playbook_schema import CanaryVerb, CheckVerb, GateVerb, SmokeVerb
from pdctl.inventory.select import select
from pdctl.model.load import LoadRunner, LoadSpec
from pdctl.model.playbook_events import GateSaw, PlaybookWaiting
from pdctl.model.role import Role
from pdctl.model.snapshot import PairState
from pdctl.plan.playbook_gate import Condition, Settling, Trail, look
from pdctl.routers.ports import client_url

TELL_S: Final = 10.0
"""How often a gate that waits says what it sees, where nothing of it changes."""


async def check_nodes(opened: Opened, args: CheckVerb, emit: Sink) -> Ended:
    """T1, and deeper where it is asked for. Not fit to serve: failed, each finding an event."""
    deployment = opened.deployment
    refuse_misspelt_rules(opened.inventory, deployment.checks)
    chosen = select(deployment, (args.select,)).slots if args.select else None
    scope = None if chosen is None else frozenset(slot.id for slot in chosen)
    checked = await check(opened.cluster, scope=scope, records=opened.health)
    report = checked.report
    if args.fabric or args.floors:
        report = await check_deeper(opened.cluster, checked.fleet, Deeper(args.fabric, args.floors, scope))
        checked = Checked(report, checked.fleet, checked.saved, checked.took_s)
    for failed in failed_checks(report):
        emit(failed)
    emit(check_ended(checked))
    if report.exit_code == 0:
        return Ended(0, f"{len(report.nodes)} nodes are fit")
    unfit = [slot.slot for slot in report.slots if not slot.may_serve]
    said = f"{', '.join(unfit)} may not serve" if unfit else f"{', '.join(report.unreachable)} could not be asked"
    return Ended(report.exit_code, said, "`pdctl check` shows the evidence and what to do")


async def sing(opened: Opened, args: CanaryVerb) -> Ended:
    """A canary through every pair of members, `rounds` times."""
    if not any(each.role is not Role.MIXED for each in opened.deployment.instances):
        return Ended(0, "no pairs in a colocated cluster: `up` has proved each instance")
    pairs = await canary_rounds(opened.cluster, args.rounds)
    if not pairs:
        return Ended(1, "no pair: a prefill and a decode instance have to be members", "`pdctl status` says who is")
    bad = [pair for pair in pairs if pair.state is not PairState.OK]
    if not bad:
        return Ended(0, f"{len(pairs)} pairs hand over")
    told = "; ".join(f"{pair.prefill} -> {pair.decode} {pair.state.value} {pair.why}".rstrip() for pair in bad[:3])
    return Ended(1, f"{len(bad)} of {len(pairs)} pairs: {told}", "`pdctl canary` shows all of them")


async def smoke(opened: Opened, args: SmokeVerb, load: LoadRunner, stop: Callable[[], bool]) -> Ended:
    """Requests through the router, half of them streamed. One that is not answered whole is a failure."""
    deployment = opened.deployment
    spec = LoadSpec(
        url=args.url or client_url(deployment),
        model=deployment.model.name,
        concurrency=min(args.concurrency, args.requests),
        isl=args.isl,
        osl=args.osl,
        requests=args.requests,
        stream_share=0.5,
        deadline_s=args.deadline,
    )
    report = await load(spec, None, stop)
    counts = report.counts
    if counts.ok == args.requests:
        ttft = f", TTFT p50 {report.ttft.p50_s * 1e3:.0f} ms" if report.ttft else ""
        return Ended(0, f"all {counts.ok} ok{ttft}")
    why = "; ".join(f"{count} x {detail}" for detail, count in report.failures[:2])
    refused = counts.refused == counts.total
    hint = f"is {spec.url} reachable from here? `url:` names another way" if refused else "look at `pdctl watch`"
    return Ended(1, f"{counts.ok} of {args.requests} ok: {why or 'stopped'}", hint)


async def wait_for(opened: Opened, args: GateVerb, step: str, emit: Sink) -> Ended:
    """Wait until all conditions have held for the settle time. What is unknown never holds."""
    deployment, clock = opened.deployment, opened.cluster.clock
    chosen = select(deployment, (args.select,) if args.select else ()).instances
    members = frozenset(instance.name for instance in chosen)
    compare = args.compare
    against = select(deployment, (compare.select,)).instances if compare is not None else ()
    compared = frozenset(instance.name for instance in against)
    settling, trail, told, began_s = Settling(args.settle), Trail(args.settle), _Told(), clock.monotonic()
    async with watching(opened.cluster) as watch:
        async for snapshot in alerted(watch.snapshots()):
            now_s = clock.monotonic()
            waited_s = now_s - began_s
            trail.take(snapshot)
            seen = look(args, snapshot, watched_s=waited_s, members=members, compared=compared, trail=trail)
            if settling.take(seen, now_s):
                return Ended(0, "; ".join(f"{each.wanted}: {each.saw}" for each in seen))
            if waited_s >= args.within:
                return Ended(1, f"not within {args.within:g} s: {_missing(seen, settling)}", "`pdctl watch` shows more")
            if told.is_news(seen, now_s):
                held_s = 0.0 if settling.since_s is None else now_s - settling.since_s
                shown = tuple(GateSaw(each.wanted, each.met, each.saw) for each in seen)
                emit(PlaybookWaiting(step, shown, held_s, args.settle, args.within - waited_s))
    raise AssertionError("snapshots never end by themselves")


class _Told:
    """What a gate has said last, and when."""

    def __init__(self) -> None:
        self._met: tuple[bool | None, ...] = ()
        self._at_s = float("-inf")

    def is_news(self, seen: tuple[Condition, ...], now_s: float) -> bool:
        """Whether something changed, or nothing was said for a while."""
        met = tuple(each.met for each in seen)
        if met == self._met and now_s - self._at_s < TELL_S:
            return False
        self._met, self._at_s = met, now_s
        return True


def _missing(seen: tuple[Condition, ...], settling: Settling) -> str:
    missing = [f"{each.wanted}: {each.saw}" for each in seen if each.met is not True]
    return "; ".join(missing) or f"all held, but not for {settling.settle_s:g} s"

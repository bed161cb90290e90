"""Running `pdctl demo`: its progress, and its summary as text or as the last JSON line."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Any

import click

from pdctl.bench.load import run_load
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.render import renderer
from pdctl.cli.session import STOPS
from pdctl.control.clock import SystemClock
from pdctl.control.demo import DemoLoad, DemoOutcome, run_demo
from pdctl.control.demo_moves import refuse_moves
from pdctl.control.demo_nodes import FleetOptions
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.errors import UsageError
from pdctl.model.outcome import RequestResult

FOREVER = 1_000_000_000
CLIENTS = 16


MOVING = {
    "write": DemoLoad(concurrency=32, isl=1024, osl=128, stream_share=0.8),
    "read": DemoLoad(concurrency=56, isl=6000, osl=64, stream_share=0.8),
}
"""With --moves, by KV mode. In READ a request's pair is chosen before its prefill: the load makes prefill queues (4 s
on two nodes, 8 s on one) that are longer than the router's memory and the settle window together."""


def demo_load(fleet: FleetOptions, requests: int, concurrency: int | None, moves: int, *, headless: bool) -> DemoLoad:
    """What the options ask for; with `headless` False it lasts until the operator stops it. Raises UsageError."""
    if not moves:
        return DemoLoad(requests=requests if headless else FOREVER, concurrency=concurrency or CLIENTS)
    if not headless:
        raise UsageError("--moves needs --headless", hint="in the terminal, `m` moves what is selected")
    prefill, _, decode = fleet.layout.upper().rstrip("D").partition("P")
    refuse_moves(int(prefill), int(decode))
    load = replace(MOVING[fleet.mode], moves=moves)
    return load if concurrency is None else replace(load, concurrency=concurrency)


def run_demo_command(options: Globals, fleet: FleetOptions, load: DemoLoad) -> int:
    """Run the demo to its end. Returns the exit code."""
    outcome = asyncio.run(_run(options, fleet, load))
    if options.json:
        say_json(options, "summary", summary(outcome), cluster=fleet.cluster)
    else:
        _tell(outcome)
    return outcome.exit_code


async def _run(options: Globals, fleet: FleetOptions, load: DemoLoad) -> DemoOutcome:
    interrupt, clock = Interrupt(), SystemClock()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, interrupt.ask)
    view = renderer(
        json=options.json,
        stream=sys.stdout,
        terminal=sys.stdout.isatty(),
        verbose=options.verbose,
        clock=clock,
        run=options.run,
        cluster=fleet.cluster,
    )
    with view:
        return await run_demo(fleet, load, run_load, Session(view, interrupt, options.run), _counter(options, load))


def _counter(options: Globals, load: DemoLoad) -> Any:
    """Says on stderr how far the load is, every so often."""
    counted = load.requests < FOREVER and not load.moves
    every, seen, failed = max(load.requests // 10, 100) if counted else 500, 0, 0

    def count(result: RequestResult) -> None:
        nonlocal seen, failed
        seen += 1
        failed += result.outcome.failed
        if seen % every == 0 and not options.json:
            of = f" of {load.requests}" if counted else ""
            click.echo(f"  {seen}{of} requests, {failed} failed", err=True)

    return count


def summary(outcome: DemoOutcome) -> dict[str, Any]:
    """What the last line of `pdctl demo --json` says."""
    counts, report = outcome.counts, outcome.report
    return {
        "nodes": outcome.nodes,
        "layout": outcome.layout,
        "mode": outcome.mode,
        "requests": counts.total,
        "ok": counts.ok,
        "failed": counts.failed,
        "aborted": counts.aborted,
        "error": counts.error,
        "cut": counts.cut,
        "refused": counts.refused,
        "streamed": report.streamed if report else 0,
        "buffered": report.buffered if report else 0,
        "kv_handoffs": outcome.kv.handoffs,
        "kv_handoffs_prefill": outcome.kv.prefill,
        "kv_handoffs_decode": outcome.kv.decode,
        "kv_tokens": outcome.kv.tokens,
        "decode_local_compute_tokens": outcome.kv.local_compute,
        "ttft_p50_s": _round(report.ttft.p50_s if report and report.ttft else None),
        "ttft_p99_s": _round(report.ttft.p99_s if report and report.ttft else None),
        "itl_p50_s": _round(report.itl.p50_s if report and report.itl else None),
        "itl_p99_s": _round(report.itl.p99_s if report and report.itl else None),
        "tokens_per_s": _round(report.tokens_per_s if report else None),
        "up_s": _round(outcome.up_s),
        "load_s": _round(report.took_s if report else None),
        "down_s": _round(outcome.down_s),
        "leftovers": len(outcome.leftovers),
        **(outcome.moves.summary() if outcome.moves else {}),
        "exit_code": outcome.exit_code,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _tell(outcome: DemoOutcome) -> None:
    facts = summary(outcome)
    click.echo(f"\n{facts['nodes']} simulated nodes, {facts['layout']}, KV by {facts['mode'].upper()}")
    click.echo(
        f"  {facts['requests']} requests through vllm-router: {facts['ok']} ok, {facts['failed']} failed "
        f"({facts['aborted']} aborted, {facts['error']} error, {facts['cut']} cut, {facts['refused']} refused)"
    )
    if outcome.moves:
        _tell_moves(facts)
    click.echo(
        f"  KV hand-offs: {_shown(facts['kv_handoffs_prefill'])} counted by prefill, "
        f"{_shown(facts['kv_handoffs_decode'])} by decode; {_shown(facts['kv_tokens'])} tokens came by transfer, "
        f"{_shown(facts['decode_local_compute_tokens'])} were computed by decode itself"
    )
    if facts["ttft_p50_s"] is not None and facts["itl_p50_s"] is not None:
        ttft = f"TTFT {facts['ttft_p50_s'] * 1e3:.0f} and {facts['ttft_p99_s'] * 1e3:.0f} ms"
        itl = f"ITL {facts['itl_p50_s'] * 1e3:.1f} and {facts['itl_p99_s'] * 1e3:.1f} ms"
        click.echo(f"  simulated latencies, p50 and p99: {ttft}, {itl}")
    click.echo(
        f"  up in {facts['up_s']:.1f} s, down in {facts['down_s']:.1f} s, {facts['leftovers']} processes left over"
    )
    if outcome.report:
        for detail, count in outcome.report.failures:
            click.echo(f"  ! {count} x {detail}")


def _tell_moves(facts: dict[str, Any]) -> None:
    click.echo(
        f"  {facts['moves']} of {facts['moves_asked']} moves done under this load: {facts['in_flight_at_fence']} "
        f"requests were in hand when their engine left the router ({facts['moves_with_requests_in_flight']} moves), "
        f"{facts['moves_cut']} cut"
    )
    for phase, spread in facts["move_phases_s"].items():
        click.echo(f"    {phase:9} {spread['p50']:7.2f} s, at most {spread['max']:.2f} s")
    if facts["moves_trouble"]:
        click.echo(f"  ! {facts['moves_trouble']}")


def _shown(value: int | None) -> str:
    return "unknown" if value is None else str(value)

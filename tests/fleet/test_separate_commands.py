"""`up`, `status`, `plan`, `down` as separate commands against nodes that stay."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.command import PDCTL, Operator
from tests.fleet.requests import completion
from tests.fleet.site import Site, alive, changes, launches, of, status
from tests.fleet.traces import END_S, traces
from tests.waiting import wait_until

pytestmark = pytest.mark.fleet

IN_A_TERMINAL = """
import fcntl, subprocess, sys, termios, time
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
print("\\nENDED", subprocess.run(sys.argv[1:]).returncode, flush=True)
time.sleep(600)
"""
"""The leader of a terminal's session: runs a command there and stays until the terminal hangs up."""


def run_in_a_terminal_that_closes(operator: Operator, *argv: str) -> str:
    """Run one command on a terminal of its own, then close that. What was on the screen."""
    screen, inner = os.openpty()
    shell = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, str(PDCTL), *argv],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        env={**operator.environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(inner)
    said = b""
    with shell:
        try:
            while b"ENDED" not in said or not said.endswith(b"\n"):
                said += os.read(screen, 65536)
        finally:
            os.close(screen)
            shell.wait(10)
    return said.decode()


async def test_engines_serve_on_after_up_and_its_terminal_are_gone_until_down(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    nodes = (await operator.pdctl("demo", "nodes", "up", "--json", "--layout", "1P1D")).expect(0).document
    operator = Operator(tmp_path, Path(nodes["inventory"]))
    try:
        screen = await asyncio.to_thread(run_in_a_terminal_that_closes, operator, "up")
        assert "ENDED 0" in screen
        assert "n2.main.0" in screen, "the live view shows every instance"
        seen = await status(operator)
        assert (seen["serving"], seen["ratio"]) == (True, "1P1D")
        assert (await completion(seen["router_url"])).ok
        assert (await operator.pdctl("down", "--json")).expect(0).events("run_ended")[0]["failed"] == 0
        seen = await status(operator)
        assert (seen["serving"], seen["ratio"]) == (False, "0/1P 0/1D")
        assert {view["state"] for view in [*seen["instances"], *seen["services"]]} == {"down"}
        again = (await operator.pdctl("down")).expect(0)
        assert "nothing to do" in again.out
        fleet = next(iter(traces_of(nodes)))
        seen_traces = traces(fleet)
    finally:
        gone = await operator.pdctl("demo", "nodes", "down", "--json")
    assert gone.expect(0).document["leftovers"] == []
    await wait_until(lambda: not seen_traces.left(), END_S, what="nothing of the nodes is left")
    assert "no simulated nodes" in (await operator.pdctl("demo", "nodes", "down")).expect(0).out


def traces_of(nodes: dict[str, list[dict[str, int]]]) -> set[str]:
    """The fleet's marker, as a node's process carries it."""
    environment = Path(f"/proc/{nodes['nodes'][0]['pid']}/environ").read_bytes().split(b"\0")
    return {item.decode().partition("=")[2] for item in environment if item.startswith(b"PDCTL_SIM_FLEET=")}


async def test_a_serving_cluster_needs_no_change_and_a_second_up_makes_none(serving: Site) -> None:
    operator = serving.operator
    before = await status(operator)
    assert (before["serving"], before["ratio"], before["strays"], before["unreachable"]) == (True, "2P3D", [], {})
    assert {view["state"] for view in before["instances"]} == {"serving"}
    plan = (await operator.pdctl("plan", "--detailed-exitcode", "--json")).expect(0).document
    assert plan["converged"]
    again = (await operator.pdctl("up", "--json")).expect(0)
    assert again.events("step_started") == []
    after = await status(operator)
    assert launches(after) == launches(before)
    assert all(alive(pid) for pid, _, _ in launches(after).values())
    assert (await completion(after["router_url"])).ok


@pytest.mark.slow
async def test_a_selector_takes_one_instance_down_and_up_again_while_the_others_serve(serving: Site) -> None:
    operator = serving.operator
    before = launches(await status(operator))
    (await operator.pdctl("down", "n5", "--json")).expect(0)
    assert (await completion(serving.router_url)).ok
    seen = await status(operator)
    assert (seen["serving"], seen["ratio"], of(seen, "n5.main.0")["state"]) == (True, "2P 2/3D", "down")
    plan = (await operator.pdctl("plan", "--detailed-exitcode", "--json")).expect(2).document
    assert changes(plan) == {"n5.main.0": "start"}
    (await operator.pdctl("up", "@decode", "--json")).expect(0)
    after = launches(await status(operator))
    assert {name for name in after if after[name] != before[name]} == {"n5.main.0"}

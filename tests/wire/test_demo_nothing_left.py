"""Whatever way a fleet of simulated nodes ends, no process and no port of it is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pdctl.control.demo_nodes import DemoFleet, FleetOptions, demo_nodes_down, demo_nodes_status, demo_nodes_up
from pdctl.control.demo_record import DemoNodes, read_nodes
from pdctl.errors import PdctlError
from tests.waiting import patient
from tests.wire.sim_fleet import (
    TAG,
    Daemon,
    alive,
    eventually,
    login,
    marked,
    port_free,
    running_fleet,
    start_escaping_daemon,
)

pytestmark = pytest.mark.fleet

SMALL = FleetOptions(layout="1P1D")

OWNER = """
import asyncio, pathlib, sys
from pdctl.control.demo_nodes import DemoFleet, FleetOptions
async def main():
    async with DemoFleet(pathlib.Path(sys.argv[1]), FleetOptions(layout="1P1D")):
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""

CALLER = """
import asyncio, fcntl, pathlib, sys, termios, time
from pdctl.control.demo_nodes import FleetOptions, demo_nodes_up
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
asyncio.run(demo_nodes_up(pathlib.Path(sys.argv[1]), FleetOptions(layout="1P1D")))
print("up", flush=True)
time.sleep(600)
"""


def start_owner(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, TAG: str(directory)},
    )


def nothing_is_left(directory: Path, fleet: DemoNodes | None = None, daemon: Daemon | None = None) -> None:
    """Processes first, then ports: the kernel takes a dying process's environment before it closes its sockets."""
    eventually(lambda: not marked(directory), 10.0, "no process of the fleet lives")
    if daemon is not None:
        eventually(lambda: not alive(daemon.pid), 1.0, "the daemon is dead")
        eventually(lambda: port_free(daemon.address, daemon.port), 1.0, "the daemon's port is free")
    for node in fleet.nodes if fleet is not None else ():
        eventually(partial(port_free, node.host, node.port), 1.0, f"{node.name}'s port is free")


async def test_the_owners_death_ends_all_even_a_daemon_that_fled(tmp_path: Path) -> None:
    directory = tmp_path / "nodes"
    with start_owner(directory) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        fleet = read_nodes(directory)
        assert fleet is not None
        daemon = await start_escaping_daemon(fleet, fleet.nodes[0])
        assert not port_free(daemon.address, daemon.port)
        owner.kill()
    nothing_is_left(directory, fleet, daemon)


@pytest.mark.parametrize("reached", ["fleet.log", "lock", "client_key", "nodes/n2/host_key", "known_hosts"])
def test_the_owners_death_during_the_start_ends_all(tmp_path: Path, reached: str) -> None:
    directory = tmp_path / "nodes"
    with start_owner(directory) as owner:
        eventually((directory / reached).exists, 10.0, f"{reached} is written")
        owner.kill()
    nothing_is_left(directory, read_nodes(directory))


async def test_the_fleets_death_ends_all_frozen_nodes_too(tmp_path: Path) -> None:
    directory = tmp_path / "nodes"
    with running_fleet(directory, "--layout", "1P1D") as (fleet, process):
        daemon = await start_escaping_daemon(fleet, fleet.nodes[0])
        os.kill(fleet.nodes[0].pid, signal.SIGSTOP)
        process.kill()
        nothing_is_left(directory, fleet, daemon)


async def test_leaving_the_context_ends_all(tmp_path: Path) -> None:
    directory = tmp_path / "nodes"
    demo = DemoFleet(directory, SMALL)
    async with demo as fleet:
        daemon = await start_escaping_daemon(fleet, fleet.nodes[1])
        os.kill(fleet.nodes[0].pid, signal.SIGSTOP)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < patient(5.0), "the frozen node was woken for it, not waited for"
    assert demo.leftovers == ()
    assert not alive(daemon.pid)
    assert not any(alive(node.pid) for node in fleet.nodes)
    nothing_is_left(directory, fleet, daemon)


async def test_a_directory_of_somebody_else_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(PdctlError, match=r"thesis\.tex"):
        async with DemoFleet(tmp_path, SMALL):
            pass
    with pytest.raises(PdctlError, match=r"thesis\.tex"):
        await demo_nodes_up(tmp_path, SMALL)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def up_in_a_terminal_that_closes(directory: Path) -> int:
    """Run `up` as its terminal's session leader, wait for it, hang up; how the caller ended."""
    terminal, inner = os.openpty()
    with (
        os.fdopen(terminal, "rb", buffering=0) as screen,
        subprocess.Popen(
            [sys.executable, "-c", CALLER, str(directory)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env={**os.environ, TAG: str(directory)},
        ) as caller,
    ):
        os.close(inner)
        said = b""
        while b"\n" not in said:
            said += screen.read(4096)
        screen.close()
        assert said.strip() == b"up"
        return caller.wait(10)


async def test_kept_nodes_outlive_their_callers_terminal_and_go_with_down(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    try:
        assert await asyncio.to_thread(up_in_a_terminal_that_closes, directory) == -signal.SIGHUP
        fleet = demo_nodes_status(directory)
        assert fleet is not None
        async with await login(fleet, fleet.nodes[1]) as connection:
            assert (await connection.run("true")).exit_status == 0
        again = await demo_nodes_up(directory, SMALL)
        assert not again.started
        assert again.nodes.identity == fleet.identity
        daemon = await start_escaping_daemon(fleet, fleet.nodes[0])
    finally:
        down = await demo_nodes_down(directory)
    assert down.was_up
    assert down.leftovers == ()
    nothing_is_left(directory, fleet, daemon)
    assert not fleet.client_key.exists()
    assert demo_nodes_status(directory) is None
    assert not (await demo_nodes_down(directory)).was_up


async def test_a_dead_fleets_directory_is_cleaned_and_used_again(tmp_path: Path) -> None:
    first = (await demo_nodes_up(tmp_path, SMALL)).nodes
    os.kill(first.identity.pid, signal.SIGKILL)
    eventually(lambda: not first.identity.alive(), 5.0, "it is dead")
    assert demo_nodes_status(tmp_path) is None
    second = await demo_nodes_up(tmp_path, SMALL)
    try:
        assert second.started
        assert second.nodes.identity != first.identity
        assert second.nodes.nodes[0].host_key != first.nodes[0].host_key
        async with await login(second.nodes, second.nodes.nodes[0]) as connection:
            assert (await connection.run("true")).exit_status == 0
    finally:
        await demo_nodes_down(tmp_path)


async def test_down_after_a_crash_removes_what_the_fleet_left(tmp_path: Path) -> None:
    fleet = (await demo_nodes_up(tmp_path, SMALL)).nodes
    os.kill(fleet.identity.pid, signal.SIGKILL)
    eventually(lambda: not fleet.identity.alive(), 5.0, "it is dead")
    down = await demo_nodes_down(tmp_path)
    assert (down.was_up, down.leftovers) == (False, ())
    assert not fleet.client_key.exists()
    assert not any(alive(node.pid) for node in fleet.nodes)

"""`check --fix --yes` in the world of crashes: what is on the list is done, under the lease, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from pdctl.control.check import Checked
from pdctl.control.fix import fix, fixes, numa_balancing_on
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.health.check import Fleet
from pdctl.health.envelope import Envelope, File
from pdctl.health.report import Report
from pdctl.health.saved import Saved
from pdctl.ssh.fake import FakeShell
from tests.crash import scenario, virtual_time
from tests.crash.world import World

NUMA = "/proc/sys/kernel/numa_balancing"


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def checked(**numa: str) -> Checked:
    """What a check saw of the nodes' kernel parameter; "" where it could not be read."""
    files = {node: {NUMA: File(text=text) if text else File(error="EACCES")} for node, text in numa.items()}
    saved = {node: Saved(Envelope(node=node, files=found)) for node, found in files.items()}
    return Checked(Report((), (), tuple(numa)), Fleet({}, {}), saved)


def test_a_parameter_that_could_not_be_read_is_left_alone() -> None:
    assert numa_balancing_on(checked(n1="1\n", n2="0\n", n3="", n4="2\n")) == ("n1", "n4")


async def shown(opened: Opened, session: Session) -> int:
    plan = await fixes(opened, checked(n2="1\n", n3="0\n"))
    assert [(change.subject, change.kind.value) for change in plan.changes] == [("n2", "fix")]
    return 0


async def done(status: int, opened: Opened, session: Session) -> int:
    shell = opened.cluster.shells.shell("n2")
    assert isinstance(shell, FakeShell)
    shell.answer(["env"], status=status, stderr=b"sh: 1: cannot create: Read-only file system\n" if status else b"")
    code = await fix(opened, checked(n2="1\n", n3="0\n"), session)
    asked = [command.argv for command in shell.commands if command.argv[0] == "env"]
    assert len(asked) == 1
    assert NUMA in asked[0][-1]
    assert all(not _commands(opened, node) for node in ("n1", "n3", "n4", "n5"))
    return code


def _commands(opened: Opened, node: str) -> list[object]:
    shell = opened.cluster.shells.shell(node)
    assert isinstance(shell, FakeShell)
    return list(shell.commands)


def test_what_would_be_fixed_is_shown_and_nothing_is_done() -> None:
    async def story() -> None:
        async with World.alive() as world:
            result = await world.command(shown)
            assert (result.code, result.mutations) == (0, [])

    virtual_time.run(story())


def test_numa_balancing_is_stopped_on_the_node_where_it_is_on() -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            result = await world.command(partial(done, 0))
            assert (result.code, result.failures) == (0, [])
            entries = [entry for entry in world.journal if entry.get("action") == "set kernel.numa_balancing to 0"]
            assert {entry["event"] for entry in entries} >= {"step_started", "step_done"}
            scenario.assert_serves(world)

    virtual_time.run(story())


def test_a_parameter_that_cannot_be_set_is_a_failure() -> None:
    async def story() -> None:
        async with World.alive() as world:
            result = await world.command(partial(done, 2))
            assert result.code == 1
            assert "numa_balancing could not be set: sh: 1: cannot create: Read-only file system" in result.failures[0]

    virtual_time.run(story())

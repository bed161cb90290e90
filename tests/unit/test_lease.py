"""The lease with its real program on this machine: one holder, freed by whatever ends it, and noticed when lost."""

from __future__ import annotations

import asyncio
import fcntl
import getpass
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from pdctl.control import lease
from pdctl.control.lease import Applied, HeldLease, take_lease
from pdctl.errors import LeaseHeld, NodeError, Unreachable
from pdctl.ssh.fake import Command, FakeShell
from pdctl.ssh.local import LocalShell
from pdctl.ssh.ports import Completed
from tests.waiting import wait_until

CLUSTER = "t"
HOLDER = """
import asyncio, sys
from pdctl.control import lease
from pdctl.ssh.local import LocalShell
from pdctl.ssh.ports import Completed

async def main():
    lease.HEARTBEAT_S, lease.TIMEOUT_S = 0.1, float(sys.argv[2])
    async with lease.take_lease(LocalShell(), sys.argv[1], "t", "restart") as held:
        print(held.epoch, flush=True)
        print(await held.lost(), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state directory; heartbeats and deadlines are short."""
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(lease, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(lease, "PATIENCE_S", 2.0)
    return str(tmp_path)


@asynccontextmanager
async def another_process(root: str, timeout_s: float = 5.0) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that holds the lease."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, root, str(timeout_s), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"1\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def is_free(root: str) -> bool:
    """Whether nobody holds the lock."""
    with (Path(root) / CLUSTER / "lease.lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


async def take_as_soon_as_free(root: str) -> tuple[int, float]:
    """The epoch, and how long it took, in seconds."""
    began = time.monotonic()
    while True:
        try:
            async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
                return held.epoch, time.monotonic() - began
        except LeaseHeld:
            assert time.monotonic() - began < 20


def program_of(pid: int) -> psutil.Process:
    """The lease program that a process started."""
    children = psutil.Process(pid).children(recursive=True)
    return next(child for child in children if "json.loads" in " ".join(child.cmdline()))


async def test_the_second_is_refused_and_told_who_holds_it(root: str) -> None:
    async with take_lease(LocalShell("n1"), root, CLUSTER, "down"):
        with pytest.raises(LeaseHeld) as raised:
            async with take_lease(LocalShell("n1"), root, CLUSTER, "up"):
                raise AssertionError("two holders")
    for words in (getpass.getuser(), socket.gethostname(), "`pdctl down`", f"pid {psutil.Process().pid}"):
        assert words in raised.value.message
    assert (raised.value.exit_code, bool(raised.value.hint)) == (75, True)


async def test_clusters_do_not_share_a_lease(root: str) -> None:
    async with (
        take_lease(LocalShell("n1"), root, CLUSTER, "up"),
        take_lease(LocalShell("n1"), root, "another", "up") as other,
    ):
        assert other.epoch == 1


async def test_every_holder_has_a_higher_epoch_than_all_before(root: str) -> None:
    for epoch in (1, 2):
        async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
            assert held.epoch == epoch
    (Path(root) / CLUSTER / "epoch").write_text("40\n")  # a command of some other lease's holder came by
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        assert held.epoch == 41


async def test_free_within_a_second_of_the_holders_sigkill(root: str) -> None:
    async with another_process(root) as holder:
        with pytest.raises(LeaseHeld, match="pdctl restart"):
            async with take_lease(LocalShell("n1"), root, CLUSTER, "up"):
                pass
        holder.kill()
        await wait_until(lambda: is_free(root), 1, what="the lock is free", poll_s=0.01)
        epoch, _ = await take_as_soon_as_free(root)
    assert epoch == 2


async def test_a_frozen_holder_loses_it_and_learns_of_it(root: str) -> None:
    async with another_process(root, timeout_s=0.5) as holder:
        holder.send_signal(signal.SIGSTOP)
        epoch, took_s = await take_as_soon_as_free(root)
        assert epoch == 2
        assert took_s < 10
        holder.send_signal(signal.SIGCONT)
        assert holder.stdout is not None
        told = await asyncio.wait_for(holder.stdout.readline(), 10)
        assert f"pid {psutil.Process().pid}) is running `pdctl up`".encode() in told


async def test_a_frozen_holder_that_nobody_replaced_goes_on(root: str) -> None:
    async with another_process(root, timeout_s=0.5) as holder:
        holder.send_signal(signal.SIGSTOP)
        await wait_until(lambda: is_free(root), 10, what="the lock is free for others")
        holder.send_signal(signal.SIGCONT)
        await wait_until(lambda: not is_free(root), 10, what="its holder has it again")
        assert holder.stdout is not None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(holder.stdout.readline(), 1.0)  # it would say that it lost it
        with pytest.raises(LeaseHeld, match="pdctl restart"):
            async with take_lease(LocalShell("n1"), root, CLUSTER, "up"):
                pass


async def test_heartbeats_that_nobody_answers_mean_lost(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PATIENCE_S", 0.5)
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        program = program_of(psutil.Process().pid)
        program.suspend()
        try:
            reason = await asyncio.wait_for(asyncio.shield(held.lost()), 10)
            assert "no answer" in reason
            with pytest.raises(LeaseHeld, match="no answer"):
                await held.journal({"event": "too late"})
        finally:
            program.resume()


async def test_a_killed_lease_program_means_lost_for_all_who_write(root: str) -> None:
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        program_of(psutil.Process().pid).kill()
        writes = [held.journal({"number": number}) for number in range(5)]
        ends = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 10)
        assert [type(end) for end in ends if end is not None] == [LeaseHeld] * len(ends)
        await asyncio.wait_for(asyncio.shield(held.lost()), 10)


async def test_the_lease_outlives_its_heartbeat(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TIMEOUT_S", 1.0)
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        done, _ = await asyncio.wait({held.lost()}, timeout=2.0)
        assert not done
        await held.journal({"event": "still here"})


async def test_the_journal_has_every_line_in_order_when_the_call_returns(root: str) -> None:
    async def lines() -> list[int]:
        text = (Path(root) / CLUSTER / "journal.ndjson").read_text()
        return [json.loads(line)["number"] for line in text.splitlines()]

    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        for number in range(3):
            await held.journal({"number": number, "text": "ü\n" * 3})
            assert await lines() == list(range(number + 1))
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        await asyncio.gather(*(held.journal({"number": 3 + number}) for number in range(20)))
    assert await lines() == list(range(23))


async def test_who_writes_at_once_is_answered_in_the_order_of_the_lines(root: str) -> None:
    """Events are shown once they are written: a plan's steps must not be told from last to first."""
    answered: list[int] = []
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as lease:

        async def write(number: int) -> None:
            await lease.journal({"number": number})
            answered.append(number)

        await asyncio.gather(*(write(number) for number in range(20)))
    assert answered == list(range(20))


async def test_a_cancelled_writer_breaks_nothing_for_the_others(root: str) -> None:
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        first = asyncio.create_task(held.journal({"number": 0}))
        await asyncio.sleep(0)
        first.cancel()
        await held.journal({"number": 1})
        assert not held.lost().done()


async def test_the_applied_inventory_is_remembered(root: str) -> None:
    launched = {"n1.main.0": ("5pec", "5pec-before")}
    applied = Applied("d1g3st", "kim@laptop", 1_800_000_000.5, "version: 1\n# ü\n", launched=launched)
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        assert held.applied is None
        await held.record(applied)
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        assert held.applied == applied
    kept = json.loads((Path(root) / CLUSTER / "applied.json").read_text())
    assert kept == {
        "digest": "d1g3st",
        "author": "kim@laptop",
        "at": 1_800_000_000.5,
        "text": "version: 1\n# ü\n",
        "launched": {"n1.main.0": ["5pec", "5pec-before"]},
    }


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"digest": "d", "author": "a", "at": "x", "text": ""}'])
async def test_a_damaged_record_of_the_applied_inventory_is_unknown_and_not_none(root: str, damage: str) -> None:
    directory = Path(root) / CLUSTER
    directory.mkdir(parents=True)
    (directory / "applied.json").write_text(damage)
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        assert held.applied is not None
        assert "damaged" in held.applied.trouble
        await held.record(Applied("d", "a", 1.0, ""))
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        assert held.applied == Applied("d", "a", 1.0, "")


async def test_its_files_are_the_operators_alone(root: str) -> None:
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        await held.journal({"number": 1})
        modes = {path.name: path.stat().st_mode & 0o077 for path in (Path(root) / CLUSTER).iterdir()}
    assert modes == dict.fromkeys(modes, 0)


@pytest.mark.parametrize(
    ("stdout", "says"), [(b"", "ended at once"), (b"Last login: today\n", "nonsense")], ids=["nothing", "noise"]
)
async def test_a_node_without_a_working_program_says_so(stdout: bytes, says: str) -> None:
    shell = FakeShell("n1")
    shell.answer(["python3"], stdout=stdout)
    with pytest.raises(NodeError, match=says):
        async with take_lease(shell, None, CLUSTER, "up"):
            pass


async def test_a_lease_node_that_is_down_is_told_with_what_that_means() -> None:
    def no_route(command: Command) -> Completed:
        raise Unreachable("n1", "no route to host")

    shell = FakeShell("n1")
    shell.answer(["python3"], reply=no_route)
    with pytest.raises(Unreachable, match="n1: no route to host; it keeps the lease") as down:
        async with take_lease(shell, None, CLUSTER, "up"):
            pass
    assert "lease_node" in down.value.hint


async def test_another_node_that_is_down_while_the_lease_is_held_is_told_as_it_is(root: str) -> None:
    with pytest.raises(Unreachable, match=r"^n2: no route to host$"):
        async with take_lease(LocalShell("n1"), root, CLUSTER, "up"):
            raise Unreachable("n2", "no route to host")


async def test_an_answer_that_makes_no_sense_means_lost() -> None:
    shell = FakeShell("n1")
    shell.answer(["python3"], stdout=b'{"ok": true, "epoch": 1}\nnonsense\n')
    async with take_lease(shell, None, CLUSTER, "up") as held:
        with pytest.raises(LeaseHeld):
            await asyncio.wait_for(held.journal({}), 10)


async def test_nothing_runs_on_when_the_lease_is_given_back(root: str) -> None:
    async with take_lease(LocalShell("n1"), root, CLUSTER, "up") as held:
        assert isinstance(held, HeldLease)
        program = program_of(psutil.Process().pid)
    await wait_until(lambda: not program.is_running(), 5, what="the lease program ends")

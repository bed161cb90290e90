"""The collector on a machine whose /sys, /proc and tools are files: what it brings, and what cannot stop it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.errors import CommandFailed
from pdctl.health.bundle import collector
from pdctl.health.collect import collect
from pdctl.health.collection import Collection, Command, Profile, Targets, collection
from pdctl.health.envelope import Envelope
from pdctl.sim.standins.host import Shape, host
from pdctl.ssh.local import LocalShell
from pdctl.ssh.program import NodeProgram, run_program
from tests import leaks
from tests.waiting import wait_until

QUICK = Targets(paths=("/models",), interval_s=0.05)


@pytest.fixture
def nonce(monkeypatch: pytest.MonkeyPatch) -> str:
    """In the environment of all that the test starts."""
    monkeypatch.setenv(leaks.MARK, "collector-test")
    return "collector-test"


async def collected(root: Path, shape: Shape | None = None) -> Envelope:
    tools = host(shape).install(root)
    order = collection(Profile.FULL, QUICK, root=str(root), path=str(tools))
    return await collect(LocalShell("n1"), order, now=time.time)


def tool(root: Path, name: str, script: str) -> str:
    path = root / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path.parent)


def only(root: Path, *commands: Command, files: tuple[str, ...] = ()) -> Collection:
    return Collection(commands, files, samples=0, root=str(root), path=str(root / "bin"))


async def run_with(order: Collection, patch: str) -> Envelope:
    """The collector with a few lines after it: what a machine does that this one cannot be made to do."""
    program = NodeProgram("check", f"{collector().source}\n{patch}\npacked = lambda envelope: envelope\n")
    return Envelope.model_validate(await run_program(LocalShell("n1"), program, order.payload(), deadline_s=30))


async def test_a_healthy_node_is_read_whole(tmp_path: Path) -> None:
    envelope = await collected(tmp_path)
    assert envelope.missing == ()
    silent = {name for name, item in envelope.items.items() if not item.stdout and item.status == 0}
    assert silent <= {"sudo"}
    assert sum(path.endswith("/mem_info_vram_total") for path in envelope.files) == 8
    assert envelope.files["/sys/class/infiniband/mlx5_3/ports/1/state"].text == "4: ACTIVE\n"
    assert envelope.links["/sys/class/infiniband/mlx5_0/device"].startswith("/sys/devices/pci0000:15/")
    assert envelope.machine_id
    assert envelope.asked_s is not None
    assert envelope.answered_s is not None
    assert envelope.asked_s <= envelope.wall_s <= envelope.answered_s


async def test_of_a_gid_table_only_what_is_in_use_is_brought(tmp_path: Path) -> None:
    files = (await collected(tmp_path)).files
    port = "/sys/class/infiniband/mlx5_0/ports/1"
    assert [path for path in files if path.startswith(f"{port}/gids/")] == [f"{port}/gids/{n}" for n in range(4)]
    assert files[f"{port}/gid_attrs/types/3"].text == "RoCE v2\n"


async def test_idle_figures_are_read_as_often_as_asked(tmp_path: Path) -> None:
    samples = (await collected(tmp_path)).samples
    used = [texts for path, texts in samples.items() if path.endswith("mem_info_vram_used")]
    assert [len(texts) for texts in used] == [3] * 8


async def test_a_hung_tool_costs_its_deadline_and_leaves_the_others_alone(tmp_path: Path, nonce: str) -> None:
    tool(tmp_path, "hangs", "trap '' TERM; sleep 3600 & wait; wait")
    tool(tmp_path, "answers", "echo yes")
    began = time.monotonic()
    order = only(tmp_path, Command("slow", ("hangs",), timeout_s=0.5), Command("fast", ("answers",)))
    envelope = await collect(LocalShell("n1"), order, now=time.time)
    assert time.monotonic() - began < 3.0
    assert envelope.items["slow"].timed_out
    assert envelope.items["slow"].status is None
    assert envelope.items["fast"].stdout == "yes\n"
    await wait_until(lambda: not leaks.marked(nonce), 5.0, what="its processes are gone")


async def test_a_tool_that_hung_once_is_not_asked_again(tmp_path: Path) -> None:
    tool(tmp_path, "hangs", "sleep 3600")
    calls = [Command(f"call{number}", ("hangs", str(number)), timeout_s=0.5 + 10 * number) for number in range(4)]
    began = time.monotonic()
    envelope = await collect(LocalShell("n1"), replace(only(tmp_path, *calls), jobs=2), now=time.time)
    assert time.monotonic() - began < 5.0
    assert [item.timed_out for item in envelope.items.values()].count(True) == 2
    assert {item.refused for item in envelope.items.values() if not item.timed_out} == {"not run: hangs hangs"}


async def test_what_a_tool_left_in_the_background_does_not_keep_us_and_does_not_stay(
    tmp_path: Path, nonce: str
) -> None:
    tool(tmp_path, "forks", "sleep 3600 & echo done")
    began = time.monotonic()
    envelope = await collect(LocalShell("n1"), only(tmp_path, Command("forks", ("forks",))), now=time.time)
    assert time.monotonic() - began < 3.0
    assert envelope.items["forks"].stdout == "done\n"
    await wait_until(lambda: not leaks.marked(nonce), 5.0, what="its processes are gone")


@pytest.mark.parametrize(("keep", "first"), [("head", "1"), ("tail", "")])
async def test_huge_output_is_cut_and_said_to_be(tmp_path: Path, keep: str, first: str) -> None:
    tool(tmp_path, "talks", "seq 1 200000")
    command = Command("talks", ("talks",), keep=keep, max_bytes=1000)
    item = (await collect(LocalShell("n1"), only(tmp_path, command), now=time.time)).items["talks"]
    assert item.truncated
    assert len(item.stdout) <= 1000
    assert item.stdout.startswith("1\n") if first else item.stdout.endswith("200000\n")


async def test_a_tool_that_never_stops_writing_is_ended(tmp_path: Path) -> None:
    tool(tmp_path, "floods", "exec yes")
    command = Command("floods", ("floods",), timeout_s=20.0, max_bytes=1000)
    envelope = await collect(LocalShell("n1"), only(tmp_path, command), now=time.time)
    assert envelope.items["floods"].truncated
    assert envelope.items["floods"].status is None


async def test_a_file_that_hangs_is_given_up_and_the_rest_is_read(tmp_path: Path) -> None:
    paths = [f"/sys/class/{name}" for name in ("a", "b", "c")]
    for path in paths:
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text("text\n")
    hang = (
        "whole = Tree.read\n"
        "def read(tree, path, limit):\n"
        "    if path.endswith('/b'):\n"
        "        time.sleep(3600)\n"
        "    return whole(tree, path, limit)\n"
        "Tree.read = read\n"
    )
    order = replace(only(tmp_path, files=("/sys/class/*", "/proc/none")), file_deadline_s=0.3)
    envelope = await run_with(order, hang)
    assert {path: (file.text, file.error) for path, file in envelope.files.items()} == {
        paths[0]: ("text\n", ""),
        paths[1]: ("", "ETIMEDOUT"),
        paths[2]: ("text\n", ""),
        "/proc/none": ("", "ENOENT"),
    }
    assert envelope.missing == (f"{paths[1]}: reading it took too long",)


NOT_ROOT = "os.geteuid = lambda: 65534"


async def test_what_sudo_refuses_is_tried_as_the_login_and_recorded(tmp_path: Path) -> None:
    tool(tmp_path, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    tool(tmp_path, "asks", "echo as $0")
    item = (await run_with(only(tmp_path, Command("asks", ("asks",), as_root=True)), NOT_ROOT)).items["asks"]
    assert item.refused == "sudo: a password is required"
    assert (item.status, item.stdout[:2]) == (0, "as")


async def test_sudo_that_will_never_let_the_login_is_asked_once(tmp_path: Path) -> None:
    tool(tmp_path, "sudo", f"echo asked >> {tmp_path}/asked; echo 'sudo: ops is not in the sudoers file.' >&2; exit 1")
    tool(tmp_path, "asks", "echo yes")
    commands = [Command(f"asks{number}", ("asks",), as_root=True) for number in range(4)]
    order = replace(only(tmp_path, *commands), jobs=1)
    envelope = await run_with(order, NOT_ROOT)
    assert {item.refused for item in envelope.items.values()} == {"sudo: ops is not in the sudoers file."}
    assert [item.stdout for item in envelope.items.values()] == ["yes\n"] * 4
    assert (tmp_path / "asked").read_text() == "asked\n"


async def test_a_file_with_an_odd_name_spoils_nothing(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / os.fsdecode(b"\xff")).write_text("1\n")
    (tmp_path / "sys/good").write_text("1\n")
    envelope = await collect(LocalShell("n1"), only(tmp_path, files=("/sys/*",)), now=time.time)
    assert list(envelope.files) == ["/sys/good"]
    assert "odd name" in envelope.missing[0]


async def test_what_runs_as_root_has_its_deadline_there(tmp_path: Path) -> None:
    tool(tmp_path, "sudo", 'shift 2; exec "$@"')
    tool(tmp_path, "hangs", "sleep 3600")
    order = only(tmp_path, Command("hangs", ("hangs",), as_root=True, timeout_s=0.3))
    item = (await run_with(order, f"{NOT_ROOT}\nTool.kill = lambda tool: None")).items["hangs"]
    assert item.timed_out
    assert item.status is None


@pytest.mark.parametrize(
    ("first", "expected"), [("echo data", {"first"}), ("exit 3", {"first", "second"}), ("true", {"first", "second"})]
)
async def test_a_fallback_runs_only_where_the_first_tool_brought_nothing(
    tmp_path: Path, first: str, expected: set[str]
) -> None:
    tool(tmp_path, "first", first)
    tool(tmp_path, "second", "echo other")
    order = only(tmp_path, Command("second", ("second",), unless="first"), Command("first", ("first",)))
    items: Mapping[str, object] = (await collect(LocalShell("n1"), order, now=time.time)).items
    assert set(items) == expected


async def test_a_collection_that_is_out_of_time_says_what_is_missing(tmp_path: Path) -> None:
    tool(tmp_path, "hangs", "sleep 3600")
    commands = [Command(f"hangs{number}", ("hangs",)) for number in range(3)]
    order = replace(only(tmp_path, *commands), deadline_s=0.5, jobs=2)
    envelope = await collect(LocalShell("n1"), order, now=time.time)
    assert len(envelope.missing) == 3
    assert [item.timed_out for item in envelope.items.values()] == [True, True]


async def test_a_collector_that_is_stopped_takes_its_tools_along(tmp_path: Path, nonce: str) -> None:
    tool(tmp_path, "hangs", "exec sleep 3600")
    order = only(tmp_path, Command("hangs", ("hangs",), timeout_s=60))
    stop = (
        "signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.5)"
    )
    with pytest.raises(CommandFailed, match="143"):
        await run_with(order, stop)
    await wait_until(lambda: not leaks.marked(nonce), 5.0, what="its processes are gone")

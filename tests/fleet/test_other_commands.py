"""`logs`, `exec`, `events`, `trust`, `init` and `--read-only`, on a serving cluster."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.sim.node_faults import Faults, order_faults
from tests.fleet.command import Done
from tests.fleet.site import Site, launches, of, status
from tests.waiting import wait_until

pytestmark = pytest.mark.fleet


async def test_logs_show_the_tail_of_what_was_asked_for(serving: Site) -> None:
    one, several, unknown = await asyncio.gather(
        serving.operator.pdctl("logs", "n3.main.0", "-n", "5"),
        serving.operator.pdctl("logs", "@prefill", "router", "-n", "2", "--json"),
        serving.operator.pdctl("logs", "n77"),
    )
    said = one.expect(0).out.splitlines()
    assert len(said) == 5
    log = (serving.unit_dir("n3", "n3.main.0") / "log").read_text().splitlines()
    assert all(line in log for line in said), "lines of that very log, nothing in front"
    assert {line["unit"] for line in several.expect(0).lines} == {"n1.main.0", "n2.main.0", "router"}
    assert "n77" in unknown.expect(64).err


async def test_logs_follow_shows_a_line_as_it_is_written_until_ctrl_c(serving: Site) -> None:
    log = serving.unit_dir("n3", "n3.main.0") / "log"
    async with serving.operator.starts("logs", "-f", "-n", "1", "n3.main.0", "--json") as following:
        await following.until(lambda line: line["event"] == "log", "the last line that was there")
        with log.open("a") as file:
            file.write("a line that was not there before\n")
        line = await following.until(lambda line: "not there before" in line["text"], "the new line", 15.0)
        assert line["unit"] == "n3.main.0"
        following.send(signal.SIGINT)
        (await following.end(15.0)).expect(130)


async def test_exec_tells_what_every_node_said_and_how_it_ended(serving: Site) -> None:
    operator = serving.operator
    good, quoted, bad, some, slow = await asyncio.gather(
        operator.pdctl("exec", "--", "hostname"),
        operator.pdctl("exec", "-n", "n1", "--", "printf", "%s|", "$HOME", "a b", "'"),
        operator.pdctl("exec", "-n", "@prefill", "--", "sh", "-c", "echo no >&2; exit 7"),
        operator.pdctl("exec", "--json", "--", "sh", "-c", 'test "$PDCTL_SIM_NODE" = n2'),
        operator.pdctl("exec", "-t", "1", "-n", "n1", "--", "sleep", "30"),
    )
    assert set(good.expect(0).out.splitlines()) == {f"n{i}: {node_hostname(i)}" for i in range(1, 6)}
    assert quoted.expect(0).out == "n1: $HOME|a b|'|\n"
    assert "n1! no" in bad.expect(1).err
    assert "n2: exit status 7" in bad.err
    assert {line["node"]: line["status"] for line in some.expect(3).lines} == {
        "n2": 0,
        **dict.fromkeys(["n1", "n3", "n4", "n5"], 1),
    }
    assert "n1: " in slow.expect(1).err


def node_hostname(index: int) -> str:
    return f"sim-n{index}"


async def test_exec_and_logs_say_which_node_is_out_of_reach(serving: Site) -> None:
    node = serving.node("n5")
    order_faults(Path(node.root), node.pid, Faults(refuse=True))
    try:
        some, none, logs = await asyncio.gather(
            serving.operator.pdctl("exec", "-n", "n4", "-n", "n5", "--", "true"),
            serving.operator.pdctl("exec", "-n", "n5", "--json", "--", "true"),
            serving.operator.pdctl("logs", "n4.main.0", "n5.main.0", "-n", "1"),
        )
    finally:
        order_faults(Path(node.root), node.pid, Faults())
    assert "n5: " in some.expect(4).err and "hint: " in some.err
    lost = none.expect(4).document
    assert (lost["status"], lost["trouble"] != "", lost["hint"] != "") == (None, True, True)
    assert "n4.main.0 | " in logs.out and "n5.main.0: n5: " in logs.expect(4).err


async def test_events_tell_who_did_what_and_how_it_ended(serving: Site) -> None:
    (await serving.operator.pdctl("up", "--json")).expect(0)
    text, machine = await asyncio.gather(
        serving.operator.pdctl("events", "-n", "1000"), serving.operator.pdctl("events", "--json", "-n", "3")
    )
    assert "start" in text.expect(0).out and "n1.main.0" in text.out
    last = machine.expect(0).document
    assert (last["event"], last["command"], last["exit_code"]) == ("run_ended", "up", 0)
    assert "@" in last["operator"]
    assert len(machine.lines) == 3


async def test_trust_pins_only_after_yes_and_never_over_another_key(site: Site, tmp_path: Path) -> None:
    pins = tmp_path / "known_hosts"
    operator = site.with_inventory(tmp_path, lambda document: document["ssh"].update(known_hosts=str(pins)))
    nobody = await operator.pdctl("trust", "n1")
    assert "--yes" in nobody.expect(64).err, "without a terminal nobody compares fingerprints"
    assert not pins.exists() or not pins.read_text()
    pinned = await operator.pdctl("trust", "n1", "n2", "--yes")
    assert pinned.expect(0).out.count("SHA256:") == 2
    keys = {site.node(name).host_key.split()[1] for name in ("n1", "n2")}
    assert {line.split()[2] for line in pins.read_text().splitlines()} == keys
    assert "trusted already" in (await operator.pdctl("trust", "n1")).expect(0).out
    pins.write_text(pins.read_text().replace(site.node("n1").host_key.split()[1], site.node("n2").host_key.split()[1]))
    before = pins.read_text()
    changed = await operator.pdctl("trust", "n1", "--yes")
    assert "CHANGED" in changed.expect(4).out
    assert pins.read_text() == before


async def test_init_writes_a_valid_inventory_of_the_hosts_that_answer(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    operator = replace(site.operator, inventory=path)
    login = ("--known-hosts", str(site.nodes.known_hosts), "--identity", str(site.nodes.client_key))
    hosts = [f"{node.name}=127.0.0.1:{node.port}" for node in site.nodes.nodes]
    (await operator.pdctl("init", *login, "--cluster", "found", *hosts)).expect(0)
    valid = (await operator.pdctl("validate", "--json")).expect(0).document
    assert (valid["cluster"], valid["instances"]) == ("found", 5)
    document = operator.inventory_document()
    assert {name: node["gpus"] for name, node in document["nodes"].items()} == dict.fromkeys(document["nodes"], 8)
    assert len(document["nodes"]) == 5
    written = path.read_bytes()
    kept = await operator.pdctl("init", *login, *hosts)
    assert "exists" in kept.expect(64).err
    assert path.read_bytes() == written


async def test_init_leaves_out_a_host_that_does_not_answer_and_says_so(site: Site, tmp_path: Path) -> None:
    operator = replace(site.operator, inventory=tmp_path / "inventory.yaml")
    login = ("--known-hosts", str(site.nodes.known_hosts), "--identity", str(site.nodes.client_key))
    good = f"127.0.0.1:{site.nodes.nodes[0].port}"
    some = await operator.pdctl("init", *login, good, "127.0.0.1:1")
    assert "127.0.0.1:1" in some.expect(3).err
    assert len(operator.inventory_document()["nodes"]) == 1


@pytest.mark.parametrize(
    "argv", [("up",), ("down", "--now"), ("restart", "n1"), ("exec", "--", "true"), ("init", "127.0.0.1:1")]
)
def test_read_only_refuses_what_changes_something(site: Site, here: Callable[..., Done], argv: tuple[str, ...]) -> None:
    done = here(site.operator, "--read-only", *argv)
    assert "--read-only" in done.expect(64).err
    assert done.out == ""


async def test_a_read_only_session_still_sees_everything(serving: Site) -> None:
    before = launches(await status(serving.operator))
    reader = replace(serving.operator, env={"PDCTL_READ_ONLY": "1"})
    refused, *looks = await asyncio.gather(
        reader.pdctl("down", "--now"), *(reader.pdctl(command) for command in ("status", "plan", "events", "render"))
    )
    refused.expect(64)
    for look in looks:
        look.expect(0)
    assert launches(await status(serving.operator)) == before


async def test_a_node_that_goes_out_of_reach_is_unknown_and_never_down(serving: Site) -> None:
    node = serving.node("n4")
    order_faults(Path(node.root), node.pid, Faults(refuse=True, cut=True))
    try:
        seen, plan = await asyncio.gather(
            serving.operator.pdctl("status", "--json"),
            serving.operator.pdctl("plan", "--detailed-exitcode", "--json"),
        )
    finally:
        order_faults(Path(node.root), node.pid, Faults())
    assert of(seen.expect(4).document, "n4.main.0")["state"] == "unknown"
    assert [item["subject"] for item in plan.expect(4).document["blocked"]] == ["n4.main.0"]
    assert plan.document["changes"] == []

    async def known() -> bool:
        return bool(of(await status(serving.operator), "n4.main.0")["state"] == "serving")

    await wait_until(known, 15.0, what="n4 is known again", poll_s=0.3)

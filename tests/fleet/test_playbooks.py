"""`pdctl run` on the simulated fleet: brought up and proved, killed half way and gone on with, taken back."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fleet.command import Done, Json, Operator
from tests.fleet.site import Site, launches, status

pytestmark = pytest.mark.fleet

RESTART = """\
version: 1
name: restart-one
about: relaunch one engine, and prove it
vars: {node: {type: selector, required: true}}
steps:
  - restart: {select: "{{ node }}"}
  - gate: {members: all, settle: 1s, within: 60s}
  - smoke: {requests: 4}
"""
EDIT = """\
version: 1
name: edit
about: another setting, tried on one node
vars: {node: {type: selector, required: true}}
steps:
  - set: {path: engine.args.max-model-len, value: 8192}
    undo: [{up: }]
  - up: {select: "{{ node }}"}
  - confirm: {ask: Go on?}
"""


def ends(lines: list[Json]) -> dict[str, str]:
    """The state of each step of the playbook."""
    return {line["step"]: line["state"] for line in lines if line["event"] == "playbook_step_ended"}


async def test_bring_up_checks_brings_up_and_proves_under_one_run(site: Site) -> None:
    operator = site.operator
    done = (await operator.pdctl("run", "bring-up", "--set", "requests=8", "--json")).expect(0)
    assert [each["verb"] for each in done.events("playbook_step_began")] == ["check", "up", "canary", "smoke"]
    assert set(ends(done.lines).values()) == {"done"}
    smoke = done.events("playbook_step_ended")[-1]
    assert smoke["said"].startswith("all 8 ok")
    (run,) = {line["run"] for line in done.lines}
    journal = [json.loads(line) for line in (await operator.pdctl("events", "--json")).expect(0).out.splitlines()]
    assert any(entry["run"] == run and entry["event"] == "run_ended" for entry in journal)
    listed = (await operator.pdctl("run", "--list", "--json")).expect(0).document
    assert {"run": run, "playbook": "bring-up", "outcome": "done"}.items() <= listed["runs"][0].items()
    assert (await status(operator))["serving"]


@pytest.mark.slow
async def test_a_run_whose_controller_is_killed_is_gone_on_with(serving: Site, tmp_path: Path) -> None:
    operator = serving.operator
    file = tmp_path / "restart-one.yaml"
    file.write_text(RESTART)
    before = launches(await status(operator))
    async with operator.starts("run", str(file), "--set", "node=n5", "--json") as running:
        await running.until(lambda line: line["event"] == "step_started" and line["action"] == "stop", "a stop")
        running.send(signal.SIGKILL)
        await running.end()
    assert (await operator.pdctl("run", "--list", "--json")).document["runs"][0]["outcome"] == "running"
    done = (await operator.pdctl("run", "--resume", "last", "--json")).expect(0)
    assert set(ends(done.lines).values()) == {"done"}
    after = launches(await status(operator))
    assert {name for name in after if after[name] != before[name]} == {"n5.main.0"}
    assert (await operator.pdctl("run", "--resume", "last", "--json")).expect(0).events("playbook_step_began") == []


@pytest.mark.slow
async def test_a_move_whose_controller_is_killed_after_the_point_of_no_return_is_gone_on_with_and_taken_back(
    serving: Site, tmp_path: Path
) -> None:
    """The inventory says decode already, and what runs on the node is about to stop, or has."""
    inventory = tmp_path / "inventory.yaml"
    assert serving.operator.inventory is not None
    text = serving.operator.inventory.read_text()
    inventory.write_text(text)
    operator = Operator(serving.operator.state, inventory)
    async with operator.starts("run", "shift-to-decode", "--set", "node=n2", "--json") as running:
        await running.until(lambda line: line["event"] == "step_started" and line["action"] == "stop", "a stop")
        running.send(signal.SIGKILL)
        await running.end()
    assert inventory.read_text() != text
    done = (await operator.pdctl("run", "--resume", "last", "--json")).expect(0)
    assert set(ends(done.lines).values()) == {"done"}
    assert (await status(operator))["ratio"] == "1P4D"
    (await operator.pdctl("run", "--undo", "last", "--json")).expect(0)
    assert inventory.read_text() == text
    assert (await status(operator))["ratio"] == "2P3D"


@pytest.mark.slow
async def test_what_a_run_did_is_taken_back_to_the_byte(serving: Site, tmp_path: Path) -> None:
    file, inventory = tmp_path / "edit.yaml", tmp_path / "inventory.yaml"
    file.write_text(EDIT)
    assert serving.operator.inventory is not None
    text = serving.operator.inventory.read_text()
    inventory.write_text(text)
    operator = Operator(serving.operator.state, inventory)
    asked = (await operator.pdctl("run", str(file), "--set", "node=n4", "--json")).expect(3)
    assert ends(asked.lines) == {"1": "done", "2": "done", "3": "begun"}
    assert inventory.read_text() == text.replace("max-model-len: 16384", "max-model-len: 8192") != text
    (await operator.pdctl("run", "--undo", "last", "--json")).expect(0)
    assert inventory.read_text() == text
    assert (await operator.pdctl("plan", "--detailed-exitcode", "--json")).expect(0).document["converged"]


def test_a_playbook_that_does_not_fit_touches_nothing(site: Site, tmp_path: Path, here: Callable[..., Done]) -> None:
    file = tmp_path / "bad.yaml"
    for text, problem in (
        (RESTART.replace("settle: 1s", "setle: 1s"), (7, "unknown key")),
        (RESTART, (6, "n9 is not in the inventory")),
    ):
        file.write_text(text)
        bad = here(site.operator, "run", str(file), "--set", "node=n9", "--json").expect(65)
        (error,) = bad.events("error")
        assert [(each["line"], each["message"]) for each in error["problems"]] == [problem]
        assert bad.events("playbook_started") == []

"""The playbooks that come with pdctl: each fits every inventory that it can fit, and says what it would do there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pdctl.control.opened import open_cluster
from pdctl.control.playbook_foresee import Foresight
from pdctl.control.playbook_runs import Prepared, begin
from pdctl.errors import Unreachable, UsageError
from pdctl.inventory.playbook_find import find_playbook, shipped_playbooks
from pdctl.inventory.playbook_load import InvalidPlaybook, Playbook, load_playbook
from pdctl.inventory.playbook_schema import playbook_schema_json
from pdctl.inventory.playbook_vars import SAMPLES, fill
from pdctl.model.playbook_events import PlaybookStepForeseen
from pdctl.ssh.fake import FakeShell
from pdctl.ssh.pool import SshShells
from tests.unit.test_inventory_shipped import violations

ROOT = Path(__file__).parents[2]
INVENTORIES = tuple(path.stem for path in sorted((ROOT / "inventories").glob("*.yaml")))

GIVEN: Mapping[str, Mapping[str, str]] = {
    "bring-up": {},
    "rolling-restart": {},
    "shift-to-decode": {"node": "n1"},
    "shift-to-prefill": {"node": "n3"},
    "upgrade-image": {"node": "n3", "image": "rocm/vllm:0.34", "path": "engine.args.max-model-len"},
    "maintenance-drain": {"node": "n3"},
    "kv-mode-flip": {"mode": "read"},
}
STEPS = {
    "bring-up": ["check", "up", "canary", "smoke"],
    "rolling-restart": ["gate", *["restart", "gate"] * 5, "canary", "smoke"],
    "shift-to-decode": ["gate", "move", "canary", "smoke"],
    "shift-to-prefill": ["gate", "move", "canary", "smoke"],
    "upgrade-image": ["set", "up", "canary", "gate", "confirm", *["up"] * 4, "canary", "smoke"],
    "maintenance-drain": ["drain", "confirm", "check", "undrain", "gate", "canary"],
    "kv-mode-flip": ["confirm", "set", "up", "canary", "smoke"],
}


ALONE = "mi300x-01.main.0 has no peer in pool 'prefill' to be compared with"


def prepared(name: str, inventory: str = "demo", **changes: str) -> Prepared:
    path = ROOT / "inventories" / f"{inventory}.yaml"
    return begin(find_playbook(name), {**GIVEN[name], **changes}, path, run="r", now_s=0.0)


def test_every_shipped_playbook_is_expected_here() -> None:
    assert set(shipped_playbooks()) == set(GIVEN) == set(STEPS)


@pytest.mark.parametrize("name", GIVEN)
def test_a_shipped_playbook_has_these_steps_on_the_demos_nodes(name: str) -> None:
    run = prepared(name)
    assert run.playbook.spec.name == name
    assert [task.verb for task in run.program.tasks] == STEPS[name]
    assert len({task.id for task in run.program.tasks}) == len(run.program.tasks)


@pytest.mark.parametrize("inventory", INVENTORIES)
@pytest.mark.parametrize("name", ["bring-up", "rolling-restart"])
def test_what_needs_no_variable_fits_every_shipped_inventory(name: str, inventory: str) -> None:
    assert prepared(name, inventory).program.tasks[-1].verb == "smoke"


def test_a_group_is_restarted_once_and_not_once_a_node() -> None:
    assert prepared("rolling-restart", "wide-ep16").program.items == {"2": ("prefill-1", "wide-1")}


def test_a_node_whose_slots_are_selected_in_part_stands_for_those() -> None:
    assert prepared("rolling-restart", "mori-1p1d-read", select="@decode").program.items == {"2": ("mi300x-01.b",)}
    assert prepared("rolling-restart", "mori-1p1d-read").program.items == {"2": ("mi300x-01",)}


def test_an_upgrade_is_undone_by_the_old_image_and_an_up() -> None:
    program = prepared("upgrade-image", "r1-2p3d", node="mi300x-03", path="engine.image").program
    first = program.tasks[0]
    assert [step.verb for step in first.undo] == ["put back", "up"]
    assert [task.id for task in program.tasks if task.id.startswith("6.")] == [
        f"6.mi300x-0{number}.1" for number in (1, 2, 4, 5)
    ]
    assert all(task.on_failure == "undo" for task in program.tasks[1:5])


@pytest.mark.parametrize(
    ("name", "inventory", "changes", "problem"),
    [
        ("upgrade-image", "demo", {"path": "engine.image"}, "engine.image is not written in the inventory"),
        ("upgrade-image", "r1-1p4d", {"node": "mi300x-01"}, ALONE),
        ("shift-to-decode", "demo", {"to": "decoed"}, "there is no pool 'decoed' in the inventory"),
        ("shift-to-decode", "demo", {"node": "n9"}, "n9 is not in the inventory"),
        ("kv-mode-flip", "demo", {"mode": "both"}, "--set mode: must be one of read, write, not 'both'"),
        ("kv-mode-flip", "standard-tp8", {}, "kv.mode is not written in the inventory"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_starts(
    name: str, inventory: str, changes: dict[str, str], problem: str
) -> None:
    with pytest.raises(InvalidPlaybook) as caught:
        prepared(name, inventory, **changes)
    assert problem in [each.message for each in caught.value.located]
    assert all(Path(each.file).name == f"{name}.yaml" for each in caught.value.located)


async def foreseen(run: Prepared) -> dict[str, PlaybookStepForeseen]:
    """What a dry run says where no node can be reached."""
    async with open_cluster(run.inventory.path) as opened:
        return {event.step: event async for event in Foresight(opened).steps(run.program)}


@pytest.mark.parametrize("name", GIVEN)
async def test_a_dry_run_says_something_of_every_step_even_where_no_node_answers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_network(monkeypatch)
    run = prepared(name)
    before = run.inventory.path.read_bytes()
    said = await foreseen(run)
    assert list(said) == [task.id for task in run.program.tasks]
    assert run.inventory.path.read_bytes() == before
    for task in run.program.tasks:
        assert said[task.id].undo == tuple(step.title for step in task.undo)
        if task.verb in ("up", "restart", "move", "drain", "gate", "smoke", "set"):
            assert said[task.id].lines, task.title


async def test_a_dry_run_shows_the_line_that_a_set_would_change(monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch)
    run = prepared("kv-mode-flip")
    said = await foreseen(run)
    line = next(number for number, text in enumerate(run.inventory.text.splitlines(), 1) if text.startswith("kv:"))
    assert said["2"].lines == (f"{run.inventory.path}:{line}: write -> read",)


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No node can be reached."""

    def shell(_: SshShells, node: str) -> FakeShell:
        found = FakeShell(node)
        found.answer([], error=Unreachable(node, "no route to host"))
        return found

    monkeypatch.setattr(SshShells, "shell", shell)


@pytest.mark.parametrize("name", GIVEN)
def test_the_schema_accepts_the_shipped_playbooks(name: str) -> None:
    schema = playbook_schema_json()
    assert schema["title"] == "pdctl playbook"
    filled = without_variables(load_playbook(find_playbook(name)))
    assert list(violations(filled, schema, schema, "")) == []


def without_variables(playbook: Playbook) -> Any:
    """The playbook's data with a value of its type for every variable."""
    values = {name: SAMPLES[var.type] for name, var in playbook.spec.vars.items()}
    return fill(dict(playbook.data), {**values, "node": "x", "other": "x"})


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_playbook("bringup")
    assert caught.value.hint == "did you mean `bring-up`?"

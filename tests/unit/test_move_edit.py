"""What a move writes into an inventory that somebody typed: one word per slot, and nothing else, there and back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from pdctl.control.base import BaseRecord
from pdctl.control.inventory_file import FileOnDisk
from pdctl.control.move import move_command
from pdctl.control.move_edit import Edited, edited
from pdctl.control.proposing import MEASURED, measured_times
from pdctl.control.request import MoveRequest
from pdctl.control.steps.commit import Commits
from pdctl.errors import InventoryError, PlanRefused, UsageError
from pdctl.inventory.load import load
from pdctl.inventory.place import place
from pdctl.plan.steps import Action, Plan, Step

BY_HAND = """\
# The night shift's cluster.   Do not reformat!
version: 1
cluster: night
model: {name: demo/model,   path: /models/demo}   # two spaces on purpose
slo: {ttft: 1s, itl: 50ms, attainment: 0.95}
ssh: {user: ops}
engine: {kind: vllm, version: "0.33", supervisor: process, python: /opt/vllm/bin/python}
kv: {connector: moriio, mode: write}
router: {kind: vllm-router, node: n1, port: 30000, supervisor: process, python: /opt/router/bin/python}
pools:
  prefill: {role: prefill, parallel: {tp: 8}, min_instances: 1}
  decode:  {role: decode,  parallel: {tp: 4}, min_instances: 1}

nodes:
  n1: {host: 10.0.0.1, gpu: mi300x, gpus: 8, nics: 8, pool: prefill}
  n2:
    host: 10.0.0.2          # rack 7
    gpu: mi300x
    gpus: 8
    nics: 8
    pool:   'prefill'       # <- the one that moves
  n3: {host: 10.0.0.3, gpus: 8, nics: 8, slots: {a: {gpus: 0-3, pool: "decode"}, b: {gpus: 4-7, pool: decode}}}
  n4: {host: 10.0.0.4, gpu: mi300x, gpus: 8, nics: 8, pool: ~}     # spare
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "inventory.yaml"
    found.write_text(BY_HAND)
    return found


def asked(path: Path, *selectors: str, to: str) -> Edited:
    inventory = load(path)
    return edited(inventory, place(inventory), MoveRequest(selectors, to))


class NothingApplied:
    """A run's context on a cluster to which nothing was ever applied."""

    class applied:
        now = None


def commit(path: Path, found: Edited, *names: str, back: tuple[str, ...] = ()) -> str:
    """The file after the commits of those slots, some of them taken back."""

    async def go() -> None:
        commits = Commits(found, FileOnDisk(path), BaseRecord(path.with_name("base.json")))
        for name in names:
            await commits.commit(NothingApplied(), Step(Action.COMMIT, name, "", ""))  # type: ignore[arg-type]
        for name in back:
            await commits.take_back(NothingApplied(), Step(Action.TAKE_BACK, name, "", ""))  # type: ignore[arg-type]

    asyncio.run(go())
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("selector", "to", "slot", "old", "new"),
    [
        ("n2", "decode", "n2.main", "'prefill'       # <-", "'decode'       # <-"),
        ("n3.a", "none", "n3.a", '0-3, pool: "decode"', "0-3, pool: null"),
        ("n4", "decode", "n4.main", "pool: ~}", "pool: decode}"),
    ],
)
def test_one_word_changes_and_comes_back_to_the_byte(
    path: Path, selector: str, to: str, slot: str, old: str, new: str
) -> None:
    found = asked(path, selector, to=to)
    assert [shift.name for shift in found.shifts] == [slot]
    written = commit(path, found, slot)
    assert written == BY_HAND.replace(old, new)
    assert found.after.digest == hashlib.sha256(written.encode()).hexdigest(), "what was checked is what was written"
    path.write_text(BY_HAND)
    assert commit(path, found, slot, back=(slot,)) == BY_HAND


def test_slots_are_written_one_by_one_and_one_can_be_taken_back_alone(path: Path) -> None:
    found = asked(path, "n2", "n4", to="decode")
    assert commit(path, found, "n2.main", "n4.main", back=("n2.main",)) == BY_HAND.replace("pool: ~}", "pool: decode}")


def test_a_file_that_changed_since_it_was_read_is_not_written(path: Path) -> None:
    found = asked(path, "n2", to="decode")
    path.write_text(BY_HAND + "# a colleague was here\n")
    with pytest.raises(PlanRefused, match="changed by someone else"):
        commit(path, found, "n2.main")
    assert path.read_text() == BY_HAND + "# a colleague was here\n"


def test_who_comes_and_who_leaves(path: Path) -> None:
    (shift,) = asked(path, "n2", to="decode").shifts
    assert [each.name for each in shift.leaving] == ["n2.main.0"]
    assert [each.name for each in shift.coming] == ["n2.main.0", "n2.main.1"]


def test_slots_that_are_there_already_are_no_part_of_it(path: Path) -> None:
    assert asked(path, "n3", to="decode").shifts == ()
    assert asked(path, "n3", to="decode").after.digest == load(path).digest


def test_what_would_not_be_valid_names_every_problem_and_its_place(path: Path) -> None:
    with pytest.raises(InventoryError) as error:
        asked(path, "n3.a", to="prefill")
    assert error.value.message == "with n3.a in prefill the inventory would not be valid"
    assert len(error.value.problems) == 1 and "inventory.yaml:22:60" in error.value.problems[0], error.value.problems


@pytest.mark.parametrize(
    ("selectors", "to", "kind", "why"),
    [
        (("n1", "n2"), "decode", PlanRefused, "pool prefill would be left with 0 of at least 1"),
        (("n2",), "decod", UsageError, "no pool 'decod'"),
        (("n9",), "decode", UsageError, "n9"),
    ],
)
def test_refused_before_anything_is_touched(
    path: Path, selectors: tuple[str, ...], to: str, kind: type[Exception], why: str
) -> None:
    with pytest.raises(kind, match=why):
        asked(path, *selectors, to=to)
    assert path.read_text() == BY_HAND


def test_the_command_line_of_a_request_is_its_twin() -> None:
    request = MoveRequest(("n2", "@decode"), "prefill", 2, True, "cancel", "one", True)
    assert " ".join(move_command(request)) == (
        "pdctl move n2 @decode --to prefill --at-once 2 --force --on-deadline cancel --canary one --skip-checks"
    )
    assert move_command(MoveRequest(("n2",), "decode")) == ("pdctl", "move", "n2", "--to", "decode")


def test_times_are_those_of_the_same_engine_else_of_any() -> None:
    def entry(action: str, subject: str, took_s: float) -> Mapping[str, object]:
        return {"event": "step_done", "action": action, "subject": subject, "took_s": took_s}

    steps = (
        Step(Action.AWAIT_READY, "a", "n", ""),
        Step(Action.AWAIT_READY, "b", "n", ""),
        Step(Action.STOP, "a", "n", ""),
    )
    told = [entry("await ready", "a", 60.0), entry("await ready", "a", 90.0), entry("await ready", "c", 10.0)]
    found = measured_times(Plan("move", (), steps), [*told, {"event": "step_done"}])
    seen = {name: (each.low_s, each.high_s, each.basis) for name, each in found.items()}
    assert seen == {"await_ready:a": (60.0, 90.0, MEASURED), "await_ready:b": (10.0, 90.0, MEASURED)}

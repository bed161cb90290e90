"""Runs of playbooks: begun anew, gone on with, or taken back; each checked whole before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pdctl.control.lease import operator
from pdctl.control.opened import read_deployment
from pdctl.control.playbook_record import RunRecord, RunStore
from pdctl.errors import PlanRefused, UsageError
from pdctl.inventory.load import Inventory
from pdctl.inventory.playbook_load import Playbook, load_playbook, values_of
from pdctl.model.deployment import Deployment
from pdctl.plan.playbook import Direction, Progress, carried, left, starting_at, taking_back, turned_back
from pdctl.plan.playbook_program import Program, compose, refuse_unfit


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that may go: its playbook, its program as it fits the inventory, and its record."""

    playbook: Playbook
    program: Program
    record: RunRecord
    inventory: Inventory
    deployment: Deployment
    resumed: bool = False

    @property
    def back(self) -> bool:
        return self.record.progress.direction is Direction.BACK

    @property
    def steps(self) -> int:
        """How many steps there are in the direction that it goes."""
        return len(taking_back(self.program, self.record.progress) if self.back else self.program.tasks)


def begin(path: Path, given: Mapping[str, str], inventory_path: Path, *, run: str, now_s: float) -> Prepared:
    """A new run. Raises InvalidPlaybook or InventoryError with everything that is wrong; nothing is written yet."""
    playbook = load_playbook(path)
    values = values_of(playbook, given)
    inventory, deployment = read_deployment(inventory_path)
    program = compose(playbook, values, deployment)
    refuse_unfit(playbook, left(program, Progress()), deployment, inventory)
    record = RunRecord(
        run,
        playbook.spec.name,
        str(playbook.path),
        playbook.digest,
        str(inventory.path),
        deployment.cluster,
        operator(),
        now_s,
        now_s,
        dict(given),
        program.items,
    )
    return Prepared(playbook, program, record, inventory, deployment)


def go_on(record: RunRecord, *, undo: bool, force: bool) -> Prepared:
    """A run that is resumed, or taken back.

    Raises PlanRefused where its playbook was changed since (unless `force`), or it goes the other way already.
    """
    back = record.progress.direction is Direction.BACK
    if back and not undo:
        hint = f"`pdctl run --undo {record.run}` goes on with that"
        if record.outcome == "undone":
            hint = f"`pdctl run {Path(record.playbook).stem}` begins a new one"
        raise PlanRefused(f"run {record.run} is being or was taken back", hint=hint)
    playbook = load_playbook(Path(record.playbook))
    changed = playbook.digest != record.digest
    if changed and not force:
        hint = "run the playbook anew, or go on with --force: steps that are the same to the letter stay done"
        raise PlanRefused(f"{record.playbook} was changed since run {record.run} began", hint=hint)
    inventory, deployment = read_deployment(Path(record.inventory))
    if deployment.cluster != record.cluster:
        raise PlanRefused(f"{record.inventory} is about {deployment.cluster} now, the run was about {record.cluster}")
    program = compose(playbook, values_of(playbook, record.vars), deployment, record.items)
    if changed:
        record = replace(record, digest=playbook.digest, progress=carried(program, record.progress))
    if undo and not back:
        record = replace(record, progress=turned_back(record.progress))
    refuse_unfit(playbook, left(program, record.progress), deployment, inventory)
    return Prepared(playbook, program, replace(record, outcome="running"), inventory, deployment, resumed=True)


def skip_to(prepared: Prepared, where: str, now_s: float) -> Prepared:
    """The run with everything before that step left out. Raises UsageError."""
    progress = starting_at(prepared.program, prepared.record.progress, where, now_s)
    return replace(prepared, record=replace(prepared.record, progress=progress))


def find_run(store: RunStore, run: str) -> RunRecord:
    """The record of a run, or of the newest one for `last`. Raises UsageError."""
    if run != "last":
        return store.read(run)
    newest = next(iter(store.all()), None)
    if newest is None:
        raise UsageError("no playbook was run on this machine yet", hint="`pdctl run --list` names playbooks")
    return newest

"""From a playbook, its variables and an inventory to a program: single steps in a row, each with what takes it back.

Loops are unrolled and conditions decided before anything starts, so that every selector, pool and path is checked
first, and a run that is resumed goes through the same steps whatever it has changed in the inventory meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pdctl.errors import PdctlError, PlanRefused, UsageError
from pdctl.inventory.document import Loc
from pdctl.inventory.edit import loc_of, set_scalar
from pdctl.inventory.load import Inventory, parse
from pdctl.inventory.playbook_load import InvalidPlaybook, Playbook
from pdctl.inventory.playbook_schema import (
    VERBS,
    CompareSection,
    GateVerb,
    InnerStep,
    MoveVerb,
    SetVerb,
    StepSection,
    UndoStep,
)
from pdctl.inventory.playbook_vars import Value, fill, parse_when
from pdctl.inventory.problems import InvalidInventory, Problem
from pdctl.inventory.sections import Section
from pdctl.inventory.select import select
from pdctl.model.deployment import Deployment
from pdctl.plan.playbook_words import words

SPARE: Final = "none"
PUT_BACK: Final = "put back"
"""The verb that no playbook writes: a scalar of the inventory becomes what it was before `set`."""


@dataclass(frozen=True, slots=True)
class Task:
    """One step with its variables filled in. `id` is its place: `2`, in a loop `3.n4.1`, of an undo `2.undo.1`.

    `undo` are the steps that take it back, in their order.
    """

    id: str
    title: str
    verb: str
    args: Section
    loc: Loc = ()
    undo: tuple[Task, ...] = ()
    on_failure: str = "stop"
    timeout_s: float | None = None

    @property
    def what(self) -> str:
        """What it does, to the letter: two tasks with the same text are the same."""
        return f"{self.verb} {json.dumps(self.args.model_dump(mode='json'), sort_keys=True)}"

    @property
    def takes_back(self) -> bool:
        """Whether it undoes a step, which may have been cut off half way."""
        return ".undo." in self.id


@dataclass(frozen=True, slots=True)
class Program:
    """All steps of one run, in order. `items`: what each loop goes through, by the loop's place."""

    name: str
    tasks: tuple[Task, ...]
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def compose(
    playbook: Playbook,
    values: Mapping[str, Value],
    deployment: Deployment,
    items: Mapping[str, tuple[str, ...]] | None = None,
) -> Program:
    """The program. `items`: what loops went through when the run began, where it is resumed.

    Raises InvalidPlaybook where a loop's selector names nothing, or a variable's value does not fit.
    """
    composing = _Composing(playbook, values, deployment, items)
    tasks = tuple(composing.tasks())
    if composing.problems:
        raise InvalidPlaybook(tuple(dict.fromkeys(composing.problems)))
    return Program(playbook.spec.name, tasks, composing.items)


def refuse_unfit(playbook: Playbook, tasks: Sequence[Task], deployment: Deployment, inventory: Inventory) -> None:
    """Raises InvalidPlaybook with every selector, pool and path of `tasks` that the inventory does not have."""
    problems = tuple(dict.fromkeys(_unfit(playbook, tasks, deployment, inventory)))
    if problems:
        raise InvalidPlaybook(problems)


class _Composing:
    """Unrolls one playbook; what does not fit is kept in `problems`."""

    def __init__(
        self,
        playbook: Playbook,
        values: Mapping[str, Value],
        deployment: Deployment,
        items: Mapping[str, tuple[str, ...]] | None,
    ) -> None:
        self.playbook, self.values, self.deployment = playbook, values, deployment
        self.problems: list[Problem] = []
        self.items: dict[str, tuple[str, ...]] = dict(items or {})

    def tasks(self) -> Iterator[Task]:
        for index, raw in enumerate(self.playbook.data["steps"]):
            number, loc = str(index + 1), ("steps", index)
            if not _applies(raw, self.values):
                continue
            if "for_each" not in raw:
                yield from self._task(StepSection, number, raw, self.values, loc)
                continue
            loop = raw["for_each"]
            for item in self._items(number, loop, (*loc, "for_each", "select")):
                values = {**self.values, loop.get("into", "node"): item}
                for place, inner in enumerate(loop["steps"]):
                    if _applies(inner, values):
                        below = (*loc, "for_each", "steps", place)
                        yield from self._task(InnerStep, f"{number}.{item}.{place + 1}", inner, values, below)

    def _items(self, number: str, loop: Mapping[str, Any], loc: Loc) -> tuple[str, ...]:
        if number not in self.items:
            try:
                self.items[number] = items_of(self.deployment, str(fill(loop["select"], self.values)))
            except UsageError as error:
                self.items[number] = ()
                self.problems.append(self.playbook.problem(loc, error.message, error.hint))
        return self.items[number]

    def _task(
        self, kind: type[UndoStep], number: str, raw: Mapping[str, Any], values: Mapping[str, Value], loc: Loc
    ) -> Iterator[Task]:
        try:
            step = self.playbook.step(kind, loc, fill(raw, values))
        except InvalidPlaybook as error:
            self.problems += error.located
            return
        verb, args = _verb(step)
        undo: list[Task] = []
        if isinstance(args, SetVerb):
            undo.append(Task(f"{number}.undo.0", f"put {args.path} back", PUT_BACK, args, loc))
        for place, each in enumerate(step.undo if isinstance(step, InnerStep) else ()):
            inner, what = _verb(each)
            title = each.name or words(inner, what)
            below = (*loc, "undo", place)
            undo.append(Task(f"{number}.undo.{place + 1}", title, inner, what, below, timeout_s=each.timeout))
        on_failure = step.on_failure if isinstance(step, InnerStep) else "stop"
        yield Task(number, step.name or words(verb, args), verb, args, loc, tuple(undo), on_failure, step.timeout)


def items_of(deployment: Deployment, expression: str) -> tuple[str, ...]:
    """What a loop goes through: nodes; slots of a node that is selected in part; a group by its first node.

    Raises UsageError for a name that is not there.
    """
    chosen = select(deployment, (expression,))
    slots = {slot.id for slot in chosen.slots}
    grouped = {part.node for each in chosen.instances for part in each.parts[1:]}
    items: list[str] = []
    for node in chosen.nodes:
        own = [slot.id for slot in deployment.slots if slot.node == node.name]
        if slots.issuperset(own):
            items += [] if node.name in grouped and len(own) == 1 else [node.name]
        else:
            items += [slot for slot in own if slot in slots]
    return tuple(items)


def _applies(raw: Mapping[str, Any], values: Mapping[str, Value]) -> bool:
    test = parse_when(str(raw["when"])) if "when" in raw else None
    return test is None or test.holds(values)


def _verb(step: UndoStep) -> tuple[str, Section]:
    for verb in VERBS:
        args = getattr(step, verb)
        if args is not None:
            assert isinstance(args, Section)
            return verb, args
    raise AssertionError("a step without a verb was let through")


def _unfit(
    playbook: Playbook, tasks: Sequence[Task], deployment: Deployment, inventory: Inventory
) -> Iterator[Problem]:
    text = inventory.text
    for task in tasks:
        if task.verb == PUT_BACK:
            continue
        place = (*task.loc, task.verb)
        for loc, expression in _selectors(task.args, place):
            try:
                select(deployment, (expression,))
            except UsageError as error:
                yield playbook.problem(loc, error.message, error.hint)
        if isinstance(task.args, MoveVerb) and task.args.to not in (*deployment.pools, SPARE):
            hint = f"pools: {', '.join(deployment.pools)}"
            yield playbook.problem((*place, "to"), f"there is no pool {task.args.to!r} in the inventory", hint)
        if isinstance(task.args, GateVerb) and task.args.compare is not None:
            yield from _peerless(playbook, (*place, "compare", "select"), task.args.compare, deployment)
        if isinstance(task.args, SetVerb):
            try:
                text = with_scalar(text, task.args, inventory.path)
            except PdctlError as error:
                yield playbook.problem((*place, "path"), error.message, error.hint)


def with_scalar(text: str, args: SetVerb, path: Path) -> str:
    """The inventory's text after a `set`. Raises PlanRefused where it cannot be replaced, or would not be valid."""
    changed = set_scalar(text, loc_of(text, args.path), args.value)
    try:
        parse(changed.encode(), path)
    except InvalidInventory as error:
        first = error.located[0]
        cause = f"with {args.path} {args.value!r} the inventory would be invalid: {first.where}: {first.message}"
        raise PlanRefused(cause, hint=first.hint) from None
    return changed


def _selectors(args: Section, loc: Loc) -> Iterator[tuple[Loc, str]]:
    expression = getattr(args, "select", None)
    if isinstance(expression, str):
        yield (*loc, "select"), expression
    if isinstance(args, GateVerb) and args.compare is not None:
        yield from _selectors(args.compare, (*loc, "compare"))


def _peerless(playbook: Playbook, loc: Loc, compare: CompareSection, deployment: Deployment) -> Iterator[Problem]:
    try:
        chosen = select(deployment, (compare.select,)).instances
    except UsageError:
        return  # told already
    names = {instance.name for instance in chosen}
    for instance in chosen:
        if not any(each.pool == instance.pool and each.name not in names for each in deployment.instances):
            message = f"{instance.name} has no peer in pool {instance.pool!r} to be compared with"
            yield playbook.problem(loc, message, "compare an instance of a pool that has others")

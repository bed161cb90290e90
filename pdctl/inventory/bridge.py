"""From pydantic's errors and the rules' findings to located problems; all of one text at once.

When a value is wrong, the rest of the file is still checked: the wrong parts are taken out, what is left is validated
again, and the cross-field rules run on it. What was taken out is *in doubt*, and findings that rest on it are dropped.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pdctl.inventory import rules
from pdctl.inventory.document import Document, Loc
from pdctl.inventory.finding import Context, related
from pdctl.inventory.located import clean, located, near
from pdctl.inventory.problems import Problem
from pdctl.inventory.schema import InventorySpec

_ROUNDS = 8  # a part that is taken out can make its parent invalid: one round for each level
_FILLERS: Mapping[Loc, object] = {
    ("version",): 1,
    ("cluster",): "x",
    ("model",): {"name": "x"},
    ("model", "name"): "x",
    ("engine",): {"version": "0.33", "supervisor": "process"},
    ("engine", "version"): "0.33",
    ("engine", "supervisor"): "process",
    ("router",): {"node": "x"},
    ("router", "node"): "x",
    ("pools",): {},
    ("pools", "*", "role"): "mixed",
    ("nodes",): {},
    ("nodes", "*", "host"): "x",
    ("nodes", "*", "gpus"): 1,
    ("nodes", "*", "slots", "*", "gpus"): [0],
}
"""Stand-ins for what must be there and is not, so that the rest is still checked; all of them are in doubt."""


def check(document: Document) -> tuple[InventorySpec | None, list[Problem]]:
    """The inventory, or None, and everything that is wrong with it in the order of the file."""
    problems = [document.problem(flaw.path, flaw.message, flaw.hint, node=flaw.node) for flaw in document.flaws]
    doubts: list[Loc] = [flaw.path for flaw in document.flaws]
    spec: InventorySpec | None = None
    try:
        spec = InventorySpec.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems += [located(document, each, InventorySpec) for each in errors]
        spec = _salvage(document.data, errors, doubts)
    if spec is not None:
        problems += _cross_field(document, spec, doubts)
    unique = dict.fromkeys(problems)
    return spec, sorted(unique, key=lambda problem: (problem.line, problem.col, problem.message))


def _cross_field(document: Document, spec: InventorySpec, doubts: list[Loc]) -> list[Problem]:
    context = Context(spec, _names(document.data, "pools"), _names(document.data, "nodes"))
    return [
        document.problem(finding.loc, finding.message, finding.hint, at_key=finding.at_key)
        for finding in rules.findings(context)
        if not any(finding.rests_on(doubt) for doubt in doubts)
    ]


def _names(data: object, section: str) -> frozenset[str]:
    names = data.get(section) if isinstance(data, dict) else None
    return frozenset(names) if isinstance(names, dict) else frozenset()


def _salvage(data: object, errors: list[ErrorDetails], doubts: list[Loc]) -> InventorySpec | None:
    """What validates of `data` once the wrong parts are out; `doubts` grows by what was taken out or stood in for."""
    rest = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        for error in errors:
            loc = clean(error["loc"])
            doubts.append(loc)
            if error["type"] == "extra_forbidden":
                doubts += [(*loc[:-1], key) for key in near(loc, InventorySpec)]
            if error["type"] == "missing":
                _stand_in(rest, loc)
            else:
                _take_out(rest, loc)
        try:
            return InventorySpec.model_validate(rest)
        except ValidationError as error:
            errors = error.errors(include_url=False)
    return None


def _take_out(data: object, loc: Loc) -> None:
    for step in loc[:-1]:
        data = data.get(step) if isinstance(data, dict) else None
    if isinstance(data, dict) and loc:
        data.pop(loc[-1], None)


def _stand_in(data: object, loc: Loc) -> None:
    filler = next(value for pattern, value in _FILLERS.items() if len(pattern) == len(loc) and related(pattern, loc))
    for step in loc[:-1]:
        data = data.get(step) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data[loc[-1]] = copy.deepcopy(filler)

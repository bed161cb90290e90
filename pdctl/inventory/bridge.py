"""From pydantic's errors and the rules' findings to located problems; all of one text at once.

When a value is wrong, the rest of the file is still checked: the wrong parts are taken out, what is left is validated
again, and the cross-field rules run on it. What was taken out is *in doubt*, and findings that rest on it are dropped.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pdctl.inventory import rules
from pdctl.inventory.document import Document, Loc
from pdctl.inventory.finding import Context, did_you_mean, related
from pdctl.inventory.problems import Problem
from pdctl.inventory.scalars import show
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

Text: TypeAlias = tuple[str, str]  # message, hint


def check(document: Document) -> tuple[InventorySpec | None, list[Problem]]:
    """The inventory, or None, and everything that is wrong with it in the order of the file."""
    problems = [document.problem(flaw.path, flaw.message, flaw.hint, node=flaw.node) for flaw in document.flaws]
    doubts: list[Loc] = [flaw.path for flaw in document.flaws]
    spec: InventorySpec | None = None
    try:
        spec = InventorySpec.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems += [_problem(document, each) for each in errors]
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
            loc = _clean(error["loc"])
            doubts.append(loc)
            if error["type"] == "extra_forbidden":
                doubts += [(*loc[:-1], key) for key in _near(loc)]
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


def _clean(loc: tuple[str | int, ...]) -> Loc:
    """pydantic's `loc` without its mark for a mapping's key."""
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _problem(document: Document, error: ErrorDetails) -> Problem:
    loc = _clean(error["loc"])
    kind = error["type"]
    at_key = kind in ("extra_forbidden", "missing") or error["loc"] != loc
    message, hint = _TEXTS.get(kind, _other)(error)
    if kind == "missing":
        problem = document.problem(loc[:-1], message, hint, at_key=True)
        return problem
    if kind == "extra_forbidden":
        near = _near(loc)
        hint = f"did you mean `{near[0]}`?" if near else did_you_mean(str(loc[-1]), _keys(loc[:-1]))
    return document.problem(loc, message, _yaml_trap(document, loc, error) or hint, at_key=at_key)


def _yaml_trap(document: Document, loc: Loc, error: ErrorDetails) -> str:
    """A hint where YAML 1.1 made something else of what was typed."""
    typed = document.written(loc)
    value = error["input"]
    if typed is None or error["type"] == "bool_type":
        return ""
    if isinstance(value, bool) and typed.lower() not in ("true", "false"):
        return f'YAML reads a bare {typed} as {show(value)}; write "{typed}"'
    if isinstance(value, int | float) and not isinstance(value, bool) and "quote it" in str(error.get("ctx")):
        return f'write "{typed}", with the quotes'
    return ""


def _other(error: ErrorDetails) -> Text:
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}, not {show(error['input'])}", ""


def _own(error: ErrorDetails) -> Text:
    context = error.get("ctx", {})
    return str(context.get("text", error["msg"])), str(context.get("hint", ""))


def _choice(error: ErrorDetails) -> Text:
    choices = re.findall(r"'([^']+)'", str(error.get("ctx", {}).get("expected", ""))) or ["1"]
    given = error["input"]
    hint = did_you_mean(given, choices) if isinstance(given, str) else ""
    return f"must be {_or(choices)}, not {show(given)}", hint if hint.startswith("did") else ""


def _bound(word: str, key: str) -> Callable[[ErrorDetails], Text]:
    return lambda error: (f"must be {word} {error.get('ctx', {}).get(key):g}, not {show(error['input'])}", "")


def _wanted(what: str) -> Callable[[ErrorDetails], Text]:
    return lambda error: (f"must be {what}, not {show(error['input'])}", "")


def _or(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


_MAPPING = _wanted("a mapping of keys to values")
_TEXTS: Mapping[str, Callable[[ErrorDetails], Text]] = {
    "pdctl": _own,
    "extra_forbidden": lambda error: ("unknown key", ""),
    "missing": lambda error: (f"the key `{error['loc'][-1]}` is missing", ""),
    "enum": _choice,
    "literal_error": _choice,
    "int_type": _wanted("a whole number"),
    "float_type": _wanted("a number"),
    "bool_type": _wanted("true or false"),
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "greater_than_equal": _bound("at least", "ge"),
    "greater_than": _bound("more than", "gt"),
    "less_than_equal": _bound("at most", "le"),
}


def _near(loc: Loc) -> list[str]:
    """The key that an unknown one was probably meant to be."""
    hint = did_you_mean(str(loc[-1]), _keys(loc[:-1]))
    return [hint.split("`")[1]] if hint.startswith("did") else []


def _keys(loc: Loc) -> list[str]:
    """The keys that the schema knows at `loc`."""
    kind: Any = InventorySpec
    for step in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            kind = field.annotation if field else None
        else:
            kind = get_args(kind)[-1] if get_args(kind) else None
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []

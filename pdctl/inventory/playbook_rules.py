"""Rules of a playbook that no single field can tell: one verb a step, variables that exist, loops that do not nest.

They work on the text's data, so that all of them are told even where a field next to them is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from pdctl.inventory.document import Loc
from pdctl.inventory.finding import Finding, did_you_mean
from pdctl.inventory.playbook_schema import VERBS
from pdctl.inventory.playbook_vars import SAMPLES, NotOfType, is_malformed, names_in, parse_when, scalars, typed

_CONDITIONS: Final = ("members", "alerts", "attainment", "compare")
_FIGURES: Final = ("ttft_mean", "ttft_p99", "itl_mean", "itl_p99")


class Place(Enum):
    """Where a step stands."""

    TOP = auto()
    LOOP = auto()
    UNDO = auto()


@dataclass(frozen=True, slots=True)
class RawStep:
    """One step as it is written. `loops`: the variables that loops around it give."""

    loc: Loc
    data: Mapping[str, Any]
    place: Place
    loops: frozenset[str] = frozenset()


def findings(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What every rule has to say of a playbook's data."""
    variables = data.get("vars") if isinstance(data.get("vars"), dict) else {}
    assert isinstance(variables, dict)
    for name, var in variables.items():
        if isinstance(var, dict):
            yield from _variable(("vars", name), var)
    if isinstance(data.get("steps"), list) and not data["steps"]:
        yield Finding(("steps",), "has no step", at_key=True)
    for step in raw_steps(data.get("steps")):
        known = step.loops | variables.keys()
        yield from _one_verb(step)
        yield from _loop(step, frozenset(variables))
        yield from _templates(step, known)
        yield from _gate(step)


def raw_steps(steps: object, loc: Loc = ("steps",), loops: frozenset[str] = frozenset()) -> Iterator[RawStep]:
    """Every step that is a mapping, those in loops and in `undo` too."""
    for index, data in enumerate(steps if isinstance(steps, list) else []):
        if not isinstance(data, dict):
            continue
        here = (*loc, index)
        yield RawStep(here, data, Place.LOOP if loops else Place.TOP, loops)
        undo = data.get("undo")
        for number, taking_back in enumerate(undo if isinstance(undo, list) else []):
            if isinstance(taking_back, dict):
                yield RawStep((*here, "undo", number), taking_back, Place.UNDO, loops)
        loop = data.get("for_each")
        if isinstance(loop, dict):
            inner = loops | {str(loop.get("into", "node"))}
            yield from raw_steps(loop.get("steps"), (*here, "for_each", "steps"), inner)


def _variable(loc: Loc, var: Mapping[str, Any]) -> Iterator[Finding]:
    kind, default = var.get("type", "text"), var.get("default")
    if var.get("required") is True and default is not None:
        yield Finding((*loc, "required"), "is required, and has a default", "leave one of the two out")
    if var.get("required") is not True and default is None:
        yield Finding(loc, "has no default and is not required", "write `default:` or `required: true`", at_key=True)
    if kind not in SAMPLES:
        return
    written = [] if default is None else [((*loc, "default"), default)]
    choices = var.get("choices") if isinstance(var.get("choices"), list) else []
    assert isinstance(choices, list)
    written += [((*loc, "choices", index), choice) for index, choice in enumerate(choices)]
    for place, value in written:
        try:
            typed(kind, value)
        except NotOfType as error:
            yield Finding(place, str(error))
    if choices and default is not None and default not in choices:
        yield Finding((*loc, "default"), f"is none of the choices: {', '.join(map(str, choices))}")


def _one_verb(step: RawStep) -> Iterator[Finding]:
    known = (*VERBS, "for_each")
    verbs = [key for key in step.data if key in known]
    unknown = [key for key in step.data if key not in (*known, "name", "when", "undo", "on_failure", "timeout")]
    if not verbs and not unknown:  # an unknown key is told as such, with the verb that it was meant to be
        yield Finding(step.loc, "has no verb", f"one of {', '.join(known)}", at_key=True)
    for verb in verbs[1:]:
        yield Finding((*step.loc, verb), f"a step has one verb, and this one has {verbs[0]!r} already", at_key=True)


def _loop(step: RawStep, variables: frozenset[str]) -> Iterator[Finding]:
    loop = step.data.get("for_each")
    if not isinstance(loop, dict) or step.place is not Place.TOP:
        return
    for key in ("undo", "on_failure", "timeout"):
        if key in step.data:
            yield Finding((*step.loc, key), "is said of the steps inside of a loop, not of the loop", at_key=True)
    if str(loop.get("into", "node")) in variables:
        loc = (*step.loc, "for_each", "into")
        yield Finding(loc, f"there is a variable {loop.get('into', 'node')!r} already", "choose another name")
    if isinstance(loop.get("steps"), list) and not loop["steps"]:
        yield Finding((*step.loc, "for_each", "steps"), "has no step", at_key=True)


def _templates(step: RawStep, known: frozenset[str]) -> Iterator[Finding]:
    own = {key: value for key, value in step.data.items() if key not in ("undo", "for_each")}
    loop = step.data.get("for_each")
    if isinstance(loop, dict):
        own["for_each"] = {key: value for key, value in loop.items() if key != "steps"}
    for loc, text in scalars(own, step.loc):
        if loc == (*step.loc, "when"):
            yield from _when(loc, text, known)
            continue
        if is_malformed(text):
            yield Finding(loc, "holds braces that are no variable", 'one name and nothing else: "{{ name }}"')
        for name in names_in(text):
            if name not in known:
                yield Finding(loc, f"there is no variable {name!r}", did_you_mean(name, known))


def _when(loc: Loc, text: str, known: frozenset[str]) -> Iterator[Finding]:
    test = parse_when(text)
    if test is None:
        hint = "name, not name, name == value, or name != value; no braces, no `and`"
        yield Finding(loc, f"is no test of a variable: {text!r}", hint)
    elif test.name not in known:
        yield Finding(loc, f"there is no variable {test.name!r}", did_you_mean(test.name, known))


def _gate(step: RawStep) -> Iterator[Finding]:
    gate = step.data.get("gate")
    if "gate" in step.data and not (isinstance(gate, dict) and any(key in gate for key in _CONDITIONS)):
        if gate is None or isinstance(gate, dict):
            yield Finding((*step.loc, "gate"), "waits for nothing", f"one of {', '.join(_CONDITIONS)}", at_key=True)
        return
    compare = gate.get("compare") if isinstance(gate, dict) else None
    if isinstance(compare, dict) and not any(key in compare for key in _FIGURES):
        yield Finding((*step.loc, "gate", "compare"), "compares nothing", f"one of {', '.join(_FIGURES)}", at_key=True)

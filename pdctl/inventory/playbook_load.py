"""From a file to a playbook, and from `--set` to its variables' values; or to everything that is wrong, located."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from pdctl.inventory.document import Document, Loc
from pdctl.inventory.finding import did_you_mean
from pdctl.inventory.load import content_of, text_of
from pdctl.inventory.located import clean, located
from pdctl.inventory.playbook_rules import findings
from pdctl.inventory.playbook_schema import VERBS, PlaybookSpec, UndoStep, VarSection
from pdctl.inventory.playbook_vars import SAMPLES, NotOfType, Value, fill, is_malformed, names_in, scalars, typed
from pdctl.inventory.problems import InvalidInventory, Problem

_EMPTY: Final = ("the playbook is empty", "`pdctl run --list` names those that come with pdctl")
_UNQUOTED: Final = 'a variable is quoted: "{{ name }}"'

StepKind = TypeVar("StepKind", bound=UndoStep)


class InvalidPlaybook(InvalidInventory):
    """A playbook with problems, located in its file."""

    def __init__(self, located: tuple[Problem, ...]) -> None:
        super().__init__(located)
        self.hint = "nothing was touched; correct the playbook and run `pdctl run PLAYBOOK --check`"


@dataclass(frozen=True, slots=True)
class Playbook:
    """A valid playbook. `data` is its text as plain data, `{{ … }}` and all; in `spec` samples stand for variables
    that have no default. `digest` is the sha256 of the file's bytes, in hex."""

    spec: PlaybookSpec
    path: Path
    digest: str
    data: Mapping[str, Any] = field(repr=False)
    document: Document = field(repr=False, compare=False)

    def problem(self, loc: Loc, message: str, hint: str = "") -> Problem:
        """A complaint about a place of this playbook that only a later step could find."""
        return self.document.problem(loc, message, hint)

    def step(self, kind: type[StepKind], loc: Loc, data: object) -> StepKind:
        """One step whose variables were filled in. Raises InvalidPlaybook where their values do not fit."""
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            raise InvalidPlaybook(_sorted(located(self.document, each, kind, loc) for each in errors)) from None


def load_playbook(path: Path) -> Playbook:
    """Read and check `path`. Raises InvalidPlaybook (exit 65) with every problem of the file."""
    try:
        return parse_playbook(content_of(path, "`pdctl run --list` names those that come with pdctl"), path)
    except InvalidInventory as error:
        raise InvalidPlaybook(error.located) from None


def parse_playbook(content: bytes, path: Path) -> Playbook:
    """Check the bytes of a playbook that is at `path`. Raises InvalidPlaybook."""
    try:
        text = text_of(content, path)
        document = Document(text.removeprefix("\ufeff"), str(path), empty=_EMPTY)
    except InvalidInventory as error:
        raise InvalidPlaybook(error.located) from None
    data = _with_empty_verbs(document.data)
    problems = [
        document.problem(flaw.path, flaw.message, flaw.hint or _hint_of(flaw.message), node=flaw.node)
        for flaw in document.flaws
    ]
    if isinstance(data, dict) and not problems:
        found = findings(data)
        problems += [document.problem(each.loc, each.message, each.hint, at_key=each.at_key) for each in found]
    defaults, sampled = _stand_ins(data)
    spec = None
    try:
        spec = PlaybookSpec.model_validate(_filled(data, defaults))
    except ValidationError as error:
        guessed = {loc for loc, text in scalars(data) if is_malformed(text) or sampled.intersection(names_in(text))}
        doubtful = {flaw.path for flaw in document.flaws}
        errors = [each for each in error.errors(include_url=False) if clean(each["loc"]) not in guessed]
        if not doubtful:
            problems += [located(document, each, PlaybookSpec) for each in errors]
    if problems:
        raise InvalidPlaybook(_sorted(problems))
    if spec is None:  # all that is wrong is a sample of ours, where the real value may fit
        spec = _declared(data)
    assert isinstance(data, dict)
    return Playbook(spec, path.absolute(), hashlib.sha256(content).hexdigest(), data, document)


def values_of(playbook: Playbook, given: Mapping[str, str]) -> Mapping[str, Value]:
    """The variables' values: as given, else their defaults. Raises InvalidPlaybook with all that is missing, unknown
    or of another type."""
    values: dict[str, Value] = {}
    variables = playbook.spec.vars
    problems = [
        playbook.problem(("vars",), f"there is no variable {name!r} to set", did_you_mean(name, variables))
        for name in given
        if name not in variables
    ]
    for name, var in variables.items():
        try:
            if name in given or not var.required:
                values[name] = _value(var, given.get(name))
            else:
                help_ = f" ({var.help})" if var.help else ""
                hint = f"--set {name}=…{help_}"
                problems.append(playbook.problem(("vars", name), f"the variable {name!r} has to be given", hint))
        except NotOfType as error:
            problems.append(playbook.problem(("vars", name), f"--set {name}: {error}"))
    if problems:
        raise InvalidPlaybook(_sorted(problems))
    return values


def _value(var: VarSection, given: str | None) -> Value:
    value = typed(var.type, var.default if given is None else given)
    choices = [typed(var.type, choice) for choice in var.choices]
    if choices and value not in choices:
        raise NotOfType(f"must be one of {', '.join(map(str, var.choices))}, not {value!r}")
    return value


def _stand_ins(data: object) -> tuple[Mapping[str, Value], frozenset[str]]:
    """A value for every variable, so that the text can be checked; and the names of those that are only samples."""
    values: dict[str, Value] = {}
    sampled: set[str] = set()
    variables = data.get("vars") if isinstance(data, dict) else None
    for name, var in variables.items() if isinstance(variables, dict) else ():
        kind = var.get("type", "text") if isinstance(var, dict) else "text"
        try:
            values[name] = typed(kind, var["default"])
        except (NotOfType, KeyError, TypeError):
            values[name] = SAMPLES.get(kind if isinstance(kind, str) else "text", "x")
            sampled.add(name)
    steps = data.get("steps") if isinstance(data, dict) else None
    for step in steps if isinstance(steps, list) else []:
        loop = step.get("for_each") if isinstance(step, dict) else None
        if isinstance(loop, dict):
            name = str(loop.get("into", "node"))
            values.setdefault(name, "x")
            sampled.add(name)
    return values, frozenset(sampled)


def _filled(data: object, values: Mapping[str, Value]) -> object:
    if not isinstance(data, dict) or "steps" not in data:
        return data
    return {**data, "steps": fill(data["steps"], values)}


def _declared(data: object) -> PlaybookSpec:
    assert isinstance(data, dict)
    return PlaybookSpec.model_validate({**data, "steps": []})


def _with_empty_verbs(data: object) -> object:
    """`data` with an empty mapping where a verb stands alone (`- up:`)."""
    if isinstance(data, list):
        return [_with_empty_verbs(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: {} if value is None and key in VERBS else _with_empty_verbs(value) if key in _HOLD_STEPS else value
        for key, value in data.items()
    }


_HOLD_STEPS: Final = ("steps", "undo", "for_each")


def _hint_of(message: str) -> str:
    return _UNQUOTED if message == "a key must be plain text" else ""


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda each: (each.line, each.col, each.message)))

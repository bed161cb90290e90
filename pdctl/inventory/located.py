"""From pydantic's errors to located problems: one line of cause, and a hint where there is one, for any schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pdctl.inventory.document import Document, Loc
from pdctl.inventory.finding import did_you_mean
from pdctl.inventory.problems import Problem
from pdctl.inventory.scalars import show

Text: TypeAlias = tuple[str, str]  # message, hint


def clean(loc: tuple[str | int, ...]) -> Loc:
    """pydantic's `loc` without its mark for a mapping's key."""
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def located(document: Document, error: ErrorDetails, root: type[BaseModel], below: Loc = ()) -> Problem:
    """What is wrong at one place of `document`, whose text was validated by `root` from `below` on."""
    inner = clean(error["loc"])
    loc = (*below, *inner)
    kind = error["type"]
    at_key = kind in ("extra_forbidden", "missing") or error["loc"] != inner
    message, hint = _TEXTS.get(kind, _other)(error)
    if kind == "missing":
        return document.problem(loc[:-1], message, hint, at_key=True)
    if kind == "extra_forbidden":
        found = near(inner, root)
        hint = f"did you mean `{found[0]}`?" if found else did_you_mean(str(loc[-1]), _keys(inner[:-1], root))
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
    "list_type": _wanted("a list"),
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "greater_than_equal": _bound("at least", "ge"),
    "greater_than": _bound("more than", "gt"),
    "less_than_equal": _bound("at most", "le"),
}


def near(loc: Loc, root: type[BaseModel]) -> list[str]:
    """The key that an unknown one was probably meant to be."""
    hint = did_you_mean(str(loc[-1]), _keys(loc[:-1], root))
    return [hint.split("`")[1]] if hint.startswith("did") else []


def _keys(loc: Loc, root: type[BaseModel]) -> list[str]:
    """The keys that the schema knows at `loc`."""
    kind: Any = root
    for step in loc:
        kind = _present(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            kind = field.annotation if field else None
        else:
            kind = get_args(kind)[-1] if get_args(kind) else None
    kind = _present(kind)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _present(kind: Any) -> Any:
    """What an optional value is where it is there."""
    if NoneType not in get_args(kind):
        return kind
    return next((each for each in get_args(kind) if each is not NoneType), None)

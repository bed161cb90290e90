"""Variables of a playbook: what `{{ name }}` stands for, what `--set` gives, and what `when` asks. No expressions."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic_core import PydanticCustomError

from pdctl.inventory.document import Loc
from pdctl.inventory.scalars import NAME, check_duration, show

Value: TypeAlias = str | int | float | bool | None

SAMPLES: Final[Mapping[str, Value]] = {
    "text": "x",
    "int": 1,
    "number": 1.0,
    "bool": True,
    "duration": 1.0,
    "selector": "x",
    "pool": "x",
}
"""Stand-ins for values that nobody has given yet, so that the rest of a playbook can be checked without them."""

_TEMPLATE = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_BRACES = re.compile(r"\{\{|\}\}")
_WHEN = re.compile(r"(?:(not)\s+)?([a-z][a-z0-9_]*)|([a-z][a-z0-9_]*)\s*(==|!=)\s*(\S(?:.*\S)?)")
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class NotOfType(ValueError):
    """A value is not of its variable's type; the message says what is wanted."""


@dataclass(frozen=True, slots=True)
class When:
    """`name`, `not name`, `name == value`, `name != value`."""

    name: str
    negated: bool = False
    wanted: str | None = None

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it is so with these values."""
        value = values[self.name]
        is_so = bool(value) if self.wanted is None else said(value) == self.wanted
        return is_so is not self.negated


def parse_when(text: str) -> When | None:
    """The test; None where the text is none."""
    match = _WHEN.fullmatch(text.strip())
    if match is None:
        return None
    if match[2]:
        return When(match[2], negated=match[1] is not None)
    return When(match[3], negated=match[4] == "!=", wanted=match[5])


def said(value: Value) -> str:
    """A value as it stands inside of a longer text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def names_in(text: str) -> tuple[str, ...]:
    """The variables that a scalar names, in order."""
    return tuple(_TEMPLATE.findall(text))


def is_malformed(text: str) -> bool:
    """Whether there are braces in it that hold no variable's name."""
    return _BRACES.search(_TEMPLATE.sub("", text)) is not None


def filled(text: str, values: Mapping[str, Value]) -> Value:
    """The scalar with its variables replaced: the value itself where it is nothing but one. Raises KeyError."""
    whole = _TEMPLATE.fullmatch(text.strip())
    if whole:
        return values[whole[1]]
    return _TEMPLATE.sub(lambda match: said(values[match[1]]), text)


def fill(data: object, values: Mapping[str, Value]) -> object:
    """`data` with every scalar filled whose variables are all known; others stay as they are."""
    if isinstance(data, dict):
        return {key: fill(item, values) for key, item in data.items()}
    if isinstance(data, list):
        return [fill(item, values) for item in data]
    if isinstance(data, str) and not is_malformed(data) and values.keys() >= set(names_in(data)):
        return filled(data, values)
    return copy.copy(data)


def scalars(data: object, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Every text in `data`, with its place."""
    if isinstance(data, dict):
        for key, item in data.items():
            yield from scalars(item, (*loc, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from scalars(item, (*loc, index))
    elif isinstance(data, str):
        yield loc, data


def typed(kind: str, value: object) -> Value:
    """`value`, from YAML or as text from `--set`, as a variable of that kind holds it. Raises NotOfType."""
    return _KINDS[kind](value)


def _text(value: object) -> Value:
    if isinstance(value, str) and value and value.isprintable():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise NotOfType(f"must be one line of text, not {show(value)}")


def _int(value: object) -> Value:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    raise NotOfType(f"must be a whole number, not {show(value)}")


def _number(value: object) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", value):
        return float(value)
    raise NotOfType(f"must be a number, not {show(value)}")


def _bool(value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise NotOfType(f"must be true or false, not {show(value)}")


def _duration(value: object) -> Value:
    try:
        return check_duration(value)
    except PydanticCustomError as error:
        raise NotOfType(error.message()) from None


def _pool(value: object) -> Value:
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise NotOfType(f"must be a pool's name, not {show(value)}")


_KINDS: Final[Mapping[str, Callable[[object], Value]]] = {
    "text": _text,
    "int": _int,
    "number": _number,
    "bool": _bool,
    "duration": _duration,
    "selector": _text,
    "pool": _pool,
}

"""What a parser claims about an output, as a table of names and values, so that claims of two texts can be compared.

Each family of parsers has a file of its own that registers what it claims: `gpu_output_claims`, ….
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pdctl.model.reading import Known, Unknown

Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Family:
    """One parser with the real outputs that it is made for (`files`: prefixes below the directory of outputs).

    `whole_only`: not of excerpts that end with "...": without those dots they would look whole.
    """

    name: str
    files: tuple[str, ...]
    claim: Callable[[str], Claims]
    whole_only: bool = False


def flat(value: Any, path: str = "") -> dict[str, object]:
    """Every known scalar in a parser's result by its path. Unknowns claim nothing; nor do collections of readings,
    which may hold less without being wrong."""
    if isinstance(value, Unknown):
        return {}
    if isinstance(value, Known):
        return {path: value.value} if isinstance(value.value, int | float | str) else {}
    found: dict[str, object] = {}
    if is_dataclass(value):
        for field in fields(value):
            found |= flat(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            found |= flat(inner, f"{path}[{key}]")
    elif isinstance(value, int | float | str):
        found[path] = value
    return found


def by(rows: Sequence[Any], key: Callable[[Any], object]) -> Mapping[object, Any]:
    """Rows of a list by what names them: a position says nothing once a row before it is gone."""
    return {key(row): row for row in rows}

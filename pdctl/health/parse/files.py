"""A small file of sysfs or proc as a field: its text without the last newline, or why there is none.

The kernel ends every attribute with a newline. One that lacks it was cut off on its way, and half a number is none.
"""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.health.envelope import File
from pdctl.health.parse.fields import Field

_WHY = {
    "ENOENT": "does not exist",
    "EACCES": "may not be read by this login",
    "EPERM": "may not be read by this login",
    "ETIMEDOUT": "could not be read in time: its driver hangs",
    "EIO": "gives an input/output error",
    "ENODEV": "has no device behind it",
}


def file_field(files: Mapping[str, File], path: str) -> Field:
    """The whole text of one file. Never raises."""
    file = files.get(path)
    if file is None:
        return Field(None, path, "", f"{path} does not exist")
    if file.error:
        return Field(None, path, "", f"{path} {_WHY.get(file.error, f'cannot be read ({file.error})')}")
    return text_field(file.text, path, truncated=file.truncated)


def text_field(text: str, path: str, *, truncated: bool = False) -> Field:
    """A text that was read from a file."""
    if truncated or not text.endswith("\n"):
        return Field(None, path, "", f"{path} was cut off after {len(text)} characters")
    return Field(text.strip(), path)


def pairs(field: Field) -> Field:
    """Lines of "name value" or "name: value" as an object: AER counters, KFD properties, RAS counts."""
    if not isinstance(field.value, str):
        return field
    found: dict[str, str | bool] = {}
    for line in field.value.replace(":", " ").splitlines():
        name, _, value = line.strip().partition(" ")
        value = value.lstrip()
        if value:
            found[name] = False if found.get(name, value) != value else value  # said twice and differently: not known
    return Field(found, field.source)

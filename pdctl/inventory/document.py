"""YAML text with the place of everything in it.

PyYAML gives every node its start and end; this module turns a text into plain data plus a tree of `Spot`s that has the
same shape, so that a complaint about a path (`pools.decode.role`) finds its line and column. Keys are always text;
a scalar that YAML 1.1 reads in a surprising way (sexagesimal numbers, dates, octals) stays the text that was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from pdctl.inventory.problems import InvalidInventory, Problem

Loc: TypeAlias = tuple[str | int, ...]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml: ten times faster on a thousand nodes
_MAX_DEPTH = 40  # libyaml's composer recurses on the C stack: it must never see deep nesting
_MAX_NODES = 200_000  # counted after aliases are expanded, so that a chain of aliases cannot explode
_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]{1,2})?|[-+]?\.[0-9][0-9_]*")
_TAG = "tag:yaml.org,2002:"
_EMPTY = ("the inventory is empty", "`pdctl init` writes one from a list of hosts")


@dataclass(slots=True)
class Spot:
    """One value of the tree. `merged`: it was written elsewhere and came here through a merge key (`<<`)."""

    key: yaml.Node | None
    value: yaml.Node
    merged: bool = False
    children: dict[str | int, Spot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A mistake in the text's structure, found while it was read."""

    path: Loc
    message: str
    hint: str = ""
    node: yaml.Node | None = None


class Document:
    """A text that was read: `data` as plain dicts, lists and scalars, `root` with the places, `flaws` of structure."""

    def __init__(self, text: str, file: str, *, empty: tuple[str, str] = _EMPTY) -> None:
        """`empty`: what is said of a text that holds nothing, and the hint."""
        self.file = file
        self._empty = empty
        self.lines = _BREAKS.split(text)
        builder = _Builder()
        try:
            self.data, self.root = builder.read(self._compose(text))
        except _TooLarge:
            message = f"more than {_MAX_NODES} values once its aliases are expanded"
            raise InvalidInventory((self._at(0, 0, message),)) from None
        self.flaws = tuple(builder.flaws)

    def spot(self, path: Loc) -> tuple[Spot, bool]:
        """The spot of `path`, or of its nearest ancestor that is written; and whether all of the path was found."""
        spot = self.root
        for step in path:
            child = spot.children.get(step)
            if child is None:
                return spot, False
            spot = child
        return spot, True

    def problem(
        self, path: Loc, message: str, hint: str = "", *, at_key: bool = False, node: yaml.Node | None = None
    ) -> Problem:
        """The complaint about `path`, located at its value or, where there is none to point at, at its key."""
        spot, complete = self.spot(path)
        target = node
        if target is None and not at_key and complete and _is_word(spot.value):
            target = spot.value
        if target is None:
            target = spot.key if spot.key is not None else _first(spot.value)
        start, end = target.start_mark, target.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return self._at(start.line, start.column, message, hint, where=dotted(path), width=width)

    def written(self, path: Loc) -> str | None:
        """The scalar at `path` as it was typed, or None if there is none."""
        spot, complete = self.spot(path)
        return spot.value.value if complete and isinstance(spot.value, yaml.ScalarNode) else None

    def _at(self, line: int, column: int, message: str, hint: str = "", *, where: str = "", width: int = 1) -> Problem:
        source = self.lines[line] if line < len(self.lines) else ""
        return Problem(self.file, line + 1, column + 1, where, message, hint, source, max(1, width))

    def _compose(self, text: str) -> yaml.Node:
        """The text's node graph. Raises InvalidInventory when it is not YAML or holds nothing."""
        try:
            too_deep = next(_deeper(text), None)
            if too_deep is not None:
                problem = self._at(*too_deep, f"nested more than {_MAX_DEPTH} levels deep")
                raise InvalidInventory((problem,))
            node = yaml.compose(text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            raise InvalidInventory((self._syntax(error),)) from None
        except yaml.reader.ReaderError as error:
            raise InvalidInventory((self._unreadable(text, error),)) from None
        if node is None:
            message, hint = self._empty
            raise InvalidInventory((self._at(0, 0, message, hint),))
        return node

    def _syntax(self, error: yaml.MarkedYAMLError) -> Problem:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        source = self.lines[line] if line < len(self.lines) else ""
        hint = ""
        if "\t" in source[: column + 1]:
            hint = "YAML does not allow tabs for indentation: use spaces"
        elif error.context and error.context_mark and error.context_mark.line != line:
            hint = f"{error.context} that begins on line {error.context_mark.line + 1}"
        message = f"not valid YAML: {error.problem or error.context}"
        return self._at(line, column, message, hint)

    def _unreadable(self, text: str, error: yaml.reader.ReaderError) -> Problem:
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        index = text.find(chr(code))
        before = _BREAKS.split(text[: max(index, 0)])
        return self._at(len(before) - 1, len(before[-1]), f"not valid YAML: character U+{code:04X} is not allowed")


def dotted(path: Loc) -> str:
    """`pools.decode.args`, `slots.a.gpus[1]`."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        else:
            name = step if step.isprintable() else ascii(step)
            out += f".{name}" if out else name
    return out


def _deeper(text: str) -> Iterator[tuple[int, int]]:
    """The places where the nesting goes past the limit; an event stream needs no stack."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH and event.start_mark is not None:
                yield event.start_mark.line, event.start_mark.column
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _is_word(node: yaml.Node) -> bool:
    """Whether the node is a scalar that a caret can stand under."""
    return isinstance(node, yaml.ScalarNode) and node.start_mark.index < node.end_mark.index


def _first(node: yaml.Node) -> yaml.Node:
    """What to point at for a whole document: its first key."""
    return node.value[0][0] if isinstance(node, yaml.MappingNode) and node.value else node


@dataclass(slots=True)
class _Entry:
    key: yaml.ScalarNode
    value: yaml.Node
    merged: bool


class _TooLarge(Exception):
    """The text holds more than an inventory ever does."""


class _Builder:
    """Builds data and spots from a node graph, expanding aliases and merge keys."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        self._open: list[yaml.Node] = []
        self._count = 0

    def read(self, node: yaml.Node) -> tuple[object, Spot]:
        return self._build(node, None, (), merged=False)

    def _build(self, node: yaml.Node, key: yaml.Node | None, path: Loc, *, merged: bool) -> tuple[object, Spot]:
        spot = Spot(key, node, merged)
        self._count += 1
        if self._count > _MAX_NODES:
            raise _TooLarge
        if any(node is ancestor for ancestor in self._open):
            self.flaws.append(Flaw(path, "refers to itself", "an alias may not point at what contains it", node=key))
            return None, spot
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path), spot
        self._open.append(node)
        try:
            if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
                self._refuse_tag(node, path)
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path, spot), spot
            return self._sequence(node, path, spot), spot
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: Loc, spot: Spot) -> dict[str, object]:
        data: dict[str, object] = {}
        for name, entry in self._entries(node, path).items():
            merged = spot.merged or entry.merged
            data[name], spot.children[name] = self._build(entry.value, entry.key, (*path, name), merged=merged)
        return data

    def _sequence(self, node: yaml.Node, path: Loc, spot: Spot) -> list[object]:
        data: list[object] = []
        for index, item in enumerate(node.value):
            value, spot.children[index] = self._build(item, item, (*path, index), merged=spot.merged)
            data.append(value)
        return data

    def _entries(self, node: yaml.MappingNode, path: Loc, *, seen: tuple[yaml.Node, ...] = ()) -> dict[str, _Entry]:
        """The mapping's own keys, then what its merge keys add."""
        own: dict[str, _Entry] = {}
        merges: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merges += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(key, yaml.ScalarNode):
                self.flaws.append(Flaw(path, "a key must be plain text", node=key))
            elif key.value in own:
                first = own[key.value].key.start_mark.line + 1
                self.flaws.append(Flaw((*path, key.value), f"said twice; the first is on line {first}", node=key))
            else:
                own[key.value] = _Entry(key, value, merged=False)
        for source in merges:
            if not isinstance(source, yaml.MappingNode) or source is node or any(source is each for each in seen):
                self.flaws.append(Flaw(path, "`<<` merges mappings only, and never itself", node=source))
                continue
            for name, entry in self._entries(source, path, seen=(*seen, node)).items():
                own.setdefault(name, _Entry(entry.key, entry.value, merged=True))
        return own

    def _scalar(self, node: yaml.ScalarNode, path: Loc) -> object:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if kind == "int" and _INTEGER.fullmatch(text):
            return int(text)
        if kind == "float" and _FLOAT.fullmatch(text):
            return float(text)
        if kind not in _SCALARS:
            self._refuse_tag(node, path)
        return text

    def _refuse_tag(self, node: yaml.Node, path: Loc) -> None:
        self.flaws.append(Flaw(path, f"the tag {node.tag.removeprefix(_TAG)!r} is not used here", node=node))


_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_SCALARS = ("str", "bool", "int", "float", "timestamp", "value", "merge")

"""Selectors: which part of a deployment a command is about.

`node`, `node.slot`, `node.slot.i` (an instance), `@pool`; `*` and `?` match any text, `[01-08]` a range with its zeros
kept, `[a,b]` a choice; commas join, `!` in front takes away. Nothing said means everything.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from pdctl.errors import UsageError
from pdctl.model.deployment import Deployment, Instance, NodeSpec, Slot

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_MOST = 100_000  # names that one expression may expand to


@dataclass(frozen=True, slots=True)
class Selection:
    """What was selected, in the inventory's order.

    A slot is in when all its instances are (a spare when it or its node was named); one part of a group brings in the
    whole group. A node is in when one of its slots or instances is.
    """

    nodes: tuple[NodeSpec, ...]
    slots: tuple[Slot, ...]
    instances: tuple[Instance, ...]


def select(deployment: Deployment, expressions: Sequence[str]) -> Selection:
    """The part of `deployment` that `expressions` name. Raises UsageError for a name that is not there."""
    atoms = _Atoms.of(deployment)
    included: set[str] = set()
    excluded: set[str] = set()
    positive = False
    for term in (term for expression in expressions for term in _terms(expression)):
        if term.startswith("!"):
            excluded |= atoms.matching(term[1:])
        else:
            positive = True
            included |= atoms.matching(term)
    if not positive:
        included = set(atoms.all)
    return _selection(deployment, atoms.whole_groups(included) - atoms.whole_groups(excluded))


@dataclass(frozen=True, slots=True)
class _Atoms:
    """The smallest things that can be selected: parts of instances, and slots that hold none."""

    names: dict[str, frozenset[str]]  # node, slot, part -> its atoms
    pools: dict[str, frozenset[str]]
    groups: tuple[frozenset[str], ...]
    all: frozenset[str]

    @classmethod
    def of(cls, deployment: Deployment) -> _Atoms:
        names: dict[str, set[str]] = {name: set() for name in deployment.nodes}
        pools: dict[str, set[str]] = {name: set() for name in deployment.pools}
        names.update((slot.id, set()) for slot in deployment.slots)
        for instance in deployment.instances:
            for part in instance.parts:
                for name in (part.node, f"{part.node}.{part.slot}", part.name):
                    names.setdefault(name, set()).add(part.name)
                pools[instance.pool].add(part.name)
        for slot in deployment.slots:
            if not names[slot.id]:
                names[slot.id].add(slot.id)
                names[slot.node].add(slot.id)
                if slot.pool is not None:
                    pools[slot.pool].add(slot.id)
        groups = (frozenset(part.name for part in each.parts) for each in deployment.instances if len(each.parts) > 1)
        everything = frozenset().union(*names.values()) if names else frozenset()
        return cls(_frozen(names), _frozen(pools), tuple(groups), everything)

    def matching(self, term: str) -> set[str]:
        """The atoms that one term names."""
        known, sign = (self.pools, "@") if term.startswith("@") else (self.names, "")
        found: set[str] = set()
        for name in _expand(term.removeprefix("@"), term):
            matches = _matches(name, known)
            if not matches:
                raise _unknown(f"{sign}{name}", term, [f"@{pool}" for pool in self.pools], self.names)
            for match in matches:
                found |= known[match]
        return found

    def whole_groups(self, atoms: set[str]) -> set[str]:
        """`atoms`, with every group that one of them belongs to."""
        return atoms.union(*(group for group in self.groups if not group.isdisjoint(atoms)))


def _selection(deployment: Deployment, atoms: set[str]) -> Selection:
    chosen = tuple(each for each in deployment.instances if all(part.name in atoms for part in each.parts))
    held: dict[str, list[str]] = {slot.id: [] for slot in deployment.slots}
    for instance in deployment.instances:
        for part in instance.parts:
            held[f"{part.node}.{part.slot}"].append(part.name)
    slots = tuple(slot for slot in deployment.slots if atoms.issuperset(held[slot.id] or [slot.id]))
    names = {slot.node for slot in slots} | {node for each in chosen for node in each.nodes}
    nodes = tuple(node for name, node in deployment.nodes.items() if name in names)
    return Selection(nodes, slots, chosen)


def _terms(expression: str) -> list[str]:
    """The expression's comma list; commas inside brackets do not part it. Raises UsageError for unclosed brackets."""
    if _BRACKET.sub("", expression).count("[") or _BRACKET.sub("", expression).count("]"):
        raise UsageError(f"selector {expression!r}: brackets do not match", hint="write ranges as mi300x-[01-08]")
    terms = [term.strip() for term in re.split(r",(?![^\[]*\])", expression)]
    if not all(term.strip("!@") for term in terms):
        raise UsageError(f"selector {expression!r} has an empty term", hint="`node`, `node.slot`, `@pool`, `!node`")
    return terms


def _expand(pattern: str, term: str) -> list[str]:
    """Every text that the pattern's brackets stand for."""
    pieces = _BRACKET.split(pattern)  # text, inside, text, inside, ..., text
    choices = [[piece] if index % 2 == 0 else _choices(piece, term) for index, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MOST:
        raise UsageError(f"selector {term!r} stands for more than {_MOST} names")
    return ["".join(parts) for parts in product(*choices)]


def _choices(inside: str, term: str) -> list[str]:
    found: list[str] = []
    for item in inside.split(","):
        first, dash, last = item.strip().partition("-")
        numbers = bool(dash) and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()
        if not numbers:
            found.append(item.strip())
            continue
        low, high = int(first[:9]), int(last[:9])
        if high < low or high - low >= _MOST or max(len(first), len(last)) > 9:
            raise UsageError(f"selector {term!r}: [{item.strip()}] is not a range", hint="write [01-08]")
        found += [str(number).zfill(len(first)) for number in range(low, high + 1)]
    return found


def _matches(pattern: str, known: Iterable[str]) -> list[str]:
    """The known names that the pattern names: one, or all that its wildcards match; a dot is never matched by them."""
    if "*" not in pattern and "?" not in pattern:
        return [pattern] if pattern in known else []
    expression = re.escape(pattern).replace(r"\*", "[^.]*").replace(r"\?", "[^.]")
    matches: Callable[[str], object] = re.compile(expression).fullmatch
    return [name for name in known if matches(name)]


def _unknown(name: str, term: str, pools: list[str], names: Iterable[str]) -> UsageError:
    known = [*pools, *names]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known[:12])}"
    if len(known) > 12 and not near:
        hint += ", ..."
    what = "matches nothing" if "*" in name or "?" in name else "is not in the inventory"
    whole = f" (from {term})" if name != term else ""
    return UsageError(f"{name}{whole} {what}", hint=hint)


def _frozen(sets: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(atoms) for name, atoms in sets.items()}

"""Edit in place: a move writes exactly the bytes of one scalar, and only into the file that was read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TypeAlias

import yaml

from pdctl.errors import PlanRefused
from pdctl.inventory.document import LOADER, Document, Loc, dotted
from pdctl.inventory.finding import did_you_mean
from pdctl.inventory.problems import InvalidInventory
from pdctl.inventory.schema import DEFAULT_SLOT

_QUOTES = ("'", '"')
_BOM = "\ufeff"

Scalar: TypeAlias = str | int | float | bool | None


def set_pool(text: str, node: str, slot: str | None, pool: str) -> str:
    """`text` with the pool of one slot replaced: same quoting, every other byte kept.

    `slot` None or `main` is the whole node where it is not split. Raises PlanRefused, with the reason, when the pool
    is not written as one plain or quoted word of its own (an alias, an anchor, a merge, a block scalar, nothing).
    """
    return set_scalar(text, _loc(_document(text), node, slot), pool)


def loc_of(text: str, path: str) -> Loc:
    """Where `pools.decode.args.max-num-seqs` is in the inventory. Keys may hold dots themselves.

    Raises PlanRefused, with the nearest key that is there, where it is not written.
    """
    loc: Loc = ()
    spot, rest = _document(text).root, path
    while rest:
        keys = [str(key) for key in spot.children]
        key = next((key for key in sorted(keys, key=len, reverse=True) if f"{rest}.".startswith(f"{key}.")), None)
        if key is None:
            missing = rest.partition(".")[0]
            hint = did_you_mean(missing, keys) or "write it there once, and it can be replaced"
            raise PlanRefused(f"{dotted((*loc, missing))} is not written in the inventory", hint=hint)
        spot, loc, rest = spot.children[key], (*loc, key), rest[len(key) + 1 :]
    return loc


def written_at(text: str, loc: Loc) -> str:
    """The scalar at `loc` as it is typed, quotes and all; "" where there is only its key. Raises as `set_scalar`."""
    document = _document(text)
    scalar = _own_scalar(document, loc)
    return text.removeprefix(_BOM)[scalar.start_mark.index : scalar.end_mark.index]


def set_scalar(text: str, loc: Loc, value: Scalar) -> str:
    """`text` with the one scalar at `loc` replaced: same quoting where that can be, every other byte kept.

    Raises PlanRefused where no plain or quoted scalar of its own is written there, or more would change with it.
    """
    old = written_at(text, loc)
    spellings = (_like(old, value), _plain(value), json.dumps(value, ensure_ascii=False))
    for spelling in dict.fromkeys(spellings):
        edited = _replaced(text, loc, spelling, value)
        if edited is not None:
            return edited
    raise _changes_more(loc)


def put_back(text: str, loc: Loc, written: str) -> str:
    """`text` with the scalar at `loc` as `written_at` once said it. Raises as `set_scalar`."""
    value = _document(f"x: {written}\n").data
    edited = _replaced(text, loc, written, value["x"] if isinstance(value, dict) else None)
    if edited is None:
        raise _changes_more(loc)
    return edited


def _replaced(text: str, loc: Loc, spelling: str, value: object) -> str | None:
    """`text` with `spelling` at `loc`; None where that is not read as `value`, or changes more."""
    mark = _BOM if text.startswith(_BOM) else ""
    body = text.removeprefix(mark)
    document = Document(body, "inventory")
    scalar = _own_scalar(document, loc)
    start, end = scalar.start_mark.index, scalar.end_mark.index
    if start == end and spelling and start > 0 and not body[start - 1].isspace():
        spelling = f" {spelling}"
    edited = body[:start] + spelling + body[end:]
    try:
        after = Document(edited, "inventory").data
    except InvalidInventory:
        return None
    return mark + edited if _only_changed(document.data, after, loc, value) else None


def _changes_more(loc: Loc) -> PlanRefused:
    return PlanRefused(f"{dotted(loc)} cannot be replaced without changing more", hint="edit the inventory by hand")


def _document(text: str) -> Document:
    return Document(text.removeprefix(_BOM), "inventory")


def write_if_unchanged(path: Path, old_digest: str, new_text: str) -> str:
    """Replace the file's content in one step if it is still what was read; the new digest (sha256, hex).

    A symbolic link stays and its target is replaced; mode and, where allowed, owner are kept. Raises PlanRefused when
    the content has another digest than `old_digest`, OSError when the file cannot be written.
    """
    target = path.resolve(strict=True)
    content = new_text.encode("utf-8")
    status = target.stat()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        if hashlib.sha256(target.read_bytes()).hexdigest() != old_digest:
            hint = "look at what changed and run the command again"
            raise PlanRefused(f"{path} was changed by someone else since it was read", hint=hint)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)
    return hashlib.sha256(content).hexdigest()


def _loc(document: Document, node: str, slot: str | None) -> Loc:
    base: Loc = ("nodes", node)
    _, known = document.spot(base)
    if not known:
        raise PlanRefused(f"there is no node {node!r} in the inventory")
    spot, split = document.spot((*base, "slots"))
    if not split or not spot.children:
        if slot not in (None, DEFAULT_SLOT):
            raise PlanRefused(f"node {node!r} is not split: it has no slot {slot!r}")
        return (*base, "pool")
    if slot is None or slot not in spot.children:
        wrong = "name one" if slot is None else f"it has no slot {slot!r}"
        raise PlanRefused(
            f"node {node!r} is split into slots: {wrong}", hint=f"slots: {', '.join(map(str, spot.children))}"
        )
    return (*base, "slots", slot, "pool")


def _own_scalar(document: Document, loc: Loc) -> yaml.ScalarNode:
    """The scalar at `loc`, if it is written there and nowhere shared."""
    spot, found = document.spot(loc)
    by_hand = "edit the inventory by hand"
    if not found:
        hint = "write `pool: null` there once, and a move can fill it"
        raise PlanRefused(f"{dotted(loc)} is not written in the inventory", hint=hint)
    shared = _shared(document.root.value)
    for depth in range(1, len(loc) + 1):
        above, _ = document.spot(loc[:depth])
        if above.merged or id(above.value) in shared:
            raise PlanRefused(f"{dotted(loc)} is shared: {dotted(loc[:depth])} is an alias or merged", hint=by_hand)
    scalar = spot.value
    if not isinstance(scalar, yaml.ScalarNode) or scalar.style in ("|", ">"):
        raise PlanRefused(f"{dotted(loc)} is not one word", hint=by_hand)
    first = _source(document, scalar)[:1]
    if first in ("&", "!", "*"):
        raise PlanRefused(f"{dotted(loc)} has an anchor or a tag", hint=by_hand)
    return scalar


def _source(document: Document, node: yaml.Node) -> str:
    mark = node.start_mark
    return document.lines[mark.line][mark.column :] if node.end_mark.index > mark.index else ""


def _shared(root: yaml.Node) -> set[int]:
    """The ids of nodes that are reached from more than one place."""
    seen: set[int] = set()
    shared: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            shared.add(id(node))
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return shared


def _like(old: str, value: Scalar) -> str:
    """`value` quoted as `old` was; what is no text is never quoted."""
    if not isinstance(value, str) or old[:1] not in _QUOTES:
        return _plain(value)
    return "'" + value.replace("'", "''") + "'" if old[0] == "'" else json.dumps(value, ensure_ascii=False)


def _plain(value: Scalar) -> str:
    """`value` without quotes, but where a plain word would not be read as text."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        plain = yaml.compose(value, Loader=LOADER)
    except yaml.YAMLError:
        plain = None
    is_text = isinstance(plain, yaml.ScalarNode) and plain.tag == "tag:yaml.org,2002:str" and plain.value == value
    return value if is_text else json.dumps(value, ensure_ascii=False)


def _only_changed(before: object, after: object, loc: Loc, value: object) -> bool:
    """Whether `after` is `before` but for `value` at `loc`."""
    if not loc:
        return type(after) is type(value) and after == value
    if not isinstance(before, dict) or not isinstance(after, dict) or list(before) != list(after):
        return False
    step = loc[0]
    return all(before[key] == after[key] for key in before if key != step) and _only_changed(
        before[step], after[step], loc[1:], value
    )


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

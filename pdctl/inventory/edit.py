"""Edit in place: a move writes exactly the bytes of one scalar, and only into the file that was read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import yaml

from pdctl.errors import PlanRefused
from pdctl.inventory.document import LOADER, Document, Loc, dotted
from pdctl.inventory.schema import DEFAULT_SLOT

_QUOTES = ("'", '"')


def set_pool(text: str, node: str, slot: str | None, pool: str) -> str:
    """`text` with the pool of one slot replaced: same quoting, every other byte kept.

    `slot` None or `main` is the whole node where it is not split. Raises PlanRefused, with the reason, when the pool
    is not written as one plain or quoted word of its own (an alias, an anchor, a merge, a block scalar, nothing).
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix(mark)
    document = Document(body, "inventory")
    loc = _loc(document, node, slot)
    scalar = _own_scalar(document, loc)
    start, end = scalar.start_mark.index, scalar.end_mark.index
    old = body[start:end]
    new = _quoted(pool, old)
    if not old:
        new = f" {new}" if start > 0 and not body[start - 1].isspace() else new
    edited = body[:start] + new + body[end:]
    if not _only_changed(document.data, Document(edited, "inventory").data, loc, pool):
        raise PlanRefused(f"{dotted(loc)} cannot be replaced without changing more", hint="edit the inventory by hand")
    return mark + edited


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


def _quoted(pool: str, old: str) -> str:
    """`pool` quoted as `old` was; quoted anyway where a plain word would not be read as text."""
    if old[:1] in _QUOTES:
        return f"{old[0]}{pool}{old[0]}"
    plain = yaml.compose(pool, Loader=LOADER)
    return pool if plain is not None and plain.tag == "tag:yaml.org,2002:str" else f'"{pool}"'


def _only_changed(before: object, after: object, loc: Loc, pool: str) -> bool:
    """Whether `after` is `before` but for `pool` at `loc`."""
    if not loc:
        return after == pool
    if not isinstance(before, dict) or not isinstance(after, dict) or list(before) != list(after):
        return False
    step = loc[0]
    return all(before[key] == after[key] for key in before if key != step) and _only_changed(
        before[step], after[step], loc[1:], pool
    )


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

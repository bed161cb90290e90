"""Whatever is typed, the inventory answers with located problems; whatever is moved, one word changes."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.errors import UsageError
from pdctl.inventory.edit import set_pool
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.inventory.problems import InvalidInventory
from pdctl.inventory.select import select

SHIPPED = Path(__file__).parents[2] / "inventories"
FILE = Path("/inventory.yaml")
TEXTS = {path.stem: path.read_text() for path in sorted(SHIPPED.glob("*.yaml"))}
WORDS = sorted({word for text in TEXTS.values() for word in text.split()})
SYNTAX = [
    "\n",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "'",
    '"',
    "!!int ",
    "|\n",
    "---\n",
    "\t",
]
TRAPS = [
    "null",
    "no",
    "0x10",
    "1:30",
    "010",
    "2026-01-01",
    ".inf",
    "1e3",
    "-",
    "?",
    "\x85",
    "\u2028",
    "\ufeff",
    "é",
    "漢",
]
FRAGMENTS = st.sampled_from([*SYNTAX, *TRAPS])
STRUCTURED = st.lists(st.one_of(FRAGMENTS, st.sampled_from(WORDS), st.text(max_size=4)), max_size=40).map("".join)


def check(content: bytes) -> None:
    """Load it; whatever is wrong must be an InvalidInventory whose problems can be printed and point into the text."""
    try:
        inventory = parse(content, FILE)
    except InvalidInventory as error:
        refused = error
    else:
        place(inventory, login="op")
        return
    assert refused.located
    assert len(refused.problems) == len(refused.located)
    assert all(problem.line >= 1 and problem.col >= 1 and problem.as_json() for problem in refused.located)


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    check(content)


@given(STRUCTURED)
def test_any_text(text: str) -> None:
    check(text.encode("utf-8", "surrogatepass"))


@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_a_damaged_inventory(name: str, data: st.DataObject) -> None:
    text = TEXTS[name]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.one_of(FRAGMENTS, st.sampled_from(WORDS), st.text(max_size=3))) + text[end:]
    check(text.encode("utf-8", "surrogatepass"))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 99999), st.floats(), st.text(max_size=6), st.sampled_from(WORDS)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_wrong_values_anywhere(name: str, data: st.DataObject) -> None:
    """Values of the right place and the wrong kind: the rest of the file is still checked, without a crash."""
    content = yaml.safe_load(TEXTS[name])
    for _ in range(data.draw(st.integers(1, 5))):
        target = content
        while True:
            key = data.draw(st.sampled_from(sorted(target)))
            if not isinstance(target[key], dict) or not target[key] or data.draw(st.integers(0, 4)) == 0:
                break
            target = target[key]
        if data.draw(st.booleans()):
            target[key] = data.draw(VALUES)
        elif len(target) > 1:
            del target[key]
    check(yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["r1-2p3d", "mori-1p1d-write", "demo", "r1-1p4d"]), st.data())
def test_moves_change_one_word_each(name: str, data: st.DataObject) -> None:
    """The pools' floors are set to 0 first, so that every sequence of moves is valid."""
    text = TEXTS[name].replace("min_instances: 1", "min_instances: 0")
    inventory = parse(text.encode(), FILE)
    slots = place(inventory, login="op").slots
    for _ in range(data.draw(st.integers(1, 4))):
        slot = data.draw(st.sampled_from(slots))
        before = {each.id: each.pool for each in place(inventory, login="op").slots}
        pool = data.draw(st.sampled_from(sorted(inventory.spec.pools)))
        edited = set_pool(inventory.text, slot.node, slot.name, pool)
        moved = parse(edited.encode(), FILE)
        assert {each.id: each.pool for each in place(moved, login="op").slots} == {**before, slot.id: pool}
        differing = [(old, new) for old, new in zip(words(inventory.text), words(edited), strict=True) if old != new]
        assert differing == ([] if before[slot.id] == pool else [(before[slot.id], pool)])
        back = set_pool(edited, slot.node, slot.name, before[slot.id] or "")
        assert back == inventory.text
        inventory = moved


def words(text: str) -> list[str]:
    """The text cut at everything that is no part of a name; what is between the names is kept."""
    out = [""]
    for char in text:
        if char.isalnum() or char == "-":
            out[-1] += char
        else:
            out += [char, ""]
    return out


@given(st.text(alphabet="n1234.@*?![]-, abdecoefilmprx", max_size=25))
def test_any_selector_selects_or_is_refused(expression: str) -> None:
    deployment = place(parse(TEXTS["demo"].encode(), FILE), login="op")
    try:
        chosen = select(deployment, [expression])
    except UsageError:
        return
    assert set(chosen.instances) <= set(deployment.instances)

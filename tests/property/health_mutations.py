"""Ways in which what a node sends can be damaged: cut, buried in banners, retyped, robbed of keys. Each only takes
information away, so that nothing may pass afterwards that did not pass before."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from pdctl.health.envelope import Envelope, File, Item

BANNER = "WARNING: User is missing the following required group(s): render, video. Please add user to these groups.\n"
Rng = random.Random


def truncated(text: str, rng: Rng) -> str:
    """Cut anywhere: the tool was killed, or its pipe was full."""
    return text[: rng.randrange(len(text) + 1)]


def bannered(text: str, rng: Rng) -> str:
    """A line of something else in front, behind or between two lines."""
    lines = text.splitlines(keepends=True)
    at = rng.choice((0, len(lines), rng.randrange(len(lines) + 1)))
    return "".join((*lines[:at], BANNER, *lines[at:]))


def _leaves(document: Any, found: list[tuple[Any, Any]]) -> None:
    """Every place of a JSON document: (container, key)."""
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        found.append((document, key))
        _leaves(document[key], found)


def _on_json(text: str, rng: Rng, change: Callable[[Any, Any], None]) -> str:
    """`change` at some places of a JSON output; other outputs are cut."""
    try:
        document = json.loads(text)
    except ValueError:
        return truncated(text, rng)
    for _ in range(rng.randrange(1, 4)):
        places: list[tuple[Any, Any]] = []
        _leaves(document, places)
        if places:
            change(*rng.choice(places))
    return json.dumps(document)


def retyped(text: str, rng: Rng) -> str:
    """A value becomes what other releases and models print in its place."""

    def change(container: Any, key: Any) -> None:
        container[key] = rng.choice(["N/A", None, [], {}, "Not supported", True, "", [None], {"value": "N/A"}])

    return _on_json(text, rng, change)


def robbed(text: str, rng: Rng) -> str:
    """Keys and list entries are gone."""

    def change(container: Any, key: Any) -> None:
        del container[key]

    return _on_json(text, rng, change)


def emptied(text: str, rng: Rng) -> str:
    """Exit 0 without data."""
    return rng.choice(["", "\n", "WARNING: No JSON data to report\n", "[]", "{}", "null", BANNER])


TEXTS = (truncated, bannered, retyped, robbed, emptied)


def damaged_item(item: Item, rng: Rng) -> Item:
    """One command's output, damaged; or it did not end, or was refused."""
    way = rng.randrange(8)
    if way == 0:
        return item.model_copy(update={"status": None, "timed_out": True, "stdout": truncated(item.stdout, rng)})
    if way == 1:
        return item.model_copy(update={"status": None, "refused": "not found", "stdout": ""})
    if way == 2:
        return item.model_copy(update={"status": 1, "stderr": "it failed\n", "stdout": ""})
    return item.model_copy(update={"stdout": rng.choice(TEXTS)(item.stdout, rng)})


def damaged_file(file: File, rng: Rng) -> File:
    """One file, unreadable or without its value. It is not cut: half a number is another number, and the kernel gives
    a sysfs file whole or not at all. Nor is it said not to exist: that is news, of a process that ended."""
    error = rng.choice(["EACCES", "ETIMEDOUT", "EIO", ""])
    return File(error=error, text="" if error else rng.choice(["", "N/A\n", "\n"]))


def damaged(envelope: Envelope, seed: int) -> Envelope:
    """`envelope` with some of its outputs and files damaged or gone, the same for the same seed."""
    rng = random.Random(seed)
    items, files = dict(envelope.items), dict(envelope.files)
    samples: dict[str, tuple[str, ...]] = dict(envelope.samples)
    for name in rng.sample(sorted(items), rng.randrange(1, 5)):
        if rng.random() < 0.15:
            del items[name]
        else:
            items[name] = damaged_item(items[name], rng)
    for path in rng.sample(sorted(files), rng.randrange(0, 30)):
        _damage_file(path, files, samples, rng)
    return envelope.model_copy(update={"items": items, "files": files, "samples": samples})


def _damage_file(path: str, files: dict[str, File], samples: dict[str, tuple[str, ...]], rng: Rng) -> None:
    files[path] = damaged_file(files[path], rng)
    samples.pop(path, None)

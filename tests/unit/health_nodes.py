"""Envelopes of whole nodes for tests of facts and checks: what the collector would bring of a simulated host.

Files are read with the collector's own reader; tools' outputs are taken from the host's table. No process is started.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pdctl.health.collection import Collection, Command, Profile, Targets, collection
from pdctl.health.envelope import Envelope, File, Item
from pdctl.health.read_files_on_node import Lines, Mark, Tree, plain_files
from pdctl.sim.standins.host import Host, Shape, host

WALL_S = 1_800_000_000.0


class Rows(Lines):
    """What the reader would send, kept."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        self.rows.append(values)

    def flush(self) -> None:
        pass


@cache
def healthy() -> Envelope:
    """The envelope of a node without a fault. Made once."""
    return node()


def node(shape: Shape | None = None, targets: Targets | None = None) -> Envelope:
    """The envelope of a node of that shape; a healthy one without."""
    machine = host(shape)
    with tempfile.TemporaryDirectory() as root:
        machine.install(Path(root))
        order = collection(Profile.FULL, targets or Targets(), root=root)
        tree = Tree(root)
        rows = Rows()
        plain_files(dict(order.payload()), tree, set(), Mark(), rows)
        items = dict(_items(order, tree, machine))
        sampled = {path for pattern in order.sampled for path in tree.matches(pattern)}
    files = {row[1]: File(text=row[2], error=row[3], truncated=row[4]) for row in rows.rows if row[0] == "file"}
    return Envelope(
        node=shape.name if shape else "n1",
        machine_id=f"machine-{shape.name if shape else 'n1'}",
        boot_id="boot-1",
        kernel="6.8.0-51-generic",
        user="root",
        wall_s=WALL_S,
        seconds=2.0,
        asked_s=WALL_S - 2.2,
        answered_s=WALL_S + 0.1,
        items=items,
        files=files,
        links={row[1]: row[2] for row in rows.rows if row[0] == "link"},
        samples={path: (files[path].text,) * order.samples for path in sampled if path in files},
    )


def changed(
    envelope: Envelope,
    files: Mapping[str, str | None] | None = None,
    outputs: Mapping[str, str | None] | None = None,
    **fields: Any,
) -> Envelope:
    """The envelope with other texts in files (in every sample of them too) and outputs; None takes them away."""
    texts = dict(envelope.files)
    samples = dict(envelope.samples)
    for path, text in (files or {}).items():
        texts.pop(path, None)
        samples.pop(path, None)
        if text is not None:
            texts[path] = File(text=text)
            if path in envelope.samples:
                samples[path] = (text,) * len(envelope.samples[path])
    items = dict(envelope.items)
    for name, output in (outputs or {}).items():
        items.pop(name, None)
        if output is not None:
            items[name] = Item(argv=(name,), status=0, stdout=output)
    return envelope.model_copy(update={"files": texts, "samples": samples, "items": items, **fields})


def _items(order: Collection, tree: Tree, machine: Host) -> Iterator[tuple[str, Item]]:
    for command in order.commands:
        names = [Path(match).name for match in tree.matches(command.each)] if command.each else [""]
        for name in names:
            yield command.id.replace("{name}", name), _item(command, name, machine)


def _item(command: Command, name: str, machine: Host) -> Item:
    argv = tuple(word.replace("{name}", name).replace("{kernel}", "6.8.0-51-generic") for word in command.argv)
    outputs = machine.tools.get(argv[0])
    if outputs is None:
        return Item(argv=argv, refused="not found")
    text = outputs.get(" ".join(argv[1:]))
    if text is None:
        return Item(argv=argv, status=2, stderr="not known here")
    if argv[0] == "pgrep" and not text:
        return Item(argv=argv, status=1)
    return Item(argv=argv, status=0, stdout=f"{text.rstrip(chr(10))}\n" if text else "", seconds=0.1)

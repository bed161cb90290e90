"""A launch as a template, from which its node can make the next one by itself, after a reboot, with ports of its own.

Rendering is pure and only ports tell one launch of an instance from the next, so what differs between two of them is
where ports stand: no second list of the places has to be kept in step with the engines' and connectors' flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pdctl.engines.engine import render
from pdctl.engines.ports import block_size, usable_blocks
from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.launch import FabricFacts, Process
from pdctl.model.unit import Relaunch, Template

_NUMBERS = re.compile(r"(\d+)")


def relaunch(deployment: Deployment, instance: Instance, fabric: Mapping[str, FabricFacts] | None = None) -> Relaunch:
    """How the node of `instance` launches it again. Raises PlanRefused for an instance of several nodes, whose parts
    could not agree on a generation, and where there are no two port blocks to choose from."""
    node = deployment.nodes[instance.leader.node]
    blocks = usable_blocks(deployment, node)
    if len(instance.parts) > 1 or len(blocks) < 2:
        raise PlanRefused(
            f"{instance.name} cannot start by itself after a reboot: "
            + ("it spans several nodes" if len(instance.parts) > 1 else "its node has ports for one launch only"),
            hint="set engine.persist: false",
        )
    one, other = (_process(deployment, instance, generation, fabric) for generation in (1, 2))
    firsts = (blocks[0], blocks[1])
    return Relaunch(
        argv=tuple(template(*words, *firsts) for words in zip(one.argv, other.argv, strict=True)),
        env={name: template(value, other.env[name], *firsts) for name, value in one.env.items()},
        blocks=blocks,
        block_size=block_size(node),
    )


def template(one: str, other: str, first: int, other_first: int) -> Template:
    """What fills to `one` at `first` and to `other` at `other_first`. Raises ValueError where not only ports differ."""
    pieces: list[str | int] = []
    for left, right in zip(_NUMBERS.split(one), _NUMBERS.split(other), strict=True):
        if left != right:
            offset = int(left) - first
            if offset != int(right) - other_first:
                raise ValueError(f"{one!r} and {other!r} differ in more than ports")
            pieces.append(offset)
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += left
        elif left:
            pieces.append(left)
    return tuple(pieces)


def _process(
    deployment: Deployment, instance: Instance, generation: int, fabric: Mapping[str, FabricFacts] | None
) -> Process:
    return render(deployment, instance, dict.fromkeys(instance.nodes, generation), fabric).processes[0]

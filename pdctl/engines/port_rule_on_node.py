"""Which ports a generation has, and where they stand in a launch. One rule for the controller, which plans launches by
it, and for nodes, which start an engine again by themselves after a reboot: they are shipped this file.

Stdlib only, Python >= 3.6.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def first_port(blocks: "Sequence[int]", generation: int) -> int:
    """First port of the block of one generation, counted from 1; `blocks` are those of its node, in their order."""
    return blocks[(generation - 1) % len(blocks)]


def filled(template: "Sequence[str | int]", first: int) -> str:
    """A word of a launch whose block starts at `first`: texts stand for themselves, numbers for ports from there."""
    return "".join(piece if isinstance(piece, str) else str(first + piece) for piece in template)

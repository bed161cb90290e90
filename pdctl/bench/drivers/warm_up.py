"""What is sent before a point is measured, so that kernels, graphs and hand-shakes of its shapes are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pdctl.perf.workload import Asked

_CLASSES = 8
_OUTPUT = 32  # tokens: what is made on the way there is made by then


def warm_up_of(asked: Iterable[Asked], each: int) -> tuple[Asked, ...]:
    """`each` requests per shape, the longest prompts first. Shapes are told apart by powers of two of ISL and OSL, and
    are at most eight; an answer has at most 32 tokens."""
    if each < 1:
        return ()
    shapes: dict[tuple[int, int], Asked] = {}
    for one in asked:
        key = (one.isl.bit_length(), one.osl.bit_length())
        if key not in shapes or one.isl > shapes[key].isl:
            shapes[key] = one
    longest_first = sorted(shapes.values(), key=lambda one: (-one.isl, -one.osl))
    return tuple(Asked(0.0, one.isl, min(one.osl, _OUTPUT)) for one in longest_first[:_CLASSES] for _ in range(each))

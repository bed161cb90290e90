"""A workload as the trace file that benchmark tools replay. Pure.

One JSON object a line, `{"timestamp", "input_length", "output_length", "hash_ids"}`, as the Mooncake traces have it and
as `vllm bench serve --dataset-name timed_trace` and GuideLLM read it: every id of `hash_ids` stands for one
block of prompt tokens, and equal ids for equal tokens.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import defaultdict
from dataclasses import dataclass
from itertools import count

from pdctl.bench.point import Point


@dataclass(frozen=True, slots=True)
class Trace:
    """`block` is the number of prompt tokens that one id stands for; the last of a prompt may be a part of one."""

    lines: bytes
    block: int
    requests: int


def trace(point: Point) -> Trace:
    """The point's workload; timestamps are in seconds.

    Blocks are as long as the prefixes allow. Ids count from 1 (GuideLLM keeps them in 32 bits), so traces of different
    points share ids: what the tool makes of an id has to depend on `tool_seed`.
    """
    asked = point.workload.asked
    prefixes = {item.prefix_len for item in asked if item.prefix_len}
    block = math.gcd(*prefixes) if prefixes else max((item.isl for item in asked), default=1)
    fresh = count(1)
    shared: defaultdict[tuple[int | None, int], int] = defaultdict(lambda: next(fresh))
    lines = []
    for item in asked:
        prefix = [shared[item.prefix_id, place] for place in range(item.prefix_len // block)]
        rest = math.ceil((item.isl - item.prefix_len) / block)
        line = {
            "timestamp": round(item.at_s, 6),
            "input_length": item.isl,
            "output_length": item.osl,
            "hash_ids": prefix + [next(fresh) for _ in range(rest)],
        }
        lines.append(json.dumps(line) + "\n")
    return Trace("".join(lines).encode(), block, len(lines))


def tool_seed(point: Point) -> int:
    """A seed of 31 bits that no other point has (nor the rest of this one, where it goes on), so that no prompt is in a
    server's prefix cache by accident."""
    return zlib.crc32(f"{point.id}/{point.index(0)}".encode()) & 0x7FFFFFFF

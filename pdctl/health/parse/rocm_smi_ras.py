"""`rocm-smi --showrasinfo` as text: a block's line is its name, whether RAS is enabled for it, and two counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_GPU = re.compile(r"GPU\[(\d+)\]")
_BLOCK = re.compile(r"\s+([A-Z][A-Z0-9_]*)\s+ENABLED\s+(\d+)\s+(\d+)\s*\Z")


@dataclass(frozen=True, slots=True)
class RasCounts:
    """Memory errors of one GPU's block since the driver was loaded."""

    correctable: int
    uncorrectable: int


def parse_rasinfo(text: str) -> Mapping[int, Mapping[str, RasCounts]]:
    """By GPU and block ("UMC"). Blocks that count nothing ("UNAVAILABLE") are not in it; nor is half a last line."""
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines.pop()
    found: dict[int, dict[str, RasCounts]] = {}
    blocks: dict[str, RasCounts] | None = None
    for line in lines:
        if gpu := _GPU.match(line):
            blocks = found.setdefault(int(gpu[1]), {})
        elif blocks is not None and (block := _BLOCK.match(line)):
            blocks[block[1]] = RasCounts(int(block[2]), int(block[3]))
    return found

"""What `/metrics` holds: families with their type, labels and buckets, as real vLLM was seen to give them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("vllm_0_32_metrics.json")
"""vLLM 0.32.0 on CPU, a NIXL engine. `python -m tests.conformance.metric_facts < answer` makes it from an answer."""

_SAMPLE = re.compile(r"^(?P<name>[\w:]+)(?:\{(?P<labels>.*)\})? \S+$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SUFFIXES = ("_bucket", "_sum", "_count", "_total", "_created")


@dataclass(frozen=True, slots=True)
class Family:
    """`buckets` are the upper bounds as they are written, in their order; empty but for histograms."""

    type: str
    labels: frozenset[str]
    buckets: tuple[str, ...]


def families(text: str) -> dict[str, Family]:
    """Those of vLLM in an answer of `/metrics` that has samples of them."""
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE vllm:"))
    labels: dict[str, set[str]] = {}
    buckets: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        family = _family(match["name"], types) if match else None
        if match is None or family is None:
            continue
        found = _LABEL.findall(match["labels"] or "")
        labels.setdefault(family, set()).update(name for name, _ in found if name != "le")
        buckets.setdefault(family, {}).update({value: None for name, value in found if name == "le"})
    return {name: Family(types[name], frozenset(labels[name]), tuple(buckets[name])) for name in labels}


def recorded() -> dict[str, Family]:
    """The facts that are kept in the project."""
    kept: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text())
    return {
        name: Family(family["type"], frozenset(family["labels"]), tuple(family.get("buckets", ())))
        for name, family in kept.items()
    }


def _family(sample: str, types: dict[str, str]) -> str | None:
    if sample in types:
        return sample
    cut = (sample.removesuffix(suffix) for suffix in _SUFFIXES if sample.endswith(suffix))
    return next((name for name in cut if name in types), None)


def _main() -> None:
    import sys

    lines = []
    for name, family in sorted(families(sys.stdin.read()).items()):
        kept: dict[str, Any] = {"type": family.type, "labels": sorted(family.labels)}
        if family.buckets:
            kept["buckets"] = family.buckets
        lines.append(f"  {json.dumps(name)}: {json.dumps(kept)}")
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    _main()

"""What a match is asked for, from the command line: `ttft=1s,tpot=50ms`, `0.1`, `8x2`. Raises UsageError."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import PydanticCustomError

from pdctl.bench.sizing.slo_match import Headroom, Slo
from pdctl.errors import UsageError
from pdctl.inventory.scalars import check_duration


def slo_from(text: str) -> Slo:
    """`ttft=1s,tpot=50ms,itl=50ms`; a number without a unit is seconds."""
    targets: dict[str, float] = {}
    for name, value in _pairs(text, "--slo", "ttft=1s,tpot=50ms,itl=50ms").items():
        if name not in ("ttft", "tpot", "itl"):
            raise UsageError(f"--slo knows no {name!r}", hint="ttft, tpot and itl: --slo ttft=1s,tpot=50ms")
        try:
            number = float(value) if re.fullmatch(r"\d*\.?\d+(?:[eE]-?\d+)?", value) else value
            targets[f"{name}_s"] = check_duration(number)
        except PydanticCustomError as error:
            raise UsageError(f"--slo {name}={value}: {error.message()}", hint="write 1s or 50ms") from None
    return Slo(**targets)


def headroom_from(text: str) -> Headroom:
    """`0.1` or `10%` of prefill; `prefill=0.1,decode=0.08` of both."""
    if "=" not in text:
        return _headroom({"prefill": text})
    return _headroom(_pairs(text, "--headroom", "prefill=0.1,decode=0.08"))


def nodes_from(text: str, gpus_per_node: int) -> tuple[int, ...]:
    """The GPUs of each node: `16` is nodes of `gpus_per_node` and a last one with the rest; `8x2`, `8,8,4` say them."""
    nodes: list[int] = []
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        match = re.fullmatch(r"(\d{1,5})(?:\s*x\s*(\d{1,4}))?", part)
        if match is None or int(match[1]) < 1:
            hint = "16, or 8x2 for 2 nodes of 8, or 8,8,4"
            raise UsageError(f"--gpus takes numbers of GPUs, not {text!r}", hint=hint)
        nodes += [int(match[1])] * int(match[2] or 1)
    if len(parts) == 1 and "x" not in text:
        whole, rest = divmod(nodes[0], gpus_per_node)
        nodes = [gpus_per_node] * whole + [rest] * bool(rest)
    if not nodes:
        raise UsageError(f"--gpus {text} are none", hint="16, or 8x2")
    return tuple(nodes)


def _headroom(shares: Mapping[str, str]) -> Headroom:
    found: dict[str, float] = {}
    for name, text in shares.items():
        try:
            value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            raise UsageError(f"--headroom takes shares, not {text!r}", hint="0.1, or prefill=0.1,decode=0.08") from None
        if name not in ("prefill", "decode") or not 0 <= value < 1:
            hint = "shares of prefill and decode from 0 to below 1: 0.1, or prefill=0.1,decode=0.08"
            raise UsageError(f"--headroom {name}={text} cannot be", hint=hint)
        found[name] = value
    return Headroom(**found)


def _pairs(text: str, option: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, sign, value = part.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise UsageError(f"{option} {text!r} is not name=value,…", hint=f"{option} {example}")
        pairs[name.strip().lower()] = value.strip()
    return pairs

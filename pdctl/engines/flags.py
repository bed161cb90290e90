"""How vLLM spells its flags, and which of them pdctl decides by itself.

Switches: `x: true` is `--x`, `x: false` is `--no-x`; `no-x: true` is the same as `x: false`. vLLM's switches default to
on or off as it likes, so leaving a false one out would not turn it off. None removes an inherited flag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pdctl.model.deployment import ArgValue

ALIASES: Final[Mapping[str, str]] = {
    "tp": "tensor-parallel-size",
    "pp": "pipeline-parallel-size",
    "dp": "data-parallel-size",
    "dpa": "data-parallel-address",
    "dpe": "data-parallel-external-lb",
    "dph": "data-parallel-hybrid-lb",
    "dpl": "data-parallel-size-local",
    "dpm": "data-parallel-multi-port-external-lb",
    "dpn": "data-parallel-rank",
    "dpp": "data-parallel-rpc-port",
    "dpr": "data-parallel-start-rank",
    "ep": "enable-expert-parallel",
    "n": "nnodes",
    "r": "node-rank",
}
"""vLLM 0.32's short forms of flags about the shape of an instance."""

OWNED_FLAGS: Final[Mapping[str, str]] = {
    "model": "model.path",
    "served-model-name": "model.name",
    "host": "the node's data_address",
    "port": "pdctl's port plan",
    "uds": "the node's data_address",
    "grpc": "the HTTP endpoint",
    "tensor-parallel-size": "parallel.tp",
    "pipeline-parallel-size": "parallel (pipelines are not supported)",
    "data-parallel-size": "parallel.dp",
    "enable-expert-parallel": "parallel.ep",
    "nnodes": "group",
    "node-rank": "group",
    "master-addr": "group",
    "master-port": "group",
    "headless": "group",
    "kv-transfer-config": "kv",
    "shutdown-timeout": "budgets.shutdown",
}
"""Flags that `args` may not set, with what decides them; every `data-parallel-…` flag belongs here too."""


def owner(flag: str) -> str | None:
    """What decides `flag` (any spelling) instead of `args`; None for a flag that is the operator's."""
    base, _ = _positive(flag, True)
    if base.startswith("data-parallel-"):
        return OWNED_FLAGS.get(base, "parallel and group (vLLM's internal load balancer)")
    return OWNED_FLAGS.get(base)


def canonical(args: Mapping[str, ArgValue]) -> dict[str, ArgValue]:
    """`args` by their long, dashed, positive names in alphabetical order; removed ones are left out."""
    named = [_positive(key, value) for key, value in args.items() if value is not None]
    return dict(sorted(dict(named).items()))


def option(name: str, value: ArgValue) -> tuple[str, ...]:
    """One flag as argv words. A value that starts with a dash is glued to its flag, lest it be taken for one."""
    if value is None:
        return ()
    if value is True:
        return (f"--{name}",)
    if value is False:
        return (f"--no-{name}",)
    text = str(value)
    return (f"--{name}={text}",) if text.startswith("-") else (f"--{name}", text)


def user_options(args: Mapping[str, ArgValue]) -> tuple[str, ...]:
    """The operator's flags as argv words, in a stable order, without those that pdctl decides."""
    return _joined(option(name, value) for name, value in canonical(args).items() if owner(name) is None)


def _joined(options: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(word for words in options for word in words)


def _positive(key: str, value: ArgValue) -> tuple[str, ArgValue]:
    """The long name without a leading `no-`, and the value that says the same under that name."""
    name = key.strip().lstrip("-").replace("_", "-")
    if name.startswith("no-") and isinstance(value, bool):
        return ALIASES.get(name[3:], name[3:]), not value
    return ALIASES.get(name, name), value

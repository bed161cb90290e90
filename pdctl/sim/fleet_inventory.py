"""The inventory of a simulated fleet: the same YAML that an operator would write, with comments to read it by."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

GPUS_PER_NODE = 8
NICS_PER_NODE = 8
MODEL_NAME = "demo/simulated-moe"


@dataclass(frozen=True, slots=True)
class Layout:
    """How many nodes prefill and how many decode; nodes beyond them are spares."""

    prefill: int
    decode: int

    @property
    def nodes(self) -> int:
        return self.prefill + self.decode

    def pool(self, index: int) -> str | None:
        """The pool of the node with that index, counted from 1."""
        if index <= self.prefill:
            return "prefill"
        return "decode" if index <= self.nodes else None


def parse_layout(text: str) -> Layout:
    """`2P3D` -> two prefill nodes, three decode nodes. Raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,2})[pP]([1-9]\d{0,2})[dD]", text)
    if match is None:
        raise ValueError(f"a layout reads like 2P3D, not {text!r}")
    return Layout(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class InventoryNode:
    """One node as the inventory names it."""

    name: str
    port: int
    data_address: str


@dataclass(frozen=True, slots=True)
class InventoryPlan:
    """All that the template needs. `mode` is read or write; `startup_s` is each engine's simulated load time;
    `prefill_tokens` and `decode_seqs` are those of one step."""

    cluster: str
    layout: Layout
    mode: str
    nodes: Sequence[InventoryNode]
    user: str
    identity: str
    known_hosts: str
    model_path: str
    python: str
    router_port: int
    startup_s: float
    env: Mapping[str, str] = field(default_factory=dict)
    prefill_tokens: int = 16384
    decode_seqs: int = 256
    ttft: str = "1s"
    itl: str = "50ms"


def quoted(text: str) -> str:
    """A YAML double-quoted scalar. JSON's strings are YAML's."""
    return json.dumps(text)


def render_inventory(plan: InventoryPlan) -> str:
    """The YAML of a fleet's inventory."""
    env = {"PDCTL_SIM_STARTUP_S": f"{plan.startup_s:g}", **plan.env}
    env_text = ", ".join(f"{name}: {quoted(value)}" for name, value in env.items())
    parallel = f"{{tp: {GPUS_PER_NODE}}}"
    reads, writes = f"max-num-batched-tokens: {plan.prefill_tokens}", f"max-num-seqs: {plan.decode_seqs}"
    return f"""\
# Simulated nodes on this machine: each is an SSH server of its own on loopback, with its own home, eight simulated
# GPUs and stand-ins for the AMD and RDMA tools. Written by the fleet that runs them; it goes when they go.
version: 1
cluster: {plan.cluster}
model: {{name: {quoted(MODEL_NAME)}, path: {quoted(plan.model_path)}}}
slo: {{ttft: {plan.ttft}, itl: {plan.itl}, attainment: 0.95}}

ssh:
  user: {quoted(plan.user)}
  identity: {quoted(plan.identity)}          # the fleet's own key: no node takes another
  known_hosts: {quoted(plan.known_hosts)}    # every node's host key, pinned

engine:
  kind: simulated                 # speaks what vLLM speaks; needs no GPU
  version: "0.33"
  supervisor: process             # neither systemd nor docker here
  python: {quoted(plan.python)}
  env: {{{env_text}}}
  args: {{max-model-len: 16384, gpu-memory-utilization: 0.9, no-enable-prefix-caching: true}}

kv: {{connector: moriio, mode: {plan.mode}}}

router:
  kind: vllm-router               # the real one, from PyPI
  node: {plan.nodes[0].name}
  host: 127.0.0.1
  port: {plan.router_port}
  supervisor: process
  python: {quoted(plan.python)}

pools:                            # {plan.layout.prefill}P{plan.layout.decode}D, one instance per node
  prefill: {{role: prefill, parallel: {parallel}, args: {{{reads}}}, min_instances: 1}}
  decode: {{role: decode, parallel: {parallel}, args: {{{writes}}}, min_instances: 1}}

nodes:                            # told apart by their SSH ports; engines bind the data addresses
{_nodes(plan)}
budgets: {{ready: 60s, drain: 120s, settle: 1s, shutdown: 20s, stop: 30s}}
"""


def _nodes(plan: InventoryPlan) -> str:
    lines = []
    for index, node in enumerate(plan.nodes, start=1):
        pool = plan.layout.pool(index)
        placed = f", pool: {pool}" if pool else ""
        lines.append(
            f"  {node.name}: {{host: 127.0.0.1, port: {node.port}, data_address: {node.data_address}, "
            f"gpu: mi300x, gpus: {GPUS_PER_NODE}, nics: {NICS_PER_NODE}{placed}}}\n"
        )
    return "".join(lines)

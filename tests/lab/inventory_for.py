"""An inventory for the hosts of a lab: simulated engines, the real router on the first host."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.docker_image import IMAGE
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.site import MODEL

_CLUSTER = "lab"
_GPUS = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cluster is to be. `prefill` and `decode` count hosts, in the lab's order; the rest are spares.

    `env`: of every engine, such as the simulation's knobs. `ssh`, `budgets`: more of those sections. `nodes`: more of
    single nodes, by name. `sections`: whole further sections, as YAML.
    """

    prefill: int = 1
    decode: int = 1
    cluster: str = _CLUSTER
    supervisor: str = "process"
    router_supervisor: str = ""  # as `supervisor`
    mode: str = "write"
    router_port: int = 30000
    startup_s: float = 0.2
    env: Mapping[str, str] = field(default_factory=dict)
    ssh: Mapping[str, object] = field(default_factory=dict)
    budgets: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    sections: str = ""


def inventory_for(lab: Lab, wanted: Wanted, hosts: Sequence[LabHost] | None = None) -> str:
    """The YAML text, for all of the lab's hosts or for these. What it says of a path is true on every host."""
    chosen = list(lab.hosts.values()) if hosts is None else list(hosts)
    ssh = {
        "user": chosen[0].user,
        "identity": str(lab.client_key),
        "known_hosts": str(lab.known_hosts),
        "connect_timeout": "5s",
        **wanted.ssh,
    }
    router_supervisor = wanted.router_supervisor or wanted.supervisor
    image = {"image": IMAGE}
    engine = {
        "kind": "simulated",
        "version": "0.33",
        "supervisor": wanted.supervisor,
        "python": sys.executable,
        **(image if wanted.supervisor == "docker" else {}),
        "env": {"PDCTL_SIM_STARTUP_S": f"{wanted.startup_s:g}", **wanted.env},
        "args": {"max-model-len": 16384, "gpu-memory-utilization": 0.9, "no-enable-prefix-caching": True},
    }
    router = {
        "kind": "vllm-router",
        "node": chosen[0].name,
        "port": wanted.router_port,
        "supervisor": router_supervisor,
        "python": sys.executable,
        **(image if router_supervisor == "docker" else {}),
    }
    pool = {"parallel": {"tp": _GPUS}, "min_instances": 1}
    budgets = {"ready": "60s", "drain": "60s", "settle": "1s", "shutdown": "5s", "stop": "10s", **wanted.budgets}
    sections = {
        "version": 1,
        "cluster": wanted.cluster,
        "model": {"name": "lab/simulated-moe", "path": MODEL},
        "ssh": ssh,
        "engine": engine,
        "kv": {"connector": "moriio", "mode": wanted.mode},
        "router": router,
        "pools": {"prefill": {"role": "prefill", **pool}, "decode": {"role": "decode", **pool}},
        "nodes": {host.name: _node(host, index, wanted) for index, host in enumerate(chosen)},
        "budgets": budgets,
    }
    lines = [f"{name}: {json.dumps(section)}\n" for name, section in sections.items()]  # JSON is YAML
    return "".join(lines) + wanted.sections


def _node(host: LabHost, index: int, wanted: Wanted) -> dict[str, object]:
    node: dict[str, object] = {"host": host.address, "gpu": "mi300x", "gpus": _GPUS, "nics": 8}
    if index < wanted.prefill + wanted.decode:
        node["pool"] = "prefill" if index < wanted.prefill else "decode"
    return {**node, **wanted.nodes.get(host.name, {})}

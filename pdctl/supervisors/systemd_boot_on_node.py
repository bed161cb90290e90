"""Node side: what a node runs at its boot for each engine that is to survive one: a new generation, on new ports.

Nobody is asked and nothing is registered: the engine gets no traffic until `pdctl up` adopts it, or replaces it. The
operators' lease has no say here: their runs find the generation taken (`claim_generation`).
"""

import os
import sys

from pdctl.engines.port_rule_on_node import filled, first_port
from pdctl.supervisors.launch_on_node import path_refusal
from pdctl.supervisors.node_state_on_node import (
    Locked,
    Refusal,
    entries,
    perform,
    read_json,
    read_ledger,
    take_generations,
)
from pdctl.supervisors.preflight_on_node import check_ports
from pdctl.supervisors.proc_on_node import live_generations
from pdctl.supervisors.systemd_start_on_node import seen_by, start_unit, unit_user
from pdctl.supervisors.systemd_unit_on_node import Service, is_live, shown_units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

BOOT_LOCK_WAIT_S = 300.0  # the other engines of this node boot one after the other


def main() -> None:
    """Start the engine of the directory that this program lies in. Its refusals are for the journal; systemd tries
    again where it ends with one."""
    directory = os.path.dirname(os.path.abspath(__file__))
    request = read_json(os.path.join(directory, "boot.json")) or {}
    request["secret_env"] = {name: os.environb[name.encode()].decode() for name in request["secrets"]}
    try:
        print(perform(boot, request, lambda cluster_dir: None)["said"])
    except Refusal as refusal:
        print("{}; {}".format(refusal.message, refusal.hint) if refusal.hint else refusal.message, file=sys.stderr)
        raise SystemExit(1) from None


def boot(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Start it, unless an operator's run did so before."""
    cluster_dir = os.path.join(root, cluster)
    name = request["unit"]
    user = unit_user(request)
    with seen_by(user):
        missing = path_refusal(request["paths"])
    with Locked(root, BOOT_LOCK_WAIT_S):
        unit = Service(cluster_dir, name, shown_units(name + ".service").get(name))
        if is_live(unit.shown):
            return {"said": "{} runs already".format(name)}
        if missing is not None:
            raise missing
        generation = next_generation(cluster_dir, request)
        start_unit(root, unit, relaunched(request, generation), user, at_boot=True)
    return {"said": "started {}, generation {}; `pdctl up` takes it in".format(name, generation)}


def next_generation(cluster_dir: str, request: "Facts") -> int:
    """The first generation past all others whose ports are free, and none of which any record of a unit names."""
    ledger = read_ledger(cluster_dir)
    if ledger is None:
        first = int(take_generations(cluster_dir, 1, live_generations(cluster_dir))["first"])
    else:
        first = int(ledger["generation"]) + 1
    known = recorded_ports(cluster_dir)
    blocks = request["relaunch"]["blocks"]
    for generation in range(first, first + len(blocks)):
        ports = block_ports(request["relaunch"], generation)
        if known.isdisjoint(ports) and ports_are_free(request["address"], ports):
            return generation
    raise Refusal("port", "none of the {} blocks of ports is free".format(len(blocks)), "see `ss -ltnp` on the node")


def recorded_ports(cluster_dir: str) -> "set[int]":
    units = os.path.join(cluster_dir, "units")
    records = [read_json(os.path.join(units, name, "spec.json")) or {} for name in entries(units)]
    return {port for record in records for port in record.get("ports", ())}


def ports_are_free(address: str, ports: "list[int]") -> bool:
    """Raises Refusal for any other trouble than a port that is taken: an address that is not up yet."""
    try:
        check_ports(address, ports)
    except Refusal as refusal:
        if refusal.kind != "port":
            raise
        return False
    return True


def block_ports(plan: "Facts", generation: int) -> "list[int]":
    first = first_port(plan["blocks"], generation)
    return list(range(first, first + plan["block_size"]))


def relaunched(request: "Facts", generation: int) -> "Facts":
    """The request of a start, as the controller would send it for this generation."""
    plan = request["relaunch"]
    first = first_port(plan["blocks"], generation)
    return dict(
        request,
        labels=dict(request["labels"], generation=generation),
        argv=[filled(word, first) for word in plan["argv"]],
        env={name: filled(value, first) for name, value in plan["env"].items()},
        ports=block_ports(plan, generation),
    )

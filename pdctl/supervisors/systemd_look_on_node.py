"""Node side: the `systemd` supervisor's actions that start and stop nothing: inspect, forget."""

import os

from pdctl.supervisors.node_state_on_node import Locked, Refusal, entries, ledger_view
from pdctl.supervisors.systemd_journal_on_node import last_entries_at
from pdctl.supervisors.systemd_unit_on_node import Service, is_live, shown_units, systemctl
from pdctl.supervisors.unit_on_node import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]


def inspect(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Every unit of the cluster that systemd knows or that has a record, and whose units of others hold GPUs."""
    cluster_dir = os.path.join(root, cluster)
    shown = shown_units()
    names = set(entries(os.path.join(cluster_dir, "units")))
    others = []
    for name, found in sorted(shown.items()):
        labels = found["labels"]
        if labels is not None and labels["cluster"] == cluster:
            names.add(name)
        elif labels is not None and labels["gpus"] and is_live(found):
            others.append(name)
    services = [Service(cluster_dir, name, shown.get(name)) for name in sorted(names)]
    mine = [service for service in services if service.ours() and not service.elsewhere()]
    printed = last_entries_at([service.service for service in mine if is_live(service.shown)])
    units = [service.facts(printed.get(service.service, 0)) for service in mine]
    return dict(ledger_view(cluster_dir), units=units, others=others)


def forget(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Remove what ended units left; their lines stay in the journal."""
    cluster_dir = os.path.join(root, cluster)
    with Locked(root):
        guard(cluster_dir)
        shown = shown_units()
        services = [Service(cluster_dir, name, shown.get(name)) for name in request["units"]]
        for service in services:
            if service.lives():
                raise Refusal("alive", "{} still lives".format(service.name), "stop it first")
        for service in services:
            if not service.ours() or service.elsewhere():
                continue
            if service.shown is not None:
                systemctl("reset-failed", "--", service.service)
            remove_tree(service.directory)
    return {}

"""Node side: what the `systemd` supervisor sees of a node."""

import os

from pdctl.supervisors.node_state_on_node import entries, ledger_view
from pdctl.supervisors.systemd_command_on_node import BOOT_UNITS, boot_service
from pdctl.supervisors.systemd_journal_on_node import last_entries_at
from pdctl.supervisors.systemd_unit_on_node import UNITS, Service, is_live, shown_units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]


def inspect(root: str, cluster: str, request: "Facts", guard: "Guard") -> "Facts":
    """Every unit of the cluster that systemd knows or that has a record, and whose units of others hold GPUs.

    What is to be started at boot has a record too, though nothing else be left of it.
    """
    cluster_dir = os.path.join(root, cluster)
    shown = shown_units(UNITS, BOOT_UNITS)
    boots = entries(os.path.join(cluster_dir, "boot"))
    names = {*boots, *entries(os.path.join(cluster_dir, "units"))}
    others = []
    for name, found in sorted(shown.items()):
        labels = found["labels"]
        if labels is not None and labels["cluster"] == cluster:
            names.add(name)
        elif labels is not None and labels["gpus"] and is_live(found):
            others.append(name)
    services = [Service(cluster_dir, name, shown.get(name)) for name in sorted(names)]
    mine = [service for service in services if (service.ours() or service.name in boots) and not service.elsewhere()]
    printed = last_entries_at([service.service for service in mine if is_live(service.shown)])
    units = [service.facts(printed.get(service.service, 0)) for service in mine]
    view = ledger_view(cluster_dir)
    notes = [view["note"]] if view["note"] else []
    notes += [boot_failed(name) for name in boots if (shown.get(boot_unit(name)) or {}).get("ActiveState") == "failed"]
    return dict(view, note="; ".join(notes), units=units, others=others)


def boot_unit(name: str) -> str:
    return boot_service(name)[: -len(".service")]


def boot_failed(name: str) -> str:
    return "{} was not started after the reboot: see `journalctl -u {}` there".format(name, boot_service(name))

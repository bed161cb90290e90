"""The views, in the order of their keys: one table, from which modes, tabs, commands and help are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class View:
    """One view: its screen is `class_name` of `module`, imported when it is first shown. `key` "": no tab."""

    id: str
    title: str
    key: str
    module: str
    class_name: str
    about: str
    twin: str
    words: tuple[str, ...] = ()


VIEWS: Final = (
    View("pulse", "Pulse", "1", "pdctl.tui.screens.pulse", "PulseScreen", "both lanes and what holds the cluster back",
         "pdctl watch", ("home",)),
    View("nodes", "Nodes", "2", "pdctl.tui.screens.nodes", "NodesScreen", "nodes, slots and instances", "pdctl status",
         ("node", "slots", "instances")),
    View("matrix", "KV", "3", "pdctl.tui.screens.matrix", "MatrixScreen", "hand-off of every prefill x decode pair",
         "pdctl canary", ("kv", "pairs")),
    View("health", "Health", "4", "pdctl.tui.screens.health", "HealthScreen", "whether the nodes are fit, and why not",
         "pdctl check"),
    View("logs", "Logs", "5", "pdctl.tui.screens.logs", "LogsScreen", "logs of instances, merged by time",
         "pdctl logs -f"),
    View("activity", "Activity", "6", "pdctl.tui.screens.activity", "ActivityScreen",
         "every change: who, when, what, outcome", "pdctl events", ("events", "journal")),
    View("advisor", "Advisor", "7", "pdctl.tui.screens.advisor", "AdvisorScreen",
         "which split would serve best, and why; `:advise isl=8192 osl=1024 rate=2` asks what if", "pdctl advise",
         ("advise", "advice")),
)  # fmt: skip


def view(name: str) -> View:
    """The view of that id. Raises KeyError."""
    for item in VIEWS:
        if item.id == name:
            return item
    raise KeyError(name)

"""`export prometheus`: the files that let the operator's own Prometheus and Grafana see the cluster."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdctl.control.cluster import Cluster
from pdctl.control.expected import expected_instances, metrics_targets
from pdctl.control.observe import observe
from pdctl.model.observed import Observed, Trouble
from pdctl.telemetry.families import ENGINE_FAMILIES, scraped_names
from pdctl.telemetry.prometheus_files import Target, alert_rules, dashboard, recording_rules, scrape_config, targets

TARGETS_FILE: Final = "targets.json"
FOLLOW_S: Final = 5.0
"""Prometheus looks at the file as often (`refresh_interval`)."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The files that were written; and the nodes that could not be asked, whose engines are in no list of targets."""

    paths: tuple[Path, ...]
    unasked: Mapping[str, Trouble]


async def export_prometheus(cluster: Cluster, directory: Path, *, interval_s: float) -> Exported:
    """Write all files into `directory`, each replaced atomically. Raises OSError."""
    deployment = cluster.deployment
    found = str(_absolute(directory) / TARGETS_FILE)
    texts = {
        "prometheus.yml": scrape_config(deployment.cluster, found, interval_s, scraped_names(ENGINE_FAMILIES)),
        "rules.yml": recording_rules(deployment.cluster, interval_s),
        "alerts.yml": alert_rules(deployment.cluster, deployment.slo.ttft_s, deployment.slo.itl_s, interval_s),
        "dashboard.json": dashboard(deployment.cluster),
    }
    written = [_replace(directory / name, text) for name, text in texts.items()]
    targets_too = await export_targets(cluster, directory)
    return Exported((*written, *targets_too.paths), targets_too.unasked)


async def export_targets(cluster: Cluster, directory: Path) -> Exported:
    """Write only the file of targets: the engines that run now. Ports are new with every generation. Raises OSError."""
    observed = await observe(cluster)
    path = _replace(directory / TARGETS_FILE, _targets(cluster, observed))
    return Exported((path,), observed.unreachable)


async def follow_targets(cluster: Cluster, directory: Path) -> AsyncIterator[Exported]:
    """The file of targets, written again whenever it changes; yields what was done. Ends only with its reader.

    As long as a node cannot be asked the old file stays: its engines may well serve. Raises OSError.
    """
    last, away = "", frozenset[str]()
    while True:
        observed = await observe(cluster)
        text = _targets(cluster, observed)
        if observed.unreachable:
            if away != observed.unreachable.keys():
                yield Exported((), observed.unreachable)
        elif text != last:
            last = text
            yield Exported((_replace(directory / TARGETS_FILE, text),), {})
        away = frozenset(observed.unreachable)
        await cluster.clock.sleep(FOLLOW_S)


def _targets(cluster: Cluster, observed: Observed) -> str:
    addresses = {
        name: f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for those in metrics_targets(cluster.deployment, observed).values()
        for name, (host, port, _) in those.items()
    }
    engines = [
        Target(expected, addresses[expected.name])
        for expected in expected_instances(cluster.deployment, observed)
        if expected.name in addresses
    ]
    return targets(cluster.deployment.cluster, engines)


def _absolute(directory: Path) -> Path:
    """Prometheus has another working directory."""
    return directory.resolve()


def _replace(path: Path, text: str) -> Path:
    """Prometheus reads at any moment: it must never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)
    return path

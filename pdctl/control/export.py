"""`export prometheus`: the files that let the operator's own Prometheus and Grafana see the cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pdctl.control.cluster import Cluster
from pdctl.control.expected import expected_instances, metrics_targets
from pdctl.control.observe import observe
from pdctl.telemetry.families import ENGINE_FAMILIES, scraped_names
from pdctl.telemetry.prometheus_files import Target, alert_rules, dashboard, recording_rules, scrape_config, targets

TARGETS_FILE: Final = "targets.json"


async def export_prometheus(cluster: Cluster, directory: Path, *, interval_s: float) -> list[Path]:
    """Write all files into `directory`, each replaced atomically; returns their paths. Raises OSError."""
    deployment = cluster.deployment
    found = str(_absolute(directory) / TARGETS_FILE)
    texts = {
        "prometheus.yml": scrape_config(deployment.cluster, found, interval_s, scraped_names(ENGINE_FAMILIES)),
        "rules.yml": recording_rules(deployment.cluster, interval_s),
        "alerts.yml": alert_rules(deployment.cluster, deployment.slo.ttft_s, deployment.slo.itl_s, interval_s),
        "dashboard.json": dashboard(deployment.cluster),
    }
    written = [_replace(directory / name, text) for name, text in texts.items()]
    return [*written, await export_targets(cluster, directory)]


async def export_targets(cluster: Cluster, directory: Path) -> Path:
    """Write only the file of targets: the engines that run now. Ports are new with every generation."""
    observed = await observe(cluster)
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
    return _replace(directory / TARGETS_FILE, targets(cluster.deployment.cluster, engines))


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

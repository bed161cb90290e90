"""A cluster whose inventory says `read_only` is changed by nobody who uses that file: not by CLI, TUI or playbook."""

from __future__ import annotations

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment


def why_read_only(deployment: Deployment) -> str:
    """Why nothing may be changed, "" where it may."""
    return f"the inventory says that {deployment.cluster} is read-only" if deployment.read_only else ""


def refuse_read_only(deployment: Deployment, command: str) -> None:
    """Raises PlanRefused if the inventory says so."""
    if why := why_read_only(deployment):
        raise PlanRefused(f"`{command}` changes the cluster: {why}", hint=f"`read_only` stands in {deployment.source}")

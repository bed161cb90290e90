"""The base that this operator works from: the digest of the inventory that the cluster had when we last applied one.

An `up` is refused when somebody else has applied another inventory since, so that nobody undoes a colleague's change
unknowingly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pdctl.control.clock import utc
from pdctl.control.lease import Applied
from pdctl.errors import StaleBase
from pdctl.model.deployment import Deployment


@dataclass(frozen=True, slots=True)
class BaseRecord:
    """One small file per cluster in the user's state directory."""

    path: Path

    @classmethod
    def of(cls, deployment: Deployment, directory: Path | None = None) -> BaseRecord:
        root = Path(platformdirs.user_state_dir("pdctl")) if directory is None else directory
        host = deployment.nodes[deployment.lease_node]
        return cls(root / "bases" / f"{deployment.cluster}@{host.host}:{host.port}.json")

    def read(self) -> str | None:
        """The digest, None where this machine never applied anything."""
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return str(found.get("digest")) if isinstance(found, dict) else None

    def write(self, digest: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"digest": digest}) + "\n")


def check_base(deployment: Deployment, applied: Applied | None, base: str | None, *, adopt: bool) -> None:
    """Raises StaleBase if the cluster was last applied from an inventory that is neither ours nor our base."""
    if applied is None or adopt or applied.digest in (deployment.digest, base):
        return
    if applied.trouble:
        raise StaleBase(
            f"which inventory was last applied to {deployment.cluster} is not known: {applied.trouble}",
            hint="`pdctl events` tells who changed what; `pdctl up --adopt` applies yours, and mends the record",
        )
    raise StaleBase(
        f"{applied.author} applied another inventory to {deployment.cluster} on {utc(applied.at)}, which yours is not "
        "based on",
        hint="merge that change into your file, or apply yours over it with `pdctl up --adopt`",
    )

"""What may be left of a cluster on its hosts after `down`, file by file (docs/supervisors.md says why each stays)."""

from __future__ import annotations

from tests.lab.host import LabHost

ROOT = "/var/lib/pdctl"
_EVERYWHERE = {"ledger.json", "epoch", "epoch.lock"}
_ON_THE_LEASE_NODE = {"journal.ndjson", "applied.json", "lease.json", "lease.lock"}


def stays(cluster: str, *, leases: bool) -> set[str]:
    """Paths below the state directory, logs aside."""
    names = _EVERYWHERE | (_ON_THE_LEASE_NODE if leases else set())
    return {".lock", *(f"{cluster}/{name}" for name in names)}


async def files_left(host: LabHost) -> set[str]:
    """Paths below the state directory that are no directories."""
    return set((await host.run("find", ROOT, "-not", "-type", "d", "-printf", "%P\n")).split())

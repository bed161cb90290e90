"""Keys of a fleet: one for its clients, one per node, and the known_hosts file that pins them. All ed25519."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from pdctl.sim.fleet_record import write_atomically


def make_key(path: Path, comment: str) -> str:
    """Write a new private key (0600) to `path` and its public half to `path.pub`; the public half's line."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
    public = key.export_public_key().decode()
    write_atomically(path, key.export_private_key().decode(), mode=0o600)
    write_atomically(path.with_name(f"{path.name}.pub"), public)
    return public.strip()


def known_hosts_line(port: int, host_key: str) -> str:
    """The known_hosts entry of a node on 127.0.0.1."""
    algorithm, data = host_key.split()[:2]
    return f"[127.0.0.1]:{port} {algorithm} {data}\n"

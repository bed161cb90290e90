"""The same hosts as each tool wants them told: where, as whom, with which key, and which host keys to accept."""

from __future__ import annotations

from pathlib import Path

import yaml
from fanout_hosts import Fleet

CURVE = "curve25519-sha256"
DEFAULT_KEEPALIVE_S = 5.0
KEEPALIVE_COUNT = 3


def pdctl_inventory(
    fleet: Fleet, hosts: int, known_hosts: Path, path: Path, keepalive_s: float = DEFAULT_KEEPALIVE_S
) -> Path:
    """A colocated cluster of simulated engines that nobody ever starts; only its nodes matter."""
    ssh = {
        "user": fleet.user,
        "identity": str(fleet.identity),
        "known_hosts": str(known_hosts),
        "connect_timeout": "30s",
        "keepalive": f"{keepalive_s:g}s",
        "keepalive_count": KEEPALIVE_COUNT,
    }
    nodes = {
        name(host): {
            "host": fleet.addresses[host],
            "port": fleet.port,
            "data_address": fleet.addresses[host],
            "gpu": "mi300x",
            "gpus": 8,
            "nics": 8,
            "pool": "mixed",
        }
        for host in range(hosts)
    }
    document = {
        "version": 1,
        "cluster": "fanout",
        "model": {"name": "demo/simulated-moe", "path": "demo/simulated-moe"},
        "slo": {"ttft": "1s", "itl": "50ms", "attainment": 0.95},
        "ssh": ssh,
        "engine": {"kind": "simulated", "version": "0.33", "supervisor": "process", "python": "/usr/bin/python3"},
        "kv": {"connector": "none"},
        "router": {
            "kind": "vllm-router",
            "node": name(0),
            "port": 30000,
            "supervisor": "process",
            "python": "/usr/bin/python3",
        },
        "pools": {"mixed": {"role": "mixed", "parallel": {"tp": 8}}},
        "nodes": nodes,
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def ansible_inventory(fleet: Fleet, hosts: int, path: Path) -> Path:
    """INI, by address."""
    lines = [f"{name(host)} ansible_host={fleet.addresses[host]}" for host in range(hosts)]
    login = [f"ansible_port={fleet.port}", f"ansible_user={fleet.user}"]
    path.write_text("\n".join(["[all]", *lines, "", "[all:vars]", *login]) + "\n")
    return path


def pyinfra_inventory(fleet: Fleet, hosts: int, known_hosts: Path, path: Path) -> Path:
    """A Python file, as pyinfra has them."""
    login = {
        "ssh_port": fleet.port,
        "ssh_user": fleet.user,
        "ssh_key": str(fleet.identity),
        "ssh_known_hosts_file": str(known_hosts),
        "ssh_strict_host_key_checking": "yes",
        "ssh_config_file": "/dev/null",
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    targets = [(fleet.addresses[host], login) for host in range(hosts)]
    path.write_text(f"hosts = {targets!r}\n")
    return path


def openssh_options(fleet: Fleet, known_hosts: Path, *, control: Path | None = None, curve: bool = False) -> list[str]:
    """Arguments of `ssh`: no configuration of the account's, our key only, host keys checked against `known_hosts`.

    `control`: a directory for masters that hold connections. `curve`: the key exchange that asyncssh and paramiko
    agree on with OpenSSH, instead of OpenSSH's own costlier post-quantum one.
    """
    options = [
        "IdentitiesOnly=yes",
        f"IdentityFile={fleet.identity}",
        f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "BatchMode=yes",
        "LogLevel=ERROR",
        f"Port={fleet.port}",
    ]
    if curve:
        options.append(f"KexAlgorithms={CURVE}")
    if control is None:
        options.append("ControlMaster=no")
    else:
        options += ["ControlMaster=auto", "ControlPersist=600", f"ControlPath={control}/%C"]
    return ["-F", "none", *(word for option in options for word in ("-o", option))]


def name(host: int) -> str:
    """A host's name, as far as a tool takes one."""
    return f"n{host:04d}"

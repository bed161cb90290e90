"""The inventory that `pdctl init` writes: whole and valid, with comments where an operator has to decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.control.init import HostFacts, unique_names
from pdctl.model.deployment import SshSettings

DEFAULT_GPUS = 8
KV = "kv: {connector: moriio, mode: write}   # write: lower TTFT; read: simpler"
NO_KV = "kv: {connector: none}   # one GPU prefills and decodes: there is nobody to hand KV over to"


@dataclass(frozen=True, slots=True)
class Draft:
    """What the operator said on the command line. `prefill` is how many nodes prefill; the rest decode."""

    cluster: str
    model: str
    ssh: SshSettings
    prefill: int
    router_port: int = 30000


def default_prefill(nodes: int) -> int:
    """Two of five nodes prefill, as in the published 2P3D; at least one on either side where there are two."""
    return max(1, round(nodes * 0.4)) if nodes > 1 else 1


def inventory_text(draft: Draft, found: Sequence[HostFacts]) -> str:
    """The YAML. One node alone is split into a prefill and a decode slot, as in the published 1P1D; one GPU alone
    serves colocated."""
    supervisor, program = _supervisor(found)
    names = unique_names(found)
    gpus = min((facts.gpus or DEFAULT_GPUS) for facts in found)
    colocated = len(found) == 1 and gpus == 1
    tp = gpus // 2 if len(found) == 1 and not colocated else gpus
    return f"""\
# Written by `pdctl init` from what {len(found)} hosts showed. Check what is marked with (?); then `pdctl validate`.
version: 1
cluster: {draft.cluster}
model: {{name: {_quoted(draft.model)}, path: {_quoted(draft.model)}}}   # (?) a path must exist on every node
slo: {{ttft: 1s, itl: 50ms, attainment: 0.95}}                        # (?) your targets

ssh: {_ssh(draft.ssh)}

engine:
  kind: vllm
  version: "0.33"                 # (?) of the image or the virtual environment
  supervisor: {supervisor}
  {program}

{NO_KV if colocated else KV}

router:
  kind: vllm-router
  node: {names[0]}
  port: {draft.router_port}
  supervisor: {"systemd" if found[0].systemd and supervisor != "process" else "process"}
  python: /opt/router/bin/python  # (?) a virtual environment with `pip install vllm-router`

pools:
{_pools(("mixed",) if colocated else ("prefill", "decode"), tp)}
nodes:
{_nodes(draft, found, names)}"""


def _pools(roles: Sequence[str], tp: int) -> str:
    return "".join(f"  {role}: {{role: {role}, parallel: {{tp: {tp}}}, min_instances: 1}}\n" for role in roles)


def _nodes(draft: Draft, found: Sequence[HostFacts], names: Sequence[str]) -> str:
    lines = []
    for index, (facts, name) in enumerate(zip(found, names, strict=True)):
        gpus = facts.gpus or DEFAULT_GPUS
        doubt = "" if facts.gpus else "   # (?) no GPU could be seen there"
        port = f", port: {facts.port}" if facts.port != 22 else ""
        where = f"host: {_quoted(facts.host)}{port}, data_address: {_quoted(facts.data_address)}"
        what = f"gpu: {facts.gpu}, gpus: {gpus}, nics: {facts.nics}"
        lines.append(f"  {name}: {{{where}, {what}, {_placed(draft, index, len(found), gpus)}}}{doubt}\n")
    return "".join(lines)


def _placed(draft: Draft, index: int, nodes: int, gpus: int) -> str:
    if nodes > 1:
        return "pool: prefill" if index < draft.prefill else "pool: decode"
    if gpus == 1:
        return "pool: mixed"
    half = gpus // 2
    first = f"a: {{gpus: {_range(0, half)}, pool: prefill}}"
    return f"slots: {{{first}, b: {{gpus: {_range(half, gpus)}, pool: decode}}}}"


def _range(start: int, end: int) -> str:
    return f"{start}-{end - 1}" if end - start > 1 else f"[{start}]"


def _supervisor(found: Sequence[HostFacts]) -> tuple[str, str]:
    if all(facts.docker for facts in found):
        return "docker", "image: rocm/vllm-dev:nightly   # (?)"
    python = "python: /opt/vllm/bin/python   # (?) a virtual environment with vLLM, on every node"
    return ("systemd" if all(facts.systemd for facts in found) else "process"), python


def _ssh(ssh: SshSettings) -> str:
    words = [f"user: {_quoted(ssh.user)}"]
    for name in ("identity", "known_hosts", "jump"):
        value = getattr(ssh, name)
        if value:
            words.append(f"{name}: {_quoted(value)}")
    return "{" + ", ".join(words) + "}"


def _quoted(text: str) -> str:
    return json.dumps(text)

"""Real vLLM engines on simulated nodes: three SSH servers on loopback, and an inventory that starts vLLM on them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from pdctl.errors import LeaseHeld
from tests.fleet.command import Done, Json
from tests.fleet.site import Site, simulated_nodes

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("PDCTL_TEST_VLLM", ROOT / ".venv-vllm"))
"""Where `tests/real/install.sh` put vLLM and the tiny model."""

MODEL = "tiny"
CLUSTER = "real"
ATTEMPTS = 4
UP_S = 600.0
"""For a command that starts engines: three of them need a minute on two idle cores, and were seen to need 230 s on busy
ones."""

BLOCK_TOKENS = 32  # 16 dies at start-up on CPU (vLLM 0.32)
KV_BYTES_PER_TOKEN = 2 * 2 * 2 * 32 * 4
"""Of tiny_model.py: K and V, 2 layers, 2 KV heads of 32 float32 each."""

TIMED = frozenset({"await ready", "canary", "completion through the router", "drain", "stop"})
"""Steps whose times a run prints."""

ENV = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "UCX_NET_DEVICES": "lo",
    "UCX_TLS": "tcp,self,sm",
}
ARGS = {
    "max-model-len": 1024,
    "max-num-seqs": 16,
    "enforce-eager": True,
    "dtype": "float32",
    "num-gpu-blocks-override": 256,
    "block-size": BLOCK_TOKENS,
    "enable-server-load-tracking": True,
}


def on_real_vllm(document: Json) -> None:
    """Edit a simulated fleet's inventory: the engine is vLLM on CPU, one GPU's worth a node, KV by NIXL."""
    document["cluster"] = CLUSTER
    document["model"] = {"name": MODEL, "path": str(VENV / "tiny-model")}
    document["engine"] = {
        "kind": "vllm",
        "version": "0.32",
        "supervisor": "process",
        "python": str(VENV / "bin/python"),
        "env": ENV,
        "args": ARGS,
    }
    document["kv"] = {"connector": "nixl", "buffer_device": "cpu"}
    for role in ("prefill", "decode"):
        document["pools"][role] = {"role": role, "parallel": {"tp": 1}, "min_instances": 1}
    for node in document["nodes"].values():
        node |= {"gpus": 1, "nics": 0, "gpu": "cpu"}
    document["ssh"]["keepalive"] = "20s"  # three engines that load on two cores leave nobody else any for a while
    document["budgets"] = {"ready": "300s", "drain": "120s", "settle": "1s", "shutdown": "60s", "stop": "75s"}


@dataclass(slots=True)
class Figures:
    """What the run is asked to print at its end: lines, in the order in which they came about."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.lines.append(line)


@dataclass(frozen=True, slots=True)
class Stack:
    """The nodes, and the operator whose inventory starts vLLM on them."""

    site: Site
    figures: Figures

    async def timed(self, *argv: str) -> Done:
        """Run `pdctl ... --json` to a good end, and note how long it and its engines' starts took.

        Engines that load can starve the controller itself for longer than its lease lives on one machine (5 s). Then
        the run says that it is to be run again, which is done here as an operator would do it; the events are of all.
        """
        begun_s = time.monotonic()
        said = ""
        for attempt in range(1, ATTEMPTS + 1):
            done = await self.site.operator.pdctl(*argv, "--json", deadline_s=UP_S)
            said += done.out
            if done.code != LeaseHeld.exit_code or attempt == ATTEMPTS:
                break
            self.figures.add(f"pdctl {' '.join(argv)}: lost its lease on a starved machine, and was run again")
        whole = replace(done.expect(0), out=said)
        self.figures.add(f"pdctl {' '.join(argv)}: {time.monotonic() - begun_s:.1f} s{_step_times(whole)}")
        return whole

    async def status(self) -> Json:
        return (await self.site.operator.pdctl("status", "--json")).document

    @property
    def router_url(self) -> str:
        return self.site.router_url


def _step_times(done: Done) -> str:
    """How long engines' starts, proofs, drains and stops took, as the steps' events tell; longest first."""
    told = [event for event in done.events("step_done") if event["action"] in TIMED]
    told.sort(key=lambda event: -float(event["took_s"]))
    return "".join(f"\n    {event['action']} {event['subject']}: {event['took_s']:.1f} s" for event in told)


@contextmanager
def vllm_nodes(directory: Path, figures: Figures) -> Iterator[Stack]:
    """Three nodes for 1P2D; whatever runs on them ends with the context."""
    with simulated_nodes(directory, "--layout", "1P2D", "--cluster", CLUSTER) as site:
        home = directory / "operator"
        home.mkdir()
        operator = site.with_inventory(home, on_real_vllm)
        yield Stack(replace(site, operator=operator), figures)


async def complete(url: str, body: Json) -> Json:
    """One buffered completion."""
    async with httpx.AsyncClient(timeout=120.0, trust_env=False) as client:
        answer = await client.post(f"{url}/v1/completions", json={"model": MODEL, "temperature": 0, **body})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

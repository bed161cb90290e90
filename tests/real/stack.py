"""Real vLLM engines on simulated nodes: three SSH servers on loopback, and the shipped inventory of a 1P2D on CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from pdctl.bench.load import run_load
from pdctl.model.load import LoadReport, LoadSpec
from tests.fleet.command import Done, Json
from tests.fleet.site import Site, simulated_nodes
from tests.real.figures import Figures
from tests.real.kv import NOTHING, Kv, kv_of

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("PDCTL_TEST_VLLM", ROOT / ".venv-vllm"))
"""Where `tests/real/install.sh` put vLLM and the tiny model."""

INVENTORY: Json = yaml.safe_load((ROOT / "inventories/cpu-1p2d.yaml").read_text())
CLUSTER: str = INVENTORY["cluster"]
MODEL: str = INVENTORY["model"]["name"]
TINY_MODEL = VENV / "tiny-model"
ENDLESS = 1_000_000
VOCABULARY = 400  # of the tiny model's tokens, those that every build of its tokenizer has
UP_S = 600.0
"""For a command that starts engines: three of them need a minute on two idle cores, and were seen to need 230 s on busy
ones."""


def on_these_nodes(document: Json) -> None:
    """Turn the nodes' own inventory into the shipped one, placed on them."""
    shipped: Json = yaml.safe_load(yaml.safe_dump(INVENTORY))
    shipped["model"]["path"] = str(TINY_MODEL)
    shipped["engine"]["python"] = str(VENV / "bin/python")
    shipped["ssh"] |= document["ssh"]
    shipped["router"] |= {key: document["router"][key] for key in ("port", "python")}
    for name, node in shipped["nodes"].items():
        node |= {key: document["nodes"][name][key] for key in ("host", "port", "data_address")}
    document.clear()
    document.update(shipped)


@dataclass(frozen=True, slots=True)
class Stack:
    """The nodes, and the operator whose inventory starts vLLM on them."""

    site: Site
    figures: Figures

    async def timed(self, *argv: str) -> Done:
        """Run `pdctl ... --json` to a good end; what it and its steps took goes into the figures."""
        begun_s = time.monotonic()
        done = await self.site.operator.pdctl(*argv, "--json", deadline_s=UP_S)
        return self.note(argv, begun_s, done)

    def note(self, argv: Sequence[str], begun_s: float, done: Done) -> Done:
        """The same for a command that was watched while it ran."""
        self.figures.command(argv, time.monotonic() - begun_s, done.lines)
        return done.expect(0)

    async def status(self) -> Json:
        return (await self.site.operator.pdctl("status", "--json")).document

    @property
    def router_url(self) -> str:
        return self.site.router_url

    async def load(self, what: str, spec: LoadSpec, stop: Callable[[], bool] | None = None) -> tuple[LoadReport, Kv]:
        """Run a load through the router, into the figures. The KV that all decode engines counted meanwhile."""
        before = await self._counts()
        report = await run_load(spec, stop=stop)
        after = await self._counts()
        decode, prefill = (_grown(before, after, role) for role in ("decode", "prefill"))
        self.figures.load(what, report)
        self.figures.decode += decode
        self.figures.prefill += prefill
        return report, decode

    async def _counts(self) -> Mapping[tuple[str, str, int], Kv]:
        """By (role, instance, generation), of the engines that answer."""
        found = {}
        for one in (await self.status())["instances"]:
            if one["endpoint"]:
                with suppress(httpx.TransportError):  # it loads, or has just ended
                    found[one["role"], one["name"], one["generation"]] = await kv_of(one)
        return found


def traffic(
    url: str, *, requests: int | None = None, isl: int = 100, osl: int = 32, stream_share: float = 0.5, clients: int = 6
) -> LoadSpec:
    """A load of the tiny model; without `requests` it goes on until it is told to stop."""
    return LoadSpec(
        url=url,
        model=MODEL,
        concurrency=clients,
        isl=isl,
        osl=osl,
        requests=requests or ENDLESS,
        vocab=VOCABULARY,
        stream_share=stream_share,
        deadline_s=300.0,
    )


async def complete(url: str, body: Json) -> Json:
    """One buffered greedy completion."""
    async with httpx.AsyncClient(timeout=120.0, trust_env=False) as client:
        answer = await client.post(f"{url}/v1/completions", json={"model": MODEL, "temperature": 0, **body})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def vllm_nodes(directory: Path, figures: Figures) -> Iterator[Stack]:
    """Three nodes for 1P2D; whatever runs on them ends with the context."""
    with simulated_nodes(directory, "--layout", "1P2D", "--cluster", CLUSTER) as site:
        home = directory / "operator"
        home.mkdir()
        operator = site.with_inventory(home, on_these_nodes)
        yield Stack(replace(site, operator=operator), figures)


def _grown(before: Mapping[tuple[str, str, int], Kv], after: Mapping[tuple[str, str, int], Kv], role: str) -> Kv:
    """What engines of `role` counted between; those that ended meanwhile took their counters with them."""
    total = NOTHING
    for key, kv in after.items():
        if key[0] == role:
            total += kv - before.get(key, NOTHING)
    return total

"""An operator of one cluster on a lab's hosts: what pdctl says to them, next to what the hosts themselves show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.lab.controller import Running, Said, pdctl, running
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab

ROOT = "/var/lib/pdctl"
NO_CONNECTION, BROKEN = 0, -1  # instead of an HTTP status: refused, and cut after it was accepted
_MODEL = "lab/simulated-moe"
_SERVED = "vllm:request_success_total"


@dataclass(frozen=True, slots=True)
class Operator:
    """`directory` stands for the machine they work on: home, state and outputs of commands are there."""

    lab: Lab
    directory: Path
    inventory: Path
    wanted: Wanted
    env: tuple[tuple[str, str], ...] = ()

    def elsewhere(self) -> Operator:
        """The same person with the same inventory, on another machine."""
        directory = self.directory / "elsewhere"
        directory.mkdir(exist_ok=True)
        return replace(self, directory=directory)

    async def pdctl(self, *arguments: str) -> Said:
        return await pdctl(self.directory, self.inventory, *arguments, env=dict(self.env))

    @contextlib.asynccontextmanager
    async def starts(self, *arguments: str) -> AsyncIterator[Running]:
        """A command that still runs; killed at the end."""
        async with running(self.directory, self.inventory, *arguments, env=dict(self.env)) as command:
            yield command

    async def succeeds(self, *arguments: str) -> Said:
        """Run a command to its end, which has to be status 0."""
        said = await self.pdctl(*arguments)
        assert said.status == 0, ended(said)
        return said

    async def status(self) -> dict[str, dict[str, Any]]:
        """What `pdctl status` says of every instance and service, by name."""
        document = (await self.pdctl("status")).document()
        return {view["name"]: view for view in [*document["instances"], *document["services"]]}

    async def states(self) -> dict[str, str]:
        """State by name."""
        return {name: view["state"] for name, view in (await self.status()).items()}

    @property
    def url(self) -> str:
        """The router's."""
        return f"http://{self.lab.hosts['h1'].address}:{self.wanted.router_port}"

    def unit(self, name: str) -> str:
        """The unit of an instance or a service."""
        return f"pdctl.{self.wanted.cluster}.{name}"

    async def load(self, requests: int = 40) -> list[int]:
        """HTTP statuses of so many completions through the router at once, as of `completion`."""
        async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
            return await asyncio.gather(*(completion(client, self.url) for _ in range(requests)))

    async def served_by(self, endpoint: str) -> float:
        """How many requests the engine at `endpoint` has ended, as its own counters say."""
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            text = (await client.get(f"http://{endpoint}/metrics")).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(_SERVED + "{"))

    async def record(self, host: LabHost, instance: str) -> dict[str, Any]:
        """What the host keeps of a unit that was started there."""
        unit = f"pdctl.{self.wanted.cluster}.{instance}"
        found: dict[str, Any] = json.loads(
            await host.run("cat", f"{ROOT}/{self.wanted.cluster}/units/{unit}/spec.json")
        )
        return found


def operator_of(lab: Lab, directory: Path, wanted: Wanted, *, edit: Callable[[str], str] = str, **env: str) -> Operator:
    """One with an inventory for all hosts of the lab. `edit` changes its text, `env` is added to their commands'."""
    inventory = directory / "inventory.yaml"
    inventory.write_text(edit(inventory_for(lab, wanted)))
    return Operator(lab, directory, inventory, wanted, tuple(env.items()))


def ended(said: Said) -> str:
    """How a command ended, for the message of a failed test."""
    return f"status {said.status}\n{said.stdout[-3000:]}\n{said.stderr[-2000:]}"


async def completion(client: httpx.AsyncClient, url: str, *, max_tokens: int = 8) -> int:
    """The HTTP status of one completion; NO_CONNECTION or BROKEN where it has none."""
    body = {"model": _MODEL, "prompt": "a b c d", "max_tokens": max_tokens}
    try:
        answer = await client.post(f"{url}/v1/completions", json=body)
    except httpx.ConnectError:
        return NO_CONNECTION
    except httpx.TransportError:
        return BROKEN
    return answer.status_code

"""From an inventory or a URL to a target that answers: where the router is, how it is reached, and one request."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.drivers.endpoint import endpoint_of
from pdctl.bench.point import Point, Target
from pdctl.errors import BenchError, Unreachable
from pdctl.model.deployment import Deployment
from pdctl.perf.workload import Asked, Workload
from pdctl.routers.ports import client_url

CONNECT_S = 5.0
_FIRST = Asked(0.0, 16, 2)


@dataclass(frozen=True, slots=True)
class Reached:
    """A target as it is reached from here; `told`: what the operator should know of the way, "" where it is direct."""

    target: Target
    told: str = ""


def deployed_gpus(deployment: Deployment) -> int:
    """The GPUs that serve: those of all instances. Spares do not count."""
    return sum(len(part.gpus) for instance in deployment.instances for part in instance.parts)


def deployed_target(deployment: Deployment) -> Target:
    """The cluster's router, with the GPUs behind it and what they cost."""
    gpus = deployed_gpus(deployment)
    price = deployment.usd_per_gpu_hour
    return Target(
        url=client_url(deployment),
        model=deployment.model.name,
        deployment=deployment.cluster,
        gpus=gpus,
        usd_per_hour=None if price is None else price * gpus,
    )


def layout_of(deployment: Deployment) -> str:
    """The pools that serve, in words: `prefill 1x tp1 dp8, decode 2x tp1 dp8; moriio write`."""
    shapes = Counter(
        (each.pool, f"tp{each.parallel.tp} dp{each.parallel.dp}{' ep' if each.parallel.ep else ''}")
        for each in deployment.instances
    )
    pools = ", ".join(f"{pool} {count}x {shape}" for (pool, shape), count in shapes.items())
    return f"{pools}; {deployment.kv.connector.value} {deployment.kv.mode.value}"


@asynccontextmanager
async def reached(deployment: Deployment, target: Target) -> AsyncIterator[Reached]:
    """The router: directly, or else, where the inventory reaches engines by SSH, by a port forwarded over its node's
    connection. Raises Unreachable, with both causes."""
    cause = await _why_not(target.url)
    if not cause:
        yield Reached(target)
        return
    router = deployment.router
    if deployment.nodes[router.node].ssh.engine_http == "direct":
        raise Unreachable(router.node, f"no connection to the router at {target.url}: {cause}", hint="`pdctl status`")
    from pdctl.ssh.forward import forwarded
    from pdctl.ssh.pool import SshShells  # loads asyncssh, which a router that is reached directly does not need

    shells = SshShells(deployment.nodes)
    try:
        async with contextlib.AsyncExitStack() as stack:
            host = "127.0.0.1" if router.host in ("0.0.0.0", "::", "") else router.host
            try:
                port = await stack.enter_async_context(forwarded(shells.shell(router.node), host, router.port))
            except OSError as error:
                text = f"the router does not listen: {target.url}: {cause}; on its node: {error}"
                raise Unreachable(
                    router.node, text, hint="`pdctl status` says what runs; `pdctl up` starts it"
                ) from error
            told = (
                f"{target.url} is not reached directly ({cause}): the load goes through the SSH connection to "
                f"{router.node}, and its time is part of what is measured"
            )
            yield Reached(replace(target, url=f"http://127.0.0.1:{port}"), told)
    finally:
        await shells.close()


async def find_model(target: Target) -> str:
    """The one model that the server has. Raises Unreachable; BenchError where it has several, or none."""
    from pdctl.ssh.http import direct_http_client
    from pdctl.ssh.lean_httpx import httpx

    headers = {"Authorization": f"Bearer {target.api_key}"} if target.api_key else {}
    endpoint = endpoint_of(target.url)
    url = f"{endpoint.scheme}://{endpoint.host_header}{endpoint.base}/v1/models"
    async with direct_http_client() as client:
        try:
            answer = await client.get(url, headers=headers)
        except httpx.TransportError as error:
            raise _unreachable(target, str(error) or type(error).__name__) from error
    try:
        names = [str(each["id"]) for each in answer.json()["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{url} answered HTTP {answer.status_code} without models", hint="say --model") from error
    if len(set(names)) != 1:
        found = ", ".join(names) or "none"
        raise BenchError(f"{target.url} has {len(names)} models: {found}", hint="say which with --model")
    return names[0]


async def prove(target: Target, *, deadline_s: float) -> None:
    """One small request, answered whole. Raises Unreachable where nothing can be asked, BenchError with the server's
    word where it is answered otherwise: a load would fail in the same way."""
    point = Point(target.deployment, "first", "c1", 0, Workload((_FIRST,), 1), deadline_s)
    driver = BuiltinDriver(warm_up=0, stall_s=deadline_s)
    measured = await driver.run(point, target, on_row=lambda row: None, stop=lambda: False)
    row = measured.rows[0]
    if row.ok:
        return
    cause = row.refusal or row.error
    if row.status is None and row.refusal:
        raise _unreachable(target, cause)
    hint = "is the model's name right, and does the server accept token ids? `--api chat` sends words"
    raise BenchError(f"a first request to {target.url} failed: {row.outcome.value}: {cause}", hint=hint)


def _unreachable(target: Target, cause: str) -> Unreachable:
    where = urlsplit(target.url).netloc.rpartition("@")[2]
    return Unreachable(where, cause, hint="is it up, and does it listen where this machine can reach it?")


async def _why_not(url: str) -> str:
    """Why nothing at `url` accepts a connection from here; "" where something does."""
    endpoint = endpoint_of(url)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except TimeoutError:
        return f"no answer in {CONNECT_S:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    writer.close()
    return ""

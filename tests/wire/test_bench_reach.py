"""The way to a router that this machine reaches only through its node's SSH connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdctl.bench.reach import deployed_target, prove, reached
from pdctl.errors import Unreachable
from pdctl.model.deployment import Deployment
from tests.unit.deployments import r1_2p3d
from tests.waiting import free_port
from tests.wire.scripted_http import end, event, head, scripted_server
from tests.wire.ssh_server import node, serving


def with_router(tmp_path: Path, *, ssh: int, port: int, **settings: Any) -> Deployment:
    """The router's node is the SSH server on port `ssh`; the router listens on loopback there."""
    deployment = r1_2p3d()
    name = deployment.router.node
    nodes = {**deployment.nodes, name: node(tmp_path, ssh, name=name, **settings)}
    return replace(deployment, nodes=nodes, router=replace(deployment.router, host="127.0.0.1", port=port))


async def answer(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
    writer.write(head())
    for finish in (None, "length"):
        writer.write(event({"id": "x", "choices": [{"index": 0, "text": " a", "finish_reason": finish}]}))
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 2}
    writer.write(event({"id": "x", "choices": [], "usage": usage}) + event("[DONE]") + end())


async def test_a_router_behind_ssh_is_measured_through_its_nodes_connection(tmp_path: Path) -> None:
    async with serving() as server, scripted_server(answer) as url:
        deployment = with_router(tmp_path, ssh=server.port, port=int(url.rpartition(":")[2]))
        there = replace(deployed_target(deployment), url=f"http://127.0.0.1:{free_port()}")  # nothing listens there
        async with reached(deployment, there) as found:
            assert "through the SSH connection" in found.told
            await prove(found.target, deadline_s=10)
        async with reached(deployment, replace(there, url=url)) as direct:
            assert (direct.target.url, direct.told) == (url, "")
        assert server.logins == 1


async def test_a_router_that_does_not_listen_is_told_with_both_causes(tmp_path: Path) -> None:
    async with serving() as server:
        deployment = with_router(tmp_path, ssh=server.port, port=free_port())
        with pytest.raises(Unreachable, match=r"does not listen.*on its node"):
            async with reached(deployment, deployed_target(deployment)):
                pass


async def test_where_engines_are_reached_directly_nothing_is_tunnelled(tmp_path: Path) -> None:
    deployment = with_router(tmp_path, ssh=free_port(), port=free_port(), engine_http="direct")
    with pytest.raises(Unreachable, match="no connection to the router"):
        async with reached(deployment, deployed_target(deployment)):
            pass

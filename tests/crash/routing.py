"""Router and registrar of a simulated cluster: a list that forgets by itself, and the one program that fills it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pdctl.control.ports import Answer, NotListening
from pdctl.errors import InstanceError
from pdctl.model.deployment import Deployment
from pdctl.model.observed import MemberSeen, MembershipSeen
from pdctl.model.unit import UnitState, UnitStatus, unit_name
from pdctl.routers.members import Member
from pdctl.routers.membership import STALE_S
from pdctl.supervisors.fake import FakeNode
from tests.crash.engines import engines, serves
from tests.crash.wire import Wire

ROUND_S = 0.5
TTL_S = 4.75
"""The longest that vllm-router 0.1.17 was seen to remember a member after its last registration."""
LISTEN_S = 0.5
COMPLETION = json.dumps({"choices": [{"text": "1", "finish_reason": "length"}], "kv_transfer_params": {"blocks": [1]}})
IDLE = "".join(f"vllm:{name} 0\n" for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"))


class Routing:
    """The router's node: members file, registrar, router. `rounds` runs as long as the world does."""

    def __init__(self, deployment: Deployment, nodes: Mapping[str, FakeNode]) -> None:
        self._deployment = deployment
        self._nodes = nodes
        self.node = nodes[deployment.router.node]
        self.members: dict[str, Member] = {}
        self.seq = 0
        self._state: tuple[float, MembershipSeen] | None = None
        self._told: dict[str, float] = {}  # "address:port" -> when the router last heard of it
        self._departed: dict[str, float] = {}  # name -> when it was last told

    def unit(self, name: str) -> UnitStatus | None:
        """The router's or the registrar's unit, if it runs."""
        found = self.node.units.get(unit_name(self._deployment.cluster, name))
        return found if found is not None and found.state is UnitState.RUNNING else None

    @property
    def listens(self) -> bool:
        router = self.unit("router")
        started = router.started_at if router is not None else None
        return started is not None and self.node.now() - started >= LISTEN_S

    def pickable(self) -> dict[str, UnitStatus | None]:
        """What the router may choose now, by endpoint; None where nothing serves there any more."""
        if self.unit("router") is None:
            self._told.clear()
        alive = {unit.endpoint: unit for unit in engines(list(self._nodes.values()))}
        return {at: alive.get(at) for at, told in self._told.items() if self.node.now() - told < TTL_S}

    async def rounds(self) -> None:
        """The registrar tells the router about every healthy member, again and again."""
        while True:
            if self.unit("registrar") is not None:
                self._round()
            await asyncio.sleep(ROUND_S)

    def _round(self) -> None:
        now, reachable = self.node.now(), self.listens
        self.pickable()
        seen: dict[str, MemberSeen] = {}
        for name, member in self.members.items():
            engine = self.engine(member.registration.http_address)
            healthy = engine is not None and serves(engine, now)
            if healthy and reachable:
                self._told[member.registration.http_address] = now
                self._departed[name] = now
            why = "" if healthy else "no answer on /health"
            seen[name] = MemberSeen(name, member.generation, healthy and reachable, why)
        self._state = (now, MembershipSeen(self.node.epoch, self.seq, reachable, seen, 0.0))

    def seen(self) -> MembershipSeen:
        """The state file, as `routers.membership` reads it."""
        if self._state is None:
            raise InstanceError("registrar", "has not said anything yet")
        (at, state), now = self._state, self.node.now()
        age_s = now - at
        if age_s > STALE_S:
            raise InstanceError("registrar", f"has said nothing for {age_s:.0f} s")
        departed_s = {name: now - told for name, told in self._departed.items() if name not in state.members}
        listed = {name: member.generation for name, member in self.members.items()}
        return replace(state, age_s=age_s, departed_s=departed_s, listed=listed)

    def engine(self, endpoint: str) -> UnitStatus | None:
        """The engine that listens there."""
        found = (unit for unit in engines(list(self._nodes.values())) if unit.endpoint == endpoint)
        return next(found, None)


class WiredMembership:
    """The Membership protocol over one controller's wire."""

    def __init__(self, routing: Routing, wire: Wire) -> None:
        self._routing = routing
        self._wire = wire

    async def members(self) -> Mapping[str, Member]:
        async with self._wire.call(self._routing.node.name, "read members", mutates=False):
            return dict(self._routing.members)

    async def replace(self, members: Mapping[str, Member], *, epoch: int) -> None:
        async with self._wire.call(self._routing.node.name, f"members {','.join(sorted(members))}", mutates=True):
            self._routing.node.admit(epoch)
            self._routing.members = dict(members)
            self._routing.seq += 1

    async def clear(self, *, epoch: int) -> None:
        async with self._wire.call(self._routing.node.name, "clear members", mutates=True):
            self._routing.node.admit(epoch)
            self._routing.members = {}

    async def seen(self) -> MembershipSeen:
        async with self._wire.call(self._routing.node.name, "read state", mutates=False):
            return self._routing.seen()


class WiredHttp:
    """The Http protocol: what engines and router answer."""

    def __init__(self, routing: Routing, deployment: Deployment) -> None:
        self._routing = routing
        self._router_port = deployment.router.port

    async def request(
        self,
        node: str,
        method: str,
        url: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Answer:
        """See `control.ports.Http`."""
        await asyncio.sleep(0.01)
        parts = urlsplit(url)
        if parts.hostname == "127.0.0.1":
            return self._router(parts.port or 0, parts.path)
        return self._engine(parts.netloc, parts.path, body or {})

    def _router(self, port: int, path: str) -> Answer:
        if not self._routing.listens:
            raise NotListening("refused")
        if port != self._router_port:
            return Answer(200, "vllm_router_requests_total 0\n")
        engines = self._routing.pickable()
        roles = [unit.labels.role for unit in engines.values() if unit is not None]
        if not {"prefill", "decode"} <= set(roles):
            counts = f"{roles.count('prefill')} prefill, {roles.count('decode')} decode"
            return Answer(503, f"Waiting for discovered workers: {counts}")
        if path == "/health":
            return Answer(200, "OK")
        # It chooses a pair that serves if there is one: a lucky completion is no proof of the rest.
        now = self._routing.node.now()
        lucky = {unit.labels.role for unit in engines.values() if unit is not None and serves(unit, now)}
        return Answer(200, COMPLETION) if {"prefill", "decode"} <= lucky else Answer(500, "no answer from a worker")

    def _engine(self, endpoint: str, path: str, body: Mapping[str, Any]) -> Answer:
        unit = self._routing.engine(endpoint)
        if unit is None or not serves(unit, self._routing.node.now()):
            raise NotListening("refused")
        if path == "/metrics":
            return Answer(200, IDLE)
        if path == "/health":
            return Answer(200, "")
        decodes = bool(body["kv_transfer_params"]["do_remote_prefill"])
        if decodes != (unit.labels.role == "decode"):
            return Answer(400, json.dumps({"error": f"not for a {unit.labels.role} instance"}))
        return Answer(200, COMPLETION)

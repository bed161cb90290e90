"""The gate of `up` in the world of crashes: nodes answer with envelopes, healthy or with a planted fault."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.health.envelope import Envelope
from pdctl.model.check_policy import CheckPolicy
from pdctl.model.role import Role
from pdctl.sim.standins.host import Shape
from pdctl.ssh.fake import Command, FakeShell, FakeShells
from pdctl.ssh.ports import Completed
from tests.crash import scenario, virtual_time
from tests.crash.virtual_time import VirtualClock
from tests.crash.world import DEPLOYMENT, World
from tests.wire.health_hosts import envelopes

NONCE = re.compile(rb"NONCE = '([^']+)'")
HEALTHY, BROKEN = "n1", "n2"
DECODES = [instance.leader.node for instance in DEPLOYMENT.instances if instance.role is Role.DECODE]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Envelope]:
    """What a healthy node sends, and one with memory errors."""
    directory = tmp_path_factory.mktemp("gate")
    return asyncio.run(envelopes(directory, 2, Shape(BROKEN, uncorrectable={5: 2})))


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def answers(envelope: Envelope) -> Callable[[Command], Completed]:
    """As the collector would: the envelope, between the nonces of whoever asks, by the clock of this world."""

    def reply(command: Command) -> Completed:
        match = NONCE.search(command.stdin)
        assert match is not None
        body: dict[str, Any] = envelope.model_dump(mode="json", by_alias=True)
        body["wall_s"], body["seconds"] = VirtualClock().time(), 0.0
        return Completed(0, b"".join((match[1], json.dumps(body).encode(), match[1])), b"")

    return reply


async def gated(known: Mapping[str, Envelope], broken: list[str], skip: bool, opened: Opened, session: Session) -> int:
    """`up` where the nodes `broken` have memory errors."""
    shells = {name: FakeShell(name) for name in DEPLOYMENT.nodes}
    for name, shell in shells.items():
        shell.answer(["python3"], reply=answers(known[BROKEN if name in broken else HEALTHY]))
    deployment = replace(DEPLOYMENT, checks=CheckPolicy())
    cluster = replace(opened.cluster, deployment=deployment, shells=FakeShells(shells))
    return await up(Opened(cluster, opened.inventory), UpOptions(skip_checks=skip), session)


def played(story: Callable[[World], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with World.alive() as world:
            await story(world)

    virtual_time.run(whole())


def test_healthy_nodes_pass_and_serve(known: Mapping[str, Envelope]) -> None:
    async def story(world: World) -> None:
        done = await world.command(partial(gated, known, [], False))
        assert (done.code, done.failures, done.trouble) == (0, [], "")
        scenario.assert_serves(world)

    played(story)


def test_an_unfit_node_is_left_out_and_the_rest_serves(known: Mapping[str, Envelope]) -> None:
    async def story(world: World) -> None:
        done = await world.command(partial(gated, known, DECODES[:1], False))
        assert (done.code, done.failures) == (3, [])
        started = {call for call in done.mutations if " start" in call}
        assert not any(call.startswith(f"{DECODES[0]} ") for call in started)
        assert len(world.routing.pickable()) == len(DEPLOYMENT.instances) - 1
        healed = await world.command(partial(gated, known, [], False))
        assert healed.code == 0
        scenario.assert_serves(world)

    played(story)


def test_nothing_starts_where_a_pool_would_fall_under_its_floor(known: Mapping[str, Envelope]) -> None:
    async def story(world: World) -> None:
        done = await world.command(partial(gated, known, DECODES, False))
        assert done.code == 1
        assert "pool decode would have 0 of at least 1: gpu.ecc_uncorrectable" in done.trouble
        assert done.mutations == []

    played(story)


def test_checks_can_be_skipped(known: Mapping[str, Envelope]) -> None:
    async def story(world: World) -> None:
        done = await world.command(partial(gated, known, DECODES, True))
        assert (done.code, done.failures) == (0, [])
        scenario.assert_serves(world)

    played(story)

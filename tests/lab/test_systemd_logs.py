"""Logs of system units, from the journal: the tail, what is added, rotation, and a connection that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pdctl.errors import InstanceError
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.systemd_rig import Rig, cluster_of, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

TICKING = """
import sys, time
n = 0
while True:
    print("line %d" % n, flush=True)
    n += 1
    time.sleep(0.02)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(1, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(lab, cluster_of(request.node.name)) as made:
        yield made


def numbers(texts: list[str]) -> list[int]:
    return [int(text.removeprefix("line ")) for text in texts if text.startswith("line ")]


async def test_the_tail_then_what_comes_then_the_next_launch(on: Rig) -> None:
    gate = f"/run/{on.cluster}"
    script = f"echo one; echo two; until [ -e {gate} ]; do sleep 0.02; done; printf 'four\\033[0m\\n'; exit 1"
    await on.supervisor.start(on.spec(script), epoch=1)
    await on.says("two")
    async with asyncio.timeout(20), on.supervisor.logs(on.unit(), lines=2, follow=True) as lines:
        texts = (line.text async for line in lines)
        assert [await anext(texts), await anext(texts)] == ["one", "two"]
        await on.host.run("touch", gate)
        assert await anext(texts) == "four"
        await on.ended()
        await on.supervisor.start(on.spec("echo reborn; exec sleep 600", generation=2), epoch=1)
        said = await anext(texts)
        assert said == f"[systemd] {on.unit()}.service: Main process exited, code=exited, status=1/FAILURE"
        while await anext(texts) != "reborn":
            pass


async def test_rotation_loses_no_line(on: Rig) -> None:
    await on.supervisor.start(on.python(TICKING), epoch=1)
    await on.says("line 3")
    seen: list[str] = []
    async with asyncio.timeout(20), on.supervisor.logs(on.unit(), lines=1, follow=True) as lines:
        async for line in lines:
            seen.append(line.text)
            if len(seen) in (10, 30):
                await on.host.run("journalctl", "--rotate")
            if len(seen) == 60:
                break
    found = numbers(seen)
    assert found == list(range(found[0], found[0] + len(found)))


async def test_a_connection_that_breaks_is_made_again_and_no_line_is_lost_or_shown_twice(on: Rig) -> None:
    await on.supervisor.start(on.python(TICKING), epoch=1)
    await on.says("line 3")
    seen: list[str] = []
    async with asyncio.timeout(40), on.supervisor.logs(on.unit(), lines=1, follow=True) as lines:
        async for line in lines:
            seen.append(line.text)
            if len(seen) == 10:
                on.host.kill_sshd()
                await on.host.run("systemctl", "restart", "ssh")
            if len(seen) == 60:
                break
    found = numbers(seen)
    assert found == list(range(found[0], found[0] + len(found)))


async def test_who_follows_no_more_leaves_nothing_running_on_the_node(on: Rig) -> None:
    await on.supervisor.start(on.python(TICKING), epoch=1)
    await on.says("line 3")
    async with asyncio.timeout(20), on.supervisor.logs(on.unit(), lines=1, follow=True) as lines:
        await anext(aiter(lines))
        assert await followers(on) > 0
    async with asyncio.timeout(10):
        while await followers(on):
            pass


async def followers(on: Rig) -> int:
    script = (
        f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c -- '--follow _SYSTEMD_UNIT={on.unit()}[.]service' || true"
    )
    return int(await on.host.run("/bin/sh", "-c", script))


async def test_bytes_that_are_no_text_and_lines_without_end_arrive(on: Rig) -> None:
    await on.supervisor.start(
        on.python("import os, time; os.write(1, b'\\xff\\x00|' + b'x' * 9000 + b'\\nnext\\n'); time.sleep(600)"),
        epoch=1,
    )
    await on.says("next")
    async with on.supervisor.logs(on.unit(), lines=10, follow=False) as lines:
        texts = [line.text async for line in lines]
    assert any("x" * 5000 in text for text in texts)
    assert "next" in texts


async def test_a_unit_without_a_log(on: Rig) -> None:
    with pytest.raises(InstanceError, match="n1 has no log of it"):
        async with on.supervisor.logs(on.unit("nobody"), lines=5, follow=True) as lines:
            await anext(aiter(lines))

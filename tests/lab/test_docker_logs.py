"""Logs of containers: the end of them, what comes, restarts, new launches and lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pdctl.errors import InstanceError
from pdctl.supervisors.ports import LogLine
from tests.lab.docker_rig import DockerRig, docker_lab, docker_rig
from tests.lab.lab import Lab
from tests.lab.systemd_rig import cluster_of
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The daemon reads the two streams apart: without the pause, "err" may be logged before or after its turn.
COUNTING = "for n in $(seq 30); do echo line $n; done; sleep 1; echo err >&2; exec sleep 600"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with docker_lab() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    async with docker_rig(lab, cluster_of(request.node.name)) as made:
        yield made


class Followed:
    """A log that is followed, and what came of it so far."""

    def __init__(self, on: DockerRig, instance: str, lines: int) -> None:
        self.lines: list[LogLine] = []
        self._task = asyncio.create_task(self._read(on, instance, lines))

    async def _read(self, on: DockerRig, instance: str, lines: int) -> None:
        async with on.supervisor.logs(on.unit(instance), lines=lines, follow=True) as log:
            async for line in log:
                self.lines.append(line)

    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    async def until(self, text: str, times: int = 1) -> None:
        await wait_until(lambda: self.texts().count(text) == times, 20, what=f"{text!r} {times} times")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_the_last_lines_of_both_streams_with_their_times(on: DockerRig) -> None:
    started = await on.supervisor.start(on.spec(COUNTING), epoch=1)
    lines: list[LogLine] = []

    async def ended() -> bool:
        async with on.supervisor.logs(on.unit(), lines=3, follow=False) as log:
            lines[:] = [line async for line in log]
        return any(line.text == "err" for line in lines)

    await wait_until(ended, 20, what="what the unit said last")
    assert [line.text for line in lines] == ["line 29", "line 30", "err"]
    assert all(line.at is not None and abs(line.at - (started.started_at or 0)) < 5 for line in lines)


async def test_a_unit_that_never_ran_here_has_none(on: DockerRig) -> None:
    async with on.supervisor.logs(on.unit(), lines=3, follow=True) as log:
        with pytest.raises(InstanceError, match="has no log of it"):
            await anext(aiter(log))


async def test_following_goes_on_over_a_restart(on: DockerRig) -> None:
    await on.supervisor.start(on.router("echo up; exec sleep 600"), epoch=1)
    await on.says("up", "router")
    followed = Followed(on, "router", 10)
    try:
        await followed.until("up")
        await on.kill(await on.main("router"))
        await followed.until("up", 2)
    finally:
        await followed.close()


async def test_following_a_launch_and_the_next(on: DockerRig) -> None:
    await on.supervisor.start(on.spec("echo first; sleep 1"), epoch=1)
    followed = Followed(on, "n1.all.0", 10)
    try:
        await followed.until("first")
        await on.ended()
        await on.supervisor.start(on.spec("echo second; exec sleep 600", generation=2), epoch=1)
        await followed.until("second")
        assert followed.texts() == ["first", "second"]
    finally:
        await followed.close()


async def test_following_goes_on_after_a_lost_connection_without_a_line_twice(on: DockerRig) -> None:
    counting = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.1; done"
    await on.supervisor.start(on.spec(counting), epoch=1)
    followed = Followed(on, "n1.all.0", -1)
    try:
        await followed.until("5")
        on.host.kill_sshd()
        await on.host.run("/bin/sh", "-c", "systemctl restart ssh || systemctl restart sshd")
        reached = int(followed.texts()[-1]) + 20
        await followed.until(str(reached))
        assert [int(text) for text in followed.texts()] == list(range(1, len(followed.texts()) + 1))
    finally:
        await followed.close()


async def test_closing_leaves_no_reader_on_the_node(on: DockerRig) -> None:
    await on.supervisor.start(on.spec(COUNTING), epoch=1)
    followed = Followed(on, "n1.all.0", 5)
    await followed.until("line 30")
    readers = "pgrep -fc '[d]ocker logs' || true"
    assert int(await on.host.run("/bin/sh", "-c", readers)) == 1
    await followed.close()

    async def none() -> bool:
        return int(await on.host.run("/bin/sh", "-c", readers)) == 0

    await wait_until(none, 15, what="no docker logs is left")

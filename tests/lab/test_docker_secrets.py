"""A poison secret in the environment: the engine has it, and nobody sees it; and a test that this test can fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.errors import InstanceError
from pdctl.model.unit import Restart, UnitSpec
from tests.lab.docker_rig import PYTHON, ROOT, DockerRig, docker_lab, docker_rig
from tests.lab.lab import Lab
from tests.lab.systemd_rig import cluster_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

POISON = "poison-a'b\"c $HOME `id` \\ %s\nsecond-poison-line"
SHOWN = ("poison-a", "second-poison-line")
# The engine shows the digest: the value itself must be in no argv, and so in no check.
CHECK = """
import hashlib, os, time
print(hashlib.sha256(os.environ["HF_TOKEN"].encode()).hexdigest(), flush=True)
time.sleep(600)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with docker_lab() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    async with docker_rig(lab, cluster_of(request.node.name)) as made:
        yield made


def poisoned(on: DockerRig) -> UnitSpec:
    return replace(on.python(CHECK), secret_env={"HF_TOKEN": POISON})


async def everything_said(on: DockerRig) -> dict[str, str]:
    """All that anybody but root's own processes may see of the unit, by where it is seen."""
    unit = on.unit()
    view = await on.supervisor.inspect()
    return {
        "inspect": json.dumps(await on.shown()),
        "ps": await on.docker("ps", "--all", "--no-trunc"),
        "logs": await on.host.run("/bin/sh", "-c", f"docker logs {unit} 2>&1"),
        "events": await on.docker("events", "--since=10m", "--until=0s", "--format={{json .}}"),
        "processes": await on.host.run("ps", "axww"),
        "journal": await on.host.run("journalctl", "--quiet", "--no-pager", "--since=-10m"),
        "status": repr(view),
        "files": await on.host.run("/bin/sh", "-c", f"grep -rasF poison {ROOT} || true"),
    }


def seen_in(said: dict[str, str]) -> list[str]:
    return [place for place, text in said.items() if any(part in text for part in SHOWN)]


async def test_the_engine_has_its_secret_and_nobody_sees_it(on: DockerRig) -> None:
    await on.supervisor.start(poisoned(on), epoch=1)
    await on.says(hashlib.sha256(POISON.encode()).hexdigest())
    assert seen_in(await everything_said(on)) == []
    await on.supervisor.stop(on.unit(), epoch=1)
    assert seen_in(await everything_said(on)) == []


async def test_the_search_finds_a_secret_where_it_is_not_kept(on: DockerRig) -> None:
    spec = poisoned(on)
    leaky = replace(spec, env={"HF_TOKEN": SHOWN[0]}, secret_env={}, argv=(PYTHON, "-c", "print('poison-a')"))
    await on.supervisor.start(leaky, epoch=1)
    await on.ended()
    assert set(seen_in(await everything_said(on))) >= {"inspect", "ps", "logs", "status", "files"}


async def test_what_restarts_finds_its_secret_again_and_loses_it_at_the_stop(on: DockerRig) -> None:
    spec = replace(on.spec('echo "${#S}"; exec sleep 600'), restart=Restart.ALWAYS, secret_env={"S": "twelve chars"})
    await on.supervisor.start(spec, epoch=1)
    await on.says("12")
    await on.kill(await on.main())
    await on.says("12\n12")
    secret = on.host.path(f"{ROOT}/{on.cluster}/units/{on.unit()}/secret/env")
    assert secret.stat().st_mode & 0o777 == 0o600
    await on.supervisor.stop(on.unit(), epoch=1)
    assert not secret.exists()


async def test_an_error_names_the_variable_and_not_its_value(on: DockerRig) -> None:
    spec = replace(on.spec("true"), secret_env={"HF_TOKEN": "poison-a\0"})
    with pytest.raises(InstanceError, match="HF_TOKEN") as caught:
        await on.supervisor.start(spec, epoch=1)
    assert "poison" not in repr(caught.value)
    assert seen_in({"files": "\n".join(await on.files())}) == []

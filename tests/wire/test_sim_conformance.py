"""The simulated engine passes the checks that real vLLM passes (tests/real/test_conformance.py runs the same ones)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.conformance import endings, serving
from tests.wire.sim_engines import Engine, engine, free_block

pytestmark = pytest.mark.fleet

NIXL = json.dumps({"kv_connector": "NixlConnector", "kv_role": "kv_both"})
FLAGS = ("--max-model-len", "1024", "--block-size", "32", "--kv-transfer-config", NIXL, "--enable-server-load-tracking")
SLOW = {"PDCTL_SIM_PROFILE": "laptop", "PDCTL_SIM_WORKERS": "1"}  # 10 ms a token: time to signal while it streams


def channel() -> dict[str, str]:
    return {"VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1", "VLLM_NIXL_SIDE_CHANNEL_PORT": str(free_block(1))}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path, *FLAGS, env=channel()) as made:
        yield made


@pytest.mark.parametrize("check", serving.CHECKS, ids=lambda check: check.__name__)
async def test_serving(one: Engine, check: Callable[[Engine], Awaitable[None]]) -> None:
    await check(one)


async def test_sigterm(tmp_path: Path) -> None:
    async with engine(tmp_path, *FLAGS, env={**SLOW, **channel()}) as one:
        assert await endings.sigterm_loses_every_stream(one), "the simulated engine always comes to say so"


async def test_sigterm_with_a_shutdown_timeout(tmp_path: Path) -> None:
    async with engine(tmp_path, *FLAGS, "--shutdown-timeout", "60", env={**SLOW, **channel()}) as one:
        await endings.sigterm_drains(one)


async def test_worker_killed(tmp_path: Path) -> None:
    async with engine(tmp_path, *FLAGS, "--shutdown-timeout", "60", env={**SLOW, **channel()}) as one:
        await endings.a_killed_worker_fails_streams_by_an_error_in_them(one)

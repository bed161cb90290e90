"""Real vLLM passes the checks that the simulated engine passes (tests/wire/test_sim_conformance.py)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance import endings, serving
from tests.real.figures import Figures
from tests.real.stack import INVENTORY, TINY_MODEL, VENV
from tests.wire.sim_engines import Engine, free_block

START_S = 300.0
ENDS_S = 20.0
OWNED = Path(__file__).with_name("owned.py")
NIXL = json.dumps({"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_buffer_device": "cpu"})


@asynccontextmanager
async def real_engine(directory: Path, figures: Figures, *flags: str) -> AsyncIterator[Engine]:
    """vLLM on a free port of loopback, ready. What lives of it is killed at the end of the block, and of this process,
    whatever way that ends."""
    port, channel = free_block(1), free_block(1)
    log = directory / "engine.log"
    command = [sys.executable, str(OWNED), str(VENV / "bin/vllm"), "serve", str(TINY_MODEL)]
    command += ["--served-model-name", "tiny"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--kv-transfer-config", NIXL, *flags]
    for name, value in INVENTORY["engine"]["args"].items():
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    places = {
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1",
        "VLLM_NIXL_SIDE_CHANNEL_PORT": str(channel),
    }
    with log.open("wb") as sink:
        environment = {**os.environ, **INVENTORY["engine"]["env"], **places}
        process = subprocess.Popen(  # noqa: ASYNC220 - the engine's rig waits for it in threads
            command, stdin=subprocess.PIPE, stdout=sink, stderr=sink, env=environment
        )
    one = Engine(port, log, process, side_channel=channel)
    try:
        begun_s = time.monotonic()
        await one.ready(START_S)
        figures.starts.append(f"one alone {time.monotonic() - begun_s:.1f} s")
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.to_thread(process.wait, ENDS_S)


async def test_serving_and_sigterm(tmp_path: Path, figures: Figures) -> None:
    failed: list[str] = []
    async with real_engine(tmp_path, figures) as one:
        for check in serving.CHECKS:  # one engine for all: each start costs half a minute of CPU
            try:
                await check(one)
            except AssertionError as error:
                failed.append(f"{check.__name__}: {error}")
        assert not failed, "\n\n".join(failed)
        said = await endings.sigterm_loses_every_stream(one)
        seen = "answers end with finish_reason abort" if said else "the engine core was killed first: silence"
        figures.notes.append(f"SIGTERM without --shutdown-timeout, nine streams: {seen}")


async def test_sigterm_with_a_shutdown_timeout(tmp_path: Path, figures: Figures) -> None:
    async with real_engine(tmp_path, figures, "--shutdown-timeout", "60") as one:
        await endings.sigterm_drains(one)


async def test_worker_killed(tmp_path: Path, figures: Figures) -> None:
    async with real_engine(tmp_path, figures, "--shutdown-timeout", "60") as one:
        await endings.a_killed_worker_fails_streams_by_an_error_in_them(one)

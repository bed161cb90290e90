"""One real vLLM engine by itself, on a free port of loopback."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.real.stack import INVENTORY, TINY_MODEL, VENV
from tests.wire.sim_engines import Engine, free_block

START_S = 300.0
ENDS_S = 20.0
MODEL_S = 300.0
_HERE = Path(__file__).parent
_NIXL = json.dumps({"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_buffer_device": "cpu"})


@asynccontextmanager
async def real_engine(
    directory: Path,
    *flags: str,
    model: Path = TINY_MODEL,
    nixl: bool = True,
    on_ready: Callable[[float], None] = lambda took_s: None,
) -> AsyncIterator[Engine]:
    """vLLM with the flags of the shipped inventory, ready. What lives of it is killed at the end of the block, and of
    this process, whatever way that ends. Without `nixl` no thread of its connector takes half a core."""
    port, channel = free_block(1), free_block(1)
    log = directory / "engine.log"
    command = [sys.executable, str(_HERE / "owned.py"), str(VENV / "bin/vllm"), "serve", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    for name, value in INVENTORY["engine"]["args"].items():
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    command += ["--kv-transfer-config", _NIXL] if nixl else []
    places = {
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1",
        "VLLM_NIXL_SIDE_CHANNEL_PORT": str(channel),
    }
    with log.open("wb") as sink:
        environment = {**os.environ, **INVENTORY["engine"]["env"], **places}
        process = subprocess.Popen(  # noqa: ASYNC220 - the engine's rig waits for it in threads
            [*command, *flags], stdin=subprocess.PIPE, stdout=sink, stderr=sink, env=environment
        )
    one = Engine(port, log, process, side_channel=channel)
    try:
        begun_s = time.monotonic()
        await one.ready(START_S)
        on_ready(time.monotonic() - begun_s)
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.to_thread(process.wait, ENDS_S)


def small_model(directory: Path) -> Path:
    """The model whose steps take longer than what is around them, made there unless it is."""
    if not (directory / "config.json").exists():
        command = [VENV / "bin/python", _HERE / "small_model.py", TINY_MODEL, directory]
        subprocess.run(command, check=True, timeout=MODEL_S, capture_output=True)
    return directory

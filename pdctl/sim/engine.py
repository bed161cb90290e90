"""The simulated engine: `python -m pdctl.sim.engine serve MODEL [vLLM flags]`.

A real process that vllm-router 0.1.17 cannot tell from vLLM in its prefill/decode contract, in READ and WRITE, and that
computes nothing: steps last as long as pdctl.perf.step_time says. What only a simulator can be told comes from the
environment (pdctl.sim.engine_knobs). Exit status: 1 when it could not start, 2 for bad flags, else 0, even where its
core or a worker died (as vLLM 0.32 was seen to do).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uvicorn import Config

from pdctl.sim.engine_args import EngineArgs, StartupError, check_startup, parse_args
from pdctl.sim.engine_core import EngineCore, Observer
from pdctl.sim.engine_host import HeldVram, Workers, process_age_s
from pdctl.sim.engine_knobs import EngineKnobs, KnobError, read_knobs
from pdctl.sim.engine_lifecycle import QuietServer, StopSignal, crash_when_told, stop_on_death, stop_on_signal
from pdctl.sim.engine_log import EngineLog
from pdctl.sim.engine_metrics import EngineMetrics
from pdctl.sim.engine_parts import cache_config, make_connector, make_ranks
from pdctl.sim.faults import Faults
from pdctl.sim.http_app import EngineApp
from pdctl.sim.request_log import Observers, RequestLog, unix_offset_s

_FLUSH_S = 5


@dataclass(frozen=True, slots=True)
class Setting:
    """What one engine was started with. `open_at_s` is when its port may open, on the monotonic clock."""

    args: EngineArgs
    knobs: EngineKnobs
    faults: Faults
    log: EngineLog
    open_at_s: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run one engine to its end; its exit status."""
    born_s = time.monotonic() - process_age_s()
    log = EngineLog()
    try:
        args = parse_args(sys.argv[1:] if argv is None else argv)
        knobs = read_knobs(os.environ)
        faults = Faults(knobs.faults)
        if "exit_at_start" in faults:
            raise StartupError("RuntimeError: Engine core initialization failed. See root cause above.")
        check_startup(args)
        if args.headless:
            return asyncio.run(_wait_headless(faults, log))
        return asyncio.run(_serve(Setting(args, knobs, faults, log, born_s + knobs.startup_s)))
    except KnobError as error:
        print(f"pdctl.sim.engine: {error}", file=sys.stderr)
        return 2
    except StartupError as error:
        log.traceback("core.py:1262", str(error), ("vllm/v1/engine/core.py:1253 run_engine_core",))
        return 1


async def _serve(setting: Setting) -> int:
    """Start up, serve, end. Raises StartupError."""
    args, knobs, faults = setting.args, setting.knobs, setting.faults
    stop = StopSignal(faults)
    http_socket = _bind(args)
    setting.log.info("api_server.py:1450", f"vLLM API server version {knobs.version}")
    with ExitStack() as stack:
        stack.callback(http_socket.close)
        core, app = _assemble(setting, stack)
        workers = Workers()
        try:
            await _start_core(core)
            await workers.start(knobs.workers, stubborn=knobs.stubborn_workers)
            vram = HeldVram(knobs.vram_dir, knobs.gpus, args.gpu_memory_utilization)
            if "vram_held" not in faults:
                stack.callback(vram.release)
            if not await _load_model(setting, stop):
                return 0
            server = QuietServer(_http_config(app, args))
            endings = (
                stop_on_signal(stop, core, server, setting.log, args.shutdown_timeout_s),
                stop_on_death(core, server, setting.log),
                _die_with_worker(workers, core),
            )
            crash_when_told(faults, setting.log)
            await _serve_until_ended(server, http_socket, endings)
        finally:
            await workers.stop()
            await core.close()
    return 0


def _http_config(app: EngineApp, args: EngineArgs) -> Config:
    unlogged = set(args.unlogged_paths)
    config = Config(
        app,
        loop="asyncio",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=args.access_log,
        timeout_graceful_shutdown=_FLUSH_S,
    )
    logging.getLogger("uvicorn.access").addFilter(lambda record: _logged_path(record) not in unlogged)
    return config


def _logged_path(record: logging.LogRecord) -> str:
    """The path of an access line, without its query: uvicorn logs (client, method, path, version, status)."""
    path = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""
    return str(path).partition("?")[0]


async def _serve_until_ended(
    server: QuietServer, http_socket: socket.socket, endings: Sequence[Coroutine[Any, Any, None]]
) -> None:
    """Serve until one of `endings` tells the server to stop; the others are cancelled then."""
    async with asyncio.TaskGroup() as group:
        watchers = [group.create_task(ending) for ending in endings]
        await server.serve(sockets=[http_socket])
        for watcher in watchers:
            watcher.cancel()


async def _die_with_worker(workers: Workers, core: EngineCore) -> None:
    pid = await workers.first_death()
    core.die(f"RuntimeError: Worker proc VllmWorker-0 (pid {pid}) died unexpectedly, shutting down executor.")


def _assemble(setting: Setting, stack: ExitStack) -> tuple[EngineCore, EngineApp]:
    args, knobs, faults = setting.args, setting.knobs, setting.faults
    ranks = make_ranks(args)
    metrics = EngineMetrics(
        args.served_names[0],
        ranks,
        max_model_len=args.max_model_len,
        consumer=args.kv is not None and args.kv.role != "kv_producer",
        cache_config=cache_config(args),
    )
    observers: list[Observer] = [metrics]
    if knobs.request_log is not None:
        stream = stack.enter_context(Path(knobs.request_log).open("a", encoding="utf-8"))  # noqa: SIM115
        observers.append(RequestLog(stream, clock_offset_s=unix_offset_s(time.monotonic())))
    core = EngineCore(
        ranks,
        knobs.constants,
        make_connector(args, knobs, faults, setting.log, metrics.registry),
        observers[0] if len(observers) == 1 else Observers(observers),
        faults,
        speed=knobs.speed,
        recompute_lost_kv=args.kv is not None and args.kv.load_failure_policy == "recompute",
        on_late=metrics.late,
    )
    api_keys = args.api_keys or ((knobs.api_key,) if knobs.api_key else ())
    app = EngineApp(core, args, faults, metrics, version=knobs.version, api_keys=api_keys, dev_mode=knobs.dev_mode)
    return core, app


def _bind(args: EngineArgs) -> socket.socket:
    """Take the HTTP port without listening: until then connections are refused, as by vLLM while it starts."""
    # With its protocol named: asyncio turns Nagle's algorithm off only then (uvloop, as vLLM has it, always), and with
    # it the events of a stream on a connection that is used again wait 40 ms for the client's acknowledgement.
    http_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    http_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        http_socket.bind((args.host or "0.0.0.0", args.port))
    except OSError as error:
        http_socket.close()
        raise StartupError(f"OSError: {error}") from error
    return http_socket


async def _start_core(core: EngineCore) -> None:
    """A taken KV port makes vLLM hang at its start for ever (its listener thread dies); this ends instead."""
    try:
        await core.start()
    except OSError as error:
        raise StartupError(f"zmq.error.ZMQError: Address already in use ({error.strerror})") from error


async def _load_model(setting: Setting, stop: StopSignal) -> bool:
    """Pass the start-up time; False when SIGTERM came first."""
    args, log = setting.args, setting.log
    log.info("gpu_model_runner.py:5240", f"Starting to load model {args.model}...")
    remaining_s = None if "never_ready" in setting.faults else max(0.0, setting.open_at_s - time.monotonic())
    try:
        async with asyncio.timeout(remaining_s):
            await stop.seen.wait()
        return False
    except TimeoutError:
        pass
    tokens = args.block_size * args.num_blocks
    log.info("kv_cache_utils.py:1720", f"GPU KV cache size: {tokens:,} tokens")
    host = args.host or "0.0.0.0"
    log.info("api_server.py:120", f"Starting vLLM server on http://{host}:{args.port}")
    return True


async def _wait_headless(faults: Faults, log: EngineLog) -> int:
    """A child node of a multi-node instance: its ranks are driven by the leader, it opens no HTTP port."""
    stop = StopSignal(faults)
    log.info("serve.py:140", "Launching vLLM in headless mode; waiting for the leader.")
    await stop.seen.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

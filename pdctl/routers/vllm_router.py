"""vllm-router 0.1.17's command line: ZeroMQ discovery for prefill and decode, its own list of workers for mixed pools.

Left alone on purpose: `--intra-node-data-parallel-size` (ranks are walked by the registered `dp_size`, with
`X-data-parallel-rank` on both legs, with and without the flag: measured), retries and circuit breakers (unused for P/D
requests), and the limit of 32768 concurrent requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pdctl.model.deployment import ArgValue, Deployment, RouterSpec
from pdctl.routers.facts import is_disaggregated
from pdctl.routers.ports import RouterPorts

MODULE = "vllm_router.launch_router"
REQUEST_TIMEOUT_S = 3600
"""Longest request. Published end-to-end latencies reach 15 min; a drain must be able to wait for every stream."""


def argv(spec: RouterSpec, deployment: Deployment, ports: RouterPorts) -> tuple[str, ...]:
    """The router's command line. It starts without members: the registrar brings them."""
    words = [spec.python or "python3", "-m", MODULE]
    for name, value in _options(spec, deployment, ports).items():
        words += _option(name, value)
    return tuple(words)


def _options(spec: RouterSpec, deployment: Deployment, ports: RouterPorts) -> dict[str, ArgValue]:
    ours: dict[str, ArgValue] = {"host": spec.host, "port": ports.http, "policy": spec.policy}
    if is_disaggregated(deployment):
        ours["vllm-pd-disaggregation"] = True
        ours["kv-connector"] = deployment.kv.connector.value
        ours["vllm-discovery-address"] = f"127.0.0.1:{ports.discovery}"
    ours |= {"prometheus-host": "127.0.0.1", "prometheus-port": ports.metrics}
    defaults: dict[str, ArgValue] = {
        "request-timeout-secs": max(REQUEST_TIMEOUT_S, math.ceil(deployment.budgets.drain_s)),
        "log-level": "info",
    }
    if not is_disaggregated(deployment):
        # `/add_worker` answers once the worker is healthy; the registrar only adds healthy ones and asks again.
        defaults |= {"worker-startup-timeout-secs": 2, "worker-startup-check-interval": 1}
    theirs = {name.strip().lstrip("-").replace("_", "-"): value for name, value in spec.args.items()}
    return {**ours, **defaults, **theirs, **ours}


def _option(name: str, value: ArgValue) -> Iterator[str]:
    if value is None or value is False:
        return
    text = str(value)
    yield f"--{name}={text}" if value is not True and text.startswith("-") else f"--{name}"
    if value is not True and not text.startswith("-"):
        yield text

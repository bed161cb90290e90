"""What only a simulated engine knows: `PDCTL_SIM_*` of the environment, beside vLLM's own variables.

| variable | default | meaning |
|---|---|---|
| PDCTL_SIM_STARTUP_S | 1.0 | process start to open port, in seconds |
| PDCTL_SIM_SPEED | 1.0 | steps and transfers are this many times as fast |
| PDCTL_SIM_PROFILE | laptop | named step-time constants (pdctl.perf.step_time) |
| PDCTL_SIM_KV_LATENCY_S | 0.002 | per KV transfer |
| PDCTL_SIM_KV_BYTES_PER_TOKEN | 70272 | KV of one token (DeepSeek R1) |
| PDCTL_SIM_KV_BYTES_PER_S | 20e9 | KV bandwidth |
| PDCTL_SIM_DEFER_TIMEOUT_S, PDCTL_SIM_TRANSFER_TIMEOUT_S | connector's config | override its timeouts |
| PDCTL_SIM_FAULTS | | failures in force from the start (pdctl.sim.faults) |
| PDCTL_SIM_REQUEST_LOG | | file that gets a JSON line per finished request |
| PDCTL_SIM_WORKERS, PDCTL_SIM_WORKER_STUBBORN | 0, 0 | worker processes; stubborn ones ignore SIGTERM |
| PDCTL_SIM_VRAM_DIR | | directory that gets a file per GPU while its VRAM is held |
| PDCTL_SIM_VERSION | 0.33.0 | what /version says |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pdctl.perf.step_time import PROFILES, StepConstants
from pdctl.sim.faults import parse_faults


class KnobError(ValueError):
    """A PDCTL_SIM_* variable makes no sense."""


@dataclass(frozen=True, slots=True)
class EngineKnobs:
    """The variables, read. Durations in seconds."""

    startup_s: float = 1.0
    speed: float = 1.0
    constants: StepConstants = PROFILES["laptop"]
    kv_latency_s: float = 0.002
    kv_bytes_per_token: float = 70272.0
    kv_bytes_per_s: float = 20e9
    defer_timeout_s: float | None = None
    transfer_timeout_s: float | None = None
    faults: Mapping[str, float] = field(default_factory=dict)
    request_log: str | None = None
    workers: int = 0
    stubborn_workers: bool = False
    vram_dir: str | None = None
    gpus: tuple[int, ...] = (0,)
    version: str = "0.33.0"
    dev_mode: bool = False
    host_ip: str = "127.0.0.1"
    nixl_host: str = "localhost"
    nixl_port: int = 5600
    api_key: str | None = None


def read_knobs(env: Mapping[str, str]) -> EngineKnobs:
    """Raises KnobError with the variable's name."""
    profile = env.get("PDCTL_SIM_PROFILE") or "laptop"
    if profile not in PROFILES:
        raise KnobError(f"PDCTL_SIM_PROFILE: no profile {profile!r}; one of {', '.join(sorted(PROFILES))}")
    try:
        faults = parse_faults(env.get("PDCTL_SIM_FAULTS", ""))
    except ValueError as error:
        raise KnobError(f"PDCTL_SIM_FAULTS: {error}") from error
    return EngineKnobs(
        startup_s=_number(env, "PDCTL_SIM_STARTUP_S", 1.0),
        speed=_number(env, "PDCTL_SIM_SPEED", 1.0, above_zero=True),
        constants=PROFILES[profile],
        kv_latency_s=_number(env, "PDCTL_SIM_KV_LATENCY_S", 0.002),
        kv_bytes_per_token=_number(env, "PDCTL_SIM_KV_BYTES_PER_TOKEN", 70272.0),
        kv_bytes_per_s=_number(env, "PDCTL_SIM_KV_BYTES_PER_S", 20e9, above_zero=True),
        defer_timeout_s=_maybe(env, "PDCTL_SIM_DEFER_TIMEOUT_S"),
        transfer_timeout_s=_maybe(env, "PDCTL_SIM_TRANSFER_TIMEOUT_S"),
        faults=faults,
        request_log=env.get("PDCTL_SIM_REQUEST_LOG") or None,
        workers=int(_number(env, "PDCTL_SIM_WORKERS", 0)),
        stubborn_workers=env.get("PDCTL_SIM_WORKER_STUBBORN") == "1",
        vram_dir=env.get("PDCTL_SIM_VRAM_DIR") or None,
        gpus=_gpus(env.get("HIP_VISIBLE_DEVICES") or env.get("CUDA_VISIBLE_DEVICES") or "0"),
        version=env.get("PDCTL_SIM_VERSION") or "0.33.0",
        dev_mode=env.get("VLLM_SERVER_DEV_MODE") == "1",
        host_ip=env.get("VLLM_HOST_IP") or "127.0.0.1",
        nixl_host=env.get("VLLM_NIXL_SIDE_CHANNEL_HOST") or "localhost",
        nixl_port=int(_number(env, "VLLM_NIXL_SIDE_CHANNEL_PORT", 5600)),
        api_key=env.get("VLLM_API_KEY") or None,
    )


def _number(env: Mapping[str, str], name: str, default: float, *, above_zero: bool = False) -> float:
    found = _maybe(env, name)
    if found is None:
        return default
    if above_zero and found <= 0:
        raise KnobError(f"{name}: must be above 0")
    return found


def _maybe(env: Mapping[str, str], name: str) -> float | None:
    text = env.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise KnobError(f"{name}: {text!r} is no number") from None
    if not 0 <= value < float("inf"):
        raise KnobError(f"{name}: {text!r} is out of range")
    return value


def _gpus(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip().isdigit())

"""Rules on environments and secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pdctl.inventory.document import Loc
from pdctl.inventory.finding import Context, Finding, Rule

_GPUS = "a slot's GPUs are set by pdctl"
_ADDRESS = "it is the node's data_address"
_OWNED_ENV: Mapping[str, str] = {
    "CUDA_VISIBLE_DEVICES": _GPUS,
    "HIP_VISIBLE_DEVICES": _GPUS,
    "ROCR_VISIBLE_DEVICES": _GPUS,
    "VLLM_HOST_IP": _ADDRESS,
    "VLLM_NIXL_SIDE_CHANNEL_HOST": _ADDRESS,
    "VLLM_NIXL_SIDE_CHANNEL_PORT": "ports are planned for every launch",
    "VLLM_PORT": "one value shared by several engines makes their ports clash",
    "PROMETHEUS_MULTIPROC_DIR": "a stale directory makes metrics wrong",
}
_SECRET_WORDS = frozenset({"TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "APIKEY", "CREDENTIALS"})
_NOT_SECRET_ENDINGS = frozenset({"FILE", "PATH", "DIR"})


def environments(context: Context) -> Iterator[tuple[Loc, Mapping[str, str]]]:
    """Every environment that the inventory writes, with its place."""
    spec = context.spec
    yield ("engine", "env"), spec.engine.env
    for name, pool in spec.pools.items():
        yield ("pools", name, "env"), pool.env
    for name, node in spec.nodes.items():
        yield ("nodes", name, "env"), node.env


def owned_variables(context: Context) -> Iterator[Finding]:
    """Variables that pdctl sets itself, or that break several engines on one node."""
    for loc, env in environments(context):
        for key in env:
            if key in _OWNED_ENV:
                yield Finding((*loc, key), f"{key} must not be set here: {_OWNED_ENV[key]}", "remove it", at_key=True)


def no_literal_secrets(context: Context) -> Iterator[Finding]:
    """A secret's value has no place in a file that is shared and diffed."""
    for loc, env in environments(context):
        for key, value in env.items():
            if key in context.spec.secrets:
                yield Finding((*loc, key), f"{key} is also under `secrets`", "keep one of them", at_key=True)
            elif value and _looks_secret(key):
                hint = f"write `secrets: {{{key}: {{env: {key}}}}}`"
                yield Finding((*loc, key), f"{key} looks like a secret written out", hint, at_key=True)


def secrets_have_one_source(context: Context) -> Iterator[Finding]:
    """Exactly one of env, file and command; never one of the variables that pdctl sets."""
    for name, secret in context.spec.secrets.items():
        loc: Loc = ("secrets", name)
        said = [key for key in ("env", "file", "command") if getattr(secret, key) is not None]
        if len(said) != 1:
            have = " and ".join(said) or "none"
            yield Finding(loc, f"needs exactly one of env, file and command, and has {have}", at_key=True)
        if name in _OWNED_ENV:
            yield Finding(loc, f"{name} must not be set here: {_OWNED_ENV[name]}", "remove it", at_key=True)


def telemetry_has_its_url(context: Context) -> Iterator[Finding]:
    """A Prometheus to read from has an address, and nothing else has."""
    telemetry = context.spec.telemetry
    if telemetry.source == "prometheus" and not (telemetry.url or "").startswith(("http://", "https://")):
        hint = "write `telemetry: {source: prometheus, url: http://prometheus.example:9090}`"
        yield Finding(("telemetry",), "source prometheus needs the server's url", hint, at_key=True)
    if telemetry.source != "prometheus" and telemetry.url is not None:
        yield Finding(("telemetry", "url"), f"source {telemetry.source} reads from no server", "remove it", at_key=True)


def _looks_secret(key: str) -> bool:
    words = key.upper().split("_")
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in _NOT_SECRET_ENDINGS


SETTINGS_RULES: tuple[Rule, ...] = (
    owned_variables,
    no_literal_secrets,
    secrets_have_one_source,
    telemetry_has_its_url,
)

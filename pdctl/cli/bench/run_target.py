"""What is measured: the inventory's router, or any server at a URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pdctl.bench.drivers.endpoint import endpoint_of
from pdctl.bench.point import Target
from pdctl.bench.reach import deployed_target, layout_of
from pdctl.cli.bench.run_typed import Typed, Wanted
from pdctl.errors import UsageError
from pdctl.inventory.load import load
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment, Slo
from pdctl.model.load import Api, PromptKind


@dataclass(frozen=True, slots=True)
class Named:
    """`deployment` None: a URL that no inventory describes. `target.model` may be "" then, until it is asked."""

    target: Target
    layout: str = ""
    slo: Slo | None = None
    deployment: Deployment | None = None

    def with_model(self, model: str) -> Named:
        return replace(self, target=replace(self.target, model=model))


def named_target(typed: Typed, wanted: Wanted, inventory: Path) -> Named:
    """Asks nothing. Raises UsageError, BenchError (no URL), InventoryError."""
    api = Api(wanted.api)
    prompt = PromptKind.WORDS if api is Api.CHAT else PromptKind.TOKENS
    if typed.url is not None:
        endpoint_of(typed.url)
        base = Target(
            typed.url.rstrip("/"), typed.model or "", "server", gpus=wanted.gpus, usd_per_hour=wanted.usd_per_hour
        )
        named = Named(base)
    else:
        deployment = place(load(inventory))
        named = Named(deployed_target(deployment), layout_of(deployment), deployment.slo, deployment)
    target = replace(named.target, api=api, prompt=prompt, vocab=wanted.vocab, api_key=_key(typed.api_key_env))
    if typed.name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", typed.name):
            raise UsageError(f"--name {typed.name!r} is no name", hint="letters, digits, `.`, `_` and `-`")
        target = replace(target, deployment=typed.name)
    return replace(named, target=target)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise UsageError(f"--api-key-env {variable}: the variable is not set", hint="export it first")
    return value

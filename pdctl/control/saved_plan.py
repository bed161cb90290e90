"""A plan in a file: made now, looked at by somebody, and carried out later only if nothing has changed meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pdctl.control.lease import operator
from pdctl.control.planning import Planning, as_json
from pdctl.control.up import UpOptions
from pdctl.errors import PdctlError, StalePlan, UsageError
from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.plan.fingerprint import fingerprint, what_changed
from pdctl.plan.steps import Plan

VERSION = 1
_MOST_NAMED = 5
_HINT = "nothing was done; look at the new `pdctl plan`, and save that"


class SavedOptions(BaseModel):
    """What `plan` was asked for, and `up` does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    only: tuple[str, ...] | None
    at_once: int
    adopt: bool
    force: bool


class SavedPlan(BaseModel):
    """The file. `inventory` is the sha256 of the inventory's bytes, `world` the fingerprint of what was seen, `steps`
    the ids of all steps; `plan` is the document of `pdctl plan --json`, for people. No secret is in any of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pdctl-plan"]
    version: Literal[1]
    cluster: str
    inventory: str
    made_at: float
    made_by: str
    options: SavedOptions
    world: dict[str, str]
    steps: tuple[str, ...]
    plan: dict[str, Any]

    @property
    def up_options(self) -> UpOptions:
        only = None if self.options.only is None else frozenset(self.options.only)
        return UpOptions(only=only, at_once=self.options.at_once, adopt=self.options.adopt, force=self.options.force)

    def check_inventory(self, deployment: Deployment) -> None:
        """Raises StalePlan where the plan is for another cluster, or for the inventory as it was."""
        if deployment.cluster != self.cluster:
            raise StalePlan(f"the saved plan is for cluster {self.cluster}, not for {deployment.cluster}", hint=_HINT)
        if deployment.digest != self.inventory:
            raise StalePlan("the saved plan is stale: the inventory was edited since", hint=_HINT)

    def check_world(self, observed: Observed) -> None:
        """Raises StalePlan, with what changed, unless everything is as it was when the plan was made."""
        changes = what_changed(self.world, fingerprint(observed))
        if changes:
            more = f"; and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
            raise StalePlan(f"the saved plan is stale: {'; '.join(changes[:_MOST_NAMED])}{more}", hint=_HINT)

    def check_steps(self, plan: Plan) -> None:
        """Raises StalePlan if other steps would be taken: by another version of pdctl, for one."""
        if self.steps != tuple(step.id for step in plan.steps):
            raise StalePlan("the saved plan is stale: the same situation asks for other steps now", hint=_HINT)


def save_plan(planning: Planning, path: Path, now_s: float) -> None:
    """Write `planning` to `path`. `now_s`: wall clock. Raises PdctlError if it cannot be written."""
    options = planning.options
    saved = SavedPlan(
        kind="pdctl-plan",
        version=VERSION,
        cluster=planning.deployment.cluster,
        inventory=planning.deployment.digest,
        made_at=round(now_s, 3),
        made_by=operator(),
        options=SavedOptions(
            only=None if options.only is None else tuple(sorted(options.only)),
            at_once=options.at_once,
            adopt=options.adopt,
            force=options.force,
        ),
        world=dict(fingerprint(planning.observed)),
        steps=tuple(step.id for step in planning.plan.steps),
        plan=dict(as_json(planning)),
    )
    try:
        path.write_text(json.dumps(saved.model_dump(mode="json"), indent=2) + "\n")
    except OSError as error:
        raise PdctlError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


def read_plan(path: Path) -> SavedPlan:
    """The plan that lies at `path`. Raises UsageError where there is none, or where it is no plan of this version."""
    try:
        return SavedPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(
            f"{path} is no plan of this pdctl: {where}: {first['msg'].lower()}",
            hint="`pdctl plan --save FILE` writes one",
        ) from None

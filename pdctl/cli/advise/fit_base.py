"""What a fit begins with: the structure that the operator states, or a profile's, or the simulated engine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from pdctl.cli.advise.known_profiles import profiles
from pdctl.model.deployment import Parallel
from pdctl.model.role import Role
from pdctl.perf.layout import TransferModel
from pdctl.perf.profile import Limits, Profile
from pdctl.perf.step_time import LAPTOP


def base_profile(asked: Mapping[str, Any], *, model: str, parallel: Parallel | None, source: str) -> Profile:
    """`asked`: the command's options. `model` and `parallel`: what the runs say, where they do; a `--shape` wins.

    Raises UsageError for a start profile that there is none of, or a shape that is none.
    """
    shape = _shape(asked["shape"]) or parallel
    name = asked["save"] or "fitted"
    if asked["start"]:
        [start] = profiles([asked["start"]])
        base = replace(start, name=name, source=source, factors={})
        base = base if shape is None else replace(base, parallel=shape)
    else:
        base = Profile(name, "", model, shape or Parallel(), LAPTOP, source, transfer=TransferModel())
    changes = {"chunk_tokens": asked["chunk_tokens"], "max_seqs": asked["max_seqs"]}
    stated = {key: value for key, value in changes.items() if value is not None}
    limits = {role: replace(base.limits.get(role, Limits()), **stated) for role in Role}
    return replace(base, gpu=asked["gpu"] or base.gpu, model=model or base.model, limits=limits)


def _shape(text: str | None) -> Parallel | None:
    from pdctl.cli.advise.handoff import Shape

    if text is None:
        return None
    found = Shape().convert(text, None, click.get_current_context(silent=True))
    assert isinstance(found, Parallel)
    return found

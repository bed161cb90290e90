"""`pdctl advise fit --from-live`: the model's constants from what a serving cluster exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from pdctl.bench.live_samples import live_samples
from pdctl.bench.profile_store import save_profile
from pdctl.cli.advise.constants_text import constants
from pdctl.cli.advise.fit_base import base_profile
from pdctl.cli.advise.fit_directories_view import as_factors
from pdctl.cli.advise.fit_progress import progress
from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import UsageError
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.snapshot import Snapshot
from pdctl.perf.live_fit import LiveSample, fit_live, residuals
from pdctl.perf.profile import ModelError, Profile
from pdctl.perf.step_time import StepConstants


def live_fit(options: Globals, asked: Mapping[str, Any]) -> int:
    """Watch or read, fit, print, and save where that was asked for. Raises TooThin."""
    if asked["recording"]:
        from pdctl.telemetry.recording import Recording

        recording = Recording(asked["recording"])
        try:
            source = f"the recording {asked['recording']}"
            base = base_profile(asked, model="", parallel=None, source=source)
            return _tell(options, asked, base, live_samples(recording.since()))
        finally:
            recording.close()
    from pdctl.cli.advise.look import look

    def judge(snapshots: Sequence[Snapshot], deployment: Deployment) -> None:
        gpu, names = _kind(deployment, asked["gpu"])
        shapes = {each.parallel for each in deployment.instances if each.name in names}
        base = base_profile(
            {**asked, "gpu": gpu},
            model=deployment.model.name,
            parallel=shapes.pop() if len(shapes) == 1 else Parallel(),
            source=f"the live cluster {deployment.cluster}",
        )
        _tell(options, asked, base, live_samples(snapshots, names))

    return look(options, DURATION.convert(asked["watch_s"], None, None), judge)


def _kind(deployment: Deployment, gpu: str) -> tuple[str, frozenset[str]]:
    """The GPU kind to fit and its instances. Raises UsageError where there are several kinds and none was named: a
    profile belongs to one."""
    kinds = {each.name: deployment.nodes[each.leader.node].gpu or "" for each in deployment.instances}
    found = sorted(set(kinds.values()))
    if not gpu and len(found) > 1:
        raise UsageError(
            f"the fleet has several GPU kinds: {', '.join(found)}", hint="--gpu KIND: a profile belongs to one"
        )
    chosen = gpu or found[0]
    return chosen, frozenset(name for name, kind in kinds.items() if kind.casefold() == chosen.casefold())


def _tell(options: Globals, asked: Mapping[str, Any], base: Profile, samples: Sequence[LiveSample]) -> int:
    fitted, rest = (samples[::2], samples[1::2]) if asked["hold_out"] else (samples, ())
    with progress() as tell:
        found = fit_live(
            fitted,
            base.constants if asked["start"] else None,
            on_round=lambda done, rms: tell(f"fitting: round {done}, rms {rms:.4f}"),
        )
    off = _mean_error(rest or fitted, found.constants)
    fitted_on = f"{len(fitted)} windows of {len({one.instance for one in fitted})} instances"
    error = ModelError(off, off, off, off, off)
    profile = replace(base, constants=found.constants, factors=dict(found.factors), fitted_on=fitted_on, error=error)
    saved = save_profile(profile) if asked["save"] else None
    if options.json:
        body = {
            "profile": profile.name,
            "constants": {name: getattr(profile.constants, name) for name in StepConstants.__slots__},
            "factors": as_factors(profile),
            "not_told": list(found.untold),
            "windows": len(fitted),
            "mean_error": {"fitted": _mean_error(fitted, found.constants), "predicted": off if rest else None},
            "saved": None if saved is None else str(saved),
        }
        say_json(options, "fit_live", body, cluster="")
        return 0
    for line in constants(profile):
        click.echo(line)
    click.echo(
        f"mean absolute error of {'windows that were not fitted to' if rest else 'the windows'}: {100 * off:.1f} %"
    )
    if found.untold:
        click.echo(f"not told by what was seen: {', '.join(found.untold)}")
    if saved is not None:
        click.echo(f"saved: {saved}")
    return 0


def _mean_error(samples: Sequence[LiveSample], constants: StepConstants) -> float:
    errors = [abs(one) for one in residuals(samples, constants)]
    return sum(errors) / len(errors)

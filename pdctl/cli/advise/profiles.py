"""`pdctl advise profiles`."""

from __future__ import annotations

import math

import click

from pdctl.bench.profile_store import stored_profiles
from pdctl.cli.advise.constants_text import constants
from pdctl.cli.advise.known_profiles import profiles
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.perf.profile import ModelError, Profile
from pdctl.perf.step_time import StepConstants
from pdctl.text.escape import one_line


@click.command("profiles")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_obj
def command(options: Globals, names: tuple[str, ...]) -> int:
    """The profiles that an advice may use; of those that are named, their constants.

    A profile is what is known of one model on one GPU kind in one parallel layout. `pdctl advise fit` makes them.
    """
    found = profiles(names)
    if options.json:
        own = {each.name for each in stored_profiles()}
        said = [_as_json(each, built_in=each.name not in own) for each in found]
        say_json(options, "profiles", {"profiles": said}, cluster="")
        return 0
    width = max(len(each.name) for each in found)
    for each in found:
        if names:
            click.echo("\n".join(constants(each)))
        else:
            click.echo(f"{each.name:{width}}  {one_line(each.gpu) or '?':8} {_shape(each):9} {one_line(each.model)}")
    return 0


def _shape(profile: Profile) -> str:
    parallel = profile.parallel
    return f"tp{parallel.tp} dp{parallel.dp}{' ep' if parallel.ep else ''}"


def _as_json(profile: Profile, *, built_in: bool) -> dict[str, object]:
    return {
        "name": profile.name,
        "gpu": profile.gpu,
        "model": profile.model,
        "shape": _shape(profile),
        "constants": {name: getattr(profile.constants, name) for name in StepConstants.__slots__},
        "factors": {name: _finite(one) for name, one in profile.factors.items()},
        "error": {name: _finite(getattr(profile.error, name)) for name in ModelError.__slots__},
        "fitted_on": profile.fitted_on,
        "source": profile.source,
        "built_in": built_in,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

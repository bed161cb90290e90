"""Drivers by the names that the command line knows them by."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

from pdctl.bench.driver import Driver
from pdctl.bench.drivers.means import Means
from pdctl.errors import UsageError


def _builtin(means: Means) -> Driver:
    from pdctl.bench.drivers.builtin import BuiltinDriver

    return BuiltinDriver()


def _vllm(means: Means) -> Driver:
    from pdctl.bench.drivers.vllm_serve import VllmServe

    return VllmServe(means)


def _aiperf(means: Means) -> Driver:
    from pdctl.bench.drivers.aiperf import AiPerf

    return AiPerf(means)


def _guidellm(means: Means) -> Driver:
    from pdctl.bench.drivers.guidellm import GuideLlm

    return GuideLlm(means)


_FACTORIES: Final[dict[str, Callable[[Means], Driver]]] = {
    "builtin": _builtin,
    "vllm": _vllm,
    "guidellm": _guidellm,
    "aiperf": _aiperf,
}

DRIVERS: Final = tuple(_FACTORIES)
"""Their names, the default first."""


def driver_named(name: str, means: Means | None = None) -> Driver:
    """The driver of that name; whether its tool is installed shows when it runs. Raises UsageError for no driver's
    name."""
    make = _FACTORIES.get(name)
    if make is None:
        close = difflib.get_close_matches(name, DRIVERS, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"drivers are {', '.join(DRIVERS)}"
        raise UsageError(f"there is no driver {name!r}", hint=hint)
    return make(means or Means())

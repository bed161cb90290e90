"""The profiles that an advice may use: those that come with pdctl."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pdctl.errors import UsageError
from pdctl.perf.builtin_profiles import BUILTIN
from pdctl.perf.profile import Profile


def profiles(wanted: Sequence[str]) -> tuple[Profile, ...]:
    """Those of the names wanted, or all. Raises UsageError for a name that there is none of."""
    for name in wanted:
        if name not in BUILTIN:
            close = get_close_matches(name, BUILTIN, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(BUILTIN)}"
            raise UsageError(f"there is no profile {name!r}", hint=hint)
    return tuple(BUILTIN[name] for name in (wanted or BUILTIN))

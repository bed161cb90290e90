"""The profiles that an advice may use: the operator's own, and those that come with pdctl."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pdctl.bench.profile_store import stored_profiles
from pdctl.errors import UsageError
from pdctl.perf.builtin_profiles import BUILTIN
from pdctl.perf.profile import Profile


def profiles(wanted: Sequence[str]) -> tuple[Profile, ...]:
    """Those of the names wanted, or all, the operator's own first. Raises UsageError for a name that there is none of,
    BenchError where a file of the operator's is no profile."""
    known = {**{each.name: each for each in stored_profiles()}, **BUILTIN}
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
            raise UsageError(f"there is no profile {name!r}", hint=hint)
    return tuple(known[name] for name in (wanted or known))

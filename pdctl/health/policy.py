"""How the operator's policy meets a check: what an unknown counts as, how bad a failure is, and typing errors in it.

Defaults. An unknown warns, except where the check is `essential` (it rests on files that every user of a healthy node
can read, like the number of GPUs or a port's state), where it blocks: not being able to read those means that the
driver is not there or hangs. Everything else may be unknown for lack of a tool or of root, and a gate that blocks on
that would only teach people `--skip-checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pdctl.errors import InventoryError
from pdctl.health.finding import Severity
from pdctl.model.check_policy import CheckPolicy, SeverityIs, UnknownIs


def unknown_is(policy: CheckPolicy, check: str, *, essential: bool) -> UnknownIs:
    """What an unknown of this check counts as."""
    return policy.unknown_override(check) or (UnknownIs.BLOCK if essential else UnknownIs.WARN)


def severity_of(policy: CheckPolicy, check: str, own: Severity) -> Severity | None:
    """The check's severity after overrides; None: it is switched off."""
    said = policy.severity_override(check)
    if said is None:
        return own
    return None if said is SeverityIs.OFF else Severity(said.value)


def refuse_unknown_names(policy: CheckPolicy, checks: Iterable[str], pins: Iterable[str]) -> None:
    """Raises InventoryError for patterns that match no check and pins of nothing: a misspelt rule would be no rule.

    `checks` are the ids that there are, `pins` the names that can be pinned.
    """
    problems = tuple(str(each) for each in misspelt(policy, tuple(checks), tuple(pins)))
    if problems:
        raise InventoryError(
            "the inventory's `checks` name what does not exist",
            problems=problems,
            hint="`pdctl check --list` shows every check",
        )


@dataclass(frozen=True, slots=True)
class Misspelt:
    """A rule about something that does not exist: its place in the inventory, and what was probably meant."""

    loc: tuple[str, ...]
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{'.'.join(self.loc[:2])}: {self.message}" + (f"; {self.hint}" if self.hint else "")


def misspelt(policy: CheckPolicy, checks: tuple[str, ...], pins: tuple[str, ...]) -> Iterator[Misspelt]:
    """Patterns that match no check, and pins of nothing."""
    for section, patterns in (("unknown", policy.unknown), ("severity", policy.severity)):
        for pattern in patterns:
            if not any(fnmatchcase(check, pattern) for check in checks):
                yield Misspelt(("checks", section, pattern), f"no check matches {pattern!r}", _near(pattern, checks))
    for name in policy.pinned:
        if name not in pins:
            yield Misspelt(("checks", "pinned", name), f"{name!r} cannot be pinned", _near(name, pins))


def _near(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""

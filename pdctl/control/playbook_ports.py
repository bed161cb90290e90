"""What the run of a playbook needs of the world: its verbs, and somebody to ask. The fakes are in the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pdctl.control.journal import Session
from pdctl.plan.playbook_program import Task


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended: an exit code of pdctl, and in words what came of it.

    `pause`: it could not be decided now; the run stops there whatever the step says of failures.
    """

    code: int
    said: str = ""
    hint: str = ""
    pause: bool = False


class Verbs(Protocol):
    """Does single steps. Every one is idempotent: a step whose controller died with it is done again."""

    async def do(self, task: Task, session: Session, was: str | None, *, again: bool) -> Ended:
        """Do it. `was`: for `put back`, what is to be written. `again`: it was begun before, and may be half done.

        Raises PdctlError's kinds, which fail the step.
        """
        ...

    def written(self, task: Task) -> str | None:
        """For `set`: the scalar as it is written now. None for other verbs. Raises PdctlError's kinds."""
        ...


class Ask(Protocol):
    """Asks the operator."""

    async def __call__(self, question: str, answers: tuple[str, ...]) -> str | None:
        """One of `answers`; None where nobody is there to ask."""
        ...

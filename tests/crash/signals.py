"""An operator who presses Ctrl-C at a certain event."""

from __future__ import annotations

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.model.events import Event
from tests.crash.world import UseCase


def asking_at(act: UseCase, number: int, seen: list[Event]) -> UseCase:
    """The same command with one signal at its event of that number (-1: none); `seen` takes all of them."""

    async def asks(opened: Opened, session: Session) -> int:
        def sink(event: Event) -> None:
            seen.append(event)
            if len(seen) - 1 == number:
                session.interrupt.ask()
            session.sink(event)

        return await act(opened, Session(sink, session.interrupt, session.run))

    return asks

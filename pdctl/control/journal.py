"""Where a run's events go: to the operator's view at once, and into the cluster's journal on the lease node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pdctl.control.clock import Clock
from pdctl.control.execute import Interrupt
from pdctl.control.lease import Lease, operator
from pdctl.errors import LeaseHeld, PdctlError
from pdctl.model.events import Event, StepProgress, as_json

Sink = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Session:
    """One command's line to its operator: where events go, what their signals set, and the name of the run."""

    sink: Sink
    interrupt: Interrupt
    run: str


class JournaledEvents:
    """Emits events. A step's start is in the journal before its effect; without a journal nothing new is started."""

    def __init__(self, session: Session, clock: Clock, cluster: str) -> None:
        self._session = session
        self._clock = clock
        self._cluster = cluster
        self._lease: Lease | None = None
        self._trouble: PdctlError | None = None

    def must_work(self) -> None:
        """Raises what keeps entries from being written: before anything is changed, that is a refusal."""
        if self._trouble is not None:
            raise self._trouble

    def attach(self, lease: Lease) -> None:
        """Journal through this lease from now on; its loss stops the run."""
        self._lease = lease
        lease.lost().add_done_callback(self._on_lost)

    def _on_lost(self, reason: asyncio.Future[str]) -> None:
        if not reason.cancelled():
            self._session.interrupt.stop(f"the lease was lost: {reason.result()}", LeaseHeld.exit_code)

    def show(self, event: Event) -> None:
        """To the operator only (progress)."""
        self._session.sink(event)

    async def __call__(self, event: Event) -> None:
        if self._lease is not None and not isinstance(event, StepProgress):
            entry = as_json(event, ts=self._clock.time(), run=self._session.run, cluster=self._cluster)
            try:
                await self._lease.journal({**entry, "operator": operator()})
            except PdctlError as error:
                self._trouble = self._trouble or error
                self._session.interrupt.stop(error.message, error.exit_code)
        self._session.sink(event)

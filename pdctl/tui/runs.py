"""The run that this terminal has under way: it goes on whichever screen is shown, and is stopped in order.

No widget here: screens look at `view` and are told when it changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pdctl.control.clock import Clock, SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Proposal
from pdctl.control.request import Request
from pdctl.errors import PdctlError, UsageError
from pdctl.model.events import Event
from pdctl.tui.ports import Operations
from pdctl.tui.run_view import RunView, begun, crashed, reduce

Changed = Callable[[], None]


@dataclass(slots=True)
class Runs:
    """At most one run at a time, and how the last one ended."""

    operations: Operations
    clock: Clock = field(default_factory=SystemClock)
    ended_now: Changed = lambda: None
    """Called once at the end of each run."""
    view: RunView | None = None
    proposal: Proposal | None = None
    _listeners: list[Changed] = field(default_factory=list)
    _interrupt: Interrupt = field(default_factory=Interrupt)
    _task: asyncio.Task[None] | None = None
    _going: bool = False

    @property
    def under_way(self) -> bool:
        return self._going

    def listen(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` after every change of `view`; the answer ends that."""
        self._listeners.append(changed)

        def stop() -> None:
            if changed in self._listeners:
                self._listeners.remove(changed)

        return stop

    def start(self, proposal: Proposal, request: Request) -> None:
        """Do it, in a task of its own. Raises UsageError while another run is under way."""
        if self.under_way:
            raise UsageError("a run is under way", hint="wait for its end, or cancel it")
        self.proposal = proposal
        self._interrupt = Interrupt()
        self.view = begun(proposal, self.clock.monotonic())
        self._going = True
        self._task = asyncio.create_task(self._go(request, self._interrupt), name=f"run of {proposal.plan.command}")
        self._tell()

    def stop(self) -> None:
        """The first call asks to stop at the next safe point; the second insists on now."""
        if not self.under_way or self.view is None:
            return
        self.view = replace(self.view, stopping=True)
        self._interrupt.ask("cancelled by the operator")
        self._tell()

    @property
    def insisted(self) -> bool:
        """Whether the second call was made: nothing is waited for any more."""
        return self._interrupt.insisted.is_set()

    async def ended(self) -> None:
        """Wait for the end of the run under way."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def _sink(self, event: Event) -> None:
        assert self.view is not None
        self.view = reduce(self.view, event, self.clock.monotonic())
        self._tell()

    async def _go(self, request: Request, interrupt: Interrupt) -> None:
        """Never raises: how it ended is in `view`."""
        try:
            code = await self.operations.carry_out(request, self._sink, interrupt)
        except PdctlError as error:
            self._crash(error.message, error.hint, error.exit_code)
        except asyncio.CancelledError:  # insisted on, or this terminal ends
            self._crash("stopped at once", "ask for it again to go on from what is there", 130)
        except Exception as error:  # a defect of ours is the end of this run, not of the screen
            self._crash(f"internal error: {error!r}", "please report this", 1)
        else:
            if self.view is not None and not self.view.ended:
                self._crash("it ended without a word", "", code)
        self._going = False
        self._tell()
        self.ended_now()

    def _crash(self, cause: str, hint: str, exit_code: int) -> None:
        if self.view is not None and not self.view.ended:
            self.view = crashed(self.view, cause, hint, exit_code, self.clock.monotonic())

    def _tell(self) -> None:
        for changed in tuple(self._listeners):
            changed()


def what_cancel_means(view: RunView) -> str:
    """In words, what cancelling does now: it depends on what has been passed."""
    if view.ended:
        return "it has ended: there is nothing to cancel"
    if not view.no_return:
        back = "what is not drained yet is put back into service" if view.command == "drain" else _FINISHED
        return f"{back}; ask for it again to go on from there"
    if not view.passed:
        return "nothing was moved yet: what was taken out of service is put back, and the inventory stays as it is"
    ahead = "; slots that are not that far are put back" if view.returns else ""
    return (
        f"the point of no return is behind: the inventory says the new pool. {_FINISHED}{ahead}; `pdctl up` finishes "
        "what is left, a move the other way takes it back"
    )


_FINISHED = "What is being changed is finished, nothing new is started"

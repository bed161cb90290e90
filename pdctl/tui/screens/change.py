"""The way to a plan: what a change still needs to know is asked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdctl.control.request import DrainRequest, MoveRequest, Request, RestartRequest, UndrainRequest
from pdctl.tui.requested import pool_choices
from pdctl.tui.screens.ask import AskReason, ChoosePool
from pdctl.tui.screens.plan import PlanScreen

if TYPE_CHECKING:
    from pdctl.tui.app import PdctlApp


def open_change(app: PdctlApp, kind: str, selectors: tuple[str, ...], *, to: str = "") -> None:
    """Ask what `kind` (move, drain, undrain, restart) of these slots still needs to know, then show its plan. `to`: the
    pool of a move, "" where it is still to be chosen."""
    if app.runs.under_way:
        app.notify("a run is under way: one at a time", severity="warning")
        app.push_screen(PlanScreen.of_run())
        return

    def show(request: Request) -> None:
        app.push_screen(PlanScreen(request))

    what = ", ".join(selectors)
    match kind:
        case "move" if to:
            show(MoveRequest(selectors, to))
        case "move":

            def chosen(pool: str | None) -> None:
                if pool:
                    show(MoveRequest(selectors, pool))

            app.push_screen(ChoosePool(what, pool_choices(app.operations.deployment, app.shown, selectors)), chosen)
        case "drain":

            def explained(reason: str | None) -> None:
                if reason is not None:
                    show(DrainRequest(selectors, reason=reason))

            app.push_screen(AskReason(what), explained)
        case "undrain":
            show(UndrainRequest(selectors))
        case _:
            show(RestartRequest(selectors))

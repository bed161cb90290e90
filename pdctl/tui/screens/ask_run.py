"""The question about a run under way: go on, leave it alone, or cancel; with what that means now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pdctl.tui.runs import Runs, what_cancel_means
from pdctl.tui.screens.ask import AskStop

if TYPE_CHECKING:
    from pdctl.tui.run_keys import RunKeys


def ask_about_run(app: RunKeys, *, leave: Callable[[], object]) -> None:
    """Of the run that is looked at: say what cancelling means now. `leave` leaves its screen, and it goes on."""
    answers = [("wait", "Go on"), ("leave", "Leave, it goes on"), ("stop", _stop_word(app.runs))]

    def answered(answer: str | None) -> None:
        if answer == "stop":
            app.runs.stop()
        elif answer == "leave":
            leave()

    app.push_screen(AskStop("Cancel the run?", _meaning(app.runs), answers), answered)


def ask_before_leaving(app: RunKeys) -> None:
    """Of the run under way, by who leaves the terminal: it ends with the run, or not at all."""
    answers = [("stay", "Stay"), ("wait", "Leave after its end"), ("stop", f"{_stop_word(app.runs)} and leave")]

    def answered(answer: str | None) -> None:
        if answer == "stop":
            app.runs.stop()
        if answer in ("stop", "wait"):
            app.quit_after_run()

    app.push_screen(AskStop("A run is under way.", f"To cancel it: {_meaning(app.runs)}", answers), answered)


def _stop_word(runs: Runs) -> str:
    stopping = runs.view is not None and runs.view.stopping
    return "Stop at once" if stopping else "Cancel"


def _meaning(runs: Runs) -> str:
    if runs.view is None or not runs.view.stopping:
        return "" if runs.view is None else what_cancel_means(runs.view)
    return (
        "it stops already, once what is being changed is finished. Stopping at once leaves that half done; nobody sees "
        "how it ends, and the next run finds out"
    )

"""The run under way, for the app: its place in the first line, its screen, and leaving while it works."""

from __future__ import annotations

import asyncio
import signal

from pdctl.tui.runs import Runs
from pdctl.tui.transport_keys import TransportKeys


class RunKeys(TransportKeys):
    """`runs` is the app's; a run outlives every screen, and nobody leaves without a word about it."""

    runs: Runs

    def run_mark(self) -> str:
        """`move 3/8` while one is under way."""
        return self.runs.view.short if self.runs.under_way and self.runs.view is not None else ""

    def watch_signals(self) -> None:
        """A terminal that is closed, or a request to end: what runs is stopped in order first."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.hang_up)

    def hang_up(self) -> None:
        """Leave; of a run under way, at its next safe point. The second time waits for nothing."""
        if self.runs.under_way:
            self.runs.stop()
            self.quit_after_run()
        else:
            self._end(130)

    def say_end(self) -> None:
        """Say how a run ended, whichever screen is shown."""
        view = self.runs.view
        if view is None or not view.ended:
            return
        good = view.exit_code == 0
        title = f"{view.command}: {'done' if good else f'exit status {view.exit_code}'}"
        self.notify(view.ending or "done", title=title, severity="information" if good else "warning", timeout=8)

    def action_show_run(self) -> None:
        """Show the run under way, or the last one."""
        from pdctl.tui.screens.plan import PlanScreen

        if self.runs.view is None:
            self.notify("nothing was run from this terminal yet", timeout=2)
        elif not isinstance(self.screen, PlanScreen):
            self.push_screen(PlanScreen.of_run())

    async def action_quit(self) -> None:
        """Leave; while a run is under way, ask first."""
        from pdctl.tui.screens.ask_run import ask_before_leaving

        if self.runs.under_way:
            ask_before_leaving(self)
        else:
            self._end(0)

    def quit_after_run(self) -> None:
        """Leave as soon as the run under way has ended."""
        self.notify("leaving as soon as the run has ended")
        self.run_worker(self._leave(), group="leave", exclusive=True, exit_on_error=False)

    async def _leave(self) -> None:
        await self.runs.ended()
        view = self.runs.view
        self._end(view.exit_code if view is not None and view.exit_code else 0)

    def _end(self, exit_code: int) -> None:
        """Leave. The code is the app's result too, and what `pdctl` ends with."""
        self.exit(exit_code, return_code=exit_code)

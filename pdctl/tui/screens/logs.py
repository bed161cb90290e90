"""Logs of one or several instances, merged by time: follow, pause, search, level, wrap, copy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection

from pdctl.errors import PdctlError
from pdctl.model.observed import Trouble
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.supervisors.ports import LogLine
from pdctl.tui.log_buffer import Entry
from pdctl.tui.log_level import LogLevel
from pdctl.tui.palette import Palette
from pdctl.tui.ports import Operations
from pdctl.tui.screens.ask import BOX_CSS
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.spans import Ink, Inked, Span
from pdctl.tui.widgets.bars import Line
from pdctl.tui.widgets.canvas import ink_styles, inked_strip
from pdctl.tui.widgets.log_panel import LogPanel

BACKLOG: Final = 200
"""Lines of each unit that are asked for before what is added."""
FLUSH_S: Final = 0.1
FLUSH_LINES: Final = 1_000
"""Lines reach the screen in batches: so many at a time, so that a flood of them never holds up a key."""
YIELD_LINES: Final = 100
FEW: Final = 8
"""With no more instances than this, all are shown where nothing was chosen."""
_LEVELS: Final = (LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARNING, LogLevel.ERROR)

Heard = tuple[str, LogLine | Trouble]


class LogsScreen(ViewScreen):
    """`follow` chooses the units; without a choice, those of a small cluster, or the router's."""

    VIEW = "logs"

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, ...] = ()
        self.panel = LogPanel(lambda: self.look, id="log")
        self.status = Line(self._status_strip, lambda: self.look)
        self._waiting: list[Heard] = []
        self._flushing = False
        self._ready = False  # whether its widgets are there

    def body(self) -> ComposeResult:
        yield self.status
        yield self.panel

    def on_mount(self) -> None:
        self.panel.focus()
        self._ready = True
        self.follow(self.names or default_names(self.pdctl.operations))

    def follow(self, names: Sequence[str]) -> None:
        """Show the logs of these, and what is added to them."""
        self.names = tuple(names)
        self._waiting.clear()
        if self._ready:
            self.panel.begin(self.names)
            self.read(self.names)

    @work(exclusive=True, group="logs", exit_on_error=False, description="logs of the chosen units")
    async def read(self, names: tuple[str, ...]) -> None:
        """Take lines as they come; what goes wrong is said among them."""
        if not names:
            return
        try:
            count = 0
            async for heard in self.pdctl.operations.logs(names, lines=BACKLOG):
                self._hear(heard)
                count += 1
                if count % YIELD_LINES == 0:
                    await asyncio.sleep(0)
        except PdctlError as error:
            self._hear((names[0], Trouble(error.message, error.hint, error.exit_code)))
        except Exception as error:  # a defect of ours is said, and the screen goes on
            self._hear((names[0], Trouble(f"internal error: {error!r}", "please report this")))

    def _hear(self, heard: Heard) -> None:
        self._waiting.append(heard)
        if len(self._waiting) > 2 * self.panel.buffer.capacity:  # more than can be kept
            del self._waiting[: self.panel.buffer.capacity]
        if not self._flushing:
            self._flushing = True
            self.set_timer(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Put what waits on the screen, so much at a time."""
        self._flushing = False
        batch, self._waiting = self._waiting[:FLUSH_LINES], self._waiting[FLUSH_LINES:]
        if batch:
            self.panel.take(batch, self.pdctl.wall())
        if self._waiting:
            self._flushing = True
            self.set_timer(FLUSH_S / 5, self.flush)

    def on_log_panel_changed(self, message: LogPanel.Changed) -> None:
        message.stop()
        self.redraw()
        self.status.again()

    def _status_strip(self, look: Palette, width: int) -> Strip:
        return inked_strip(self.status_line(width), look, ink_styles(look), width)

    # --- what is said of it

    def subject(self) -> str:
        return " ".join(self.names)

    def chip(self) -> str:
        """`follows`, or `paused +12 new`."""
        fresh = f" +{self.panel.fresh} new" if self.panel.fresh else ""
        return "follows" if self.panel.following else f"paused{fresh}"

    def status_line(self, width: int) -> Inked:
        """`n1.main.0, n2.main.0  1234 lines  warning and up  /lost 2 of 7`; of many units, how many."""
        panel = self.panel
        told = [f"{len(panel.buffer.shown)} lines"]
        if panel.buffer.dropped:
            told.append(f"{panel.buffer.dropped} older ones let go")
        if panel.buffer.least > LogLevel.DEBUG:
            told.append(f"{panel.buffer.least.name.lower()} and up")
        if panel.searched:
            place, count = panel.search_place()
            told.append(f"/{panel.searched} {place} of {count}")
        rest = "  ".join(told)
        names, room = ", ".join(self.names), width - len(rest) - 4
        who = names if len(names) <= room else f"{len(self.names)} units"
        if not self.names:
            nothing = f"there are no logs here: {self.pdctl.operations.read_only}" if not self._known() else ""
            return (Span(f" {nothing or 'no unit is chosen: i chooses'}", Ink.DIM),)
        return (Span(f" {who}  ", Ink.BOLD), Span(rest, Ink.DIM))

    def _known(self) -> bool:
        """Whether anything here has logs."""
        return bool(all_names(self.pdctl.operations))

    def apply_filter(self, text: str) -> str:
        count = self.panel.search(text)
        return "" if count or not text else f"nothing holds {text!r}"

    # --- keys

    def action_log_search(self) -> None:
        self.prompt.ask("filter", hint="text to look for; n and N go on, esc clears")

    def action_log_next(self) -> None:
        self._found(self.panel.search_next(forward=True))

    def action_log_previous(self) -> None:
        self._found(self.panel.search_next(forward=False))

    def _found(self, found: bool) -> None:
        if not found:
            self.complain("nothing to go to" if self.panel.searched else "search with / first")

    def action_log_follow(self) -> None:
        """Follow, or stay."""
        if self.panel.following:
            self.panel.pause()
        else:
            self.panel.follow()

    def action_log_level(self) -> None:
        """The next of: all, info, warning, error and up."""
        place = _LEVELS.index(self.panel.buffer.least) if self.panel.buffer.least in _LEVELS else -1
        self.panel.show_from(_LEVELS[(place + 1) % len(_LEVELS)])

    def action_log_wrap(self) -> None:
        self.panel.set_wrap(not self.panel.wrap)

    def action_log_copy(self) -> None:
        """Copy the line, or the selected ones (shift and arrows), to the terminal's clipboard (OSC 52)."""
        chosen = self.panel.selected()
        if chosen:
            self.app.copy_to_clipboard(as_text(chosen, tagged=len(self.names) > 1))
            self.notify(f"{len(chosen)} line" + ("" if len(chosen) == 1 else "s"), title="copied", timeout=2)

    def action_log_units(self) -> None:
        """Choose whose logs are shown."""

        def chosen(names: tuple[str, ...] | None) -> None:
            if names:
                self.follow(names)

        self.app.push_screen(ChooseUnits(all_names(self.pdctl.operations), self.names), chosen)


class ChooseUnits(ModalScreen[tuple[str, ...]]):
    """Which units; nothing where the operator changes their mind."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(())", "Cancel"),
        Binding("enter", "choose", "Show", priority=True),
    ]
    DEFAULT_CSS = BOX_CSS.format(name="ChooseUnits") + "ChooseUnits SelectionList { height: auto; max-height: 18; }"

    def __init__(self, names: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._names, self._chosen = names, chosen

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Whose logs? space marks, enter shows")
            units = (Selection(Text(name), name, name in self._chosen) for name in self._names)
            yield SelectionList[str](*units, compact=True)

    def action_choose(self) -> None:
        picked = set(self.query_one(SelectionList).selected)
        self.dismiss(tuple(name for name in self._names if name in picked))


def as_text(entries: Sequence[Entry], *, tagged: bool) -> str:
    """Lines to paste elsewhere: with their units where there are several."""
    return "\n".join(f"{entry.unit} | {entry.text}" if tagged else entry.text for entry in entries)


def all_names(operations: Operations) -> tuple[str, ...]:
    """Everything that has a log: instances, then router and registrar; nothing where no inventory is known."""
    names = tuple(instance.name for instance in operations.deployment.instances)
    return (*names, ROUTER, REGISTRAR) if names else ()


def default_names(operations: Operations) -> tuple[str, ...]:
    """What is shown where nothing was chosen."""
    names = all_names(operations)
    return names if len(names) <= FEW + 2 else names[-2:]

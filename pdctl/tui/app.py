"""The terminal application: modes for the views, one worker that reads the feed, and the actions that are everywhere.

It shows and asks; every effect is one of `Operations`, the use cases that the CLI has too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import events, work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot
from pdctl.tui.actions import Action, Danger, action, actions_on, everywhere, twin, with_keys
from pdctl.tui.commands import parse_command, words
from pdctl.tui.history import History
from pdctl.tui.lag import Lag
from pdctl.tui.messages import FeedEnded, SnapshotReady
from pdctl.tui.palette import Palette, palette
from pdctl.tui.ports import Feed, Operations
from pdctl.tui.run_keys import RunKeys
from pdctl.tui.runs import Runs
from pdctl.tui.screens.base import ViewScreen, bindings
from pdctl.tui.settings import INTERVALS_S, Settings
from pdctl.tui.themes import THEMES
from pdctl.tui.view_screens import ReadStyles, preload, screen_of
from pdctl.tui.views import VIEWS
from pdctl.tui.widgets.bars import Heading

if TYPE_CHECKING:
    from pdctl.tui.advising import Adviser

STORY_LINES: Final = 60


class PdctlApp(RunKeys):
    """pdctl's terminal. `feed`, `operations` and `settings` come from the CLI or a test; `wall` gives Unix seconds,
    `moment` monotonic ones."""

    TITLE = "pdctl"
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    .-ascii ModalScreen > Vertical { border: ascii $primary; }
    .-ascii * { scrollbar-size: 0 0; }
    .-ascii #detail, .-ascii #decisions { border-top: ascii $panel; }
    .-ascii .-wide #decisions { border-top: none; border-left: ascii $panel; }
    .-ascii SearchIcon { display: none; }
    .-ascii CommandPalette #--input, .-ascii CommandPalette CommandList { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(everywhere())

    def __init__(
        self,
        feed: Feed,
        operations: Operations,
        settings: Settings | None = None,
        *,
        adviser: Adviser | None = None,
        wall: Callable[[], float] = time.time,
        moment: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.feed, self.operations, self.settings, self.wall = feed, operations, settings or Settings(), wall
        self.adviser = adviser  # None: a process of its own
        self.moment, self.lag = moment, Lag()
        self.painted = asyncio.Event()  # the first picture is there
        self.latest: Snapshot | None = None
        self.trouble = ""
        self.window_s = 10
        self.history = History()
        self.past: Callable[[float], Iterator[Snapshot]] | None = None  # of a recording: what was before that time
        self.runs = Runs(operations, ended_now=self.say_end)
        self.runs.listen(self._redraw)
        self._frozen: Snapshot | None = None
        self._mark = ""
        self.story: tuple[str, ...] = ()
        self._look: Palette | None = None
        self.read_styles = ReadStyles()
        self._before = self.settings.start
        for item in VIEWS:
            self._modes[item.id] = partial(screen_of, item, self)

    # --- what screens ask

    @property
    def shown(self) -> Snapshot | None:
        """The snapshot that screens show: the newest, or the frozen one."""
        return self._frozen or self.latest

    @property
    def look(self) -> Palette:
        """The styles of the theme."""
        if self._look is None:
            self._look = palette(self.theme_variables, ascii_only=self.settings.ascii_only)
        return self._look

    def heading(self) -> Heading:
        """What the first line says now."""
        shown = self.shown
        age_s = max(0.0, self.wall() - shown.taken_s) if shown is not None else None
        cluster = shown.cluster if shown is not None else self.operations.deployment.cluster
        mark = "  ".join(text for text in (self.run_mark(), self.time_mark(), self._mark) if text)
        return Heading(
            cluster, shown, age_s, self.operations.read_only, self.trouble, self._frozen is not None, mark, self._past()
        )

    def _past(self) -> bool:
        """Whether what is shown was live once."""
        transport = self.feed.transport
        return transport is not None and transport.live

    def announce(self, text: str, story: Sequence[str] = ()) -> None:
        """Say this in the first line, until it is called with ""; for what goes on beside the screens. The last lines
        of the `story` stand in the place of a view as long as there is nothing to show."""
        self._mark = text
        self.story = (*self.story, *story)[-STORY_LINES:]
        if self.is_running and isinstance(self.screen, ViewScreen) and self.screen.is_mounted:
            self.screen.tell()
            self.screen.redraw()

    def keyed(self, actions: Sequence[Action]) -> tuple[Action, ...]:
        """The actions with the operator's own keys."""
        return with_keys(actions, self.settings.keymap)

    def refusal(self, item: Action) -> str:
        """Why that action is refused here, "" where it is not."""
        return self.operations.read_only if item.danger is not Danger.SAFE else ""

    def allowed(self, name: str) -> bool | None:
        """None (greyed, and the key does nothing) for an action that is refused."""
        item = action(name)
        return None if item is not None and self.refusal(item) else True

    # --- life

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.settings.theme if self.settings.theme in self.available_themes else THEMES[0].name
        if self.settings.keymap:
            self.set_keymap({name: ",".join(keys) for name, keys in self.settings.keymap.items()})
        if not self.is_headless:
            self.watch_signals()
        self.set_class(self.settings.ascii_only, "-ascii")
        self.switch_mode(self.settings.start)
        self.call_after_refresh(self.painted.set)
        self.read_feed()
        if self.settings.timers:
            self.set_interval(1.0, self._grow_old)
            self.call_after_refresh(self.load_the_rest)

    @work(thread=True, group="imports", exit_on_error=False, description="modules that keys lead to")
    def load_the_rest(self) -> None:
        """So that the first press of a key does not wait for imports."""
        preload()

    @work(exclusive=True, group="feed", exit_on_error=False, description="snapshots of the cluster")
    async def read_feed(self) -> None:
        """Hand the feed's snapshots on, until it ends."""
        trouble = ""
        try:
            async for snapshot in self.feed.snapshots():
                self.post_message(SnapshotReady(snapshot, self.moment()))
        except PdctlError as error:
            trouble = error.message
        except Exception as error:  # a defect of a feed is said on the screen, which must go on
            trouble = f"internal error: {error!r}"
        self.post_message(FeedEnded(trouble))

    def on_snapshot_ready(self, message: SnapshotReady) -> None:
        self.latest = message.snapshot
        taken_s = message.snapshot.taken_s
        if self.past is not None and self.history.elsewhere(taken_s):
            self.recall_past(self.past(taken_s))
        if self.feed.transport is None or not self.feed.transport.live or not self.looks_back:
            self.history.add(message.snapshot)
        else:
            self.history.look_at(taken_s)  # what a live cluster was some time ago is in it already
        self.trouble = ""
        self._hand_on()
        if self.lag.slower(self.moment() - message.sent_s, self.feed.interval_s):
            self._rate(+1, "the terminal is slow: ")

    @work(exclusive=True, group="past", exit_on_error=False, description="charts of what a recording holds")
    async def recall_past(self, snapshots: Iterator[Snapshot]) -> None:
        """Charts show what was before the place that was gone to."""
        from pdctl.tui.past import recall

        await recall(self.history, snapshots)

    def on_feed_ended(self, message: FeedEnded) -> None:
        self.trouble = message.trouble
        self._grow_old()

    def _hand_on(self) -> None:
        screen = self.screen
        if isinstance(screen, ViewScreen) and screen.is_mounted:
            with self.batch_update():
                screen.take(self.shown)

    def _grow_old(self) -> None:
        screen = self.screen
        if isinstance(screen, ViewScreen) and screen.is_mounted:
            screen.take(None)

    def _redraw(self) -> None:
        if isinstance(self.screen, ViewScreen) and self.screen.is_mounted:
            self.screen.redraw()

    def refresh_css(self, animate: bool = True) -> None:
        super().refresh_css(animate)
        self.read_styles.note(self)

    def watch_theme(self, theme: str) -> None:
        self._look = None
        self.call_after_refresh(self._redraw)

    # --- actions that are everywhere

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.allowed(action)

    def on_key(self, event: events.Key) -> None:
        """A key that nothing took: if it belongs to an action that is refused here, say why."""
        scope = self.screen.VIEW if isinstance(self.screen, ViewScreen) else ""
        for item in self.keyed(actions_on(scope)):
            if event.key in item.keys and (why := self.refusal(item)):
                self.notify(f"{item.title} is refused: {why}", severity="warning")
                event.stop()

    def go(self, name: str) -> None:
        """Show that view."""
        if name != self.current_mode:
            self._before = self.current_mode
            self.switch_mode(name)

    def action_go_pulse(self) -> None:
        self.go("pulse")

    def action_go_nodes(self) -> None:
        self.go("nodes")

    def action_go_matrix(self) -> None:
        self.go("matrix")

    def action_go_health(self) -> None:
        self.go("health")

    def action_go_logs(self) -> None:
        self.go("logs")

    def action_go_activity(self) -> None:
        self.go("activity")

    def action_go_advisor(self) -> None:
        self.go("advisor")

    def action_last_view(self) -> None:
        self.go(self._before)

    def action_pause(self) -> None:
        """Freeze what is shown; a recording pauses instead."""
        if self.feed.transport is not None:
            self.feed.transport.toggle()
        else:
            self._frozen = None if self._frozen is not None else self.latest
            self._hand_on()
        self._redraw()

    def action_slower(self) -> None:
        self._rate(+1)

    def action_faster(self) -> None:
        self._rate(-1)

    def _rate(self, step: int, why: str = "") -> None:
        nearest = min(range(len(INTERVALS_S)), key=lambda place: abs(INTERVALS_S[place] - self.feed.interval_s))
        interval_s = INTERVALS_S[min(max(nearest + step, 0), len(INTERVALS_S) - 1)]
        if interval_s != self.feed.interval_s:
            self.feed.set_interval(interval_s)
            self.notify(f"{why}one look every {interval_s:g} s", timeout=2)

    def action_next_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        place = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(place + 1) % len(names)]
        self.settings = replace(self.settings, theme=self.theme)

    def action_window(self) -> None:
        """The next of the windows that figures are taken over."""
        from pdctl.model.snapshot import WINDOWS_S

        self.window_s = WINDOWS_S[(WINDOWS_S.index(self.window_s) + 1) % len(WINDOWS_S)]
        screen = self.screen
        if isinstance(screen, ViewScreen) and self.shown is not None:
            screen.show(self.shown)
        self.notify(f"figures over {self.window_s} s", timeout=2)

    def action_copy_command(self) -> None:
        """Copy the command that shows, or does, what this screen does."""
        if isinstance(self.screen, ViewScreen):
            text = self.screen.command()
            self.copy_to_clipboard(text)
            self.notify(text, title="copied")

    @work(exclusive=True, group="save", exit_on_error=False, description="files of what is shown")
    async def action_export_csv(self) -> None:
        """Keep the table and the picture of this view."""
        from pdctl.tui.saving import save

        await save(self, Path.cwd())

    def action_palette(self) -> None:
        self.action_command_palette()

    def action_command_palette(self) -> None:
        from textual.command import CommandPalette

        if not CommandPalette.is_open(cast("App[object]", self)):
            self.push_screen(CommandPalette(placeholder="an action's name", id="--command-palette"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        scope = screen.VIEW if isinstance(screen, ViewScreen) else ""
        for item in self.keyed(actions_on(scope)):
            if item.id not in ("palette", "command"):
                run = partial(self.run_registered, item)
                yield SystemCommand(item.title, item.about + (f"  `{twin(item, '')}`" if item.twin else ""), run)

    async def run_registered(self, item: Action) -> None:
        """Do what that action's key does, or say why not."""
        if why := self.refusal(item):
            self.notify(f"{item.title} is refused: {why}", severity="warning")
            return
        screen = self.screen
        await self.run_action(item.id, default_namespace=screen if hasattr(screen, f"action_{item.id}") else self)

    def action_command(self) -> None:
        """Ask for a command."""
        if isinstance(self.screen, ViewScreen):
            self.screen.prompt.ask("command", words=words(actions_on(self.screen.VIEW)), hint="a view or an action")

    async def run_command(self, text: str) -> None:
        """Do what was typed after `:`; the rest of the line filters the view that it leads to."""
        screen = self.screen
        found = parse_command(text, actions_on(screen.VIEW if isinstance(screen, ViewScreen) else ""))
        if isinstance(found, str):
            if isinstance(screen, ViewScreen):
                screen.complain(found)
            return
        if found.action.id == "seek" and found.rest:
            if isinstance(screen, ViewScreen):
                screen.complain(self.seek(found.rest))
            return
        await self.run_registered(found.action)
        if found.rest and isinstance(self.screen, ViewScreen):
            self.screen.complain(self.screen.apply_filter(found.rest))

    def action_help(self) -> None:
        from pdctl.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen.VIEW if isinstance(self.screen, ViewScreen) else ""))

    # --- what rows lead to

    def follow_logs(self, names: Sequence[str]) -> None:
        """Show the logs of these instances (or `router`, `registrar`)."""
        from pdctl.tui.screens.logs import LogsScreen

        self.go("logs")
        screen = self.screen
        if isinstance(screen, LogsScreen):
            screen.follow(tuple(names))

    def begin_change(self, kind: str, selectors: Sequence[str], *, to: str = "") -> None:
        """Ask for what `kind` (move, drain, undrain, restart) of these slots needs, and show its plan. `to`: the pool
        of a move, where it is known."""
        from pdctl.tui.screens.change import open_change

        if not selectors:
            self.notify("nothing is selected", severity="warning")
            return
        open_change(self, kind, tuple(selectors), to=to)

"""What every view has in common: the lines around it, its part of the registry, snapshots only while it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Static

from pdctl.model.snapshot import Snapshot
from pdctl.tui.actions import actions_on, own_actions
from pdctl.tui.palette import Palette
from pdctl.tui.replay_line import replay_line
from pdctl.tui.views import VIEWS
from pdctl.tui.widgets.bars import FooterItem, Line, footer_line, heading_line, tabs_line
from pdctl.tui.widgets.canvas import ink_styles, inked_strip
from pdctl.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from pdctl.tui.app import PdctlApp

MIN_WIDTH: Final = 78
MIN_HEIGHT: Final = 20
"""Screens are made for 80x24 and more; a line less, for the status line of tmux, is no reason to refuse."""
COMPLAINT_S: Final = 6.0
"""How long a mistake stands where the tabs are, after it was entered."""


def bindings(actions: Any) -> list[BindingType]:
    """Textual's bindings of registry actions. The id is the action's, so that a keymap finds it."""
    return [
        Binding(",".join(item.keys), f"{item.id}", item.title, show=False, id=item.id) for item in actions if item.keys
    ]


class ViewScreen(Screen[None]):
    """A view of the cluster. A subclass says its `VIEW` (an id of the registry's scopes), composes `body`, and shows
    a snapshot in `show`, which is called only while it can be seen; on its return it catches up.

    Handlers of its actions are methods `action_<id>`. `subject` and `selectors` say what is selected.
    """

    VIEW: ClassVar[str] = ""
    DEFAULT_CSS = """
    ViewScreen { layout: vertical; overflow: hidden; }
    ViewScreen > #body { height: 1fr; width: 1fr; }
    ViewScreen > #too-small { display: none; height: 1fr; content-align: center middle; }
    ViewScreen > #story { display: none; height: 1fr; padding: 1 2; }
    ViewScreen.waiting > #body { display: none; }
    ViewScreen.waiting > #story { display: block; }
    ViewScreen.too-small > #body, ViewScreen.too-small > #story { display: none; }
    ViewScreen.too-small > #too-small { display: block; }
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        if cls.VIEW:
            cls.BINDINGS = [*cls.__dict__.get("BINDINGS", []), *bindings(own_actions(cls.VIEW))]
        super().__init_subclass__(**arguments)

    def __init__(self) -> None:
        super().__init__()
        self.seen: Snapshot | None = None
        app = self.pdctl
        self._heading = Line(lambda look, width: heading_line(app.heading(), look, width), lambda: app.look)
        self._tabs = Line(lambda look, width: tabs_line(self.tab, self._chip(), look, width), lambda: app.look)
        self._time = Line(lambda look, width: _time_line(app, look, width), lambda: app.look)
        self._time.display = False
        self._footer = Line(lambda look, width: footer_line(tuple(self.hints()), look, width), lambda: app.look)

        self.prompt = Prompt()
        self.complaint = ""

    @property
    def pdctl(self) -> PdctlApp:
        """The app, with its type."""
        return cast("PdctlApp", self.app)

    @property
    def look(self) -> Palette:
        """The styles to draw with."""
        return self.pdctl.look

    @property
    def tab(self) -> str:
        """Which tab is lit: its own, or that of the mode it was opened in."""
        return self.VIEW if any(view.id == self.VIEW for view in VIEWS) else self.app.current_mode

    def compose(self) -> ComposeResult:
        yield self._heading
        yield self._tabs
        yield self._time
        with Container(id="body"):
            yield from self.body()
        yield Static("", id="story", markup=False)
        yield Static("", id="too-small")
        yield self.prompt
        yield self._footer

    def body(self) -> ComposeResult:
        """The view's widgets, between the lines above and below."""
        yield from ()

    def show(self, snapshot: Snapshot) -> None:
        """Show this snapshot. Widgets are mounted when it is called."""

    def subject(self) -> str:
        """What is selected, as a selector of the CLI; "" where nothing is."""
        return ""

    def command(self) -> str:
        """The command line that shows the same."""
        found = next((item for item in VIEWS if item.id == self.VIEW), None)
        return f"{found.twin if found else 'pdctl status'} {self.subject()}".strip()

    def chip(self) -> str:
        """What stands at the right of the tabs: a filter, a count."""
        return ""

    def apply_filter(self, text: str) -> str:
        """Show only what matches; returns what is wrong with the text, "" if nothing is."""
        return "" if not text else "there is nothing to filter here"

    def selectors(self) -> tuple[str, ...]:
        """The selected slots as selectors, for a change."""
        return (self.subject(),) if self.subject() else ()

    def take(self, snapshot: Snapshot | None) -> None:
        """A snapshot came, or time went by (None)."""
        self.tell()
        if snapshot is not None and snapshot is not self.seen:
            self.seen = snapshot
            self.show(snapshot)
        if self._time.display is not self.pdctl.looks_back:
            self.redraw()
        self._time.again()
        self._heading.again()

    def tell(self) -> None:
        """What happens before there is anything to show: lines in the place of the view."""
        waiting = self.pdctl.shown is None and bool(self.pdctl.story)
        if waiting:
            lines = self.pdctl.story[-max(1, self.size.height - 6) :]
            self.query_one("#story", Static).update("\n".join(lines))
        if waiting is not self.has_class("waiting"):
            self.set_class(waiting, "waiting")
            self.call_after_refresh(self.show_again)

    def show_again(self) -> None:
        """Widgets have another size, or are seen again."""
        if self.seen is not None:
            self.show(self.seen)

    def redraw(self) -> None:
        """Look, read-only state or selection changed: the lines around may say something else."""
        self._time.display = self.pdctl.looks_back
        for line in (self._heading, self._tabs, self._time, self._footer):
            line.again()

    def hints(self) -> Iterator[FooterItem]:
        """What the bottom line offers."""
        for item in self.pdctl.keyed(actions_on(self.VIEW)):
            if item.footer and item.keys:
                yield FooterItem(item, enabled=self.pdctl.refusal(item) == "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.pdctl.allowed(action)

    def on_mount(self) -> None:
        self.take(self.pdctl.shown)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self.take(self.pdctl.shown)
        self.redraw()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        small = width < MIN_WIDTH or height < MIN_HEIGHT
        self.set_class(small, "too-small")
        if small:
            text = f"Terminal too small: {width}x{height}, pdctl needs {MIN_WIDTH}x{MIN_HEIGHT}"
            self.query_one("#too-small", Static).update(text)
        self.redraw()

    # --- what is typed

    def _chip(self) -> tuple[str, bool]:
        """The chip, or what is wrong with what was typed, and whether it is wrong."""
        return (self.complaint, True) if self.complaint else (self.chip(), False)

    def complain(self, text: str) -> None:
        """Say what is wrong with what was typed, until it is right, gone, or has stood in the way for long enough."""
        self.complaint = text
        self.redraw()
        if text and not self.prompt.asking and self.pdctl.settings.timers:
            self.set_timer(COMPLAINT_S, self.forgive)

    def forgive(self) -> None:
        """The tabs are seen again, unless something else is wrong by now that is still being typed."""
        if self.complaint and not self.prompt.asking:
            self.complain("")

    def on_screen_suspend(self, event: events.ScreenSuspend) -> None:
        self.complaint = ""

    def on_prompt_typed(self, message: Prompt.Typed) -> None:
        message.stop()
        if message.kind == "filter":
            self.complain(self.apply_filter(message.text))

    def on_prompt_done(self, message: Prompt.Done) -> None:
        message.stop()
        if message.kind == "filter":
            self.complain(self.apply_filter(message.text))
        elif message.kind == "command":
            self.complain("")
            self.run_worker(self.pdctl.run_command(message.text), group="command", exclusive=True, exit_on_error=False)

    def on_prompt_left(self, message: Prompt.Left) -> None:
        message.stop()
        if message.kind == "filter":
            self.apply_filter(message.text)
        self.complain("")


def _time_line(app: PdctlApp, look: Palette, width: int) -> Strip:
    """Where a recording stands, or how far back it was gone; there only while that is so."""
    transport = app.feed.transport
    line = () if transport is None else replay_line(transport, width)
    return inked_strip(line, look, ink_styles(look), width)

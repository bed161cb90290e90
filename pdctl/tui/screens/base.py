"""What every view has in common: the lines around it, its part of the registry, snapshots only while it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from pdctl.model.snapshot import Snapshot
from pdctl.tui.actions import actions_on, own_actions
from pdctl.tui.palette import Palette
from pdctl.tui.views import VIEWS
from pdctl.tui.widgets.bars import FooterItem, Line, footer_line, heading_line, tabs_line

if TYPE_CHECKING:
    from pdctl.tui.app import PdctlApp


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
    ViewScreen { layout: vertical; }
    ViewScreen > #body { height: 1fr; width: 1fr; }
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
        self._tabs = Line(lambda look, width: tabs_line(self.tab, look, width), lambda: app.look)
        self._footer = Line(lambda look, width: footer_line(tuple(self.hints()), look, width), lambda: app.look)

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
        with Container(id="body"):
            yield from self.body()
        yield self._footer

    def body(self) -> ComposeResult:
        """The view's widgets, between the lines above and below."""
        yield from ()

    def show(self, snapshot: Snapshot) -> None:
        """Show this snapshot. Widgets are mounted when it is called."""

    def subject(self) -> str:
        """What is selected, as a selector of the CLI; "" where nothing is."""
        return ""

    def selectors(self) -> tuple[str, ...]:
        """The selected slots as selectors, for a change."""
        return (self.subject(),) if self.subject() else ()

    def take(self, snapshot: Snapshot | None) -> None:
        """A snapshot came, or time went by (None)."""
        if snapshot is not None and snapshot is not self.seen:
            self.seen = snapshot
            self.show(snapshot)
        self._heading.again()

    def redraw(self) -> None:
        """Look, read-only state or selection changed: the lines around may say something else."""
        for line in (self._heading, self._tabs, self._footer):
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
        self.redraw()

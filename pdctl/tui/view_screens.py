"""The screens of views: made when they are first shown, and what they need imported before somebody asks for them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from textual.screen import Screen

from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.views import VIEWS, View

if TYPE_CHECKING:
    from pdctl.tui.app import PdctlApp

LATER: Final = (
    *(item.module for item in VIEWS),
    "pdctl.tui.screens.node",
    "pdctl.tui.screens.help",
    "pdctl.tui.screens.change",
    "pdctl.tui.screens.plan",
    "pdctl.tui.saving",
    "pdctl.control.check",
)
"""What the first paint does not wait for, and the first press of a key should not either."""


def preload() -> None:
    """Import what keys lead to. For a thread of its own, once the first picture stands."""
    for name in LATER:
        import_module(name)


def screen_of(item: View, app: PdctlApp) -> Screen[None]:
    """The screen of a view. Its module is imported here, when it is first shown."""
    try:
        module = import_module(item.module)
    except ModuleNotFoundError as error:
        if error.name != item.module:
            raise
        return ViewScreen()
    screen = getattr(module, item.class_name)()
    assert isinstance(screen, ViewScreen)
    app.read_styles.share(app, screen)
    return screen


class ReadStyles:
    """Lets textual not read all style sheets anew, twice, for a new screen: half of what its first paint takes.

    Textual 8.2.8 (`App.switch_mode`) counts changes of the theme in `_css_update_count`, and takes a new screen, whose
    count is -1, for one that missed them all. Its own styles are read when it is mounted; only a theme that changed
    since the last reading needs the others again. Without that attribute, of another version, nothing is done.
    """

    def __init__(self) -> None:
        self._read: object = None

    def note(self, app: PdctlApp) -> None:
        """All styles were read just now."""
        self._read = getattr(app, "_css_update_count", None)

    def share(self, app: PdctlApp, screen: ViewScreen) -> None:
        """A new screen knows what was read."""
        if self._read is not None and getattr(app, "_css_update_count", None) == self._read:
            vars(screen)["_css_update_count"] = self._read

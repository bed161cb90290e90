"""The line that is typed into: a filter after `/`, a command after `:`. It is there only while it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input


class Prompt(Input):
    """`ask` shows it. While it is typed into it posts `Typed`; enter posts `Done`, escape `Left`, and it is gone."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel", show=False)]
    DEFAULT_CSS = """
    Prompt, Prompt:focus { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    Prompt.asking, Prompt.asking:focus { display: block; }
    """

    class Typed(Message):
        """The text so far."""

        def __init__(self, kind: str, text: str) -> None:
            super().__init__()
            self.kind, self.text = kind, text

    class Done(Typed):
        """The text, entered."""

    class Left(Typed):
        """The text that was there before: nothing is to change."""

    def __init__(self) -> None:
        super().__init__(compact=True)
        self.cursor_blink = False
        self.kind = ""
        self._before = ""

    @property
    def asking(self) -> bool:
        return self.has_class("asking")

    def ask(self, kind: str, text: str = "", *, words: Sequence[str] = (), hint: str = "") -> None:
        """Show it for a `kind` of question ("filter", "command") with `text` in it."""
        self.kind, self._before = kind, text
        self.suggester = SuggestFromList(words, case_sensitive=False) if words else None
        self.placeholder = hint
        self.add_class("asking")
        self.value = text
        self.cursor_position = len(text)
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.asking:
            self.post_message(self.Typed(self.kind, self.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave()
        self.post_message(self.Done(self.kind, self.value))

    def action_leave(self) -> None:
        self._leave()
        self.post_message(self.Left(self.kind, self._before))

    def on_blur(self) -> None:
        if self.asking:
            self.remove_class("asking")

    def _leave(self) -> None:
        self.remove_class("asking")
        self.screen.set_focus(None)
        self.screen.focus_next()

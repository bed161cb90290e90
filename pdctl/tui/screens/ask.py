"""Small questions before a change: which pool, why, and whether to cancel. The harmless answer has the focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from pdctl.text.escape import one_line
from pdctl.tui.requested import PoolChoice

BOX_CSS = """
{name} {{ align: center middle; }}
{name} > Vertical {{
    width: 72; max-width: 95%; height: auto; max-height: 90%; padding: 1 2;
    background: $surface; border: round $primary;
}}
{name} Horizontal {{ height: auto; align-horizontal: right; margin-top: 1; }}
{name} Button {{ margin-left: 2; min-width: 8; width: auto; }}
{name} Button:focus {{ text-style: reverse bold; }}
"""


class ChoosePool(ModalScreen[str]):
    """Which pool to move to; "" where the operator changes their mind."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss('')", "Cancel")]
    DEFAULT_CSS = BOX_CSS.format(name="ChoosePool") + "ChoosePool OptionList { height: auto; max-height: 14; }"

    def __init__(self, what: str, pools: Sequence[PoolChoice]) -> None:
        super().__init__()
        self._what, self._pools = what, pools

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(f"Move {one_line(self._what)} to which pool?"))
            options = (Option(Text(pool.text), id=pool.name, disabled=pool.here) for pool in self._pools)
            yield OptionList(*options, compact=True)
            yield Static(Text("enter shows the plan; nothing is done yet. esc: leave it", style="dim"))

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.focus()
        options.highlighted = next((place for place, pool in enumerate(self._pools) if not pool.here), None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id or "")


class AskReason(ModalScreen[str | None]):
    """Why something is drained, for whoever finds the hold; None where the operator changes their mind."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]
    DEFAULT_CSS = BOX_CSS.format(name="AskReason")

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(f"Drain {one_line(self._what)}: why? It is written on the hold (may be empty)."))
            yield Input(placeholder="reason", max_length=200, compact=True)
            yield Static(Text("enter shows the plan; nothing is done yet. esc: leave it", style="dim"))

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.cursor_blink = False
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())


class AskStop(ModalScreen[str]):
    """What to do about a run under way: the answer is the id of one of `answers`; the first one is harmless."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Back"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = BOX_CSS.format(name="AskStop")

    def __init__(self, question: str, meaning: str, answers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question, self.meaning, self._answers = question, meaning, answers

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._question, style="bold"))
            yield Static(Text(self.meaning))
            with Horizontal():
                for name, title in self._answers:
                    yield Button(title, id=name, compact=True)

    def on_mount(self) -> None:
        self.query(Button).first().focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id or "")

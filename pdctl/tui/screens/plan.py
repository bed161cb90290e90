"""A change as a plan: what would be done, the question, and then each step as it goes.

Nothing is done before the operator agrees, and Cancel has the focus. The run belongs to the app: leaving this screen
stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from pdctl.control.move_edit import SPARE
from pdctl.control.proposal import Proposal
from pdctl.control.request import MoveRequest, Request
from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot
from pdctl.tui.plan_lines import (
    RUNNING_SIGN,
    command_text,
    ending_lines,
    live_line,
    plan_lines,
    state_line,
    step_lines,
    total_text,
)
from pdctl.tui.requested import pools_of, title, verb
from pdctl.tui.run_view import StepState, planned_rows
from pdctl.tui.runs import Runs
from pdctl.tui.screens.ask_run import ask_about_run
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, wrapped
from pdctl.tui.widgets.canvas import Canvas

_ROLLS: Final = ("up", "down", "pageup", "pagedown", "home", "end")


class PlanScreen(ViewScreen):
    """One request: its plan, the question, its progress and its end. Without a request: the run under way."""

    VIEW = "plan"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "answer(-1)", "Answer", show=False),
        Binding("right", "answer(1)", "Answer", show=False),
        *(Binding(key, f"roll({key!r})", "Scroll", show=False) for key in _ROLLS),
    ]
    DEFAULT_CSS = """
    PlanScreen #answers { height: 1; width: 1fr; }
    PlanScreen #answers Button { min-width: 8; width: auto; margin-right: 2; }
    PlanScreen #answers Button:focus { text-style: reverse bold; }
    PlanScreen #name { height: 1; border: none; width: 1fr; display: none; }
    PlanScreen #name.asked { display: block; }
    PlanScreen #lines { height: 1fr; }
    """

    def __init__(self, request: Request | None) -> None:
        super().__init__()
        self.request = request
        self.proposal: Proposal | None = None
        self.refused: PdctlError | None = None
        self.agreed = request is None
        self._asked_s = 0.0
        self._origin = ""  # the pool that all of a move comes from; "": several
        self._followed: tuple[str, ...] = ()  # steps that were last scrolled to
        self._forget: Callable[[], None] = lambda: None

    @classmethod
    def of_run(cls) -> PlanScreen:
        """The screen of the run under way, or of the last one."""
        return cls(None)

    @property
    def runs(self) -> Runs:
        return self.pdctl.runs

    def body(self) -> ComposeResult:
        yield Canvas(lambda: self.look, id="lines")
        field = Input(id="name", compact=True)
        field.cursor_blink = False
        yield field
        with Horizontal(id="answers"):
            yield Button("Cancel", id="cancel", compact=True)
            yield Button("", id="agree", compact=True)
            yield Static("", id="hint")

    def on_mount(self) -> None:
        self._asked_s = self.runs.clock.monotonic()
        self._forget = self.runs.listen(self.draw)
        if self.request is not None:
            pools = pools_of(self.pdctl.operations.deployment, self.request.selectors)
            self._origin = (next(iter(pools)) or SPARE) if len(pools) == 1 else ""
            self.ask_for_plan(self.request)
        if self.pdctl.settings.timers:
            self.set_interval(1.0, self.draw)
        self._buttons()
        self.draw()
        self.query_one("#cancel", Button).focus()

    def on_unmount(self) -> None:
        self._forget()

    # --- the plan

    @work(exclusive=True, group="plan", exit_on_error=False, description="what would be done")
    async def ask_for_plan(self, request: Request) -> None:
        """Have it worked out; it changes nothing, and may take as long as a node takes to answer."""
        try:
            self.proposal = await self.pdctl.operations.propose(request)
        except PdctlError as error:
            self.refused = error
        except Exception as error:  # a defect of ours is said, and the screen goes on
            self.refused = PdctlError(f"internal error: {error!r}", hint="please report this")
        self._buttons()
        self.draw()

    @property
    def may_agree(self) -> bool:
        """Whether there is something to agree to here."""
        return self.proposal is not None and bool(self.proposal.plan.steps) and not self.pdctl.operations.read_only

    @property
    def asks_name(self) -> bool:
        """A protected cluster is changed only by who can say its name."""
        return self.may_agree and self.pdctl.operations.deployment.protected

    def _buttons(self) -> None:
        """What can be answered now. Cancel is always there, and first."""
        cancel, agree, field = (self.query_one(f"#{name}") for name in ("cancel", "agree", "name"))
        assert isinstance(cancel, Button)
        assert isinstance(agree, Button)
        running = self.agreed and self.runs.under_way
        back = self._way_back()
        asking = self.may_agree and not self.agreed
        cancel.label = "Cancel" if asking or not self.agreed else "Cancel the run..." if running else "Close"
        if not self.agreed and (self.refused is not None or (self.proposal is not None and not asking)):
            cancel.label = "Close"
        agree.display = asking or running or back is not None
        agree.label = "Leave, it goes on" if running else "The way back..." if back is not None else self._verb()
        for button in (cancel, agree):
            button.refresh(layout=True)  # a label's width is not followed by itself
        agree.disabled = asking and self.asks_name and not self._named()
        field.set_class(asking and self.asks_name, "asked")
        if asking and self.asks_name and isinstance(field, Input):
            field.placeholder = f"protected: type the cluster's name, {self.pdctl.operations.deployment.cluster}"

    def _named(self) -> bool:
        return self.query_one("#name", Input).value.strip() == self.pdctl.operations.deployment.cluster

    def on_input_changed(self, event: Input.Changed) -> None:
        self._buttons()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._named():
            self.query_one("#agree", Button).focus()
        else:
            self.notify("that is not this cluster's name", severity="warning")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "cancel":
            self.action_cancel()
        elif (back := self._way_back()) is not None:
            self.app.switch_screen(PlanScreen(back))
        elif self.agreed:
            self.dismiss()
        else:
            self.agree()

    def _verb(self) -> str:
        return "" if self.request is None else verb(self.request).capitalize()

    def _way_back(self) -> Request | None:
        """After a move from one pool that was done: the move back, to be shown as a plan in its turn."""
        view = self.runs.view
        if not self.agreed or self.runs.under_way or view is None or view.exit_code != 0 or not self._origin:
            return None
        return MoveRequest(self.request.selectors, self._origin) if isinstance(self.request, MoveRequest) else None

    def agree(self) -> None:
        """Do it. Refused where nothing may be changed, whatever key led here."""
        if self.pdctl.operations.read_only:
            self.notify(f"refused: {self.pdctl.operations.read_only}", severity="warning")
            return
        if (
            self.proposal is None
            or self.request is None
            or not self.may_agree
            or (self.asks_name and not self._named())
        ):
            return
        try:
            self.runs.start(self.proposal, self.request)
        except PdctlError as error:
            self.notify(error.message, severity="warning")
            return
        self.agreed = True
        self._buttons()
        self.query_one("#agree", Button).focus()
        self.draw()

    # --- keys

    def action_answer(self, step: int) -> None:
        """To the answer before, or the next one."""
        answers = [each for each in self.query("#answers Button").results(Button) if each.display and not each.disabled]
        place = next((number for number, each in enumerate(answers) if each.has_focus), -step)
        answers[min(max(place + step, 0), len(answers) - 1)].focus()

    def action_roll(self, key: str) -> None:
        """Steps that do not fit are read without leaving the answers."""
        canvas = self.query_one("#lines", Canvas)
        rows = canvas.size.height - 1
        by = {"up": -1, "down": 1, "pageup": -rows, "pagedown": rows}.get(key)
        ends = 0 if key == "home" else canvas.max_scroll_y
        canvas.scroll_to(y=canvas.scroll_offset.y + by if by is not None else ends, animate=False)

    def action_cancel(self) -> None:
        """Leave the plan; while it runs, ask what to do about it; after its end, close."""
        if self.agreed and self.runs.under_way:
            ask_about_run(self.pdctl, leave=self.dismiss)
        else:
            self.dismiss()

    def action_background(self) -> None:
        """Leave the screen; the run goes on."""
        self.dismiss()

    def command(self) -> str:
        """The exact command of the plan."""
        proposal = self.runs.proposal if self.agreed else self.proposal
        return command_text(proposal.command) if proposal is not None else super().command()

    # --- drawing

    def show(self, snapshot: Snapshot) -> None:
        self.draw()

    def draw(self) -> None:
        """Show how it stands."""
        if not self.is_mounted or not self.is_current:
            return
        canvas = self.query_one("#lines", Canvas)
        width = max(20, canvas.size.width - 1)
        lines = self.lines(width)
        canvas.set_lines(lines)
        self._follow(canvas, lines)
        if self.agreed and not self.runs.under_way:
            self._buttons()
        self.redraw()

    def _follow(self, canvas: Canvas, lines: Sequence[Inked]) -> None:
        """Keep the step that runs in sight, when another one begins; in between the operator scrolls."""
        view = self.runs.view if self.agreed else None
        if view is None or view.ended:
            return
        running = tuple(row.id for row in view.rows if row.state is StepState.RUNNING)
        if running and running != self._followed:
            self._followed = running
            mark = next((place for place, line in enumerate(lines) if line and line[0].text == RUNNING_SIGN), 0)
            canvas.show_line(mark)

    def on_screen_resume(self, event: object) -> None:
        self._buttons()
        self.draw()

    def lines(self, width: int) -> list[Inked]:
        """All of it, for a screen so wide."""
        proposal = self.runs.proposal if self.agreed else self.proposal
        lines: list[Inked] = [(Span(self.title_text(), Ink.TITLE),)]
        if self.agreed:
            lines += self._progress(width)
        elif self.refused is not None:
            lines += [(Span("✖ ", Ink.BAD), Span(line, Ink.BAD)) for line in wrapped(self.refused.message, width - 2)]
            lines += [(Span("hint: ", Ink.DIM), Span(line)) for line in wrapped(self.refused.hint, width - 6)]
        elif proposal is None:
            waited_s = self.runs.clock.monotonic() - self._asked_s
            lines.append((Span(f"working out the plan, {waited_s:.0f} s; nothing is changed by that", Ink.DIM),))
        else:
            lines += self._plan(proposal, width)
        if proposal is not None and proposal.command:
            lines += [EMPTY, (Span("$ ", Ink.DIM), Span(command_text(proposal.command), Ink.BOLD))]
        return lines

    def _plan(self, proposal: Proposal, width: int) -> list[Inked]:
        lines = plan_lines(proposal, width)
        rows = planned_rows(proposal.plan)
        if not rows:
            return [*lines, EMPTY, (Span("nothing to do", Ink.GOOD),)]
        total = total_text(proposal.expected, rows)
        head = f"{len(rows)} steps" + (f", {total}" if total else "")
        return [*lines, EMPTY, (Span(head, Ink.BOLD),), *self._steps(proposal, width)]

    def _steps(self, proposal: Proposal, width: int) -> list[Inked]:
        view = self.runs.view if self.agreed else None
        rows = planned_rows(proposal.plan) if view is None else view.rows
        return step_lines(rows, proposal.expected, proposal.no_return, self.runs.clock.monotonic(), width)

    def _progress(self, width: int) -> list[Inked]:
        view, proposal = self.runs.view, self.runs.proposal
        if view is None or proposal is None:
            return [(Span("no run is under way", Ink.DIM),)]
        lines: list[Inked] = [state_line(view, self.runs.clock.monotonic())]
        snapshot = self.pdctl.shown
        if snapshot is not None:
            lines.append(live_line(snapshot, [dip.pool for dip in proposal.dips], self.pdctl.window_s))
        return [*lines, *ending_lines(view, width), EMPTY, *self._steps(proposal, width)]

    def title_text(self) -> str:
        """What is asked for."""
        if self.request is None:
            view = self.runs.view
            return f"Run: {view.command}" if view is not None else "Run"
        return title(self.request)

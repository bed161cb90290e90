"""The progress of a run: what each event makes of it."""

from __future__ import annotations

from pdctl.control.proposal import Proposal
from pdctl.model.events import (
    CheckEnded,
    Event,
    LeaseTaken,
    NodeUnreachable,
    Planned,
    RunEnded,
    RunStarted,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    Warned,
)
from pdctl.plan.steps import Action, Plan, Step
from pdctl.tui.plan_lines import ending_lines
from pdctl.tui.run_view import RunView, StepState, begun, crashed, reduce
from pdctl.tui.runs import what_cancel_means
from pdctl.tui.spans import plain

FENCE, DRAIN, STOP = (Step(action, "a.main.0", "a", "to move") for action in (Action.FENCE, Action.DRAIN, Action.STOP))
PROPOSAL = Proposal(
    Plan("move", (), (FENCE, DRAIN, STOP)), ("pdctl", "move", "a", "--to", "decode"), no_return=frozenset({STOP.id})
)


def planned(step: Step) -> Planned:
    return Planned(step.id, step.action.value, step.subject, step.node, step.reason)


def started(step: Step) -> StepStarted:
    return StepStarted(step.id, step.action.value, step.subject, step.node, step.reason)


def done(step: Step, **detail: object) -> StepDone:
    return StepDone(step.id, step.action.value, step.subject, 1.5, detail)


def failed(step: Step, *, unknown: bool = False) -> StepFailed:
    return StepFailed(step.id, step.action.value, step.subject, step.node, "no answer", "is it on?", 4, unknown, ("x",))


def after(*events: Event) -> RunView:
    view = begun(PROPOSAL, 100.0)
    for second, event in enumerate(events, 101):
        view = reduce(view, event, float(second))
    return view


def test_what_was_agreed_to_is_shown_before_the_run_says_anything() -> None:
    view = begun(PROPOSAL, 100.0)
    assert [(row.subject, row.state) for row in view.rows] == [("a.main.0", StepState.WAITING)] * 3
    assert (view.short, view.ended, view.doing) == ("move 0/3", False, "asking for the lease")


def test_the_run_says_anew_what_it_does() -> None:
    extra = Step(Action.REGISTER, "b.main.0", "b", "")
    view = after(LeaseTaken("n1", 3), RunStarted("move", "x.yaml", 3), planned(extra), planned(STOP), planned(FENCE))
    view = reduce(view, started(FENCE), 110.0)
    assert [row.id for row in view.rows] == [FENCE.id, STOP.id, extra.id]
    assert "1 new steps, 1 fall away" in view.notes[0]


def test_a_run_that_has_nothing_to_do_any_more_shows_no_steps() -> None:
    view = after(RunStarted("move", "x.yaml", 0), RunEnded("move", 0, 0, 0, 0, 1.0, "nothing to do"))
    assert (view.rows, view.ended) == ((), True)


def test_a_step_is_waited_for_and_then_done() -> None:
    view = after(started(FENCE), StepProgress(FENCE.id, "fence", "a.main.0", "running 4", 2.0))
    row = view.row(FENCE.id)
    assert row is not None
    assert (row.state, row.text, row.elapsed_s(111.0)) == (StepState.RUNNING, "running 4", 10.0)
    row = reduce(view, done(FENCE, evicted_s=2.04, existed=True), 104.0).row(FENCE.id)
    assert row is not None
    assert (row.state, row.elapsed_s(999.0)) == (StepState.DONE, 1.5)
    assert row.text == "forgotten after 2.0s"


def test_a_failure_keeps_its_cause_hint_and_last_lines() -> None:
    row = after(started(STOP), failed(STOP)).row(STOP.id)
    assert row is not None
    assert (row.state, row.text, row.hint, row.last_lines) == (StepState.FAILED, "no answer", "is it on?", ("x",))


def test_a_lost_connection_is_neither_failure_nor_success() -> None:
    row = after(started(STOP), failed(STOP, unknown=True)).row(STOP.id)
    assert row is not None
    assert row.state is StepState.UNKNOWN
    assert "may or may not" in row.text


def test_progress_that_comes_late_reopens_nothing() -> None:
    row = after(started(DRAIN), done(DRAIN), StepProgress(DRAIN.id, "drain", "a.main.0", "settling", 9.0)).row(DRAIN.id)
    assert row is not None
    assert row.state is StepState.DONE


def test_what_belongs_to_no_step_is_noted_in_words() -> None:
    view = after(NodeUnreachable("b", "no route", "is it on?"), Warned("old kernel"), CheckEnded(2, ("b.all",), 0, 1.0))
    text = "\n".join(view.notes)
    assert "no route" in text
    assert "hint: is it on?" in text
    assert "old kernel" in text
    assert "b.all may not serve" in text


def test_steps_that_never_began_are_skipped_at_the_end() -> None:
    view = after(done(FENCE), StepSkipped(DRAIN.id, "drain", "a.main.0", "interrupted"))
    view = reduce(view, RunEnded("move", 130, 1, 0, 1, 3.0, "interrupted"), 110.0)
    assert [row.state for row in view.rows] == [StepState.DONE, StepState.SKIPPED, StepState.SKIPPED]
    assert (view.ended, view.exit_code, view.ending, view.took_s) == (True, 130, "interrupted", 3.0)


def test_a_run_that_breaks_off_leaves_what_ran_unknown() -> None:
    view = crashed(after(done(FENCE), started(DRAIN)), "the lease was lost", "look at status", 75, 120.0)
    assert [row.state for row in view.rows] == [StepState.DONE, StepState.UNKNOWN, StepState.SKIPPED]
    assert (view.exit_code, view.took_s, view.ending) == (75, 20.0, "the lease was lost (hint: look at status)")


def test_a_step_that_was_never_planned_is_shown_all_the_same() -> None:
    extra = Step(Action.REGISTER, "b.main.0", "b", "")
    assert after(started(extra)).rows[-1].subject == "b.main.0"


def test_what_cancelling_means_depends_on_the_point_of_no_return() -> None:
    assert "nothing was moved yet" in what_cancel_means(after(started(DRAIN)))
    assert "point of no return is behind" in what_cancel_means(after(done(DRAIN), started(STOP)))
    assert "point of no return is behind" in what_cancel_means(after(started(STOP), failed(STOP)))
    ended = reduce(after(), RunEnded("move", 0, 3, 0, 0, 3.0, ""), 110.0)
    assert "nothing to cancel" in what_cancel_means(ended)
    without = begun(Proposal(PROPOSAL.plan, ()), 0.0)
    assert "nothing new is started" in what_cancel_means(without)


def test_what_a_move_came_to_is_whole_on_a_narrow_screen() -> None:
    moved = Warned(
        "n5.main: decode -> prefill in 7.2s, 5 requests in hand at the fence, none cut, nothing was left behind"
    )
    told = [plain(line) for line in ending_lines(after(moved), 60)]
    assert all(len(line) <= 60 for line in told)
    assert "nothing was left behind" in " ".join(" ".join(told).split())

"""A plan and its progress as lines: the dip in capacity, the warnings, the steps, the exact command. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from pdctl.control.proposal import Dip, Expected, Proposal
from pdctl.model.role import Role
from pdctl.model.snapshot import PoolFigures, Snapshot
from pdctl.text.duration import duration
from pdctl.text.escape import log_line, one_line
from pdctl.text.figures import seconds
from pdctl.tui.run_view import RunView, StepRow, StepState
from pdctl.tui.spans import Ink, Inked, Span, cell, wrapped

_GLYPHS: Final[Mapping[StepState, tuple[str, Ink]]] = {
    StepState.WAITING: ("·", Ink.DIM),
    StepState.RUNNING: ("▶", Ink.TITLE),
    StepState.DONE: ("●", Ink.GOOD),
    StepState.SKIPPED: ("─", Ink.DIM),
    StepState.FAILED: ("✖", Ink.BAD),
    StepState.UNKNOWN: ("?", Ink.UNKNOWN),
}
RUNNING_SIGN: Final = "▶ "
"""What the line of a step that runs begins with."""
_ALARMING: Final = ("warning", "unfit", "unreachable", "unknown")
_TAG: Final = 12
"""Columns of the word that `text.phrases` begins a line with, and the gap after it."""
_WORDS_FROM: Final = 100
"""Columns from which a step's state is said in a word too."""


def command_text(argv: Sequence[str]) -> str:
    """The command line that does the same, to be typed as it stands."""
    return shlex.join(argv)


def plan_lines(proposal: Proposal, width: int) -> list[Inked]:
    """What the operator is asked to agree to, but for the steps: capacity, warnings, what is left out, the effect."""
    lines: list[Inked] = []
    lines += dip_lines(proposal.dips)
    if proposal.effect:
        lines += _paragraph("effect  ", proposal.effect, Ink.BASE, width)
    for text in dict.fromkeys((*proposal.warnings, *proposal.plan.warnings)):
        lines += _paragraph("▲ ", text, Ink.WARN, width)
    for item in proposal.plan.blocked:
        lines += _paragraph("? ", f"{item.subject} is left out: {item.trouble.cause}", Ink.UNKNOWN, width)
    for held in proposal.plan.held:
        lines += _paragraph("─ ", f"{held.slot}: {held.text}", Ink.DIM, width)
    return lines


def dip_lines(dips: Sequence[Dip]) -> list[Inked]:
    """Serving instances of each pool: before, at the worst moment, after, and the floor."""
    if not dips:
        return []
    columns = max(len("pool"), *(len(one_line(dip.pool)) for dip in dips))
    heads = "".join(f"{word:>9}" for word in ("serving", "least", "after", "floor"))
    lines: list[Inked] = [(cell("pool", columns, Ink.DIM), Span(heads, Ink.DIM))]
    for dip in dips:
        least = Ink.BAD if dip.least < dip.floor else Ink.WARN if dip.least < dip.before else Ink.BASE
        lines.append(
            (
                cell(dip.pool, columns, Ink.BOLD),
                Span(f"{dip.before:>9}"),
                Span(f"{dip.least:>9}", least),
                Span(f"{dip.after:>9}"),
                Span(f"{dip.floor:>9}", Ink.DIM),
                Span("  below its floor", Ink.BAD) if dip.least < dip.floor else Span(""),
            )
        )
    return lines


def expected_text(expected: Expected | None) -> str:
    """`1-2s`, `~30s`, `2s+`: or more; "" where nobody can say."""
    if expected is None:
        return ""
    low = duration(expected.low_s)
    if expected.high_s is None:
        return f"{low}+"
    high = duration(expected.high_s)
    return f"~{low}" if low == high else f"{low}-{high}"


def total_text(expected: Mapping[str, Expected], rows: Sequence[StepRow]) -> str:
    """What all steps take one after the other, at least; they overlap where they can."""
    known = [expected[row.id] for row in rows if row.id in expected]
    if not known or len(known) < len(rows):
        return ""
    low_s = sum(each.low_s for each in known)
    if any(each.high_s is None for each in known):
        return f"{duration(low_s)} or more: a drain ends when its requests do"
    return f"{duration(low_s)} to {duration(sum(each.high_s or 0.0 for each in known))}"


def step_lines(
    rows: Sequence[StepRow], expected: Mapping[str, Expected], no_return: frozenset[str], now_s: float, width: int
) -> list[Inked]:
    """One line a step; under a failed one its hint and the unit's last words. The point of no return is a line."""
    if not rows:
        return []
    action = min(max(len(row.action) for row in rows), 28 if width >= _WORDS_FROM else 20)
    subject = min(max(len(row.subject) for row in rows), 32 if width >= _WORDS_FROM else 18)
    first_return = next((row.id for row in rows if row.id in no_return), "")
    lines: list[Inked] = []
    for row in rows:
        if row.id == first_return:
            lines.append((Span("  ── point of no return ", Ink.WARN), Span("─" * max(0, width - 25), Ink.DIM)))
        lines.append(_step_line(row, expected.get(row.id), action, subject, now_s, width))
        if row.state.is_trouble:
            lines += _paragraph("    ", row.text, Ink.BAD, width)
            lines += _paragraph("    hint: ", row.hint, Ink.BASE, width) if row.hint else []
            lines += [(Span("    | ", Ink.DIM), Span(log_line(line), Ink.DIM)) for line in row.last_lines]
    return lines


def _step_line(row: StepRow, expected: Expected | None, action: int, subject: int, now_s: float, width: int) -> Inked:
    sign, ink = _GLYPHS[row.state]
    elapsed_s = row.elapsed_s(now_s)
    taken = "" if elapsed_s is None else duration(elapsed_s)
    waits = row.state is StepState.WAITING
    word = (cell(row.state.value, 9, ink),) if width >= _WORDS_FROM else ()
    head: Inked = (
        Span(f"{sign} ", ink),
        *word,
        cell(row.action, action, Ink.DIM if waits or row.state is StepState.SKIPPED else Ink.BOLD),
        Span("  "),
        cell(row.subject, subject, Ink.DIM if waits else Ink.BASE),
        cell(taken, 8, right=True),
        cell(expected_text(expected), 11, Ink.DIM, right=True),
        Span("  "),
    )
    used = 2 + (9 if word else 0) + action + 2 + subject + 8 + 11 + 2
    said = "" if row.state.is_trouble else row.text  # that stands below, whole
    return (*head, cell(said, max(0, width - used), Ink.DIM))


def state_line(view: RunView, now_s: float) -> Inked:
    """What the run does as a whole, or how it ended."""
    took_s = view.took_s if view.took_s is not None else None if view.began_s is None else now_s - view.began_s
    taken = "" if took_s is None else f" in {duration(took_s)}" if view.ended else f", {duration(took_s)}"
    counts = f"{view.done} of {len(view.rows)} steps done"
    if view.ended:
        good = view.exit_code == 0
        word = (
            "done"
            if good
            else "stopped"
            if view.exit_code == 130
            else "partly done"
            if view.exit_code == 3
            else "failed"
        )
        sign, ink = ("●", Ink.GOOD) if good else ("─", Ink.WARN) if view.exit_code == 130 else ("✖", Ink.BAD)
        status = "" if good else f", exit status {view.exit_code}"
        return (Span(f"{sign} {word}{taken}", ink), Span(f"  {counts}{status}"))
    doing = f"  {view.doing}" if view.doing else ""
    if view.stopping:
        return (Span("▲ stopping", Ink.WARN), Span(f"  {counts}{taken}: what is being changed is finished first"))
    return (Span("▶ under way", Ink.TITLE), Span(f"  {counts}{taken}{doing}"))


def ending_lines(view: RunView, width: int) -> list[Inked]:
    """Its last words, and what was said beside the steps."""
    lines: list[Inked] = []
    for line in view.notes:  # the first word has a column of its own
        ink = Ink.WARN if line.startswith(_ALARMING) else Ink.BASE
        lines += _paragraph(line[:_TAG], line[_TAG:], ink, width)
    if view.ended and view.ending and view.ending != f"{view.done} of {len(view.rows)} steps done":
        lines += _paragraph("  ", view.ending, Ink.BASE if view.exit_code == 0 else Ink.BOLD, width)
    return lines


def live_line(snapshot: Snapshot, pools: Sequence[str], window_s: int) -> Inked:
    """The pools that the plan touches, now: so that what it does to them is seen."""
    spans: list[Span] = []
    for name in pools:
        pool = snapshot.pools.get(name)
        if pool is not None:
            spans += [Span("   " if spans else ""), Span(pool.name, Ink.BOLD), Span(_figures(pool, window_s))]
    return tuple(spans)


def _figures(pool: PoolFigures, window_s: int) -> str:
    latencies = pool.windows[window_s].latencies
    members = "?" if pool.members is None else str(pool.members)
    ttft = f"  ttft p99 {seconds(latencies.ttft.p99)}" if pool.role is not Role.DECODE else ""
    itl = f"  itl p99 {seconds(latencies.itl.p99)}" if pool.role is not Role.PREFILL else ""
    return f" {members}/{pool.instances}{ttft}{itl}"


def _paragraph(lead: str, text: str, ink: Ink, width: int) -> list[Inked]:
    room = max(20, width - len(lead))
    found = wrapped(text, room)
    return [(Span(lead if number == 0 else " " * len(lead), ink), Span(line, ink)) for number, line in enumerate(found)]

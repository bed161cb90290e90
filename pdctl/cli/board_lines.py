"""A board as lines of text that fit the terminal. Pure; the colours are the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size

from pdctl.cli.board import Board, Row, RowState
from pdctl.text.duration import duration
from pdctl.text.escape import one_line

_NAME_CELLS = 28  # the most that names may take
_STATE_CELLS = 7
_TIME_CELLS = 7
_URGENCY = (RowState.FAILED, RowState.UNKNOWN, RowState.RUNNING, RowState.WAITING, RowState.SKIPPED, RowState.DONE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, at most as wide as asked. A row has a `state`, whose word starts at `mark`; other lines have none."""

    text: str
    state: RowState | None = None
    mark: int = 0


def board_lines(board: Board, *, cluster: str, now_s: float, width: int, height: int | None = None) -> list[Line]:
    """Every row and a closing line of totals; `height` limits the number of lines, the most urgent rows staying."""
    rows = list(board.rows.values())
    room = len(rows) if height is None else max(1, height - 2)
    shown = rows if len(rows) <= room else _most_urgent(rows, room)
    name_cells = min(_NAME_CELLS, width // 3, max((cell_len(one_line(row.subject)) for row in shown), default=0))
    lines = [_row_line(row, name_cells, now_s, width) for row in shown]
    if len(shown) < len(rows):
        lines.append(Line(_fit(_hidden_text(rows, shown), width)))
    return [*lines, Line(_fit(_total_text(board, cluster, now_s), width))]


def _most_urgent(rows: Sequence[Row], room: int) -> list[Row]:
    """The `room` most urgent rows, in their own order."""
    order = sorted(range(len(rows)), key=lambda index: (_URGENCY.index(rows[index].state), index))
    return [rows[index] for index in sorted(order[:room])]


def _row_line(row: Row, name_cells: int, now_s: float, width: int) -> Line:
    elapsed_s = row.elapsed_s(now_s)
    took = "" if elapsed_s is None else duration(elapsed_s)
    name = set_cell_size(_shorten(one_line(row.subject), name_cells), name_cells)
    left = f"{name}  {row.state.value:{_STATE_CELLS}}  "
    text_cells = max(0, width - cell_len(left) - _TIME_CELLS - 1)
    text = set_cell_size(_fit(one_line(row.text), text_cells), text_cells)
    return Line(_fit(f"{left}{text} {took:>{_TIME_CELLS}}", width), row.state, mark=len(name) + 2)


def _hidden_text(rows: Sequence[Row], shown: Sequence[Row]) -> str:
    subjects = {row.subject for row in shown}
    states = [row.state for row in rows if row.subject not in subjects]
    counts = ", ".join(f"{states.count(state)} {state.value}" for state in _URGENCY if state in states)
    return f"… {len(states)} more: {counts}"


def _total_text(board: Board, cluster: str, now_s: float) -> str:
    parts = [f"{board.command} {one_line(cluster)}: {board.done} of {board.steps} steps done"]
    parts += [f"{count} {word}" for count, word in ((board.failed, "failed"), (board.skipped, "skipped")) if count]
    if board.began_s is not None:
        parts.append(duration(now_s - board.began_s))
    return ", ".join(parts)


def _fit(text: str, cells: int) -> str:
    """`text`, its end cut off with an ellipsis if it is wider than `cells`."""
    if cell_len(text) <= cells:
        return text
    return (chop_cells(text, cells - 1)[0] + "…") if cells > 1 else "…"[:cells]


def _shorten(name: str, cells: int) -> str:
    """A name cut in its middle: both the node and the instance's number tell names apart."""
    if cell_len(name) <= cells or cells < 3:
        return _fit(name, cells)
    tail = (cells - 1) // 2
    return f"{name[: cells - 1 - tail]}…{name[-tail:]}"

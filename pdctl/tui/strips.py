"""Pieces of text made into strips of an exact width. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from pdctl.tui.columns import GAP
from pdctl.tui.palette import Palette
from pdctl.tui.spans import TO_ASCII


def plain_strip(strip: Strip, look: Palette) -> Strip:
    """The strip as it is, or in ASCII, column by column, where the palette says so."""
    if not look.ascii_only:
        return strip
    return Strip([Segment(segment.text.translate(TO_ASCII), segment.style) for segment in strip])


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` columns: padded, or cut with an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return " " * (width - length) + text if right else text + " " * (width - length)


def row_strip(cells: Sequence[tuple[str, Style]], width: int, look: Palette, cursor: Style | None) -> Strip:
    """One row: cells with gaps, on the cursor's ground where it is selected. A `>` marks it without colour."""
    mark = ">" if cursor is not None else " "
    segments = [Segment(mark, look.title)]
    for text, style in cells:
        segments += [Segment(text, style), Segment(" " * GAP, look.base)]
    strip = Strip(segments).adjust_cell_length(width, look.base)
    if cursor is not None:
        strip = Strip([Segment(segment.text, (segment.style or look.base) + cursor) for segment in strip])
    return plain_strip(strip, look).simplify()

"""Requests one by one: which target each of them missed, as a strip with a cell a request (MORI-IO's article, fig. 3).

A cell has a glyph of its own beside its colour, so that it can be read without either colours or good eyes for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.text import Text

from pdctl.bench.reports.plot import Room
from pdctl.bench.reports.request import Verdict

WORDS = {
    Verdict.MET: "met",
    Verdict.TTFT: "TTFT missed",
    Verdict.ITL: "ITL missed",
    Verdict.BOTH: "both missed",
    Verdict.FAILED: "failed",
}
_GLYPHS = {Verdict.MET: "█", Verdict.TTFT: "▲", Verdict.ITL: "≈", Verdict.BOTH: "◆", Verdict.FAILED: "×"}
_ASCII_GLYPHS = {Verdict.MET: "#", Verdict.TTFT: "T", Verdict.ITL: "i", Verdict.BOTH: "B", Verdict.FAILED: "x"}
_STYLES = {
    Verdict.MET: "green",
    Verdict.TTFT: "yellow",
    Verdict.ITL: "magenta",
    Verdict.BOTH: "red",
    Verdict.FAILED: "bold red",
}


def counted(verdicts: Iterable[Verdict]) -> str:
    """`73 of 100 met, 27 TTFT missed`"""
    counts = Counter(verdicts)
    missed = [f"{counts[kind]} {WORDS[kind]}" for kind in Verdict if kind is not Verdict.MET and counts[kind]]
    return ", ".join([f"{counts[Verdict.MET]} of {counts.total()} met", *missed])


def strip(name: str, verdicts: Sequence[Verdict], room: Room) -> list[Text]:
    """A line of words and the cells, in the order of the requests' offers, wrapped at the room's columns."""
    glyphs = _ASCII_GLYPHS if room.ascii_only else _GLYPHS
    width = max(10, room.columns - 2)
    lines = [Text(f"{name}: {counted(verdicts)}")]
    for start in range(0, len(verdicts), width):
        line = Text("  ")
        for each in verdicts[start : start + width]:
            line.append(glyphs[each], style=_STYLES[each])
        lines.append(line)
    return lines


def strip_legend(room: Room) -> Text:
    """What the glyphs mean."""
    glyphs = _ASCII_GLYPHS if room.ascii_only else _GLYPHS
    text = Text()
    for each in Verdict:
        text.append(f"  {glyphs[each]}", style=_STYLES[each])
        text.append(f" {WORDS[each]}")
    return text

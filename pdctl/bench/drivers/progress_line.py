"""What a benchmark tool prints while it runs, as far as we look at it. Pure."""

from __future__ import annotations

import re

_BAR = re.compile(r"(\d+)/(\d+) \[")  # tqdm's: " 35%|███▌      | 7/20 [00:03<00:06,  2.1it/s]"
_FRAME = "│┃|╭╮╰╯─ \t"
_TROUBLE = re.compile(r"\w*(?:Error|Exception)\b|\berror\b|\breason\b|failed|not found", re.IGNORECASE)
_NAMED = re.compile(r"\w(?:Error|Exception): \S")  # as Python ends a traceback
_WORDS_LINES = 3
_WORDS_CHARS = 400


def finished_requests(said: str) -> tuple[int, int] | None:
    """(done, in all) by the last progress bar in `said`; None where there is none."""
    bars = _BAR.findall(said)
    return (int(bars[-1][0]), int(bars[-1][1])) if bars else None


def last_words(said: str) -> str:
    """What a tool said last, on one line: the last exception that is named; else the last lines that speak of an error;
    else the last lines."""
    lines = [" ".join(line.strip(_FRAME).split()) for line in said.splitlines()]
    telling = [line for line in lines if re.search(r"\w", line) and not _BAR.search(line)]
    troubled = [line for line in telling if _TROUBLE.search(line)]
    named = [line for line in telling if _NAMED.search(line)]
    words = " / ".join(named[-1:] or (troubled or telling)[-_WORDS_LINES:])
    return words if len(words) <= _WORDS_CHARS else "…" + words[-_WORDS_CHARS:]

"""How many members the router sees: the text of its /health is the only place that tells."""

from __future__ import annotations

import re

_WAITING = re.compile(r"Waiting for discovered workers: (\d+) prefill, (\d+) decode")


def member_counts(status: int, text: str) -> tuple[int, int] | None:
    """(prefill, decode) by vllm-router 0.1.17's 503 in discovery mode; None where the answer does not tell.

    With at least one of each it answers 200 `OK`, without any figures.
    """
    found = _WAITING.search(text) if status == 503 else None
    return (int(found[1]), int(found[2])) if found else None

"""What nobody can tell of any device of a node is said once, and not once per device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import wraps

from pdctl.health.check import Judge, Word
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Verdict


def folded(judge: Judge) -> Judge:
    """The same function, but its words are one word where all are unknown: a tool is not there, or tells nothing."""

    @wraps(judge)
    def fold(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
        words = tuple(judge(facts, expected))
        if len(words) < 2 or any(word.verdict is not Verdict.UNKNOWN for word in words):
            yield from words
            return
        every = {index for word in words for index in word.gpus or ()}
        whole = any(word.gpus is None for word in words)
        yield replace(words[0], device="", gpus=None if whole else tuple(sorted(every)))

    return fold

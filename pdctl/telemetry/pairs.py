"""What canaries tell of every prefill x decode pair: which works now, which does not, and whose text is odd. Pure.

A result is bound to the launches of both ends and says nothing of a pair after either was launched again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from pdctl.model.figure import Basis, Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import PairFigures, PairState

LOAD_SHARE: Final = 0.01
"""Canaries are at most this share of the requests that clients send."""
IDLE_GAP_S: Final = 5.0
IDLE_BELOW: Final = 0.05
"""Where clients send fewer requests per second than this, nobody is disturbed by one canary every five seconds."""
BROKEN_AFTER: Final = 2
"""Failures running after which a pair counts as broken; one may be a hiccup."""
OLD_S: Final = 900.0
"""A result is not shown as current for longer than this."""


@dataclass(frozen=True, slots=True)
class End:
    """One launch of an instance: a restart makes another one. `ranks`: DP ranks, which take turns."""

    name: str
    generation: int
    spec_hash: str
    ranks: int = 1


@dataclass(frozen=True, slots=True)
class PairResult:
    """One canary: how long both legs took, why it failed ("" where it did not; `text_only`: for its text alone),
    decode's text for `question`, and the DP ranks that it went to."""

    prefill: End
    decode: End
    at_s: float
    took_s: float
    fault: str = ""
    question: str = ""
    text: str = ""
    text_only: bool = False
    ranks: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Blame:
    """The end that broken pairs have in common, and what failed, in words."""

    end: End
    words: str


@dataclass(slots=True)
class _Streak:
    """Failures running between two DP ranks. `hard`: those that were more than odd text."""

    last: PairResult
    since_s: float
    running: int = 0
    hard: int = 0


@dataclass(slots=True)
class _Kept:
    last: PairResult
    failures: int = 0
    tried: int = 0
    rotated: int = 0  # canaries that went to the ranks whose turn it was
    streaks: dict[tuple[int, int], _Streak] = field(default_factory=dict)

    @property
    def doubtful(self) -> _Streak | None:
        """Ranks that failed once, or the like: the next canary confirms or clears them."""
        return next((streak for streak in self.streaks.values() if streak.running < BROKEN_AFTER), None)

    @property
    def worst(self) -> _Streak | None:
        """The longest streak of failures."""
        return max(self.streaks.values(), key=lambda streak: streak.running, default=None)

    @property
    def hard(self) -> _Streak | None:
        """The longest one that is more than odd text, if it is long enough."""
        long = [streak for streak in self.streaks.values() if streak.hard >= BROKEN_AFTER]
        return max(long, key=lambda streak: streak.hard, default=None)


@dataclass(slots=True)
class PairBook:
    """The results of every pair, and whose turn it is."""

    _kept: dict[tuple[End, End], _Kept] = field(default_factory=dict)

    def take(self, result: PairResult) -> None:
        """One more result."""
        kept = self._kept.setdefault((result.prefill, result.decode), _Kept(result))
        if result.ranks == _in_turn(kept, result.prefill, result.decode):
            kept.rotated += 1
        kept.last = result
        kept.tried += 1
        if not result.fault:
            kept.streaks.pop(result.ranks, None)
            return
        streak = kept.streaks.setdefault(result.ranks, _Streak(result, result.at_s))
        streak.last = result
        streak.running += 1
        streak.hard += not result.text_only
        kept.failures += 1

    def forget(self, ends: Iterable[End]) -> None:
        """Drop what is bound to launches that are not among `ends` any more."""
        living = set(ends)
        self._kept = {pair: kept for pair, kept in self._kept.items() if pair[0] in living and pair[1] in living}

    def turn(self, prefills: Sequence[End], decodes: Sequence[End]) -> tuple[End, End] | None:
        """The pair to try next: one never tried, else one that failed last, else the one tried longest ago."""

        def order(pair: tuple[End, End]) -> tuple[int, float]:
            kept = self._kept.get(pair)
            if kept is None:
                return (0, 0.0)
            return (1 if kept.doubtful is not None else 2, kept.last.at_s)

        return min(_interleaved(prefills, decodes), key=order, default=None)

    def ranks(self, pair: tuple[End, End]) -> tuple[int, int]:
        """The DP ranks to try next in this pair: those in doubt at once; else they take turns, and every other time it
        is those that are broken, as a pair works again when they do and not when others do."""
        kept = self._kept.get(pair)
        if kept is None:
            return (0, 0)
        if kept.doubtful is not None:
            return kept.doubtful.last.ranks
        if kept.streaks and kept.tried % 2:
            return min(kept.streaks.values(), key=lambda streak: streak.last.at_s).last.ranks
        return _in_turn(kept, *pair)

    def figures(self, prefills: Sequence[End], decodes: Sequence[End], now_s: float) -> tuple[PairFigures, ...]:
        """Every pair of these launches, row by row."""
        odd = self._odd_ones()
        return tuple(self._figures(pair, odd, now_s) for pair in product(prefills, decodes))

    def blamed(self, prefills: Sequence[End], decodes: Sequence[End]) -> Blame | None:
        """The end that is in more broken pairs than any other; of a single broken pair, the one whose side can spare it
        better. None where no pair is broken, where no end stands out (then the fault is not an end's), and as long as
        pairs that share an end with a broken one were not tried since it began to fail. Text alone breaks no pair here.
        """
        pairs = {pair: kept for pair in product(prefills, decodes) if (kept := self._kept.get(pair)) is not None}
        broken = {pair: streak for pair, kept in pairs.items() if (streak := kept.hard) is not None}
        if not broken:
            return None
        since_s = min(streak.since_s for streak in broken.values())
        suspects = {end for pair in broken for end in pair}
        for pair in product(prefills, decodes):
            kept = pairs.get(pair)
            if suspects.isdisjoint(pair):
                continue
            if kept is None or kept.last.at_s < since_s or kept.doubtful is not None:
                return None
        end = _common(tuple(broken), len(prefills), len(decodes))
        if end is None:
            return None
        first, *more = [pair for pair in broken if end in pair]
        others = f" and {len(more)} more" if more else ""
        return Blame(end, f"{first[0].name} -> {first[1].name}{others} ({broken[first].last.fault})")

    def _figures(self, pair: tuple[End, End], odd: dict[tuple[End, End], str], now_s: float) -> PairFigures:
        prefill, decode = pair
        kept = self._kept.get(pair)
        if kept is None or now_s - kept.last.at_s > OLD_S:
            why = "not tried since both were launched" if kept is None else "tried too long ago"
            return PairFigures(prefill.name, decode.name, PairState.UNTRIED, Unknown(why), 0, 0, why)
        age_s = now_s - kept.last.at_s
        state, why = PairState.OK, ""
        took: Figure | Unknown = Figure.exact(kept.last.took_s, age_s, Basis.CANARY, "a tiny request, both legs")
        if (worst := kept.worst) is not None:
            state = PairState.BROKEN if worst.running >= BROKEN_AFTER else PairState.SUSPECT
            why, took = worst.last.fault + _where(worst.last), Unknown("its last canary failed")
        elif pair in odd:
            state, why = PairState.SUSPECT, odd[pair]
        return PairFigures(prefill.name, decode.name, state, took, kept.failures, kept.tried, why)

    def _odd_ones(self) -> dict[tuple[End, End], str]:
        """Pairs whose text differs from that of most pairs with the same question. Greedy text of one prompt is the
        same from every healthy pair; without a majority nobody is accused."""
        by_question: dict[str, list[tuple[tuple[End, End], str]]] = {}
        for pair, kept in self._kept.items():
            if kept.last.question and not kept.last.fault:
                by_question.setdefault(kept.last.question, []).append((pair, kept.last.text))
        odd: dict[tuple[End, End], str] = {}
        for answers in by_question.values():
            (common, count), *_ = Counter(text for _, text in answers).most_common(1)
            if count * 2 <= len(answers) or count < 2:
                continue
            odd |= {
                pair: f"its text for the same prompt is not that of {count} of {len(answers)} pairs"
                for pair, text in answers
                if text != common
            }
        return odd


def gap_s(requests_per_s: float | None, share: float = LOAD_SHARE) -> float:
    """Seconds between two canaries for so many requests of clients per second; None: not known, taken for idle."""
    if requests_per_s is None or requests_per_s < IDLE_BELOW:
        return IDLE_GAP_S
    return 1.0 / (share * requests_per_s)


def _in_turn(kept: _Kept, prefill: End, decode: End) -> tuple[int, int]:
    return (kept.rotated % prefill.ranks, kept.rotated // prefill.ranks % decode.ranks)


def _where(result: PairResult) -> str:
    """Between which DP ranks, where there are several."""
    if result.prefill.ranks == result.decode.ranks == 1:
        return ""
    return f" (DP ranks {result.ranks[0]} -> {result.ranks[1]})"


def _common(broken: Sequence[tuple[End, End]], prefills: int, decodes: int) -> End | None:
    counts = Counter(end for pair in broken for end in pair)
    most = max(counts.values())
    ends = [end for end, count in counts.items() if count == most]
    if len(ends) == 1:
        return ends[0]
    if len(broken) == 1:
        return broken[0][0] if prefills >= decodes else broken[0][1]
    return None


def _interleaved(prefills: Sequence[End], decodes: Sequence[End]) -> list[tuple[End, End]]:
    """All pairs, diagonal by diagonal, so that neighbours in time share no end."""
    wide, high = len(decodes), len(prefills)
    if not wide or not high:
        return []
    longer = max(wide, high)
    walk = ((step % longer, (step + shift) % longer) for shift in range(longer) for step in range(longer))
    return [(prefills[row], decodes[place]) for row, place in walk if row < high and place < wide]

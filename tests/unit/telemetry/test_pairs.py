"""Which pair is broken, whose text is odd, and what a restart does to old results."""

from __future__ import annotations

import random

import pytest

from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import PairFigures, PairState
from pdctl.telemetry.pairs import IDLE_GAP_S, OLD_S, Blame, End, PairBook, PairResult, gap_s

PREFILLS = [End(f"p{number}", 1, "spec", ranks=2) for number in range(4)]
DECODES = [End(f"d{number}", 1, "spec") for number in range(4)]


def states(book: PairBook, now_s: float = 100.0) -> dict[tuple[str, str], PairState]:
    return {(pair.prefill, pair.decode): pair.state for pair in book.figures(PREFILLS, DECODES, now_s)}


def one(book: PairBook, prefill: str, decode: str, now_s: float = 100.0) -> PairFigures:
    (found,) = [
        pair for pair in book.figures(PREFILLS, DECODES, now_s) if (pair.prefill, pair.decode) == (prefill, decode)
    ]
    return found


def a_round(
    book: PairBook, now_s: float, *, broken: tuple[str, str] | None = None, odd: tuple[str, str] | None = None
) -> None:
    """Sixteen canaries, each to the pair whose turn it is."""
    for _ in range(16):
        pair = book.turn(PREFILLS, DECODES)
        assert pair is not None
        names = (pair[0].name, pair[1].name)
        fault = "decode answered 500" if names == broken else ""
        book.take(PairResult(*pair, now_s, 0.08, fault, f"q{now_s}", "wrong" if names == odd else "right"))


def test_one_round_tries_every_pair_once() -> None:
    book = PairBook()
    a_round(book, 1.0)
    assert set(states(book).values()) == {PairState.OK}
    assert {pair.tried for pair in book.figures(PREFILLS, DECODES, 2.0)} == {1}


def test_neighbours_in_a_round_share_no_end() -> None:
    book, before = PairBook(), None
    for _ in range(12):
        pair = book.turn(PREFILLS, DECODES)
        assert pair is not None
        if before is not None:
            assert before[0] is not pair[0] or before[1] is not pair[1]
            assert before[1] is not pair[1]
        before = pair
        book.take(PairResult(*pair, 1.0, 0.08))


def test_one_broken_pair_of_sixteen_is_found_in_one_round_and_named_broken_when_it_fails_again() -> None:
    book = PairBook()
    a_round(book, 1.0, broken=("p2", "d1"))
    assert [pair for pair, state in states(book).items() if state is not PairState.OK] == [("p2", "d1")]
    assert one(book, "p2", "d1").state is PairState.SUSPECT
    assert book.turn(PREFILLS, DECODES) == (PREFILLS[2], DECODES[1]), "it is tried again at once"
    book.take(PairResult(PREFILLS[2], DECODES[1], 2.0, 0.1, "decode answered 500"))
    assert one(book, "p2", "d1").state is PairState.BROKEN
    assert one(book, "p2", "d1").why == "decode answered 500 (DP ranks 0 -> 0)"


def test_a_pair_that_works_again_is_no_longer_broken() -> None:
    book = PairBook()
    a_round(book, 1.0, broken=("p2", "d1"))
    a_round(book, 2.0, broken=("p2", "d1"))
    assert one(book, "p2", "d1").state is PairState.BROKEN
    a_round(book, 3.0)
    assert one(book, "p2", "d1").state is PairState.OK
    assert one(book, "p2", "d1").failures == 2


def test_a_hundred_rounds_of_healthy_pairs_raise_nothing() -> None:
    book, chance = PairBook(), random.Random(3)
    for number in range(100):
        for _ in range(16):
            pair = book.turn(PREFILLS, DECODES)
            assert pair is not None
            book.take(PairResult(*pair, float(number), chance.expovariate(10), "", f"q{number}", f"answer {number}"))
            assert set(states(book, float(number)).values()) <= {PairState.OK, PairState.UNTRIED}


def test_a_pair_that_answers_200_with_wrong_text_is_suspect_and_never_broken_on_text_alone() -> None:
    book = PairBook()
    for second in (1.0, 2.0, 3.0):
        a_round(book, second, odd=("p0", "d3"))
    assert [pair for pair, state in states(book).items() if state is not PairState.OK] == [("p0", "d3")]
    assert one(book, "p0", "d3").state is PairState.SUSPECT
    assert "not that of 15 of 16 pairs" in one(book, "p0", "d3").why


def test_without_a_majority_nobody_is_accused() -> None:
    book = PairBook()
    for prefill, text in ((PREFILLS[0], "this"), (PREFILLS[1], "that")):
        book.take(PairResult(prefill, DECODES[0], 1.0, 0.08, "", "q", text))
    assert one(book, "p0", "d0").state is PairState.OK


def test_a_result_is_void_once_an_end_was_launched_again() -> None:
    book = PairBook()
    a_round(book, 1.0, broken=("p0", "d0"))
    reborn = End("p0", 2, "spec", ranks=2)
    figures = book.figures([reborn], DECODES, 2.0)
    assert {pair.state for pair in figures} == {PairState.UNTRIED}
    assert all(isinstance(pair.handoff_s, Unknown) for pair in figures)
    book.forget([reborn, *DECODES])
    assert {pair.state for pair in book.figures(PREFILLS, DECODES, 2.0)} == {PairState.UNTRIED}


def test_an_old_result_is_not_shown_as_current() -> None:
    book = PairBook()
    a_round(book, 1.0)
    handoff = one(book, "p0", "d0", 2.0).handoff_s
    assert isinstance(handoff, Figure)
    assert handoff.age_s == pytest.approx(1.0)
    assert one(book, "p0", "d0", 2.0 + OLD_S).state is PairState.UNTRIED


def test_dp_ranks_take_turns() -> None:
    book = PairBook()
    pair = (End("p", 1, "s", ranks=2), End("d", 1, "s", ranks=3))
    seen = []
    for _ in range(6):
        seen.append(book.ranks(pair))
        book.take(PairResult(*pair, 1.0, 0.1, ranks=seen[-1]))
    assert sorted(seen) == [(first, second) for first in range(2) for second in range(3)]


def test_a_fault_between_two_dp_ranks_is_confirmed_and_stays_until_those_two_work_again() -> None:
    """Others of the pair work all the while: their successes say nothing of it."""
    book = PairBook()
    prefill, decode = End("p", 1, "s", ranks=4), End("d", 1, "s", ranks=4)

    def tell(count: int, broken: tuple[int, int] | None, at_s: float) -> list[PairState]:
        states = []
        for number in range(count):
            ranks = book.ranks((prefill, decode))
            fault = "decode answered 500" if ranks == broken else ""
            book.take(PairResult(prefill, decode, at_s + number, 0.1, fault, ranks=ranks))
            states.append(book.figures([prefill], [decode], at_s + number)[0].state)
        return states

    found = tell(40, (2, 3), 0.0)
    first = found.index(PairState.SUSPECT)
    assert found[first + 1] is PairState.BROKEN, "it is tried again at once"
    assert set(found[first + 1 :]) == {PairState.BROKEN}
    (figures,) = book.figures([prefill], [decode], 40.0)
    assert figures.why == "decode answered 500 (DP ranks 2 -> 3)"
    assert figures.failures < 20, "the other ranks have their turns too"
    assert PairState.OK in tell(3, None, 40.0)


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0, 500.0])
def test_canaries_are_at_most_one_per_cent_of_the_load(rate: float) -> None:
    assert 1.0 / gap_s(rate) <= 0.01 * rate * (1 + 1e-9)


def test_an_idle_cluster_is_still_tried() -> None:
    assert gap_s(None) == gap_s(0.0) == IDLE_GAP_S


def judged(book: PairBook, broken: set[tuple[str, str]], rounds: int = 2, *, text_only: bool = False) -> Blame | None:
    for number in range(rounds):
        for prefill in PREFILLS:
            for decode in DECODES:
                fault = "decode answered 500" if (prefill.name, decode.name) in broken else ""
                book.take(PairResult(prefill, decode, float(number), 0.08, fault, text_only=text_only))
    return book.blamed(PREFILLS, DECODES)


@pytest.mark.parametrize(
    ("broken", "end"),
    [
        pytest.param(set(), "", id="nothing is broken"),
        pytest.param({(f"p{row}", "d2") for row in range(4)}, "d2", id="a decode, with everybody"),
        pytest.param({("p1", "d0"), ("p1", "d3")}, "p1", id="a prefill, with some"),
        pytest.param({("p1", "d0"), ("p1", "d3"), ("p2", "d3")}, "", id="two ends alike: nobody stands out"),
        pytest.param({(f"p{row}", f"d{place}") for row in range(4) for place in range(4)}, "", id="everything"),
        pytest.param({("p1", "d0")}, "p1", id="one pair: the side that can spare it"),
    ],
)
def test_the_end_that_is_in_most_broken_pairs_is_blamed(broken: set[tuple[str, str]], end: str) -> None:
    blame = judged(PairBook(), broken)
    assert (blame.end.name if blame else "") == end


def test_nobody_is_blamed_for_text_alone_nor_after_one_failure() -> None:
    assert judged(PairBook(), {("p1", "d0")}, rounds=1) is None
    assert judged(PairBook(), {("p1", "d0")}, text_only=True) is None


def test_nobody_is_blamed_before_the_pairs_that_share_an_end_were_tried_too() -> None:
    """A decode that is broken with everybody is first seen broken with one: blaming that prefill would be rash."""
    book = PairBook()
    judged(book, set(), rounds=1)
    for at_s in (10.0, 11.0):
        book.take(PairResult(PREFILLS[0], DECODES[2], at_s, 0.08, "decode answered 500"))
    assert book.blamed(PREFILLS, DECODES) is None
    for at_s in (12.0, 13.0):
        for prefill in PREFILLS:
            for decode in DECODES:
                book.take(PairResult(prefill, decode, at_s, 0.08, "lost" if decode.name == "d2" else ""))
    blame = book.blamed(PREFILLS, DECODES)
    assert blame is not None
    assert blame.end.name == "d2"
    assert "p0 -> d2 and 3 more" in blame.words

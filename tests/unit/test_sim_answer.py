"""Deterministic text, prompt sizes and where an answer ends."""

from __future__ import annotations

import pytest

from pdctl.sim.answer import WORDS, Answer, plan_answer, read_ids, read_text, word


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 1), ("one", 1), ("one two", 2), ("12345678", 1), ("123456789", 2), ("  a\n b\t", 2)],
)
def test_prompt_sizes(text: str, tokens: int) -> None:
    assert read_text(text).tokens == tokens


def test_generated_text_reads_back_at_one_token_a_word() -> None:
    assert read_text("".join(WORDS)).tokens == len(WORDS) == len(set(WORDS)) == 256


def test_same_prompt_same_text_other_prompt_other_text() -> None:
    one, other = read_text("a b c"), read_text("a b d")
    texts = [plan_answer(prompt, max_tokens=16).pieces(0, 16) for prompt in (one, one, other)]
    assert texts[0] == texts[1] != texts[2]


def test_streamed_pieces_join_to_the_whole() -> None:
    answer = plan_answer(read_ids([1, 2, 3]), max_tokens=20)
    assert answer.pieces(0, 7) + answer.pieces(7, 20) == answer.pieces(0, 20)


def test_text_varies_from_token_to_token() -> None:
    assert len({word(7, index) for index in range(200)}) > 100


@pytest.mark.parametrize(
    ("max_tokens", "options", "length", "finish"),
    [
        (5, {}, 5, "length"),
        (5000, {"ignore_eos": True}, 5000, "length"),
        (5000, {"min_tokens": 4000}, 4000, "stop"),
        (1, {"min_tokens": 1}, 1, "length"),
    ],
)
def test_where_an_answer_ends(max_tokens: int, options: dict[str, int], length: int, finish: str) -> None:
    answer = plan_answer(read_text("x"), max_tokens=max_tokens, **options)  # type: ignore[arg-type]
    assert (answer.length, answer.finish) == (length, finish)


def test_end_of_text_comes_within_1280_tokens() -> None:
    answers = [plan_answer(read_text(f"prompt {index}"), max_tokens=100_000) for index in range(50)]
    assert all(256 <= answer.length < 1280 and answer.finish == "stop" for answer in answers)
    assert len({answer.length for answer in answers}) > 30


def test_stop_string_cuts_the_text_even_inside_a_word() -> None:
    prompt = read_text("cut me")
    whole = "".join(plan_answer(prompt, max_tokens=20).pieces(0, 20))
    stop = whole[25:30]
    answer = plan_answer(prompt, max_tokens=20, stop=("never", stop))
    assert (answer.finish, answer.stop_reason) == ("stop", stop)
    assert "".join(answer.pieces(0, answer.length)) == whole[: whole.index(stop)]
    assert answer.pieces(0, 3) + answer.pieces(3, answer.length) == answer.pieces(0, answer.length)


def test_stop_string_before_min_tokens_is_passed_over() -> None:
    prompt = read_text("cut me")
    pieces = plan_answer(prompt, max_tokens=20).pieces(0, 20)
    answer = plan_answer(prompt, max_tokens=20, min_tokens=2, stop=(pieces[0],))
    assert answer.length > 2


def test_digest_that_came_with_other_kv_shows() -> None:
    answer = Answer(digest=1, length=4, finish="length")
    right = answer.pieces(0, 4)
    answer.digest = 2
    assert answer.pieces(0, 4) != right

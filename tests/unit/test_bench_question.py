"""What a load asks: exact lengths, nothing shared but what is meant to be, the same for the same seed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdctl.bench.drivers.endpoint import endpoint_of
from pdctl.bench.drivers.question import Questions
from pdctl.bench.point import Target
from pdctl.errors import BenchError
from pdctl.model.load import Api, PromptKind
from pdctl.perf.workload import Asked

BLOCK = 16  # tokens of a block of vLLM's prefix cache, by default


def questions(salt: str = "s", url: str = "http://h:8000", **target: Any) -> Questions:
    return Questions(Target(url, "tiny", **target), endpoint_of(url), salt=salt, longest=9000)


def parts(request: bytes) -> tuple[str, dict[str, Any]]:
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return head.decode(), json.loads(body)


def tokens(made: Questions, index: int, asked: Asked) -> list[int]:
    found = parts(made.request(index, asked))[1]["prompt"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("isl", [1, 15, 16, 17, 1000, 8192])
def test_a_prompt_has_exactly_so_many_tokens_of_the_vocabulary(isl: int) -> None:
    prompt = tokens(questions(vocab=500), 3, Asked(0.0, isl, 5))
    assert len(prompt) == isl
    assert all(10 <= token < 500 for token in prompt)


def test_the_output_length_is_forced_and_the_usage_told() -> None:
    _, body = parts(questions().request(0, Asked(0.0, 4, 7)))
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"], body["stream"]) == (7, 7, True, True)
    assert body["stream_options"] == {"include_usage": True}


def test_no_two_prompts_share_a_block_unless_they_are_asked_to() -> None:
    made = questions()
    heads = {tuple(tokens(made, n, Asked(0.0, 64, 1))[:BLOCK]) for n in range(200)}
    assert len(heads) == 200
    one, other, third = (tokens(made, n, Asked(0.0, 300, 1, prefix_id=pid, prefix_len=200)) for n, pid in
                         ((0, 1), (1, 1), (2, 2)))  # fmt: skip
    assert one[:200] == other[:200] != third[:200]
    assert one[200:216] != other[200:216]
    assert [len(one), len(tokens(made, 5, Asked(0.0, 20, 1, prefix_id=1, prefix_len=20)))] == [300, 20]


def test_the_same_seed_asks_the_same_and_another_does_not() -> None:
    asked = Asked(0.0, 500, 5)
    assert questions("a").request(7, asked) == questions("a").request(7, asked) != questions("b").request(7, asked)


def test_chat_and_completions_in_words() -> None:
    words = {"prompt": PromptKind.WORDS}
    head, chat = parts(questions(api=Api.CHAT, **words).request(0, Asked(0.0, 40, 5)))
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert len(chat["messages"][0]["content"].split()) == 40
    assert len(parts(questions(**words).request(0, Asked(0.0, 40, 5)))[1]["prompt"].split()) == 40
    with pytest.raises(BenchError, match="text"):
        questions(api=Api.CHAT)


def test_where_it_is_sent_and_with_which_key() -> None:
    head, _ = parts(questions(url="https://gpu.example/openai/v1/", api_key="k-1").request(0, Asked(0.0, 1, 1)))
    assert head.startswith("POST /openai/v1/completions HTTP/1.1\r\nHost: gpu.example\r\nAuthorization: Bearer k-1\r\n")
    with pytest.raises(BenchError) as refused:
        questions(api_key="k-1\r\nX-Evil: 1")
    assert "k-1" not in str(refused.value)


@pytest.mark.parametrize("url", ["gpu:8000", "ftp://h", "http://", "http://h:x", "http://u:p@h", "http://h/?a=1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(BenchError):
        endpoint_of(url)

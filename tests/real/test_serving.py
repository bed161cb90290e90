"""1P2D of real vLLM on CPU, brought up by pdctl: requests are served, and by KV that moved from prefill to decode."""

from __future__ import annotations

import pytest

from tests.fleet.command import Json
from tests.fleet.site import of
from tests.real.kv import by_telemetry, kv_of, kv_of_role, metrics_of, shape_of
from tests.real.stack import TINY_MODEL, Stack, complete, traffic

TOKENS = 24
PROMPTS = (
    "The prefill node reads the whole",
    "Where do nodes go at night?",
    "A router picks a pair of engines for every request, and " * 8,
)


async def test_requests_are_served_and_their_kv_moves(serving: Stack) -> None:
    isl, requests = 100, 40
    prefill = of(await serving.status(), "n1.main.0")
    before = await kv_of(prefill)
    report, moved = await serving.load(
        "40 requests, 100 tokens in, 32 out", traffic(serving.router_url, requests=requests, isl=isl)
    )
    assert (report.counts.ok, report.counts.failed) == (requests, 0), report.failures
    assert report.tokens == requests * 32
    assert 0 < report.streamed < requests
    assert (moved.local_tokens, moved.external_tokens) == (0, requests * isl), "decode computed prompts by itself"
    assert (await kv_of(prefill) - before).local_tokens == requests * isl
    assert (moved.transfers, moved.failed) == (requests, 0)


@pytest.mark.parametrize("isl", [96, 100, 500])
async def test_derived_kv_bytes_are_those_that_nixl_counted(serving: Stack, isl: int) -> None:
    """Whole blocks move, the last one too: exactly so many by the prompts' length; by telemetry, which sees a count of
    tokens only, within bounds whose middle is good to 3 % where prompts are longer than a few blocks."""
    requests = 12
    decodes = [instance for instance in (await serving.status())["instances"] if instance["role"] == "decode"]
    shape = await shape_of(decodes[0], TINY_MODEL)
    before = [await metrics_of(instance) for instance in decodes]
    load = traffic(serving.router_url, requests=requests, isl=isl, osl=8)
    report, _ = await serving.load(f"{requests} requests, {isl} tokens in, 8 out", load)
    assert report.counts.ok == requests, report.failures
    after = [await metrics_of(instance) for instance in decodes]
    moved = by_telemetry(zip(before, after, strict=True), shape)
    blocks = requests * -(-isl // shape.block_tokens)
    by_blocks = blocks * shape.block_tokens * shape.bytes_per_token
    off = moved.middle / moved.counted - 1
    serving.figures.notes.append(
        f"KV bytes of {requests} prompts of {isl} tokens: {moved.counted:.0f} counted by NIXL; {by_blocks:.0f} by "
        f"whole blocks; {moved.low:.0f} to {moved.high:.0f} by telemetry, middle {off:+.1%}"
    )
    assert moved.counted == pytest.approx(by_blocks, rel=0.03)
    assert moved.low <= moved.counted <= moved.high
    if isl > 15 * shape.block_tokens:
        assert moved.middle == pytest.approx(moved.counted, rel=0.03)


async def test_every_decode_takes_part(serving: Stack) -> None:
    decodes = [instance for instance in (await serving.status())["instances"] if instance["role"] == "decode"]
    before = [(await kv_of(instance)).transfers for instance in decodes]
    report, _ = await serving.load("12 requests", traffic(serving.router_url, requests=12))
    assert report.counts.ok == 12, report.failures
    after = [(await kv_of(instance)).transfers for instance in decodes]
    assert all(later > earlier for later, earlier in zip(after, before, strict=True)), (before, after)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_the_pairs_text_is_that_of_the_decode_engine_alone(serving: Stack, prompt: str) -> None:
    seen = await serving.status()
    decode = of(seen, "n2.main.0")
    asked = {"prompt": prompt, "max_tokens": TOKENS, "ignore_eos": True}
    before = await kv_of_role(seen, "decode")
    pair = await complete(serving.router_url, asked)
    by_pair = await kv_of_role(seen, "decode") - before
    alone = await complete(f"http://{decode['endpoint']}", asked)
    by_itself = await kv_of_role(seen, "decode") - before - by_pair
    tokens = pair["usage"]["prompt_tokens"]
    assert (by_pair.external_tokens, by_pair.local_tokens) == (tokens, 0), "the pair's text is made of moved KV"
    assert (by_itself.external_tokens, by_itself.local_tokens) == (0, tokens), "the other one is not"
    same_text(pair, alone)


async def test_a_corrupted_pair_is_noticed(serving: Stack) -> None:
    """Were the wrong blocks pulled, the comparison of texts would tell: here they are those of another prompt."""
    seen = await serving.status()
    prefill, decode = of(seen, "n1.main.0"), of(seen, "n2.main.0")
    mine, others = list(range(270, 370)), list(range(369, 269, -1))
    asked = {"prompt": mine, "max_tokens": TOKENS, "ignore_eos": True}
    url = f"http://{decode['endpoint']}"
    alone = await complete(url, asked)
    same_text(await complete(url, {**asked, "kv_transfer_params": await handed_over(prefill, mine)}), alone)
    before = await kv_of(decode)
    corrupted = await complete(url, {**asked, "kv_transfer_params": await handed_over(prefill, others)})
    moved = await kv_of(decode) - before
    assert (moved.external_tokens, moved.local_tokens, moved.failed) == (len(mine), 0, 0), "no figure gives it away"
    with pytest.raises(AssertionError, match="another text"):
        same_text(corrupted, alone)
    serving.figures.notes.append(
        f"a prompt's text by the decode alone: {_text(alone)!r}; by KV of another prompt: {_text(corrupted)!r}"
    )


def same_text(pair: Json, alone: Json) -> None:
    """The check for a corrupted pair: both answers are whole, hold text, and it is the same."""
    assert (pair["choices"][0]["finish_reason"], alone["choices"][0]["finish_reason"]) == ("length", "length")
    assert _text(alone).strip()
    assert _text(pair) == _text(alone), "another text"


def _text(answer: Json) -> str:
    text: str = answer["choices"][0]["text"]
    return text


async def handed_over(prefill: Json, prompt: list[int]) -> Json:
    """The prefill leg; what the decode leg needs to pull the KV."""
    params = {"do_remote_decode": True, "do_remote_prefill": False, "remote_engine_id": None}
    body = {"prompt": prompt, "max_tokens": 1, "min_tokens": 1, "kv_transfer_params": params}
    found: Json = (await complete(f"http://{prefill['endpoint']}", body))["kv_transfer_params"]
    return found

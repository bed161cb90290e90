"""The load client's connection: whatever way the network cuts the bytes, the answer is the same."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.drivers.connection import Connection
from pdctl.bench.drivers.reply import Reply
from pdctl.model.outcome import Outcome

TOKEN = 'data: {"id":"a","choices":[{"text":" é","finish_reason":null}]}'
LAST = 'data: {"choices":[{"text":"x","finish_reason":"length"}]}'
USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"


class Wire(asyncio.Transport):
    """Takes what is written, and remembers being closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


def pieces(data: st.DataObject, stream: bytes) -> list[bytes]:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    cut = [stream[start:stop] for start, stop in zip([0, *places], [*places, len(stream)], strict=True)]
    return [piece for piece in cut if piece]


async def answered(cut: list[bytes], *, then_closed: bool) -> tuple[object, ...]:
    """What a client makes of an answer that comes in these pieces, one each second."""
    clock = iter(range(1, 1_000_000))
    connection, reply, wire = Connection(lambda: float(next(clock)), lambda _: None), Reply(), Wire()
    connection.connection_made(wire)
    ended = connection.send(b"POST", reply)
    for piece in cut:
        connection.data_received(piece)
    if then_closed:
        connection.connection_lost(None)
    lost = await ended if ended.done() else "still waiting"
    verdict = reply.judge(lost)
    answer = reply.answer
    return verdict.outcome, len(answer.token_times_s), reply.tokens, answer.prompt_tokens, answer.request_id, lost


@given(
    st.data(),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 4),
    st.sampled_from(["chunked", "length", "until closed"]),
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
)
def test_an_answer_survives_any_split(
    data: st.DataObject, eol: str, several: int, framing: str, sizes: list[int]
) -> None:
    body = "".join(event + eol * 2 for event in [*[TOKEN] * several, LAST, USAGE, "data: [DONE]"]).encode()
    if framing == "chunked":
        stream, place, turn = HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0, 0
        while place < len(body):
            chunk = body[place : place + sizes[turn % len(sizes)]]
            stream += b"%x\r\n%b\r\n" % (len(chunk), chunk)
            place, turn = place + len(chunk), turn + 1
        stream += b"0\r\n\r\n"
    elif framing == "length":
        stream = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        stream = HEAD + b"Connection: close\r\n\r\n" + body
    seen = asyncio.run(answered(pieces(data, stream), then_closed=framing == "until closed"))
    assert seen == (Outcome.OK, several + 1, 4, 7, "a" if several else "", "")


@given(st.data(), st.integers(1, 10_000))
def test_an_answer_that_is_cut_anywhere_is_never_a_good_one(data: st.DataObject, left: int) -> None:
    body = "".join(event + "\n\n" for event in (TOKEN, LAST, USAGE, "data: [DONE]")).encode()
    stream = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    done = stream.index(b"[DONE]") + len(b"[DONE]\n\n")
    cut = stream[: min(left, done - 1)]
    outcome, *_ = asyncio.run(answered(pieces(data, cut), then_closed=True))
    assert outcome is Outcome.CUT


@given(st.data(), st.binary(max_size=300))
def test_any_bytes_end_without_a_crash(data: st.DataObject, noise: bytes) -> None:
    for stream in (noise, HEAD + b"\r\n" + noise, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + noise):
        outcome, *_ = asyncio.run(answered(pieces(data, stream), then_closed=True))
        assert outcome in (Outcome.CUT, Outcome.ERROR)

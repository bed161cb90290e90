"""The built-in driver of `pdctl bench` against servers that misbehave in every way that was seen of real ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pdctl.bench.driver import Measured
from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked, Workload
from tests.wire.misbehaving import DONE, STREAMS, USAGE, says
from tests.wire.scripted_http import Script, end, event, head, scripted_server, token, whole

GOOD = head() + token() + token() + token(finish="length") + USAGE + DONE + end()


def point(asked: Sequence[Asked], concurrency: int | None = None, *, deadline_s: float = 10.0) -> Point:
    return Point("here", "test", "c1", 0, Workload(tuple(asked), concurrency), deadline_s)


async def drive(url: str, what: Point, driver: BuiltinDriver | None = None, **target: Any) -> Measured:
    """Without a warm-up; fails if the rows that were told are not those that are returned."""
    told: list[Row] = []
    made = driver or BuiltinDriver(warm_up=0)
    measured = await made.run(what, Target(url, "tiny", **target), on_row=told.append, stop=lambda: False)
    assert sorted(told, key=lambda row: row.index) == list(measured.rows)
    return measured


async def ask(script: Script, *, deadline_s: float = 10.0) -> Row:
    async with scripted_server(script) as url:
        return (await drive(url, point([Asked(0.0, 4, 3)], deadline_s=deadline_s))).rows[0]


@pytest.fixture
def closed_url() -> Iterator[str]:
    """A port that is taken, so that nobody else listens there, and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(("script", "outcome", "detail"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
async def test_outcome(script: Script, outcome: Outcome, detail: str) -> None:
    row = await ask(script)
    assert row.outcome is outcome
    said = row.refusal if outcome is Outcome.REFUSED else row.error
    assert detail in said
    assert bool(row.refusal or row.error) == row.outcome.failed


ODD: list[tuple[str, Script, Outcome, str]] = [
    ("empty body", says(whole(200, "", "text/event-stream")), Outcome.CUT, "empty body"),
    ("whole answer to a stream", says(whole(200, '{"error":{"message":"boom"}}')), Outcome.ERROR, "boom"),
    (
        "redirect",
        says(b"HTTP/1.1 307 T\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n"),
        Outcome.ERROR,
        "redirect",
    ),
    ("no HTTP", says(b"SSH-2.0-OpenSSH_9.2\r\n"), Outcome.CUT, "no HTTP/1.1 answer"),
    ("continue, then whole", says(b"HTTP/1.1 100 Continue\r\n\r\n", GOOD), Outcome.OK, ""),
    ("body until the close", says(b"HTTP/1.0 200 OK\r\n\r\n", *[b"data: [DONE]\n\n"]), Outcome.CUT, "finish_reason"),
]


@pytest.mark.parametrize(("script", "outcome", "detail"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
async def test_outcome_of_an_odd_answer(script: Script, outcome: Outcome, detail: str) -> None:
    row = await ask(script)
    assert row.outcome is outcome
    assert detail in row.error


async def test_nobody_listens(closed_url: str) -> None:
    row = (await drive(closed_url, point([Asked(0.0, 4, 3)]))).rows[0]
    assert (row.outcome, row.attempts, row.status) == (Outcome.REFUSED, 1, None)
    assert "no connection" in row.refusal


async def test_a_row_tells_ids_counts_and_instances() -> None:
    zmq = "host:10.0.0.{},handshake:6301,notify:61005"
    name = f"cmpl-___prefill_addr_{zmq.format(1)}___decode_addr_{zmq.format(2)}_{'0a' * 16}-0"
    tokens = [event({"id": name, "choices": [{"text": "a", "finish_reason": stop}]}) for stop in (None, "length")]
    row = await ask(says(head(), *tokens, USAGE, DONE, end()))
    assert (row.request_id, row.prefill, row.decode) == (name, "10.0.0.1:6301", "10.0.0.2:6301")
    assert (row.outcome, row.tokens, row.prompt_tokens, len(row.gaps_s), row.status) == (Outcome.OK, 3, 4, 1, 200)

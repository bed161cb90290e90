"""`pdctl bench run` as an operator runs it: killed, interrupted, resumed, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdctl.bench.runs.read import read_run
from tests.fleet.command import Json, Operator
from tests.wire.scripted_http import Script, end, event, head, scripted_server

REQUESTS = 40


@dataclass(slots=True)
class Server:
    """Answers each request with `tokens` tokens, `gap_s` apart; `prompts` has every prompt by the answer's id."""

    gap_s: float = 0.01
    tokens: int = 3
    finish: str = "length"
    hangs: bool = False
    prompts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    answered: int = 0

    async def __call__(self, writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        name = f"cmpl-{len(self.prompts)}"
        first = not self.prompts
        self.prompts[name] = tuple(body["prompt"])
        writer.write(head())
        if self.hangs and not first:  # the first one only asks whether anything answers
            await asyncio.sleep(3600)
        tokens = int(body["max_tokens"])
        for number in range(tokens):
            await asyncio.sleep(self.gap_s)
            finish = self.finish if number == tokens - 1 else None
            if first and finish:
                finish = "length"
            writer.write(event({"id": name, "choices": [{"index": 0, "text": " a", "finish_reason": finish}]}))
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": tokens}
        writer.write(event({"id": name, "choices": [], "usage": usage}) + event("[DONE]") + end())
        self.answered += 1


def command(url: str, out: Path, *more: str) -> Sequence[str]:
    return (
        *("bench", "run", "--url", url, "--model", "tiny", "--scenario", "16/3", "--concurrency", "4"),
        *("--requests", str(REQUESTS), "--warm-up", "0", "--out", str(out), *more),
    )


async def after(server: Server, answers: int) -> None:
    give_up_s = time.monotonic() + 30
    while server.answered < answers:
        assert time.monotonic() < give_up_s, f"{server.answered} answers"
        await asyncio.sleep(0.005)


def stored(out: Path) -> dict[int, str]:
    """The id of the answer to each request that has a row."""
    rows = list(read_run(out).points[0].rows())
    assert len(rows) == len({row.index for row in rows})
    return {row.index: row.request_id for row in rows}


def script(server: Server) -> Script:
    return server


async def test_a_run_killed_half_way_repeats_no_request_that_was_measured(tmp_path: Path) -> None:
    server, out, operator = Server(), tmp_path / "run", Operator(tmp_path)
    async with scripted_server(script(server)) as url:
        async with operator.starts(*command(url, out)) as running:
            await after(server, 15)
            running.send(signal.SIGKILL)
            await running.end()
        before = stored(out)
        assert 4 <= len(before) < REQUESTS
        sent = len(server.prompts)
        done = (await operator.pdctl("bench", "run", "--resume", str(out), "--json")).expect(0)
    found = stored(out)
    assert sorted(found) == list(range(REQUESTS))
    assert {index: found[index] for index in before} == before
    # Prompts differ from request to request, so the server can tell whether it was asked anything twice.
    measured = {server.prompts[name] for name in before.values()}
    later = [prompt for name, prompt in list(server.prompts.items())[sent:]]
    assert not measured.intersection(later)
    assert len({server.prompts[name] for name in found.values()}) == REQUESTS
    [point] = done.events("point_done")
    assert "measured in 2 stretches" in point["figures"]["warnings"]
    assert point["figures"]["counts"]["ok"] == REQUESTS


async def test_an_interrupt_lets_what_is_in_flight_end_and_says_how_to_go_on(tmp_path: Path) -> None:
    server, out, operator = Server(), tmp_path / "run", Operator(tmp_path)
    async with scripted_server(script(server)) as url:
        async with operator.starts(*command(url, out)) as running:
            await after(server, 10)
            running.send(signal.SIGINT)
            done = (await running.end()).expect(130)
        assert f"pdctl bench run --resume {out}" in done.out
        assert "interrupted: nothing more is sent" in done.out
        rows = list(read_run(out).points[0].rows())
        assert all(row.ok for row in rows)
        assert len(rows) == server.answered - 1  # and the first one, which asked whether the server answers
        again = (await operator.pdctl(*command(url, out))).expect(0)
    assert f"{REQUESTS} ok" in again.out
    assert sorted(stored(out)) == list(range(REQUESTS))


async def test_a_second_interrupt_ends_a_run_whose_server_hangs(tmp_path: Path) -> None:
    server, out = Server(hangs=True), tmp_path / "run"
    async with (
        scripted_server(script(server)) as url,
        Operator(tmp_path).starts(*command(url, out, "--json")) as running,
    ):
        await running.until(lambda line: line["event"] == "point_started", "a point")
        running.send(signal.SIGINT)
        await running.until(lambda line: line["event"] == "bench_told", "a word on the first interrupt")
        running.send(signal.SIGINT)
        done = (await running.end(20)).expect(130)
    assert done.document["event"] == "bench_ended"
    assert done.document["left"] == 1


async def test_a_server_that_aborts_fails_the_point_and_the_run(tmp_path: Path) -> None:
    async with scripted_server(script(Server(finish="abort"))) as url:
        done = (await Operator(tmp_path).pdctl(*command(url, tmp_path / "run"))).expect(1)
    assert f"{REQUESTS} aborted" in done.out
    assert "1 NOT MEASURED" in done.out


async def test_a_server_that_refuses_the_first_request_is_sent_no_load(tmp_path: Path) -> None:
    async def refuse(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        answer = b'{"error": {"message": "no such model"}}'
        writer.write(head(404, "application/json", len(answer)) + answer)

    async with scripted_server(refuse) as url:
        done = (await Operator(tmp_path).pdctl(*command(url, tmp_path / "run"))).expect(1)
    assert "no such model" in done.err
    assert not (tmp_path / "run").exists()


async def test_events_are_lines_of_json_in_one_envelope(tmp_path: Path) -> None:
    async with scripted_server(script(Server())) as url:
        slo = ("--slo", "ttft=1s,itl=50ms", "--json", "--name", "here")
        done = (await Operator(tmp_path).pdctl(*command(url, tmp_path / "run", *slo))).expect(0)
    names = [line["event"] for line in done.lines]
    assert [name for name in names if name != "progress"] == [
        "bench_started",
        "point_started",
        "point_done",
        "bench_ended",
    ]
    assert all({"schema", "ts", "run", "cluster", "event"} <= line.keys() for line in done.lines)
    assert {line["cluster"] for line in done.lines} == {"here"}
    [point] = done.events("point_done")
    figures: Json = point["figures"]
    assert point["point"] == "here/16-3/c4/s0"
    assert figures["goodput"]["offered"] == REQUESTS
    assert 0.005 < figures["itl"]["median_s"] < 0.1
    assert {"mean_s", "median_s", "p90_s", "p99_s", "std_s", "count"} == figures["ttft"].keys()

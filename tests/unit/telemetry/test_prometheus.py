"""What a Prometheus answers becomes scrapes again: of the present launch only, and with errors that say why."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx
import pytest

from pdctl.telemetry.node_feed import Scraped
from pdctl.telemetry.prometheus import PrometheusError, PrometheusSource
from tests.unit.telemetry.scrapes import NAMES


def row(generation: int, *values: tuple[float, str]) -> dict[str, object]:
    labels = {"pdctl_instance": "n1.main.0", "pdctl_node": "n1", "pdctl_generation": str(generation), "engine": "0"}
    return {"metric": {"__name__": "vllm:generation_tokens_total", **labels}, "values": [list(pair) for pair in values]}


def source(*rows: object, status: str = "success") -> PrometheusSource:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": status, "error": "query is too long", "data": {"result": [*rows]}})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PrometheusSource(client, "http://prom", "demo", NAMES)


async def test_scrapes_of_a_launch_that_is_over_are_left_out_and_the_interval_is_learnt() -> None:
    reader = source(row(1, (100.0, "9e9")), row(2, (115.0, "1"), (130.0, "5")))
    found = await reader.read(131.0, {"n1.main.0": 2})
    told = [(heard.at_s, *heard.scan.samples.values()) for _, heard, _ in found if isinstance(heard, Scraped)]
    assert told == [(115.0, 1.0), (130.0, 5.0)]
    assert [age_s for _, _, age_s in found] == [16.0, 1.0]
    assert reader.every_s == 15.0
    assert await reader.read(132.0, {"n1.main.0": 2}) == [], "what was read is not read again"


async def test_only_the_first_question_is_for_five_minutes_of_everything() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(parse_qs(request.content.decode())["query"][0].rpartition("[")[2])
        rows = [row(1, (100.0, "1"), (101.0, "2"))]
        return httpx.Response(200, json={"status": "success", "data": {"result": rows}})

    reader = PrometheusSource(httpx.AsyncClient(transport=httpx.MockTransport(answer)), "http://prom", "demo", NAMES)
    for now_s in (101.0, 102.5, 200.0, 9000.0):
        await reader.read(now_s)
    assert asked == ["310s]", "5s]", "101s]", "310s]"], "a second between scrapes; then a pause, and a long one"


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        pytest.param(source(status="error"), "query is too long", id="refused"),
        pytest.param(source({"metric": {}}), "no matrix", id="another shape"),
        pytest.param(source("nonsense"), "no matrix", id="nonsense"),
    ],
)
async def test_an_answer_that_is_none_is_an_error_with_its_cause(reader: PrometheusSource, why: str) -> None:
    with pytest.raises(PrometheusError, match=why):
        await reader.read(100.0)

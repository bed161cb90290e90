"""One request, sent and measured. Every way in which it can end becomes an outcome; nothing is raised but misuse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pdctl.bench.answer import StreamedAnswer, Verdict, judge_body, judge_status
from pdctl.bench.sse import SseDecoder
from pdctl.model.outcome import Outcome, RequestResult

if TYPE_CHECKING:
    import httpx

# An idle connection is reused only while it is younger than any server's keep-alive (uvicorn: 5 s): reusing one that
# the server is just closing would look like a cut answer.
_KEEPALIVE_S = 2.0


@asynccontextmanager
async def open_client(url: str, *, connections: int, connect_s: float = 10.0) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server at `url` with at most `connections` connections. The environment's proxies are not used.

    Reads have no timeout of their own: a request's deadline bounds all of it.
    """
    from pdctl.ssh.lean_httpx import httpx

    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEEPALIVE_S
    )
    timeout = httpx.Timeout(None, connect=connect_s)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=timeout, trust_env=False) as client:
        yield client


async def send(
    client: httpx.AsyncClient,
    path: str,
    body: Mapping[str, Any],
    *,
    deadline_s: float,
    clock: Callable[[], float] = time.monotonic,
    last: bool = False,
) -> RequestResult:
    """POST `body` to `path` and read the answer to its end: a stream if the body asks for one, else a whole.

    `last`: the connection is not used again.

    REFUSED needs proof that the request was not taken in: no connection, or the server's word. A connection that goes
    or a deadline that passes is CUT, headers seen or not.
    """
    import httpx

    started_s = clock()
    answer = StreamedAnswer() if body.get("stream") else None
    headers = {"Connection": "close"} if last else {}
    try:
        async with asyncio.timeout(deadline_s):
            if answer is None:
                return await _buffered(client, path, body, headers, started_s, clock)
            return await _streamed(client, path, body, headers, answer, started_s, clock)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return _failure(Verdict(Outcome.REFUSED, f"no connection: {_cause(error)}"), clock() - started_s, answer)
    except TimeoutError:
        return _cut(answer, f"no whole answer within {deadline_s:g} s", clock() - started_s)
    except httpx.HTTPError as error:
        return _cut(answer, f"connection lost: {_cause(error)}", clock() - started_s)


async def _streamed(
    client: httpx.AsyncClient,
    path: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    answer: StreamedAnswer,
    started_s: float,
    clock: Callable[[], float],
) -> RequestResult:
    decoder = SseDecoder()
    async with client.stream("POST", path, json=body, headers=headers) as response:
        if response.status_code != HTTPStatus.OK:
            text = (await response.aread()).decode("utf-8", "replace")
            verdict = judge_status(response.status_code, text)
            assert verdict is not None
            return _failure(verdict, clock() - started_s, answer)
        # Read past [DONE] to the end: hanging up there would look to the engine like a client that lost interest.
        async for chunk in response.aiter_bytes():
            now_s = clock() - started_s
            for data in decoder.feed(chunk):
                answer.add(data, now_s)
    return answer.result(e2el_s=clock() - started_s)


async def _buffered(
    client: httpx.AsyncClient,
    path: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    started_s: float,
    clock: Callable[[], float],
) -> RequestResult:
    response = await client.post(path, json=body, headers=headers)
    e2el_s = clock() - started_s
    text = response.content.decode("utf-8", "replace")
    if verdict := judge_status(response.status_code, text):
        return _failure(verdict, e2el_s, None)
    verdict, tokens = judge_body(text)
    return RequestResult(verdict.outcome, None, (), e2el_s, tokens, streamed=False, detail=verdict.detail)


def _failure(verdict: Verdict, e2el_s: float, answer: StreamedAnswer | None) -> RequestResult:
    """A failure before the first token."""
    return RequestResult(verdict.outcome, None, (), e2el_s, 0, streamed=answer is not None, detail=verdict.detail)


def _cut(answer: StreamedAnswer | None, lost: str, e2el_s: float) -> RequestResult:
    """A lost connection: what the stream had said before (an error, an abort) explains it better than the loss."""
    if answer is None:
        return _failure(Verdict(Outcome.CUT, lost), e2el_s, None)
    return answer.result(e2el_s=e2el_s, lost=lost)


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__

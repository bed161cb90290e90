"""Serving one completion: from the HTTP request to the last byte, streamed or buffered, or until the client leaves."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from pdctl.sim.answer import plan_answer
from pdctl.sim.asgi import HttpReply, HttpRequest, Send, send_reply, start, until_disconnect
from pdctl.sim.engine_args import EngineArgs
from pdctl.sim.engine_core import EngineCore
from pdctl.sim.engine_metrics import EngineMetrics
from pdctl.sim.faults import Faults
from pdctl.sim.openai_api import ApiError, CompletionAsk, bad_request, engine_dead, internal_error, parse_ask
from pdctl.sim.openai_replies import DONE, Reply, error_event, usage
from pdctl.sim.sim_request import SimRequest

_CORRUPTION = 0x5EED


class Completions:
    """The handler of /v1/completions and /v1/chat/completions. `in_flight` counts HTTP requests being served."""

    def __init__(
        self, core: EngineCore, args: EngineArgs, faults: Faults, metrics: EngineMetrics, version: str
    ) -> None:
        self._core = core
        self._args = args
        self._faults = faults
        self._metrics = metrics
        self._fingerprint = f"vllm-{version}-sim"
        self.in_flight = 0

    async def serve(self, http: HttpRequest, send: Send, *, chat: bool) -> int:
        """Answer one request; the HTTP status that was sent. Raises ApiError before anything was sent."""
        self._check_open()
        if not http.headers.get("content-type", "application/json").startswith("application/json"):
            raise ApiError(415, "Unsupported Media Type", "Unsupported Media Type: Only 'application/json' is allowed")
        names = self._args.served_names
        ask = parse_ask(http.body, chat=chat, served_names=names, max_model_len=self._args.max_model_len)
        raw_id = http.headers.get("x-request-id") or ask.request_id or secrets.token_hex(8)
        response_id = f"{'chatcmpl' if chat else 'cmpl'}-{raw_id}"
        request = self._make(ask, raw_id, response_id, http.headers.get("x-data-parallel-rank"))
        headers = [("x-request-id", raw_id)] if self._args.request_id_headers else []
        reply = Reply(
            chat=chat, response_id=response_id, created=int(time.time()), model=ask.model, fingerprint=self._fingerprint
        )
        self._core.submit(request)
        watcher = asyncio.get_running_loop().create_task(self._abort_on_disconnect(http, request))
        self.in_flight += 1
        try:
            if ask.stream:
                await self._stream(request, ask, reply, send, headers)
                return 200
            await self._buffered(request, reply, send, headers)
            return 200
        finally:
            self.in_flight -= 1
            watcher.cancel()
            self._core.abort(request)  # if we were cancelled; an ended request stays as it is

    def _check_open(self) -> None:
        if self._core.cause_of_death is not None:
            raise engine_dead()
        if "errors500" in self._faults:
            raise internal_error()
        if self._core.paused in ("abort", "wait"):
            raise ApiError(503, "ServiceUnavailableError", "The engine is paused. Try again later.")
        limit = self._args.max_queued
        if limit is not None and sum(len(rank.waiting) + len(rank.deferred) for rank in self._core.ranks) >= limit:
            self._metrics.rejected("max_num_queued_reqs")
            raise ApiError(503, "ServiceUnavailableError", f"The queue is full: {limit} requests are waiting.")

    def _make(self, ask: CompletionAsk, raw_id: str, response_id: str, rank_header: str | None) -> SimRequest:
        answer = plan_answer(
            ask.prompt,
            max_tokens=ask.max_tokens,
            min_tokens=ask.min_tokens,
            ignore_eos=ask.ignore_eos,
            stop=ask.stop,
        )
        if "corrupt" in self._faults:
            answer.digest ^= _CORRUPTION
        request = SimRequest(
            id=f"{response_id}-0-{secrets.token_hex(4)}",
            raw_id=raw_id,
            prompt_tokens=ask.prompt.tokens,
            answer=answer,
            max_tokens=ask.max_tokens,
            arrival_s=self._core.clock(),
            rank=self._rank(rank_header),
            kv_params=ask.kv_params,
            buffered=not ask.stream,
        )
        if not self._core.ranks[request.rank].fits(request):
            raise bad_request("the request needs more KV blocks than the engine has", "input_tokens")
        return request

    def _rank(self, header: str | None) -> int:
        if header is None:
            return self._core.least_loaded_rank()
        count = len(self._core.ranks)
        if not header.isdigit() or int(header) >= count:
            raise bad_request(f"data_parallel_rank {header} is out of range [0, {count}).")
        return int(header)

    async def _abort_on_disconnect(self, http: HttpRequest, request: SimRequest) -> None:
        await until_disconnect(http.receive)
        self._core.abort(request)

    async def _stream(
        self, request: SimRequest, ask: CompletionAsk, reply: Reply, send: Send, headers: list[tuple[str, str]]
    ) -> None:
        """Status and headers go out at once, before the first token, as vLLM's do."""
        await start(send, 200, [("content-type", "text/event-stream; charset=utf-8"), *headers])
        sent = 0
        while True:
            await request.changed(sent)
            opening = b"" if sent else reply.first()
            # The last token of an answer goes out with its finish_reason, in the ending.
            until = request.produced - (request.outcome in ("length", "stop"))
            usages: tuple[dict[str, Any], ...] = ()
            if ask.usage_every_chunk:
                usages = tuple(usage(request.prompt_tokens, count + 1) for count in range(sent, until))
            body = opening + reply.tokens(request.answer.pieces(sent, until), usages)
            sent = until
            if request.outcome is not None:
                break
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": body + self._ending(request, ask, reply)})

    def _ending(self, request: SimRequest, ask: CompletionAsk, reply: Reply) -> bytes:
        if request.outcome == "dead":
            return error_event(engine_dead()) + DONE
        if request.outcome == "error":
            return error_event(internal_error()) + DONE
        answer, produced = request.answer, request.produced
        if request.outcome == "abort":
            # Before its first token vLLM takes the abort for a step without output and sends nothing (0.32 serving.py).
            ending = reply.last("", "abort", None) if produced else b""
        else:
            piece = answer.pieces(produced - 1, produced)[0]
            ending = reply.last(piece, str(request.outcome), answer.stop_reason)
        if ask.include_usage:
            ending += reply.usage(usage(request.prompt_tokens, produced))
        return ending + DONE

    async def _buffered(self, request: SimRequest, reply: Reply, send: Send, headers: list[tuple[str, str]]) -> None:
        await request.changed(0)
        if request.outcome == "dead":
            raise engine_dead()
        if request.outcome == "error":
            raise internal_error()
        produced, answer = request.produced, request.answer
        body = reply.whole(
            "".join(answer.pieces(0, produced)),
            str(request.outcome),
            answer.stop_reason if request.outcome == "stop" else None,
            usage(request.prompt_tokens, produced),
            request.kv_reply,
        )
        await send_reply(send, HttpReply(200, body, headers=tuple(headers)))

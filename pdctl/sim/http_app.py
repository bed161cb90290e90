"""The HTTP surface of a simulated engine: vLLM's endpoints, and /sim/faults."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from pdctl.sim.asgi import HttpReply, HttpRequest, Receive, Scope, Send, read_request, send_reply
from pdctl.sim.completions import Completions
from pdctl.sim.engine_args import EngineArgs
from pdctl.sim.engine_core import EngineCore
from pdctl.sim.engine_metrics import EngineMetrics
from pdctl.sim.faults import Faults
from pdctl.sim.openai_api import ApiError
from pdctl.sim.openai_replies import dumps

Handler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpReply]]

GUARDED = ("/v1", "/v2", "/inference", "/cohere")
"""Only these paths ask for the API key (vLLM 0.33 serve/middleware/authenticate.py)."""

_COMPLETIONS = {"/v1/completions": False, "/v1/chat/completions": True}
_NOT_FOUND = HttpReply(404, b'{"detail":"Not Found"}')


class EngineApp:
    """ASGI application."""

    def __init__(
        self,
        core: EngineCore,
        args: EngineArgs,
        faults: Faults,
        metrics: EngineMetrics,
        *,
        version: str,
        api_keys: tuple[str, ...],
        dev_mode: bool,
    ) -> None:
        self._core = core
        self._args = args
        self._faults = faults
        self._metrics = metrics
        self._version = version
        self._api_keys = api_keys
        self._started = int(time.time())
        self._completions = Completions(core, args, faults, metrics, version)
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", "/health"): self._health,
            ("GET", "/ping"): self._health,
            ("POST", "/ping"): self._health,
            ("GET", "/version"): self._get_version,
            ("GET", "/v1/models"): self._models,
            ("GET", "/metrics"): self._get_metrics,
            ("GET", "/load"): self._load,
            ("GET", "/sim/faults"): self._get_faults,
            ("POST", "/sim/faults"): self._post_faults,
            ("DELETE", "/sim/faults"): self._clear_faults,
        }
        if dev_mode:
            self._routes |= {
                ("POST", "/pause"): self._pause,
                ("POST", "/resume"): self._resume,
                ("GET", "/is_paused"): self._is_paused,
            }
        self._paths = {path for _, path in self._routes} | set(_COMPLETIONS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
            return
        http = await read_request(scope, receive)
        if http is None:
            return
        try:
            status = await self._dispatch(http, send)
        except ApiError as error:
            status = error.status
            await send_reply(send, HttpReply(status, dumps(error.body())))
        handler = http.path if http.path in self._paths else "none"
        self._metrics.http_answered(handler, http.method, status)

    async def _dispatch(self, http: HttpRequest, send: Send) -> int:
        if not self._allowed(http):
            await send_reply(send, HttpReply(401, b'{"error":"Unauthorized"}'))
            return 401
        chat = _COMPLETIONS.get(http.path)
        if chat is not None and http.method == "POST":
            return await self._completions.serve(http, send, chat=chat)
        handler = self._routes.get((http.method, http.path))
        if handler is not None:
            reply = await handler(http)
        elif http.path in self._paths:
            reply = HttpReply(405, b'{"detail":"Method Not Allowed"}')
        else:
            reply = _NOT_FOUND
        await send_reply(send, reply)
        return reply.status

    def _allowed(self, http: HttpRequest) -> bool:
        if not self._api_keys or not http.path.startswith(GUARDED):
            return True
        scheme, _, token = http.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and any(secrets.compare_digest(token, key) for key in self._api_keys)

    async def _health(self, http: HttpRequest) -> HttpReply:
        """200 as long as the core has not died: a hung engine is healthy to itself."""
        return HttpReply(503 if self._core.cause_of_death is not None else 200)

    async def _get_version(self, http: HttpRequest) -> HttpReply:
        return HttpReply(200, dumps({"version": self._version}))

    async def _models(self, http: HttpRequest) -> HttpReply:
        models: list[dict[str, Any]] = [
            {
                "id": name,
                "object": "model",
                "created": self._started,
                "owned_by": "vllm",
                "root": self._args.model,
                "parent": None,
                "max_model_len": self._args.max_model_len,
                "permission": [],
            }
            for name in self._args.served_names
        ]
        return HttpReply(200, dumps({"object": "list", "data": models}))

    async def _get_metrics(self, http: HttpRequest) -> HttpReply:
        return HttpReply(200, self._metrics.render(), "text/plain; version=1.0.0; charset=utf-8")

    async def _load(self, http: HttpRequest) -> HttpReply:
        load = self._completions.in_flight if self._args.load_tracking else 0
        return HttpReply(200, dumps({"server_load": load}))

    async def _get_faults(self, http: HttpRequest) -> HttpReply:
        return HttpReply(200, dumps({"faults": self._faults.active()}))

    async def _post_faults(self, http: HttpRequest) -> HttpReply:
        """{"fault": NAME, "factor": 20} puts one in force, {"fault": NAME, "peer": HOST} one of a pair;
        {"fault": NAME, "active": false} lifts it."""
        try:
            asked = json.loads(http.body)
            name = str(asked["fault"])
            if asked.get("active", True):
                self._faults.set(name, asked.get("factor"), str(asked.get("peer", "")))
            else:
                self._faults.clear(name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ApiError(400, "BadRequestError", f"fault not understood: {error}", "fault") from None
        return await self._get_faults(http)

    async def _clear_faults(self, http: HttpRequest) -> HttpReply:
        self._faults.clear()
        return await self._get_faults(http)

    async def _pause(self, http: HttpRequest) -> HttpReply:
        mode = http.query.get("mode", "abort")
        if mode not in ("abort", "wait", "keep"):
            raise ApiError(400, "BadRequestError", f"Invalid pause mode: {mode}", "mode")
        self._core.paused = mode
        if mode == "abort":
            self._core.abort_all()
        elif mode == "wait":
            await self._core.wait_idle(float("inf"))
        return HttpReply(200, dumps({"status": "paused"}))

    async def _resume(self, http: HttpRequest) -> HttpReply:
        self._core.resume()
        return HttpReply(200, dumps({"status": "resumed"}))

    async def _is_paused(self, http: HttpRequest) -> HttpReply:
        return HttpReply(200, dumps({"is_paused": self._core.paused is not None}))


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    """Nothing has to be done at start or end, but uvicorn's log lines about them are looked for."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

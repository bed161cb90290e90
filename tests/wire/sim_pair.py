"""Drives a MoRI-IO pair as a router does: transfer id, both addresses in the request id, parameters per leg."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

from tests.wire.sim_client import Answer, call
from tests.wire.sim_engines import Engine


@dataclass(slots=True)
class Pair:
    """Both legs of requests, in either mode; the legs are also callable one at a time."""

    prefill: Engine
    decode: Engine
    read: bool = False

    def headers(self) -> dict[str, str]:
        name = f"___prefill_addr_{self.prefill.zmq}___decode_addr_{self.decode.zmq}_{uuid.uuid4().hex}"
        return {"X-Request-Id": name}

    async def prefill_leg(self, body: dict[str, Any], headers: dict[str, str], transfer_id: str) -> Answer:
        params = {"do_remote_decode": True, "do_remote_prefill": False, "transfer_id": transfer_id, "remote_dp_size": 1}
        leg = {**body, "max_tokens": 1, "min_tokens": 1, "stream": False, "kv_transfer_params": params}
        leg.pop("stream_options", None)
        return await call(self.prefill.port, "POST", "/v1/completions", leg, headers)

    async def decode_leg(
        self, body: dict[str, Any], headers: dict[str, str], params: dict[str, Any], **more: Any
    ) -> Answer:
        leg = {**body, "kv_transfer_params": params}
        return await call(self.decode.port, "POST", "/v1/completions", leg, headers, **more)

    def offer(self, transfer_id: str) -> dict[str, Any]:
        """What a WRITE decode leg is told."""
        return {"do_remote_decode": False, "do_remote_prefill": True, "transfer_id": transfer_id, "remote_dp_size": 1}

    async def complete(self, prompt: str = "hello world", tokens: int = 8, **more: Any) -> Answer:
        """A whole request; the decode's answer."""
        hang_up_after = more.pop("hang_up_after", None)
        body = {"model": "tiny", "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, **more}
        headers, transfer_id = self.headers(), f"tx-{uuid.uuid4()}"
        if self.read:
            first = await self.prefill_leg(body, headers, transfer_id)
            params = {**first.json["kv_transfer_params"], "remote_dp_size": 1}
            return await self.decode_leg(body, headers, params, hang_up_after=hang_up_after)
        leg = asyncio.create_task(self.prefill_leg(body, headers, transfer_id))
        try:
            return await self.decode_leg(body, headers, self.offer(transfer_id), hang_up_after=hang_up_after)
        finally:
            await leg

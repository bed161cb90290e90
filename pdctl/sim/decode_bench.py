"""vLLM's DecodeBenchConnector: every prompt counts as computed when it is scheduled (decode_bench_connector.py)."""

from __future__ import annotations

from pdctl.sim.kv_connector import NoConnector
from pdctl.sim.sim_request import Leg, SimRequest


class DecodeBenchConnector(NoConnector):
    """Fills KV, moves none."""

    def classify(self, request: SimRequest) -> None:
        request.leg = Leg.FILLED

"""DecodeBenchConnector: an engine whose KV cache is filled with dummy values: decode is measured without prefill.

vLLM's own (decode_bench_connector.py): of every new prompt all tokens but the last count as computed, in the step that
schedules it. What it answers means nothing: for benchmarks only, on mixed instances, with nobody to move KV to.
"""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.engines.connectors.base import Params, Wiring
from pdctl.engines.connectors.none import NoConnector


@dataclass(frozen=True, slots=True)
class DecodeBench(NoConnector):
    """As an engine that serves alone, but for its launch."""

    def transfer_config(self, wiring: Wiring) -> Params | None:
        return {"kv_connector": "DecodeBenchConnector", "kv_role": "kv_both"}

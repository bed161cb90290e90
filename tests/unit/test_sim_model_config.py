"""The demo's model says of itself what simulated engines take the time of, so that derived KV figures are true."""

from __future__ import annotations

from pdctl.sim.engine_knobs import EngineKnobs
from pdctl.sim.fleet_plan import MODEL_CONFIG
from pdctl.telemetry.kv_bytes import KvShape, kv_shape


def test_the_demo_model_has_the_kv_that_its_engines_move() -> None:
    found = kv_shape(dict(MODEL_CONFIG), block_tokens=16, cache_dtype="auto")
    assert isinstance(found, KvShape)
    assert found.bytes_per_token == EngineKnobs().kv_bytes_per_token

"""The simulated engine: it takes vLLM's own command line and environment, so only the program differs."""

from __future__ import annotations

from pdctl.model.deployment import EngineSpec


def program(engine: EngineSpec) -> tuple[str, ...]:
    """The simulated engine's module, run by the Python that the inventory names (it must have pdctl installed)."""
    return (engine.python or "python3", "-m", "pdctl.sim.engine")

"""The command line of vLLM's example proxy for MoRI-IO, moriio_toy_proxy_server.py.

`--port` came with vLLM 0.21, `--service-discovery-port` with 0.33; before that it listens for registrations on 36367 of
every address. It never forgets a member and has no metrics.
"""

from __future__ import annotations

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, RouterSpec
from pdctl.routers.ports import RouterPorts, has_discovery_flag


def argv(spec: RouterSpec, deployment: Deployment, ports: RouterPorts) -> tuple[str, ...]:
    """The proxy's command line. Raises PlanRefused without a script, which pip does not install."""
    if spec.script is None:
        raise PlanRefused(
            "the toy proxy needs its script",
            hint="set router.script to moriio_toy_proxy_server.py of the vLLM in use (examples/disaggregated)",
        )
    words: tuple[str, ...] = (spec.python or "python3", spec.script, "--port", str(ports.http))
    if has_discovery_flag(deployment):
        words += ("--service-discovery-port", str(ports.discovery))
    return words

"""The one way from an instance to its launch: ports, processes, labels, and how the router will know it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from pdctl.engines import simulated, vllm
from pdctl.engines.connectors import connector_for
from pdctl.engines.ports import plan_ports, ports_from_http
from pdctl.engines.spec_hash import spec_hash
from pdctl.model.deployment import Deployment, EngineSpec, Instance
from pdctl.model.launch import FabricFacts, Launch, Ports, Process, Registration
from pdctl.model.role import EngineKind, UnitKind
from pdctl.model.unit import Labels

Program: TypeAlias = Callable[[EngineSpec], tuple[str, ...]]

PROGRAMS: Final[Mapping[EngineKind, Program]] = {
    EngineKind.VLLM: vllm.program,
    EngineKind.SIMULATED: simulated.program,
}
"""What starts each engine kind. They share vLLM's arguments and environment."""


def render(
    deployment: Deployment,
    instance: Instance,
    generations: Mapping[str, int],
    fabric: Mapping[str, FabricFacts] | None = None,
) -> Launch:
    """One start of `instance`: its processes with argv, environment and ports.

    `generations` holds one number per node of the instance, from that node's counter. The parts of a group share the
    port numbers of their leader (peers reach every part of a wide instance at one base port), so the highest number
    counts for all of them; a node whose counter is lower skips to it. `fabric` is what was found on the nodes, by name:
    it is in the environment and in a label of its own, and not in the spec hash.
    """
    generation = max(generations[node] for node in instance.nodes)
    return _launch(deployment, instance, generation, plan_ports(deployment, instance, generation), fabric or {})


def running_launch(deployment: Deployment, instance: Instance, generation: int, http_port: int) -> Launch:
    """The launch of an engine that already runs, from the HTTP port of its recorded endpoint.

    Better than rendering its generation again: an edit of the inventory (another router port, one more entry on the
    same machine) can plan other ports for that generation than the engine was started with.
    """
    return _launch(deployment, instance, generation, ports_from_http(deployment, instance, http_port), {})


def _launch(
    deployment: Deployment, instance: Instance, generation: int, ports: Ports, fabric: Mapping[str, FabricFacts]
) -> Launch:
    spec = spec_hash(deployment, instance)
    return Launch(
        instance=instance,
        generation=generation,
        ports=ports,
        processes=tuple(
            _process(deployment, instance, index, generation, ports, spec, fabric.get(part.node))
            for index, part in enumerate(instance.parts)
        ),
        endpoint=(deployment.nodes[instance.leader.node].data_address, ports.http),
        registration=_registration(deployment, instance, ports),
        spec_hash=spec,
    )


def _process(
    deployment: Deployment,
    instance: Instance,
    index: int,
    generation: int,
    ports: Ports,
    spec: str,
    fabric: FabricFacts | None,
) -> Process:
    part = instance.parts[index]
    start = PROGRAMS[deployment.engine.kind](deployment.engine)
    return Process(
        node=part.node,
        labels=Labels(
            cluster=deployment.cluster,
            instance=part.name,
            generation=generation,
            spec_hash=spec,
            kind=UnitKind.ENGINE,
            pool=instance.pool,
            role=instance.role.value,
            gpus=part.gpus,
            facts=fabric.digest if fabric is not None else "",
        ),
        argv=(*start, *vllm.arguments(deployment, instance, index, ports)),
        env=vllm.environment(deployment, instance, index, ports, fabric),
        secrets=tuple(secret.name for secret in deployment.secrets),
        paths=_paths(deployment, start),
        address=deployment.nodes[part.node].data_address,
        ports=ports.listening(),
    )


def _paths(deployment: Deployment, start: tuple[str, ...]) -> tuple[str, ...]:
    """What must exist on the node: the model, and the program (one in an image is not named by a path)."""
    return tuple(path for path in (deployment.model.path, start[0]) if path.startswith("/"))


def _registration(deployment: Deployment, instance: Instance, ports: Ports) -> Registration:
    address = deployment.nodes[instance.leader.node].data_address
    connector = connector_for(deployment.kv.connector, instance.role)
    return Registration(
        type=instance.role.letter,
        http_address=f"{address}:{ports.http}",
        zmq_address=connector.zmq_address(address, ports),
        dp_size=instance.parallel.dp,
        tp_size=instance.parallel.tp,
        transfer_mode=connector.transfer_mode(deployment.kv.mode),
    )

"""The whole YAML: pools, slots, nodes, and the inventory that holds them. Cross-field rules are in `rules`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from pdctl.inventory.scalars import DataAddress, EnvName, Gpus, Host, Name, Port, Text
from pdctl.inventory.sections import (
    Args,
    BudgetsSection,
    ChecksSection,
    DockerSection,
    EngineSection,
    Env,
    KvSection,
    ModelSection,
    PriceSection,
    RouterSection,
    SecretSection,
    Section,
    SloSection,
    SshSection,
    TelemetrySection,
)
from pdctl.model.role import Role

DEFAULT_SLOT = "main"
"""The name of the one slot of a node that the inventory does not split."""


class ParallelSection(Section):
    """How one instance spreads over GPUs: it needs tp * dp of them."""

    tp: int = Field(1, ge=1, le=1024, description="Tensor parallel size.")
    dp: int = Field(1, ge=1, le=1024, description="Data parallel size, balanced by vLLM itself.")
    ep: bool = Field(False, description="Lay the experts over all tp * dp ranks.")


class PoolSection(Section):
    """A set of slots with one role and one set of engine settings."""

    role: Annotated[Role, Strict(strict=False)] = Field(description="What the pool's instances do for a request.")
    parallel: ParallelSection = Field(
        default_factory=ParallelSection, description="How one instance spreads over GPUs."
    )
    args: Args = Field(default_factory=dict, description="Engine flags of this pool; null removes an inherited one.")
    env: Env = Field(default_factory=dict, description="Environment of this pool's engines.")
    min_instances: int = Field(1, ge=0, le=100_000, description="The floor: no change may leave fewer instances.")


class SlotSection(Section):
    """An allotment of GPUs of one node."""

    gpus: Gpus = Field(description="Its GPUs: 0-3, or 0,2, or a list.")
    pool: Name | None = Field(None, description="Its pool; without one it is a spare.")
    group: Name | None = Field(None, description="Slots of one group on several nodes hold one instance together.")


class NodeSection(Section):
    """One machine reached over SSH."""

    host: Host = Field(description="Name or address that SSH connects to.")
    port: Port | None = Field(None, description="SSH port. Default: that of `ssh`, else 22.")
    data_address: DataAddress | None = Field(
        None, description="The address that engines bind, advertise and move KV on. Default: the host."
    )
    gpu: Text = Field("unknown", description="The kind of its GPUs, such as mi300x.")
    gpus: int = Field(ge=1, le=1024, description="How many GPUs it has.")
    nics: int = Field(0, ge=0, le=1024, description="How many RDMA devices it should have; 0 where it is not said.")
    pool: Name | None = Field(None, description="The pool of the whole node; without one it is a spare.")
    slots: dict[Name, SlotSection] = Field(
        default_factory=dict, description="Its GPUs split into slots, each with a pool of its own."
    )
    group: Name | None = Field(None, description="Nodes of one group hold one instance together.")
    host_id: Name | None = Field(
        None, description="Entries that share a machine on purpose carry the same host_id; others may not share one."
    )
    env: Env = Field(default_factory=dict, description="Environment of every engine on this node.")
    ssh: SshSection = Field(default_factory=SshSection, description="What differs from the common `ssh` for this node.")


class InventorySpec(Section):
    """A prefill/decode cluster: what is served, by which engines, on which nodes."""

    version: Literal[1] = Field(description="The version of this format.")
    cluster: Name = Field(description="The cluster's name; its units on the nodes carry it.")
    model: ModelSection = Field(description="What is served.")
    slo: SloSection = Field(default_factory=SloSection, description="Targets of one request.")
    price: PriceSection = Field(default_factory=PriceSection, description="What the nodes cost.")
    ssh: SshSection = Field(default_factory=SshSection, description="How nodes are reached.")
    secrets: dict[EnvName, SecretSection] = Field(
        default_factory=dict, description="Environment variables of engines whose values must not be written here."
    )
    read_only: bool = Field(False, description="Nothing of this cluster may be changed with this file.")
    protected: bool = Field(False, description="What interrupts service asks for the cluster's name, typed.")
    lease_node: Name | None = Field(None, description="The node that holds lease and journal. Default: the router's.")
    state_dir: Text | None = Field(
        None, description="Root of our files on the nodes. Default: what the supervisor needs."
    )
    engine: EngineSection = Field(description="Which engine runs, and settings common to all pools.")
    kv: KvSection = Field(default_factory=KvSection, description="How KV moves from prefill to decode.")
    docker: DockerSection = Field(default_factory=DockerSection, description="What containers get on every node.")
    router: RouterSection = Field(description="The proxy that clients talk to.")
    pools: dict[Name, PoolSection] = Field(description="The pools, by name.")
    nodes: dict[Name, NodeSection] = Field(description="The nodes, by name.")
    budgets: BudgetsSection = Field(default_factory=BudgetsSection, description="Time budgets.")
    telemetry: TelemetrySection = Field(default_factory=TelemetrySection, description="Where live figures come from.")
    checks: ChecksSection = Field(default_factory=ChecksSection, description="What is expected of healthy nodes.")


def schema_json() -> dict[str, Any]:
    """The JSON Schema of an inventory, for editors."""
    schema = InventorySpec.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pdctl inventory",
        **{key: _closed(value) for key, value in schema.items() if key != "title"},
    }


def _closed(schema: Any) -> Any:
    """`schema` with names that break their pattern refused, as the loader does."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    return {**closed, "additionalProperties": False} if "patternProperties" in closed else closed

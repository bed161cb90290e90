"""The small sections of the YAML: model, SLO, SSH, secrets, engine, KV transfer, router, budgets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from pdctl.inventory.scalars import (
    ArgName,
    Duration,
    EnvName,
    EnvValue,
    Flag,
    Host,
    Login,
    ModelPath,
    MountText,
    Name,
    Port,
    Text,
    Version,
)
from pdctl.model.check_policy import SeverityIs, UnknownIs
from pdctl.model.role import Connector, EngineKind, RouterKind, SupervisorKind, TransferMode

Args = dict[ArgName, Flag]
Env = dict[EnvName, EnvValue]

_LAX = Strict(strict=False)  # an enum's value is written as text


class Section(BaseModel):
    """A mapping of the YAML: unknown keys are errors, and nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=False)


class ModelSection(Section):
    """What is served."""

    name: ModelPath = Field(description="The model's name as clients say it.")
    path: ModelPath | None = Field(
        None, description="Where the nodes read it: a directory or a hub id. Default: the name."
    )
    mla: bool = Field(
        False,
        description="The model has multi-head latent attention (DeepSeek): its KV is replicated over TP ranks, so "
        "READ mode allows different TP sizes.",
    )


class SloSection(Section):
    """Targets of one request."""

    ttft: Duration = Field(1.0, description="Time to first token.")
    itl: Duration = Field(0.05, description="Inter-token latency.")
    attainment: float = Field(0.95, gt=0, le=1, description="Share of requests that must meet both, 0 to 1.")


class PriceSection(Section):
    """What the nodes cost."""

    usd_per_gpu_hour: float | None = Field(
        None, gt=0, le=10_000, description="US dollars for one GPU for an hour; benchmarks then give tokens per dollar."
    )


class SshSection(Section):
    """How nodes are reached. A node's own `ssh` overrides single keys."""

    user: Text | None = Field(None, description="Login on the nodes. Default: the local login.")
    port: Port | None = Field(None, description="SSH port. Default: 22.")
    identity: Text | None = Field(None, description="Private key file, relative to the inventory; ~ is expanded.")
    jump: Text | None = Field(None, description="Jump host, [user@]host[:port].")
    known_hosts: Text | None = Field(None, description="Pinned host keys, relative to the inventory. Default: our own.")
    ssh_config: Text | None = Field(None, description="An OpenSSH client configuration to read. Default: none is read.")
    agent: bool = Field(False, description="Offer the keys of the SSH agent too.")
    accept_new: bool = Field(False, description="Pin an unknown host key at first sight instead of refusing it.")
    connect_timeout: Duration = Field(10.0, description="Longest time for one connection to stand.")
    keepalive: Duration = Field(5.0, description="Time between keepalives.")
    keepalive_count: int = Field(3, ge=1, le=100, description="Unanswered keepalives before the connection is lost.")
    engine_http: Literal["ssh", "direct"] = Field(
        "ssh", description="How engines' HTTP is reached: through the SSH connection, or straight from here."
    )


class SecretSection(Section):
    """Where a secret's value comes from; exactly one key. It reaches engines only as a 0600 environment file."""

    env: EnvName | None = Field(None, description="An environment variable of pdctl's own process.")
    file: Text | None = Field(None, description="A file, relative to the inventory.")
    command: Text | None = Field(None, description="A command whose standard output is the secret.")


class EngineSection(Section):
    """Which engine runs, what keeps it, and settings common to all pools."""

    kind: Annotated[EngineKind, _LAX] = Field(EngineKind.VLLM, description="vllm, or the simulated engine.")
    version: Version = Field(description="The engine's release, quoted: it picks flags and dialects.")
    supervisor: Annotated[SupervisorKind, _LAX] = Field(description="What keeps an engine's unit on its node.")
    image: Text | None = Field(None, description="Container image, for the docker supervisor.")
    python: Text | None = Field(None, description="Python that has the engine, for systemd and process.")
    user: Login | None = Field(
        None, description="Whom engines run as, for systemd: a user of every node. Default: the login."
    )
    persist: bool = Field(
        False,
        description="For systemd: a node starts its engines again after a reboot, as a new generation on new ports; "
        "they get no traffic until the next `up` takes them in.",
    )
    env: Env = Field(default_factory=dict, description="Environment of every engine.")
    args: Args = Field(default_factory=dict, description="Flags of every engine, without dashes in front.")


class KvSection(Section):
    """How KV moves from prefill to decode."""

    connector: Annotated[Connector, _LAX] = Field(
        Connector.NONE, description="moriio, nixl or none; decode-bench to measure."
    )
    mode: Annotated[TransferMode, _LAX] = Field(
        TransferMode.WRITE, description="read: decode pulls after the prefill; write: prefill pushes while it computes."
    )
    buffer_device: Literal["cpu", "cuda"] | None = Field(
        None, description="Where NIXL keeps its buffers (`kv_buffer_device`); engines on CPU need `cpu`."
    )


class RouterSection(Section):
    """The proxy that clients talk to."""

    kind: Annotated[RouterKind, _LAX] = Field(RouterKind.VLLM_ROUTER, description="Which router.")
    node: Name = Field(description="The node it runs on.")
    port: Port = Field(30000, description="Its HTTP port.")
    host: Host = Field("0.0.0.0", description="The address its HTTP port is bound to.")
    supervisor: Annotated[SupervisorKind, _LAX] = Field(SupervisorKind.SYSTEMD, description="What keeps its unit.")
    python: Text | None = Field(None, description="Python that has the router, for systemd and process.")
    image: Text | None = Field(None, description="Container image, for the docker supervisor.")
    policy: Literal[
        "random", "round_robin", "cache_aware", "kv_aware", "power_of_two", "consistent_hash", "sticky_least_loaded"
    ] = Field("round_robin", description="How vllm-router picks an instance.")
    script: Text | None = Field(None, description="moriio_toy_proxy_server.py on the node, for the toy proxy.")
    args: Args = Field(default_factory=dict, description="More flags of the router, without dashes in front.")


class DockerSection(Section):
    """What containers get on every node, besides what every engine needs."""

    host_rdma: bool = Field(
        False,
        description="Mount the node's own rdma-core (libibverbs and providers) over the image's, for NICs whose user "
        "space has to match the node's kernel. Off: an image's own may be newer.",
    )
    mounts: tuple[MountText, ...] = Field(
        (),
        strict=False,
        description="More of the node's directories: /on/node, or /on/node:/in/container, with :rw to let containers "
        "write.",
    )


class ChecksSection(Section):
    """What `pdctl check` expects, and what may keep a slot from serving."""

    gate: bool | None = Field(
        None, description="Check nodes before `up` starts anything there. Default: where there are GPUs."
    )
    unknown: dict[Text, Annotated[UnknownIs, _LAX]] = Field(
        default_factory=dict,
        description="What counts as what when it cannot be found out, by check or glob (`gpu.*`): block, warn, ignore.",
    )
    severity: dict[Text, Annotated[SeverityIs, _LAX]] = Field(
        default_factory=dict, description="A check's own severity instead of ours: block, warn, info or off."
    )
    pinned: dict[Text, Text] = Field(
        default_factory=dict,
        description="Versions that every node must have, by name; `pdctl check --list` names them.",
    )
    thresholds: dict[Text, float] = Field(
        default_factory=dict,
        description="Limits of checks, by name; `pdctl check --list` shows them with their defaults.",
    )


class CanarySection(Section):
    """Canaries beside the traffic (`pdctl watch --canary`)."""

    budget: float = Field(0.01, gt=0, le=0.01, description="Canaries per request of clients, at most.")
    fence: bool = Field(
        False, description="Hold and fence the end that broken pairs have in common, never below floors, never on text."
    )


class TelemetrySection(Section):
    """Where live figures come from."""

    source: Literal["ssh", "direct", "prometheus"] = Field(
        "ssh",
        description="ssh: engines are scraped on their nodes; direct: straight from here; prometheus: read from one.",
    )
    url: Text | None = Field(None, description="The Prometheus server's address, for source prometheus.")
    canary: CanarySection = Field(default_factory=CanarySection, description="Canaries beside the traffic.")


class BudgetsSection(Section):
    """Time budgets. They must nest: settle < shutdown < stop < drain."""

    ready: Duration = Field(5400.0, description="Longest start without any sign of progress.")
    drain: Duration = Field(1800.0, description="Longest wait for requests in flight.")
    settle: Duration = Field(2.0, description="How long an instance must stay idle to count as drained.")
    shutdown: Duration = Field(60.0, description="vLLM's --shutdown-timeout.")
    stop: Duration = Field(90.0, description="From SIGTERM to SIGKILL on the node.")

"""A deployment: everything that an inventory says, resolved. Upper floors see this and never the parsed file.

The unit of a move is the slot; a slot holds `gpus / (tp*dp)` instances. An instance is one engine process group: one
part on one node, or, in a `group`, one part on each of several nodes (the first part is the leader).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pdctl.model.check_policy import CheckPolicy
from pdctl.model.role import Connector, EngineKind, Role, RouterKind, SupervisorKind, TransferMode

ArgValue: TypeAlias = str | int | float | bool | None
"""One engine flag: True and False become `--flag` and `--no-flag`, None removes an inherited flag."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is served: `name` as clients say it, `path` as the nodes read it. `mla`: multi-head latent attention."""

    name: str
    path: str
    mla: bool = False


@dataclass(frozen=True, slots=True)
class Slo:
    """Targets of one request; attainment is the share of requests that must meet both."""

    ttft_s: float
    itl_s: float
    attainment: float


@dataclass(frozen=True, slots=True)
class Parallel:
    """How one instance spreads over GPUs. `ep` lays the experts over all `tp * dp` ranks."""

    tp: int = 1
    dp: int = 1
    ep: bool = False

    @property
    def ranks(self) -> int:
        return self.tp * self.dp


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret's value comes from; the value itself is never part of a deployment."""

    name: str
    source: str  # "env" | "file" | "command"
    argument: str


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How one node is reached. Paths are absolute. `engine_http`: through the connection, or straight from here."""

    user: str
    identity: str | None = None
    jump: str | None = None  # [user@]host[:port]
    known_hosts: str | None = None  # None: pdctl's own file in the user's data directory
    ssh_config: str | None = None
    agent: bool = False
    accept_new: bool = False
    connect_timeout_s: float = 10.0
    keepalive_s: float = 5.0
    keepalive_count: int = 3
    engine_http: str = "ssh"  # "ssh" | "direct"


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One machine reached over SSH. `data_address` is what engines bind, advertise and move KV on."""

    name: str
    host: str
    port: int
    data_address: str
    gpu: str
    gpus: int
    nics: int
    ssh: SshSettings
    host_id: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """An allotment of GPUs of one node with one pool: the unit of a move. `pool` None is a spare."""

    node: str
    name: str
    gpus: tuple[int, ...]
    pool: str | None
    group: str | None = None

    @property
    def id(self) -> str:
        return f"{self.node}.{self.name}"


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A named set of slots with one role and one set of engine settings. `args`, `env`: engine's and pool's, merged."""

    name: str
    role: Role
    parallel: Parallel
    args: Mapping[str, ArgValue]
    env: Mapping[str, str]
    min_instances: int


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine runs and what keeps it. `python` starts it on the node; `image` is for docker.

    `user` None is the login. `persist`: a node starts its engines again after a reboot, unregistered.
    """

    kind: EngineKind
    version: str
    supervisor: SupervisorKind
    python: str | None = None
    image: str | None = None
    user: str | None = None
    persist: bool = False

    @property
    def version_tuple(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:3])


@dataclass(frozen=True, slots=True)
class KvSpec:
    """How KV moves. `buffer_device` is NIXL's `kv_buffer_device`; None leaves it to vLLM (CPU runs need `cpu`)."""

    connector: Connector
    mode: TransferMode
    buffer_device: str | None = None


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """The proxy that clients talk to. `port` is its HTTP port; discovery and metrics ports alternate per flip."""

    kind: RouterKind
    node: str
    port: int
    supervisor: SupervisorKind
    python: str | None = None
    host: str = "0.0.0.0"
    policy: str = "round_robin"
    script: str | None = None  # the toy proxy's file on the node
    args: Mapping[str, ArgValue] = field(default_factory=dict)
    image: str | None = None  # for the docker supervisor


@dataclass(frozen=True, slots=True)
class Budgets:
    """Time budgets, in seconds; they must nest: settle < shutdown < stop < (controller) drain deadline.

    `ready_s`: longest start without any sign of progress. `drain_s`: longest wait for requests in flight (published
    E2E latency reaches 15 min). `shutdown_s`: vLLM's --shutdown-timeout. `stop_s`: SIGTERM to SIGKILL on the node.
    """

    ready_s: float = 5400.0
    drain_s: float = 1800.0
    settle_s: float = 2.0
    shutdown_s: float = 60.0
    stop_s: float = 90.0


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of a node that its containers see as `target`."""

    source: str
    target: str
    writable: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:{'rw' if self.writable else 'ro'}"


@dataclass(frozen=True, slots=True)
class DockerSpec:
    """What containers get besides what every engine needs. `host_rdma`: the node's own rdma-core over the image's."""

    host_rdma: bool = False
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class CanarySpec:
    """Canaries beside the traffic: how many per request of clients, and whether the end that broken pairs have in
    common is taken out of service."""

    budget: float = 0.01
    fence: bool = False


@dataclass(frozen=True, slots=True)
class TelemetrySpec:
    """Where live figures come from: "ssh", "direct" or "prometheus" (at `url`)."""

    source: str = "ssh"
    url: str = ""
    canary: CanarySpec = CanarySpec()


@dataclass(frozen=True, slots=True)
class Part:
    """One process group of an instance: what runs on one node."""

    node: str
    slot: str
    gpus: tuple[int, ...]
    name: str  # "node.slot.i", also the name of its unit after the cluster's prefix


@dataclass(frozen=True, slots=True)
class Instance:
    """One engine. `name` is its leader part's name; `group` names a multi-node instance."""

    name: str
    pool: str
    role: Role
    parallel: Parallel
    parts: tuple[Part, ...]
    group: str | None = None

    @property
    def leader(self) -> Part:
        return self.parts[0]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(part.node for part in self.parts)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The whole of what is wanted. `source` is the inventory's absolute path, `digest` the sha256 of its bytes.

    `state_dir` is the root on the nodes under which `<cluster>/` lies; None lets the supervisor choose
    (/var/lib/pdctl for systemd and docker, the operator's state directory for process). `read_only`: every use case
    that changes the cluster refuses; `protected`: one that interrupts service asks the operator for the cluster's name.
    """

    cluster: str
    model: ModelSpec
    slo: Slo
    engine: EngineSpec
    kv: KvSpec
    router: RouterSpec
    pools: Mapping[str, PoolSpec]
    nodes: Mapping[str, NodeSpec]
    slots: tuple[Slot, ...]
    instances: tuple[Instance, ...]
    secrets: tuple[Secret, ...]
    lease_node: str
    budgets: Budgets
    source: str
    digest: str
    state_dir: str | None = None
    docker: DockerSpec = DockerSpec()
    checks: CheckPolicy = field(default_factory=CheckPolicy)
    telemetry: TelemetrySpec = TelemetrySpec()
    read_only: bool = False
    protected: bool = False
    usd_per_gpu_hour: float | None = None

    def instance(self, name: str) -> Instance:
        """The instance of that name. Raises KeyError."""
        for instance in self.instances:
            if instance.name == name:
                return instance
        raise KeyError(name)

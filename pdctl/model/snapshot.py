"""One tick of a cluster, immutable: everything that a screen, a recording, an alert or the advisor needs.

Live, replayed and Prometheus sources give the same type. Latencies are seconds, rates are per second, token
counts are tokens, sizes are bytes. Figures over time are kept per window; WINDOWS_S lists the windows, shortest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pdctl.model.deployment import Slo
from pdctl.model.figure import Fig, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import Role

SCHEMA: Final = 1
WINDOWS_S: Final = (10, 60, 300)
_UNTOLD: Final = Unknown("recorded before it was told")


class Source(StrEnum):
    """Where a snapshot comes from. A recording is never shown as live."""

    LIVE = "live"
    RECORDING = "recording"
    PROMETHEUS = "prometheus"


class Vital(StrEnum):
    """Whether an engine answers and works. STALE: its last answer is older than two ticks; HUNG: `/health` says 200 and
    work is running or waiting, but no step was taken; DOWN: its unit is seen not to run; UNKNOWN: nothing is known."""

    UP = "up"
    STARTING = "starting"
    DRAINING = "draining"
    STALE = "stale"
    HUNG = "hung"
    DOWN = "down"
    UNKNOWN = "unknown"


NOT_RUNNING: Final = "not running"
"""Why an engine or the router is down that has no unit: it was stopped, or never started, or its node was booted."""

STOPPED: Final = "stopped"
"""Why an engine is down that was asked to stop, and did (`ExitEvidence.cause`)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is in hand now. `deferred` waits for remote KV; `kv_usage` is the fullest rank's, 0..1."""

    running: Fig
    waiting: Fig
    deferred: Fig
    kv_usage: Fig


@dataclass(frozen=True, slots=True)
class Flow:
    """Rates over one window. `errors` by reason (engine's `finished_reason`, KV load failures): requests per second.

    `tokens_ended`: output tokens of the requests that ended, all of each counted when it ended; of engines that do not
    show it, `tokens_out`. Over `requests` it is the mean output, also while traffic changes."""

    requests: Fig
    tokens_in: Fig
    tokens_out: Fig
    steps: Fig
    preemptions: Fig
    prefix_hit_share: Fig  # 0..1 of the tokens that were looked up
    errors: Mapping[str, Fig]
    tokens_ended: Fig = _UNTOLD


@dataclass(frozen=True, slots=True)
class Latencies:
    """What engines export, over one window. `ttft` is the engine's own and not the client's (see `ClientView`)."""

    ttft: Latency
    itl: Latency
    tpot: Latency
    queue: Latency
    prefill: Latency
    decode: Latency
    e2e: Latency


@dataclass(frozen=True, slots=True)
class Window:
    """Everything that is measured over one window. `covered_s`: how much of it there are data for."""

    covered_s: float
    flow: Flow
    latencies: Latencies


@dataclass(frozen=True, slots=True)
class KvTransfer:
    """KV that moved over one window. `bytes_measured`: connector metrics; `bytes_derived`: blocks handed over times
    bytes per block; `bytes_nic`: RDMA port counters, which count other traffic too. Rates per second."""

    bytes_measured: Fig
    bytes_derived: Fig
    bytes_nic: Fig
    transfers: Fig
    transfer_time: Latency
    failed: Fig
    expired: Fig
    local_compute: Fig  # prompt tokens per second that decode had to compute itself: 0 where disaggregation works


@dataclass(frozen=True, slots=True)
class InstanceFigures:
    """One instance. `member`: whether the router may pick it, None where that is unknown. `windows` and `kv` have the
    shortest window only: a tick over hundreds of instances has to be cheap. `ranks`: what each DP rank has in hand, by
    its number, where the process has several; empty of one, of what is not heard, and in recordings before them.
    `held`: who holds it out of service and why ("drained by ops@host: new fans"), "" where nobody does."""

    name: str
    node: str
    slot: str
    pool: str
    role: Role
    generation: int
    vital: Vital
    member: bool | None
    why: str  # in words, where `vital` is not UP or `member` is not True
    scrape_age_s: float | None  # since the last whole answer; None before the first
    load: Load
    windows: Mapping[int, Window]
    kv: Mapping[int, KvTransfer]
    ranks: Mapping[str, Load] = field(default_factory=dict)
    held: str = ""


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """A pool: its instances' figures merged (loads and rates added, histograms' buckets added, kv_usage the highest).

    `counted` of `instances` gave figures: the rest is named in `left_out` and in no sum.
    """

    name: str
    role: Role
    instances: int
    members: int | None
    counted: int
    left_out: tuple[str, ...]
    load: Load
    windows: Mapping[int, Window]
    kv: Mapping[int, KvTransfer]


@dataclass(frozen=True, slots=True)
class Attainment:
    """Shares 0..1 of requests within the SLO, over one window. Engines export no joint figure and no request's own
    P99 ITL: `itl` is the share of single inter-token gaps, and `both` a bound made of the two."""

    ttft: Fig
    itl: Fig
    both: Fig


@dataclass(frozen=True, slots=True)
class ClientView:
    """What clients see, over one window: TTFT from decode in WRITE, a sum of two histograms in READ (estimated)."""

    ttft: Latency
    itl: Latency
    e2e: Latency
    attainment: Attainment


@dataclass(frozen=True, slots=True)
class RouterFigures:
    """The router. `requests` that came, per second; `errors` by its own kinds, per second; `pending` and `active` are
    decode legs now."""

    vital: Vital
    why: str
    requests: Fig
    errors: Mapping[str, Fig]
    pending: Fig
    active: Fig
    members: Mapping[str, bool]  # by instance name; empty where it is unknown
    membership_age_s: float | None


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """One GPU of a node, by index."""

    index: int
    vram_used_bytes: Fig
    vram_total_bytes: Fig
    temperature_c: Fig
    power_w: Fig
    busy: Fig  # 0..1
    ecc_uncorrectable: Fig


@dataclass(frozen=True, slots=True)
class NicFigures:
    """One RDMA device. Rates per second over the shortest window; `errors` is new since the first look."""

    device: str
    state: str  # "ACTIVE", "DOWN", or "" where it is unknown
    rate_gbps: Fig
    tx_bytes: Fig
    rx_bytes: Fig
    errors: Fig


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """One node. `age_s` since it was last heard; None: never."""

    name: str
    reachable: bool | None
    why: str
    age_s: float | None
    gpus: tuple[GpuFigures, ...] = ()
    nics: tuple[NicFigures, ...] = ()


class PairState(StrEnum):
    """A prefill x decode pair by its canaries. UNTRIED: no result that is bound to both ends' present generations."""

    OK = "ok"
    SUSPECT = "suspect"  # failed once, or its text is the odd one out
    BROKEN = "broken"  # failed twice running
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class PairFigures:
    """One pair of instances: hand-off latency by canary and what is wrong with it."""

    prefill: str
    decode: str
    state: PairState
    handoff_s: Fig
    failures: int
    tried: int
    why: str = ""


class AlertLevel(StrEnum):
    """PAGE: somebody must act now; WARN: soon; INFO: worth a line."""

    PAGE = "page"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that stands. `id` is stable while it lasts ("hung:decode-1"); `since_s` is wall time."""

    id: str
    level: AlertLevel
    subject: str
    cause: str
    hint: str
    since_s: float
    folded: int = 0  # how often it came and went within the fold


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at `taken_s` (wall clock, seconds). `seq` counts ticks of this source; instances by name."""

    cluster: str
    seq: int
    taken_s: float
    source: Source
    interval_s: float
    slo: Slo
    instances: Mapping[str, InstanceFigures]
    pools: Mapping[str, PoolFigures]
    client: Mapping[int, ClientView]
    router: RouterFigures
    nodes: Mapping[str, NodeFigures]
    pairs: tuple[PairFigures, ...] = ()
    alerts: tuple[Alert, ...] = ()
    bottleneck: str = ""  # one line in words: which side holds the cluster back and why; "" where nothing does
    notes: tuple[str, ...] = field(default=())  # what the reader must know of this snapshot as a whole

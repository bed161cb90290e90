"""One instance: what is expected of it, what was heard of it, and the figures and the one word made of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pdctl.model.figure import Fig, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, Flow, InstanceFigures, KvTransfer, Latencies, Load, Vital, Window
from pdctl.telemetry.figures import kv_transfer, load, window
from pdctl.telemetry.kv_bytes import KvShape, derived_bytes
from pdctl.telemetry.meter import Meter, Tally
from pdctl.telemetry.node_feed import Scraped

STALE_TICKS: Final = 2.0
"""A figure older than two ticks is not shown as live: the age at which one lost scrape is told from a dead engine."""

HUNG_AFTER_S: Final = 20.0
"""Work in hand and no engine step for so long is a hang: the longest step seen on MI300X, a prefill of 8 ranks with
8192 tokens each, takes about 5.5 s (fit on Moreh's published runs)."""

SHORT_S: Final = WINDOWS_S[0]


@dataclass(frozen=True, slots=True)
class Expected:
    """One instance as the inventory and its units have it. `vital`: what its unit says (UP where that is all it
    says); `member` None: not known; `held`: who holds it out of service, and why."""

    name: str
    node: str
    slot: str
    pool: str
    role: Role
    generation: int
    vital: Vital = Vital.UP
    member: bool | None = None
    why: str = ""
    held: str = ""


@dataclass(slots=True)
class Engine:
    """What was heard of one generation of an instance."""

    expected: Expected
    meter: Meter
    heard_s: float | None = None
    why_lost: str = ""
    moved_s: float | None = None  # when the steps were last seen to rise, or nothing was in hand

    def take(self, scraped: Scraped, now_s: float) -> None:
        """A scrape arrived."""
        if not self.meter.feed(scraped.at_s, scraped.scan):
            damaged = scraped.scan.damaged
            self.lost(f"{damaged} lines of its answer cannot be read" if damaged else "its answer has no figures")
            return
        self.heard_s = now_s
        self.why_lost = ""
        steps = self.meter.events_since_last("step_tokens")
        if self.moved_s is None or not self.busy or steps is None or steps > 0:
            self.moved_s = now_s

    def lost(self, why: str) -> None:
        """A scrape failed; what was heard before stands until it is stale."""
        self.why_lost = why

    def tally(self, window_s: int) -> Tally | None:
        """What rose over the window; None before the second scrape."""
        return self.meter.tally(float(window_s))

    @property
    def busy(self) -> bool:
        """Whether work is in hand that engine steps would move on: waiting for remote KV is not."""
        gauges = self.meter.gauges
        deferred = gauges.get(("waiting_by", "deferred"))
        waiting = gauges.get(("waiting", ""), 0.0) - (deferred or 0.0)
        if deferred is None and self.expected.role is Role.DECODE:
            waiting = 0.0  # it does not tell which of them wait for their KV
        return gauges.get(("running", ""), 0.0) > 0 or waiting > 0

    @property
    def block_tokens(self) -> int | None:
        """Tokens per KV block as the engine tells it; None where it does not."""
        sizes = [int(size) for key, size in self.meter.gauges if key == "block_size" and size.isdecimal()]
        return max(sizes, default=None)

    def age_s(self, now_s: float) -> float | None:
        """Since the last whole scrape; None before the first."""
        return None if self.heard_s is None else max(0.0, now_s - self.heard_s)

    def stale(self, now_s: float, interval_s: float) -> bool:
        """Whether what was heard is too old to be shown as what is."""
        age_s = self.age_s(now_s)
        return age_s is None or age_s > STALE_TICKS * interval_s


def instance_figures(engine: Engine, now_s: float, interval_s: float, kv: KvShape | Unknown) -> InstanceFigures:
    """The instance now, over the shortest window. Of a stale one nothing is shown but how old it is: a frozen number
    would look alive."""
    expected = engine.expected
    vital, why = _vital(engine, now_s, interval_s)
    age_s = engine.age_s(now_s)
    ranks: dict[str, Load] = {}
    if engine.stale(now_s, interval_s) or age_s is None:
        gone = Unknown(_silence(engine, age_s))
        now, recent, moved = Load(gone, gone, gone, gone), unknown_window(gone), unknown_kv(gone)
    else:
        now = load(engine.meter.gauges, age_s)
        ranks = {rank: load(gauges, age_s) for rank, gauges in engine.meter.ranks().items()}
        tally = engine.tally(SHORT_S)
        if tally is None:
            first = Unknown("the first scrape is not two scrapes: no rate yet")
            recent, moved = unknown_window(first), unknown_kv(first)
        else:
            recent, moved = window(tally, age_s), instance_kv(tally, expected.role, age_s, kv)
    return InstanceFigures(
        name=expected.name,
        node=expected.node,
        slot=expected.slot,
        pool=expected.pool,
        role=expected.role,
        generation=expected.generation,
        vital=vital,
        member=expected.member,
        why=why,
        scrape_age_s=age_s,
        load=now,
        windows={SHORT_S: recent},
        kv={SHORT_S: moved},
        ranks=ranks,
        held=expected.held,
    )


_NODES_OWN: Final = Unknown("port counters are the node's, not an instance's")


def instance_kv(tally: Tally, role: Role, age_s: float, kv: KvShape | Unknown, nic: Fig = _NODES_OWN) -> KvTransfer:
    """What an instance or a pool received; a prefill hands over and is counted where its KV arrives."""
    if role is not Role.DECODE:
        return kv_transfer(tally, age_s, Unknown("counted where it arrives, at decode"), nic)
    return kv_transfer(tally, age_s, derived_bytes(tally, kv, age_s), nic)


def unknown_window(why: Unknown) -> Window:
    """A window of which nothing is known, for one reason."""
    latency = Latency(why, why, why, why, why)
    return Window(0.0, Flow(why, why, why, why, why, why, {}, why), Latencies(*(latency,) * 7))


def unknown_kv(why: Unknown) -> KvTransfer:
    """KV figures of which nothing is known, for one reason."""
    return KvTransfer(why, why, why, why, Latency(why, why, why, why, why), why, why, why)


def _vital(engine: Engine, now_s: float, interval_s: float) -> tuple[Vital, str]:
    """The unit's word goes first where it says more than that the process runs; then what the scrapes say."""
    expected = engine.expected
    if expected.vital is Vital.DOWN:
        return expected.vital, expected.why
    if engine.stale(now_s, interval_s):
        if expected.vital is Vital.STARTING and engine.heard_s is None:
            return expected.vital, expected.why
        return Vital.STALE if engine.heard_s is not None else Vital.UNKNOWN, _silence(engine, engine.age_s(now_s))
    if engine.moved_s is not None and now_s - engine.moved_s >= HUNG_AFTER_S:
        return Vital.HUNG, f"work in hand and no engine step for {now_s - engine.moved_s:.0f} s"
    return (Vital.UP if expected.vital is Vital.STARTING else expected.vital), expected.why


def _silence(engine: Engine, age_s: float | None) -> str:
    said = f": {engine.why_lost}" if engine.why_lost else ""
    return f"no answer yet{said}" if age_s is None else f"no answer for {age_s:.0f} s{said}"

"""Plays a sweep: batches on free nodes at the same time, each brought up, measured and taken down whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdctl.bench.driver import Driver
from pdctl.bench.point import Point, Target
from pdctl.bench.runs.atomic import write_whole
from pdctl.bench.runs.definition import define, note_target
from pdctl.bench.runs.directory import holds_run, open_run, refuse_other
from pdctl.bench.runs.events import BenchTold
from pdctl.bench.runs.meta import RunMeta, meta_of, read_meta
from pdctl.bench.runs.read import ReadPoint, read_run
from pdctl.bench.runs.runner import Manner, Player
from pdctl.bench.sizing.cells import width_of
from pdctl.bench.sizing.points import Phase, Width
from pdctl.bench.sweeps.configuration import Configuration, Offer, next_batch
from pdctl.bench.sweeps.events import BatchBegan, BatchEnded, ConfigurationEnded, SweepEnded
from pdctl.bench.sweeps.lane import lane_cluster, lane_inventory
from pdctl.bench.sweeps.result import PROFILE, profile_text
from pdctl.bench.sweeps.stage import SweepStage
from pdctl.control.clock import Clock, utc
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Sink
from pdctl.errors import Interrupted, PdctlError, UsageError
from pdctl.inventory.load import Inventory

_STAMP = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(slots=True)
class Stops:
    """The first signal ends the measurement, the second cuts what is in flight; only then is a `down` interrupted."""

    measuring: Interrupt = field(default_factory=Interrupt)
    closing: Interrupt = field(default_factory=Interrupt)

    def ask(self) -> None:
        """A signal came."""
        (self.closing if self.measuring.insisted.is_set() else self.measuring).ask()


@dataclass(frozen=True, slots=True)
class Way:
    """How a sweep is played. `sink` is told all that happens; `run` is the command's name in journals and runs."""

    stage: SweepStage
    driver: Callable[[], Driver]
    sink: Sink
    stops: Stops
    clock: Clock
    run: str = ""


@dataclass(slots=True)
class Sweep:
    """`nodes`: the free ones with their GPUs. `budget`: GPUs in use at once, at most (None: all). `leftover`: nodes on
    which batches of a killed sweep may live. The profile holds what earlier sweeps measured into `directory`, too."""

    base: Inventory
    offer: Offer
    nodes: Mapping[str, int]
    budget: int | None
    directory: Path
    way: Way
    leftover: frozenset[str] = frozenset()
    _played: set[str] = field(default_factory=set)
    _waiting: list[Configuration] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _in_use: int = 0
    _measured: int = 0
    _failed: int = 0
    _stuck: bool = False

    def is_measured(self, configuration: Configuration) -> bool:
        """Whether all its points have figures, of at least one answer. Raises BenchError where its run is damaged."""
        answered = [point for point in self._done(configuration) if point.figures and point.figures.counts.ok]
        return len(answered) == len(self.offer.points(configuration))

    def _done(self, configuration: Configuration) -> Sequence[ReadPoint]:
        """The points that were played to their end, however that was."""
        path = self.directory / configuration.name
        return read_run(path).done if holds_run(path) else ()

    async def go(self, wanted: Sequence[Configuration]) -> int:
        """Measure what is not measured yet, and write the profile. Returns the exit code.

        Raises BenchError where results cannot be read or written; what was up is down then.
        """
        self._waiting = [each for each in wanted if not self.is_measured(each)]
        self._measured = len(wanted) - len(self._waiting)
        try:
            async with asyncio.TaskGroup() as lanes:
                for node in self.nodes:
                    lanes.create_task(self._lane(node), name=f"sweep on {node}")
        except BaseExceptionGroup as group:
            raise _first(group) from group
        for node in sorted(self.leftover - self._played):
            await self._clear(node)
        left = len(wanted) - self._measured - self._failed
        code = self._code(left)
        profile = self._write_profile()
        self.way.sink(SweepEnded(self._measured, self._failed, left, str(profile or ""), code))
        return code

    def refuse_another(self, wanted: Sequence[Configuration]) -> None:
        """To be asked before anything is touched. Raises UsageError where the directory holds runs of other points."""
        for each in wanted:
            path = self.directory / each.name
            if not holds_run(path):
                continue
            try:
                refuse_other(path, read_meta(path).definition, self._meta(each, self.offer.points(each)).definition)
            except UsageError as error:
                raise UsageError(error.message, hint="say the same shape and loads, or another --out") from None

    async def _lane(self, node: str) -> None:
        """Batches on one node, until nothing is left that it can hold."""
        while batch := await self._take(node):
            gpus = sum(each.width.gpus for each in batch)
            try:
                await self._play(node, batch, gpus)
            finally:
                async with self._changed:
                    self._in_use -= gpus
                    self._changed.notify_all()

    async def _take(self, node: str) -> tuple[Configuration, ...]:
        async with self._changed:
            while True:
                if self._stuck or self.way.stops.measuring.asked.is_set():
                    return ()
                left = None if self.budget is None else self.budget - self._in_use
                batch, gpus = next_batch(self._waiting, self.nodes[node], left)
                if batch:
                    self._waiting = [each for each in self._waiting if each not in batch]
                    self._in_use += gpus
                    return batch
                whole, _ = next_batch(self._waiting, self.nodes[node], self.budget)
                if not whole:
                    return ()
                await self._changed.wait()  # for what others use of the budget

    async def _clear(self, node: str) -> None:
        """Take down what an earlier sweep, which was killed, left on a node that this one had no use for."""
        cluster = lane_cluster(self.base.spec.cluster, node)
        path = self._inventory_path(cluster)
        began_s = self.way.clock.monotonic()
        trouble = await self._down(path) if path.exists() else "an earlier sweep with another --out left it there"
        undo = f"{trouble}; `pdctl -i {path} down` takes it down" if trouble else ""
        self.way.sink(BatchEnded(node, cluster, self.way.clock.monotonic() - began_s, up=bool(trouble), hint=undo))

    async def _play(self, node: str, batch: Sequence[Configuration], gpus: int) -> None:
        began_s = self.way.clock.monotonic()
        cluster = lane_cluster(self.base.spec.cluster, node)
        self.way.sink(BatchBegan(node, cluster, tuple(each.name for each in batch), gpus))
        path = self._write_inventory(node, cluster, batch)
        self._played.add(node)
        ended: set[str] = set()
        cause, hint = "", ""
        try:
            await self._measure(node, batch, path, ended)
        except PdctlError as error:
            if not isinstance(error, Interrupted):
                cause, hint = error.message, error.hint
        finally:
            trouble = await self._down(path)
            took_s = self.way.clock.monotonic() - began_s
            undo = f"{trouble}; `pdctl -i {path} down` takes it down" if trouble else ""
            self.way.sink(BatchEnded(node, cluster, took_s, up=bool(trouble), hint=undo))
        for each in batch:
            if each.name not in ended and not self.way.stops.measuring.asked.is_set():
                self._note(each, node, cause or "it was not brought up", hint)

    async def _measure(self, node: str, batch: Sequence[Configuration], path: Path, ended: set[str]) -> None:
        stop = self.way.stops.measuring
        code = await _unless_insisted(self.way.stage.up(path, stop), stop)
        if stop.asked.is_set():
            return
        async with self.way.stage.engines(path) as engines:
            if engines.told:
                self.way.sink(BenchTold(engines.told))
            async with asyncio.TaskGroup() as group:
                for each in batch:
                    url = engines.urls.get(each.name)
                    if url is None:
                        why = engines.missing.get(each.name, f"`up` ended with {code}")
                        self._note(each, node, f"its engine does not serve: {why}", "`pdctl logs` has its last words")
                        ended.add(each.name)
                    else:
                        group.create_task(self._one(each, node, url, ended), name=each.name)

    async def _one(self, configuration: Configuration, node: str, url: str, ended: set[str]) -> None:
        """All points of one configuration, into its run's directory."""
        points = self.offer.points(configuration)
        name, gpus = configuration.name, configuration.width.gpus
        target = Target(url, self.base.spec.model.name, name, vocab=self.offer.vocab, gpus=gpus)
        with open_run(self.directory / name, self._meta(configuration, points)) as run:
            stop, sink = self.way.stops.measuring, self.way.sink
            unanswered = any(each.figures and not each.figures.counts.ok for each in self._done(configuration))
            manner = Manner(anew=unanswered)
            player = Player(run, self.way.driver(), {name: target}, sink, stop, self.way.clock, manner)
            tally = await player.play(points)
        ended.add(name)
        if not tally.left:
            self._note(configuration, node, self._why_not(configuration) if tally.failed else "")
        self._write_profile()

    def _why_not(self, configuration: Configuration) -> str:
        """Why points have no figures, where requests say it."""
        failures = [text for point in self._done(configuration) if point.done for text, _ in point.done.failures]
        return f"requests failed: {failures[0]}" if failures else "points were not measured"

    def _meta(self, configuration: Configuration, points: Sequence[Point]) -> RunMeta:
        """The target is noted without its port, which is another one after every `up`."""
        vocab, gpus = self.offer.vocab, configuration.width.gpus
        noted = note_target(Target("engine:", self.base.spec.model.name, vocab=vocab, gpus=gpus))
        definition = define("builtin", {configuration.name: noted}, points)
        started = utc(self.way.clock.time(), _STAMP)
        where = {"inventory": str(self.base.path), "inventory_digest": self.base.digest}
        return meta_of(definition, run=self.way.run, started=started, cluster=self.base.spec.cluster, **where)

    def _note(self, configuration: Configuration, node: str, cause: str, hint: str = "") -> None:
        points = len(self.offer.points(configuration))
        done = [each.figures for each in self._done(configuration) if each.figures and each.figures.counts.ok]
        prefill = configuration.phase is Phase.PREFILL
        best = max((each.tps_total if prefill else each.tps_out for each in done), default=0.0)
        if cause:
            self._failed += 1
        else:
            self._measured += 1
        self.way.sink(ConfigurationEnded(configuration.name, node, len(done), points, best, cause, hint))

    async def _down(self, path: Path) -> str:
        """Why it may still run; "" where it is down."""
        closing = self.way.stops.closing
        try:
            code = await _unless_insisted(self.way.stage.down(path, closing), closing)
        except PdctlError as error:
            self._stuck = True
            return error.message
        if code:
            self._stuck = True
            return f"`down` ended with {code}"
        return ""

    def _inventory_path(self, cluster: str) -> Path:
        return self.directory.absolute() / "inventories" / f"{cluster}.yaml"

    def _write_inventory(self, node: str, cluster: str, batch: Sequence[Configuration]) -> Path:
        path = self._inventory_path(cluster)
        made = lane_inventory(self.base, node, batch, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, made.text)
        return path

    def _write_profile(self) -> Path | None:
        text = profile_text(self.directory, known_in(self.directory), self.base.spec.model.name)
        if not text:
            return None
        write_whole(self.directory / PROFILE, text)
        return self.directory / PROFILE

    def _code(self, left: int) -> int:
        if self.way.stops.measuring.asked.is_set():
            return Interrupted.exit_code
        if not self._failed and not left and not self._stuck:
            return 0
        return 3 if self._measured else 1


def known_in(directory: Path) -> tuple[Configuration, ...]:
    """Every configuration that has a run in `directory`, narrow ones first, by phase."""
    found = []
    for path in directory.glob("*/run.json") if directory.is_dir() else ():
        phase, _, label = path.parent.name.partition("-")
        sizes = width_of(label)
        if phase in list(Phase) and sizes is not None:
            found.append(Configuration(Phase(phase), Width(sizes[0] * sizes[1], sizes[0], sizes[1])))
    return tuple(sorted(found, key=lambda each: (list(Phase).index(each.phase), each.width)))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the lanes: one of ours, where there is one."""
    ours = group.subgroup(PdctlError)
    found: BaseException = ours or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def _unless_insisted(work: Awaitable[int], interrupt: Interrupt) -> int:
    """What `work` comes to. The operator's second signal cancels it from within: that is no end of ours."""
    try:
        return await work
    except asyncio.CancelledError:
        if not interrupt.insisted.is_set():
            raise
        return Interrupted.exit_code

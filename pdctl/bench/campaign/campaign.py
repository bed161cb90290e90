"""Plays deployments one after another on the same nodes, into one directory that can be gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from pdctl.bench.campaign.contender import Contender
from pdctl.bench.campaign.events import DeploymentBegan, DeploymentEnded, TakenOver
from pdctl.bench.campaign.signals import Signals
from pdctl.bench.campaign.stage import Occupied, Stage
from pdctl.bench.point import Point, Target
from pdctl.bench.runs.directory import RunDirectory
from pdctl.bench.runs.events import BenchTold
from pdctl.bench.runs.runner import Player
from pdctl.control.clock import Clock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Sink
from pdctl.errors import Interrupted, PdctlError, PlanRefused


@dataclass(frozen=True, slots=True)
class Standing:
    """What has to go before the comparison begins: contenders that run already, by name."""

    running: Mapping[str, tuple[str, ...]]

    @property
    def words(self) -> str:
        """`r1-2p3d runs (7 units)`; "" where nothing does."""
        return ", ".join(f"{name} runs ({len(units)} units)" for name, units in self.running.items())


async def survey(stage: Stage, compared: Sequence[Contender]) -> Standing:
    """What runs on the nodes of the contenders. Raises PlanRefused where that is none of them; PdctlError."""
    running: dict[str, tuple[str, ...]] = {}
    ours = {each.deployment.cluster for each in compared}
    for contender in compared:
        found = await stage.look(contender)
        _refuse_strangers(contender, found, ours)
        if found.own and contender.deployment.cluster not in {
            each.deployment.cluster for each in compared if each.name in running
        }:
            running[contender.name] = found.own
    return Standing(running)


def _refuse_strangers(contender: Contender, found: Occupied, ours: set[str]) -> None:
    strangers = sorted(found.clusters - ours)
    if strangers:
        named = ", ".join(name for name in found.others if name.split(".")[1] in strangers)
        raise PlanRefused(
            f"the cluster {strangers[0]} runs on nodes of {contender.name}: {named}",
            hint=f"take it down with its own inventory (`pdctl -i {strangers[0]}.yaml down`), or wait for it",
        )


@dataclass(slots=True)
class Campaign:
    """`points` by contender. The `player` measures, against `targets`, which are the player's own; `sink` is told all
    that happens. Nothing is brought up for what is measured already."""

    stage: Stage
    compared: Sequence[Contender]
    points: Mapping[str, Sequence[Point]]
    run: RunDirectory
    player: Player
    targets: MutableMapping[str, Target]
    sink: Sink
    signals: Signals
    clock: Clock
    _measuring: Interrupt = field(init=False)
    _codes: list[int] = field(default_factory=list)
    _stuck: bool = False

    def __post_init__(self) -> None:
        self._measuring = self.signals.now

    async def go(self, standing: Standing) -> int:
        """Measure every contender that is not measured yet; what stands goes first. Returns the exit code."""
        if not await self._clear(standing):
            return self._code()
        for number, contender in enumerate(self.compared, 1):
            points, left = self.points[contender.name], self._left(contender)
            if self._stuck or self._measuring.asked.is_set():
                self.player.tally.left += len(left)
                continue
            where, total = str(contender.path), len(self.compared)
            self.sink(DeploymentBegan(contender.name, number, total, where, contender.layout, len(points), len(left)))
            if left:
                await self._turn(contender, points)
            else:
                await self.player.play(points)  # nothing is sent: it says what was measured
        return self._code()

    def _left(self, contender: Contender) -> list[Point]:
        """The points that the player would send something for."""
        return [each for each in self.points[contender.name] if not self._settled(each)]

    def _settled(self, point: Point) -> bool:
        done = self.run.point(point.id).done()
        return done is not None and (done.figures.counts.ok > 0 or not self.player.manner.anew)

    async def _clear(self, standing: Standing) -> bool:
        """Take down what runs; whether the nodes are free. The contender whose turn comes first may stay up."""
        first = next((each.name for each in self.compared if self._left(each)), None)
        for contender in self.compared:
            units = standing.running.get(contender.name)
            if units is None or (contender.name == first and len(standing.running) == 1):
                continue
            self.sink(TakenOver(contender.name, str(contender.path), units))
            code = await self._down(contender)
            if code:
                self._codes.append(code)
                return False
        return True

    async def _turn(self, contender: Contender, points: Sequence[Point]) -> None:
        began_s = self.clock.monotonic()
        cause, hint = "", ""
        try:
            cause, hint = await self._measure(contender, points)
            hint = hint if cause else ""
        except PdctlError as error:
            cause, hint = error.message, error.hint
            self._codes.append(error.exit_code)
        code = await self._down(contender)
        if code:
            self._stuck = True
            self._codes.append(code)
            hint = f"it may still run: `pdctl -i {contender.path} down`"
        left = len(self._left(contender))
        took_s = self.clock.monotonic() - began_s
        measured = len(points) - left
        self.sink(DeploymentEnded(contender.name, measured, left, took_s, cause, hint, up=bool(code)))

    async def _measure(self, contender: Contender, points: Sequence[Point]) -> tuple[str, str]:
        """(why it was not measured, or not well, and what to do); the first is "" where it was."""
        code = await self._unless_insisted(self.stage.up(contender, self._measuring))
        if code and not self._measuring.asked.is_set():
            self._codes.append(code)
            return f"`up` ended with {code}", "what it said above has the cause; go on with --resume"
        cause = "" if self._measuring.asked.is_set() else await self.stage.prove(contender)
        if cause:
            self._codes.append(1)
            return cause, "bring it up by hand: `pdctl status` and `pdctl canary` show more"
        if self._measuring.asked.is_set():
            return "interrupted", ""
        async with self.stage.reached(contender, self.targets[contender.name]) as found:
            if found.told:
                self.sink(BenchTold(found.told))
            self.targets[contender.name] = found.target
            before = (await self.stage.look(contender)).launches
            await self.player.play(points)
        return await self._changed(contender, before), "measure it again in a directory of its own"

    async def _changed(self, contender: Contender, before: Mapping[str, str]) -> str:
        """What did not run through while it was measured, "" where all did: no lease is held meanwhile, and an engine
        may die."""
        after = (await self.stage.look(contender)).launches
        changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
        if not changed:
            return ""
        self._codes.append(1)
        return f"{', '.join(changed)} did not run through while it was measured: its figures are not of one deployment"

    async def _unless_insisted(self, work: Awaitable[int]) -> int:
        """What `work` comes to. The operator's second signal cancels it from within: that is no end of ours."""
        try:
            return await work
        except asyncio.CancelledError:
            if not self._measuring.insisted.is_set():
                raise
            return Interrupted.exit_code

    async def _down(self, contender: Contender) -> int:
        """Signals now interrupt this; one that does ends the comparison."""
        self.signals.now = Interrupt()
        try:
            return await self.stage.down(contender, self.signals.now)
        except PdctlError as error:
            self.sink(DeploymentEnded(contender.name, 0, 0, 0.0, error.message, error.hint, up=True))
            return error.exit_code
        except asyncio.CancelledError:
            if not self.signals.now.insisted.is_set():
                raise
            return Interrupted.exit_code
        finally:
            if self.signals.now.asked.is_set():
                self._measuring.stop(self.signals.now.reason)
            self.signals.now = self._measuring

    def _code(self) -> int:
        """130 where the operator stopped it, 0 where all is measured, 3 where a part is, else the first failure's."""
        if self._measuring.asked.is_set():
            return Interrupted.exit_code
        tally = self.player.tally
        if not self._codes and not tally.failed and not tally.left:
            return 0
        return 3 if tally.measured else (self._codes or [1])[0]

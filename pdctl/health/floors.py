"""T3, asked for only: performance floors of idle GPUs. Matrix product, HBM copy, all-reduce over the node's GPUs.

The floors are Primus node_smoke's for MI300X: 600 TFLOPS in bfloat16, 2000 GB/s of HBM copy, 100 GB/s of RCCL bus
bandwidth at 64 MB over 8 GPUs. A GPU on which something of ours serves is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any, Final

from pdctl.health.check import Figure, FleetCheck, Tier, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Severity
from pdctl.model.check_policy import Thresholds
from pdctl.model.reading import Known, Reading, Unknown
from pdctl.model.role import SupervisorKind

IDS: Final = (
    "floor.gemm",
    "floor.hbm_copy",
    "floor.allreduce",
    "outlier.gemm",
    "outlier.hbm_copy",
    "outlier.allreduce",
)
MARK: Final = "PDCTL-FLOOR "
SOURCE: Final = "torch on the node"
RUN_S: Final = 150.0
"""Longest run: importing torch takes up to half a minute, a GPU two seconds."""


@dataclass(frozen=True, slots=True)
class GpuSpeed:
    """One GPU's figures: TFLOPS in bfloat16, HBM traffic in GB/s (read and written)."""

    tflops: Reading[float]
    copy_gbps: Reading[float]


@dataclass(frozen=True, slots=True)
class NodeSpeed:
    """One node's figures by GPU index, and the all-reduce's bus bandwidth over them in GB/s (None: not applicable)."""

    gpus: Mapping[int, GpuSpeed] = field(default_factory=dict)
    allreduce_gbps: Reading[float] | None = None


def program() -> str:
    """The source that measures; it goes through stdin."""
    return resources.files("pdctl.health").joinpath("floors_by_torch.py").read_text(encoding="utf-8")


def container_name(expected: Expectations) -> str:
    """The name of the container that measures on this node."""
    return f"pdctl.{expected.cluster}.{expected.node}.floors"


def floor_argv(expected: Expectations, gpus: Sequence[int]) -> tuple[str, ...]:
    """The command that runs `program` on `gpus`: the engine's Python, in its image where it has one."""
    visible = f"HIP_VISIBLE_DEVICES={','.join(map(str, gpus))}"
    if expected.supervisor is not SupervisorKind.DOCKER or expected.image is None:
        return ("env", visible, expected.python or "python3", "-")
    name = container_name(expected)
    devices = ("--device=/dev/kfd", "--device=/dev/dri", "--group-add=video", "--security-opt=seccomp=unconfined")
    run = ("docker", "run", "--rm", "-i", "--init", "--name", name, "--network=none", "--ipc=host", *devices)
    return (*run, "-e", visible, "--entrypoint", "python3", expected.image, "-")


def allreduce_argv(gpus: Sequence[int]) -> tuple[str, ...]:
    """rccl-tests' all_reduce_perf over `gpus`, 64 MB."""
    visible = f"HIP_VISIBLE_DEVICES={','.join(map(str, gpus))}"
    return ("env", visible, "all_reduce_perf", "-b", "64M", "-e", "64M", "-g", str(len(gpus)))


def speeds(text: str, gpus: Sequence[int], *, why: str = "it printed no result") -> Mapping[int, GpuSpeed]:
    """What `program` printed, by the node's GPU indices (torch counts the visible ones from 0)."""
    told: dict[int, Mapping[str, Any]] = {}
    for line in text.splitlines():
        if line.startswith(MARK):
            try:
                answer = json.loads(line.removeprefix(MARK))
            except ValueError:
                continue
            if isinstance(answer, dict) and isinstance(answer.get("gpu"), int):
                told[answer["gpu"]] = answer
    return {gpu: _speed(told.get(place), why) for place, gpu in enumerate(gpus)}


def _speed(answer: Mapping[str, Any] | None, why: str) -> GpuSpeed:
    if answer is None:
        return GpuSpeed(Unknown(why, SOURCE), Unknown(why, SOURCE))
    return GpuSpeed(_number(answer, "tflops"), _number(answer, "gbytes_per_s"))


def _number(answer: Mapping[str, Any], key: str) -> Reading[float]:
    value = answer.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        return Unknown(str(answer.get("error", f"no {key}"))[:200], SOURCE)
    return Known(float(value), SOURCE)


def floor_checks(measured: Mapping[str, NodeSpeed]) -> tuple[FleetCheck, ...]:
    """Checks that compare these nodes' figures with the floors, to be judged with the others."""

    def check(name: str, title: str, words: Callable[[Thresholds, str, NodeSpeed], Iterator[Word]]) -> FleetCheck:
        def judge_all(thresholds: Thresholds) -> Iterator[Word]:
            for node, speed in measured.items():
                yield from words(thresholds, node, speed)

        return FleetCheck(
            f"floor.{name}",
            title,
            Severity.WARN,
            (SOURCE,),
            lambda fleet: judge_all(fleet.policy.thresholds),
            tier=Tier.T3,
        )

    return (
        check("gemm", "matrix products reach their floor", _gemm),
        check("hbm_copy", "HBM copies reach their floor", _copy),
        check("allreduce", "all-reduce reaches its floor", _allreduce),
    )


def floor_figures(measured: Mapping[str, NodeSpeed]) -> tuple[Figure, ...]:
    """The same figures, to be compared over the nodes of a pool: what reaches its floor may still hold others up."""

    def figure(name: str, title: str, unit: str, of: Callable[[NodeSpeed], Mapping[str, Reading[float]]]) -> Figure:
        def read(facts: NodeFacts) -> Mapping[str, Reading[float]]:
            speed = measured.get(facts.node)
            return {} if speed is None else of(speed)

        return Figure(f"outlier.{name}", title, unit, Severity.WARN, (SOURCE,), read)

    return (
        figure("gemm", "matrix products as fast as elsewhere", "TFLOPS", lambda speed: _each(speed, "tflops")),
        figure("hbm_copy", "HBM copies as fast as elsewhere", "GB/s", lambda speed: _each(speed, "copy_gbps")),
        figure(
            "allreduce",
            "all-reduce as fast as elsewhere",
            "GB/s",
            lambda speed: {} if speed.allreduce_gbps is None else {"": speed.allreduce_gbps},
        ),
    )


def _each(speed: NodeSpeed, name: str) -> Mapping[str, Reading[float]]:
    return {f"gpu{gpu}": getattr(figures, name) for gpu, figures in speed.gpus.items()}


def _gemm(thresholds: Thresholds, node: str, speed: NodeSpeed) -> Iterator[Word]:
    least = thresholds.gemm_bf16_tflops
    for gpu, figures in speed.gpus.items():
        yield _word(node, figures.tflops, least, "TFLOPS", gpu=gpu)


def _copy(thresholds: Thresholds, node: str, speed: NodeSpeed) -> Iterator[Word]:
    for gpu, figures in speed.gpus.items():
        yield _word(node, figures.copy_gbps, thresholds.hbm_copy_gbps, "GB/s", gpu=gpu)


def _allreduce(thresholds: Thresholds, node: str, speed: NodeSpeed) -> Iterator[Word]:
    if speed.allreduce_gbps is not None:
        yield _word(node, speed.allreduce_gbps, thresholds.allreduce_busbw_gbps, "GB/s")


def _word(node: str, reading: Reading[float], least: float, unit: str, *, gpu: int | None = None) -> Word:
    word = word_on(
        reading,
        lambda value: value >= least,
        expected=f">= {least:g} {unit}",
        show=lambda value: f"{value:.0f} {unit}",
        device="" if gpu is None else f"gpu{gpu}",
        gpus=None if gpu is None else (gpu,),
        fix="look at clocks, power cap, temperatures and XGMI links: `pdctl check`",
    )
    return replace(word, node=node)

"""How a GPU runs: heat, power limit, throttling, clocks, partition."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.health.check import Check, Word, word_on
from pdctl.health.checks.folded import folded
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.model.reading import Known, Reading, Unknown

_GPU = "/sys/bus/pci/drivers/amdgpu/*"
WHOLE = "SPX/NPS1"


@folded
def _temperature(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Warns from the threshold on, and blocks where the GPU itself slows down."""
    limits = expected.thresholds
    for gpu in facts.gpu.gpus:
        now = gpu.condition
        for sensor, reading, limit, warn_c in (
            ("hotspot", now.hotspot_c, now.hotspot_limit_c, limits.temperature_hotspot_c),
            ("memory", now.memory_c, now.memory_limit_c, limits.temperature_memory_c),
        ):
            slow_c = limit.value if isinstance(limit, Known) else None
            warn_at_c = warn_c if slow_c is None else min(warn_c, slow_c)
            blocks = isinstance(reading, Known) and slow_c is not None and reading.value >= slow_c
            yield word_on(
                reading,
                lambda degrees, warn_at_c=warn_at_c: degrees < warn_at_c,  # type: ignore[misc]
                expected=f"< {warn_at_c:g} C" + ("" if slow_c is None else f", slows down at {slow_c:g} C"),
                show=lambda degrees, sensor=sensor: f"{sensor} {degrees:g} C",  # type: ignore[misc]
                device=gpu.name,
                gpus=(gpu.index,),
                fix="ipmitool sensor | grep -iE 'fan|temp'; amd-smi metric --temperature --fan",
                why="it runs slower than its peers, or will soon: look at fans, airflow and coolant",
                severity=Severity.BLOCK if blocks else Severity.WARN,
            )


@folded
def _power_cap(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    kind = expected.kind
    for gpu in facts.gpu.gpus:
        most = gpu.condition.power_max_w
        wanted_w = float(kind.max_power_w) if kind is not None else most.value if isinstance(most, Known) else None
        if wanted_w is None:
            why = most.reason if isinstance(most, Unknown) else ""
            yield Word(Verdict.UNKNOWN, "unknown", "the full power limit", gpu.name, (gpu.index,), why=why)
            continue
        yield word_on(
            gpu.condition.power_cap_w,
            lambda watts, wanted_w=wanted_w: abs(watts - wanted_w) <= 1,  # type: ignore[misc]
            expected=f"{wanted_w:g} W",
            show=lambda watts: f"{watts:g} W",
            device=gpu.name,
            gpus=(gpu.index,),
            fix=f"sudo amd-smi set -g {gpu.index} --power-cap {wanted_w:g}",
            why="it runs slower than its peers under load",
        )


@folded
def _throttle(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Only where nothing of ours runs: under load a GPU may well run into its power limit."""
    for gpu in facts.gpu.gpus:
        if gpu.index in expected.serving_gpus:
            continue
        yield word_on(
            gpu.condition.throttled,
            lambda active: not active,
            expected="not held back while idle",
            show=lambda active: ", ".join(active) or "not held back",
            device=gpu.name,
            gpus=(gpu.index,),
            fix="amd-smi metric --violation; amd-smi metric --temperature --power",
            why="something holds its clocks back though it does nothing",
        )


@folded
def _clocks(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for gpu in facts.gpu.gpus:
        yield word_on(
            gpu.condition.perf_level,
            lambda level: level == "auto",
            expected="auto",
            device=gpu.name,
            gpus=(gpu.index,),
            fix=f"sudo amd-smi set -g {gpu.index} --perf-level auto",
            why="its clocks are held at a fixed level",
        )
        status = gpu.condition.runtime_status
        if isinstance(status, Known) and status.value not in {"active", "unsupported"}:
            yield Word(
                Verdict.FAIL,
                f"runtime status {status.value}",
                "active",
                gpu.name,
                (gpu.index,),
                (Evidence(status.source, status.value),),
                fix=f"echo on | sudo tee /sys/bus/pci/drivers/amdgpu/{gpu.address}/power/control",
                why="it is in a low-power state, in which tools and engines may not find it",
            )


@folded
def _partition(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Whole devices (SPX, NPS1), or what the inventory pins as gpu.partition ("CPX/NPS4")."""
    wanted = expected.pinned.get("gpu.partition", WHOLE)
    for gpu in facts.gpu.gpus:
        yield word_on(
            partition(gpu.condition.compute_partition, gpu.condition.memory_partition),
            lambda mode: mode == wanted.upper(),
            expected=wanted,
            device=gpu.name,
            gpus=(gpu.index,),
            fix=f"sudo amd-smi set -g {gpu.index} --compute-partition {wanted.partition('/')[0]}",
            why="engines would find other devices than were planned for",
        )


def partition(compute: Reading[str], memory: Reading[str]) -> Reading[str]:
    """Both modes as one word."""
    if isinstance(compute, Unknown):
        return compute
    if isinstance(memory, Unknown):
        return memory
    return Known(f"{compute.value}/{memory.value}".upper(), compute.source)


TEMPERATURE = Check(
    "gpu.temperature",
    "GPUs are cool",
    Severity.WARN,
    (f"{_GPU}/hwmon/hwmon*/temp*_input", "amd-smi.metric"),
    _temperature,
)
POWER_CAP = Check(
    "gpu.power_cap",
    "full power limit",
    Severity.WARN,
    (f"{_GPU}/hwmon/hwmon*/power1_cap", "amd-smi.static"),
    _power_cap,
)
THROTTLE = Check("gpu.throttle", "idle GPUs are not held back", Severity.WARN, ("amd-smi.metric",), _throttle)
CLOCKS = Check(
    "gpu.clocks",
    "clocks are free to rise",
    Severity.WARN,
    (f"{_GPU}/power_dpm_force_performance_level", f"{_GPU}/power/runtime_status"),
    _clocks,
)
PARTITION = Check(
    "gpu.partition",
    "GPUs are partitioned as planned",
    Severity.BLOCK,
    (f"{_GPU}/current_compute_partition", f"{_GPU}/current_memory_partition", "amd-smi.static"),
    _partition,
)
CHECKS = (TEMPERATURE, POWER_CAP, THROTTLE, CLOCKS, PARTITION)

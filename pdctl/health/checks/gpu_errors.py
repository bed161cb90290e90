"""GPU memory errors: what could not be corrected blocks, what could is counted from now on."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.health.check import Check, Word, word_on
from pdctl.health.checks.folded import folded
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.gpu_device import Gpu
from pdctl.model.reading import Known, Reading, Unknown

_RAS = "/sys/bus/pci/drivers/amdgpu/*/ras"
RESET = "sudo amd-smi reset -G -g {index}   # if they come again: have the GPU replaced, with `amd-smi ras --cper`"


@folded
def _uncorrectable(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for gpu in facts.gpu.gpus:
        yield _none(gpu, gpu.faults.uncorrectable, "uncorrectable", "data in its memory was lost: results may be wrong")


@folded
def _deferred(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for gpu in facts.gpu.gpus:
        yield _none(
            gpu, gpu.faults.deferred, "deferred", "data is bad that nobody has read yet: it will fail when it is"
        )


def _none(gpu: Gpu, count: Reading[int], kind: str, why: str) -> Word:
    return word_on(
        count,
        lambda errors: errors == 0,
        expected=f"0 {kind} errors",
        show=lambda errors: f"{errors} {kind} errors",
        device=gpu.name,
        gpus=(gpu.index,),
        fix=RESET.format(index=gpu.index),
        why=why,
    )


@folded
def _correctable(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Every RAS block's count, by what it gained: a few over months are normal, a burst announces worse."""
    for gpu in facts.gpu.gpus:
        blocks = [name for name in gpu.series if name.endswith("_ce")]
        gains = {block: facts.gains.of(gpu.name, block) for block in blocks}
        grown = {block: gain.value for block, gain in gains.items() if isinstance(gain, Known) and gain.value.count}
        unclear = [gain for gain in gains.values() if isinstance(gain, Unknown)]
        promise = "no new correctable errors"
        where = (Evidence(f"{_RAS}/*_err_count".replace("*", gpu.address, 1)),)
        if grown:
            said = ", ".join(f"{block.removesuffix('_ce')}: {gain}" for block, gain in grown.items())
            yield Word(
                Verdict.FAIL,
                said,
                promise,
                gpu.name,
                (gpu.index,),
                (Evidence(where[0].source, said),),
                fix="sudo amd-smi bad-pages; sudo amd-smi metric --ecc-blocks",
                why="memory that begins to fail",
            )
        elif unclear or not blocks:
            why = unclear[0].reason if unclear else f"{gpu.name} shows no count of correctable errors"
            yield Word(Verdict.UNKNOWN, "unknown", promise, gpu.name, (gpu.index,), where, why=why)
        else:
            yield Word(Verdict.PASS, "no new ones", promise, gpu.name, (gpu.index,), where)


@folded
def _bad_pages(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for gpu in facts.gpu.gpus:
        faults = gpu.faults
        limit = (
            faults.page_threshold.value if isinstance(faults.page_threshold, Known) else expected.thresholds.bad_pages
        )
        yield _pages(gpu, limit)


def _pages(gpu: Gpu, limit: int) -> Word:
    faults = gpu.faults
    promise = f"none pending, none that cannot be retired, fewer than {limit} retired"
    counts = {
        "retired": faults.retired_pages,
        "pending": faults.pending_pages,
        "not to be retired": faults.unreservable_pages,
    }
    limits = {"retired": limit - 1, "pending": 0, "not to be retired": 0}
    bad = [
        f"{count.value} {name}"
        for name, count in counts.items()
        if isinstance(count, Known) and count.value > limits[name]
    ]
    if isinstance(faults.pages_exceeded, Known) and faults.pages_exceeded.value:
        bad.append("over the threshold, as amd-smi says")
    unclear = [count for count in counts.values() if isinstance(count, Unknown)]
    shown = ", ".join(f"{count.value} {name}" for name, count in counts.items() if isinstance(count, Known))
    source = next((count.source for count in counts.values()), "")
    if bad:
        return Word(
            Verdict.FAIL,
            ", ".join(bad),
            promise,
            gpu.name,
            (gpu.index,),
            (Evidence(source, shown),),
            fix="sudo amd-smi bad-pages   # pending pages are retired by a reboot; past the threshold the GPU is due",
            why="memory is failing, and the driver cannot take it out of use while it runs",
        )
    if unclear:
        return Word(
            Verdict.UNKNOWN, "unknown", promise, gpu.name, (gpu.index,), (Evidence(source),), why=unclear[0].reason
        )
    return Word(Verdict.PASS, shown, promise, gpu.name, (gpu.index,), (Evidence(source, shown),))


def _cper(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Fatal hardware errors on record. An old amd-smi has no such command: then RAS counts and the log have to do."""
    records = facts.gpu.cper
    promise = "no fatal hardware error on record"
    if isinstance(records, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(records.source),), why=records.reason)
        return
    fatal = [record for record in records.value if record.fatal]
    lines = "; ".join(f"gpu {record.gpu} at {record.timestamp}: {record.severity}" for record in fatal[:8])
    yield Word(
        Verdict.FAIL if fatal else Verdict.PASS,
        lines or "none",
        promise,
        evidence=(Evidence(records.source, lines or "none"),),
        fix="sudo amd-smi ras --cper --folder /tmp/cper   # for the hardware team" if fatal else "",
        why="the GPU reported an error that it could not recover from" if fatal else "",
    )


UNCORRECTABLE = Check(
    "gpu.ecc_uncorrectable",
    "no uncorrectable memory errors",
    Severity.BLOCK,
    (f"{_RAS}/*_err_count", "amd-smi.metric"),
    _uncorrectable,
)
DEFERRED = Check(
    "gpu.ecc_deferred", "no deferred memory errors", Severity.WARN, (f"{_RAS}/*_err_count", "amd-smi.metric"), _deferred
)
CORRECTABLE = Check(
    "gpu.ecc_correctable", "no new correctable memory errors", Severity.WARN, (f"{_RAS}/*_err_count",), _correctable
)
BAD_PAGES = Check(
    "gpu.bad_pages",
    "few bad memory pages",
    Severity.BLOCK,
    (f"{_RAS}/gpu_vram_bad_pages", "amd-smi.bad-pages", "amd-smi.static"),
    _bad_pages,
)
CPER = Check("gpu.hardware_errors", "no fatal hardware errors", Severity.BLOCK, ("amd-smi.ras-cper",), _cper)
CHECKS = (UNCORRECTABLE, DEFERRED, CORRECTABLE, BAD_PAGES, CPER)

"""Room and files on the host: RAM, shared memory, disks, the model, the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pdctl.health.check import Check, Tier, Trait, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.host_files import image_missing
from pdctl.health.outputs import items_of
from pdctl.health.parse.df import FileSystem
from pdctl.model.reading import Known, Reading, Unknown
from pdctl.model.role import SupervisorKind

GIB = 1 << 30
FULL_BYTES = GIB
"""Ours: a file system with less room than this fails whatever writes to it."""

TP_WIDE = 8
SHM = "/dev/shm"  # noqa: S108 - looked at, not written to


def _ram(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    memory = facts.host.memory
    if isinstance(memory.total_bytes, Unknown):
        yield word_on(memory.total_bytes, lambda _: False, expected="enough free RAM")
        return
    total, least = memory.total_bytes.value, expected.thresholds.ram_free_fraction
    yield word_on(
        memory.available_bytes,
        lambda free: free >= least * total,
        expected=f">= {least:.0%} of {total / GIB:.0f} GiB available",
        show=lambda free: f"{free / GIB:.0f} GiB available ({free / max(total, 1):.1%})",
        fix="ps -eo pid,user:20,rss,comm --sort=-rss | head",
        why="loading weights and offloading KV need it; the kernel kills what asks last",
    )


def _shm(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    wide = any(slot.judged and slot.tp >= TP_WIDE for slot in expected.slots)
    limits = expected.thresholds
    wanted = limits.shm_tp8_bytes if wide else limits.shm_bytes
    found = facts.host.file_systems.of(SHM)
    room: Reading[int] = found if isinstance(found, Unknown) else Known(found.value.available_bytes, found.source)
    if isinstance(found, Known) and found.value.mount != SHM:
        room = Known(0, found.source)
    yield word_on(
        room,
        lambda free: free >= wanted,
        expected=f">= {wanted // GIB} GiB free in /dev/shm",
        show=lambda free: f"{free / GIB:.1f} GiB free",
        device=SHM,
        fix="mount -o remount,size=50% /dev/shm; rm what dead engines left there (ls -l /dev/shm)",
        why="ranks of one engine exchange tensors and NCCL buffers through it",
    )


def _disk(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    systems = facts.host.file_systems
    asked = [path for _, path in items_of(facts.envelope, "df") if path.startswith("/")]
    reads: dict[str, Reading[FileSystem]] = {path: systems.of(path) for path in ("/", "/var", "/tmp", *asked)}  # noqa: S108
    if facts.host.model.applies:
        reads[expected.model.path] = facts.host.model.file_system
    told: set[str] = set()
    for path, found in reads.items():
        mount = found.value.mount if isinstance(found, Known) else path
        if mount not in told:
            told.add(mount)
            yield _disk_word(path, mount, found, expected.thresholds.disk_free_fraction)


def _disk_word(path: str, mount: str, found: Reading[FileSystem], least: float) -> Word:
    full = isinstance(found, Known) and found.value.available_bytes < FULL_BYTES
    return word_on(
        found,
        lambda system: system.free_fraction >= least and not full,
        expected=f">= {least:.0%} free",
        show=lambda system: f"{system.free_fraction:.1%} free ({system.available_bytes / GIB:.1f} GiB)",
        device=mount,
        fix=f"du -xh --max-depth=2 {mount} | sort -h | tail",
        why=f"{path}: logs, images and JIT caches are written there",
        severity=Severity.BLOCK if full else None,
    )


def _model(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if facts.host.model.applies:
        yield word_on(
            facts.host.model.configured,
            lambda there: there,
            expected=f"{expected.model.path} with its config.json",
            show=lambda there: "there" if there else "not there",
            device=expected.model.path,
            fix=f"ls -l {expected.model.path}; mount or copy the model",
            why="the engine cannot load it",
        )


def _image(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if expected.supervisor is not SupervisorKind.DOCKER or expected.image is None:
        return
    if image_missing(facts.envelope):
        yield Word(
            Verdict.FAIL,
            "not there",
            expected.image,
            evidence=(Evidence("docker.image", facts.envelope.items["docker.image"].stderr.strip()[:200]),),
            fix=f"docker pull {expected.image}",
            why="the engine's container cannot start",
        )
        return
    yield word_on(facts.host.image, lambda _: True, expected=expected.image, show=lambda found: found[:19])


def _model_digest(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    return {"": facts.host.model.digest} if facts.host.model.applies else {}


def _image_id(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    """Where the node has no such image, `host.image` says so."""
    asked = "docker.image" in facts.envelope.items and not image_missing(facts.envelope)
    return {"": facts.host.image} if asked else {}


CHECKS = (
    Check("host.ram", "enough free RAM", Severity.WARN, ("/proc/meminfo",), _ram),
    Check("host.shm", "enough shared memory", Severity.BLOCK, ("df",), _shm),
    Check("host.disk", "room on file systems", Severity.WARN, ("df", "df.*"), _disk, tier=Tier.T0),
    Check("host.model", "the model is there", Severity.BLOCK, ("model.stat",), _model),
    Check("host.image", "the image is there", Severity.BLOCK, ("docker.image",), _image),
)

TRAITS = (
    Trait(
        "drift.model", "the model's files", Severity.BLOCK, ("model.sha256",), _model_digest, whole_fleet=True,
        fix="copy the model anew: its configuration or its index of weights is another one",
    ),
    Trait(
        "drift.image", "image id", Severity.BLOCK, ("docker.image",), _image_id, whole_fleet=True,
        fix="docker pull the image by its digest on every node: a tag moves",
    ),
)  # fmt: skip

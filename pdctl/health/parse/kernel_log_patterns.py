"""Which lines of the kernel's log matter, and how much. The first pattern that finds something in a line decides.

The set follows AMD's node-scraper (dmesg analyzer) and the messages of amdgpu, amdkfd, the PCIe, AER, DPC and MCE code;
the grades are ours. FATAL: what is computed there now may be wrong, or will stop. WARNING: it went on, but something is
not as it should be.

A log is thousands of lines of which a handful matter, so every pattern names words, in lower case, of which a line has
to hold one before the pattern is tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Grade(StrEnum):
    """How bad a line is by itself."""

    FATAL = "fatal"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`category` is what checks group by: "gpu", "ras", "pcie", "cpu", "memory", "iommu", "hang", "disk", "link"."""

    category: str
    grade: Grade
    what: str
    words: tuple[str, ...]
    regex: re.Pattern[str]


def _patterns(category: str, grade: Grade, *rows: tuple[str, str, str]) -> tuple[Pattern, ...]:
    """Rows of what it is, the words separated by "|", and the pattern."""
    return tuple(
        Pattern(category, grade, what, tuple(words.split("|")), re.compile(regex, re.IGNORECASE))
        for what, words, regex in rows
    )


PATTERNS: Final[tuple[Pattern, ...]] = (
    *_patterns(
        "cpu",
        Grade.WARNING,
        ("corrected machine checks", "mce: ", r"\bmce: \d+ correctable hardware errors"),
    ),
    *_patterns(
        "ras",
        Grade.FATAL,
        (
            "uncorrectable memory errors",
            "hardware error|ecc fatal",
            r"(?<!\b0 )(?<!\b0 new )\buncorrectable hardware errors? detected|ECC Fatal Error",
        ),
        ("poison was consumed", "poison is", r"poison is consumed"),
        ("poison was created", "poison is", r"poison is created"),
        ("bad pages reached the threshold", "saved bad pages", r"Saved bad pages \d+ reaches threshold"),
        ("SRAM error", "sram_ecc", r"\bsram_ecc\b.*(?:uncorrect|error)"),
    ),
    *_patterns(
        "ras",
        Grade.WARNING,
        ("deferred memory errors", "hardware error", r"(?<!\b0 )\bdeferred hardware errors? detected"),
        (
            "correctable memory errors",
            "hardware error",
            r"(?<!\b0 )(?<!\b0 new )\bcorrectable hardware errors? detected",
        ),
        ("error of an accelerator's bank", "accelerator check", r"Accelerator Check Architecture"),
        ("address of a memory error", "error address", r"\bError Address\b"),
    ),
    *_patterns(
        "gpu",
        Grade.FATAL,
        (
            "GPU reset failed",
            "reset|recovery failed",
            r"GPU reset(?:\(\d+\))? (?:end with ret|failed)|Mode[12] reset failed|GPU Recovery Failed",
        ),
        ("GPU reset", "gpu reset", r"GPU reset begin|Whole GPU reset"),
        ("a ring timed out", "timeout", r"\bring \S+ timeout"),
        ("the GPU fell off the bus", "lost|fallen off", r"device lost from bus|GPU (?:is )?(?:lost|fallen off)"),
        (
            "the GPU could not be set up",
            "gpu init|of ip block",
            r"Fatal error during GPU init|(?:hw|sw|late)_init of IP block .* failed|\*ERROR\* [hs]w_init of IP block",
        ),
        (
            "the queue scheduler hangs",
            "hws hang|unrecoverable state|fence wait loop",
            r"\bHWS hang|unrecoverable state|qcm fence wait loop timeout",
        ),
        ("the system management unit does not answer", "smu: ", r"\bSMU: .*(?:No response|I'm not done)"),
    ),
    *_patterns(
        "gpu",
        Grade.WARNING,
        ("page fault on the GPU", "page fault", r"\[(?:gfxhub|mmhub)\d*\].*page fault|amdgpu.*\bpage fault\b"),
        ("GPU throttled", "throttled", r"GPU is throttled"),
        ("shader interrupt", "sq_intr", r"\bsq_intr\b"),
        (
            "power state",
            "cf state|terminate tmr|suspend of",
            r"Failed to disallow cf state|Failed to terminate tmr|suspend of IP block .* failed",
        ),
        ("driver warning", "warning: cpu", r"WARNING: CPU: \d+ PID: \d+ at .*/amd(?:gpu|kfd)/"),
        ("driver error", "*error*", r"\[drm(?::\w+)?(?: \[amdgpu\])?\]\]? \*ERROR\*|amdgpu.*\*ERROR\*"),
    ),
    *_patterns(
        "pcie",
        Grade.FATAL,
        (
            "fatal PCIe error",
            "(fatal)|severity: fatal|recovery failed",
            r"Uncorrect(?:ed|able) \(Fatal\)|event severity: fatal|AER: .*recovery failed",
        ),
        ("PCIe port was contained", "dpc: |edr event", r"\bDPC: (?:containment|unmasked uncorr)|EDR event received"),
        ("PCIe link lost", "slot(", r"Slot\(\S+\): (?:Card not present|Link Down)"),
    ),
    *_patterns(
        "pcie",
        Grade.WARNING,
        (
            "uncorrected PCIe error",
            "(non-fatal)|aer_uncor_status|severity: recoverable",
            r"Uncorrect(?:ed|able) \(Non-Fatal\)|aer_uncor_status: 0x0*[1-9a-f]|event severity: recoverable",
        ),
        (
            "corrected PCIe error",
            "aer: |severity=correct|aer_cor_status",
            r"AER: .*Correct(?:ed|able) error|severity=Correct(?:ed|able)|aer_cor_status: 0x0*[1-9a-f]",
        ),
        ("corrected hardware error", "severity: corrected", r"event severity: corrected"),
        (
            "PCIe error",
            "aer: |dpc: ",
            r"AER: aer_status:|\bAER: (?:Multiple )?Uncorrect|\bDPC: (?!error containment|enabled)",
        ),
    ),
    *_patterns(
        "cpu",
        Grade.FATAL,
        (
            "uncorrected machine check",
            "_status[|uncorrected error|context corrupt",
            r"MC\d+_STATUS\[[^\]]*\|UC\||: Uncorrected error|Processor context corrupt",
        ),
    ),
    *_patterns(
        "cpu",
        Grade.WARNING,
        (
            "corrected machine check",
            "_status[|corrected error|dram ecc",
            r"MC\d+_STATUS\[[^\]]*\|CE\||\[Hardware Error\]: Corrected error|DRAM ECC error",
        ),
        ("thermal throttling of the CPU", "above threshold", r"CPU\d+: .*temperature above threshold"),
    ),
    *_patterns(
        "hang",
        Grade.FATAL,
        ("CPU locked up", "lockup|kernel panic", r"soft lockup - CPU|hard LOCKUP|Kernel panic"),
        (
            "kernel fault",
            "bug: unable|general protection|oops: ",
            r"\bBUG: unable to handle|\bgeneral protection fault[, ].*(?:\[#\d+\]|SMP)|\bOops: ",
        ),
    ),
    *_patterns(
        "hang",
        Grade.WARNING,
        ("a task hangs", "blocked for more", r"blocked for more than \d+ seconds"),
        ("RCU stall", "detected stall", r"rcu\w*:? .*detected stall|self-detected stall"),
        ("real-time tasks were throttled", "rt throttling", r"RT throttling activated"),
    ),
    *_patterns(
        "memory",
        Grade.WARNING,
        (
            "out of memory",
            "out of memory|oom_kill|oom-kill",
            r"Out of memory\b|\boom_kill_process\b|invoked oom-killer|\boom-kill:",
        ),
    ),
    *_patterns("iommu", Grade.WARNING, ("I/O page fault", "io_page_fault|dmar: ", r"IO_PAGE_FAULT|DMAR: .*fault")),
    *_patterns(
        "disk",
        Grade.WARNING,
        (
            "file system error",
            "ext4-fs error|xfs |btrfs",
            r"EXT4-fs error|XFS .*(?:corruption|shutting down)|BTRFS.*\berror\b",
        ),
        (
            "disk error",
            "i/o error|nvme",
            r"Buffer I/O error on dev|\bI/O error, dev\b|nvme\d+: .*(?:timeout|controller is down)",
        ),
    ),
    *_patterns(
        "link",
        Grade.WARNING,
        ("network link down", "link is down|link down|definitely down", r"\bLink (?:is )?down\b|definitely down"),
    ),
)

WORDS: Final = tuple(sorted({word for pattern in PATTERNS for word in pattern.words}))
"""All words of all patterns."""

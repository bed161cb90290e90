"""A node on which every GPU check fails sends damaged outputs: no check crashes, and none passes that failed.

`PDCTL_HEALTH_EXAMPLES=10000` (or `make check-mutations`) runs as many cases as one likes.
"""

from __future__ import annotations

import os
from collections.abc import Set
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.health.envelope import Envelope
from pdctl.health.finding import Verdict
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.report import Report
from tests.property.health_mutations import damaged
from tests.unit.gpu_faults import all_faults
from tests.unit.test_gpu_checks import GPU_CHECKS, NODE, pool_of_three

CASES = settings(max_examples=int(os.environ.get("PDCTL_HEALTH_EXAMPLES", "40")), deadline=None)
TOLD = ("amd-smi", "rocm", "lspci", "dmesg", "journalctl", "docker.ps", "modinfo")
BY_LINE = {"amd-smi.ras-cper": "gpu.hardware_errors", "dmesg": "host.kernel_log"}
SHOWN = ("amdgpu", "/kfd", "/proc/4711/", "/opt/rocm")


def judged(envelope: Envelope) -> Report:
    return judge(fleet_of(pool_of_three(), {NODE: envelope}), GPU_CHECKS)


def passed(report: Report) -> Set[tuple[str, str]]:
    return {(each.check, each.subject.device) for each in report.findings if each.verdict is Verdict.PASS}


@cache
def intact() -> tuple[Envelope, Set[tuple[str, str]]]:
    """The node, with only what GPU checks read, so that damage hits it; and what passes there."""
    whole = all_faults()
    own = whole.model_copy(
        update={
            "items": {name: item for name, item in whole.items.items() if name.startswith(TOLD)},
            "files": {path: file for path, file in whole.files.items() if any(part in path for part in SHOWN)},
        }
    )
    return own, passed(judged(own))


@CASES
@given(seed=st.integers(0, 1 << 32))
def test_no_fault_of_a_gpu_passes_for_want_of_information(seed: int) -> None:
    envelope, passes = intact()
    sent = damaged(envelope, seed)
    report = judged(sent)
    assert [each.why for each in report.findings if "itself failed" in each.why or "not be parsed" in each.why] == []
    fresh = {check for check, _ in passed(report) - passes}
    assert fresh - {check for item, check in BY_LINE.items() if lost_lines(envelope, sent, item)} == set()


def lost_lines(before: Envelope, after: Envelope, item: str) -> bool:
    """Whether whole lines are gone from the end of a list of lines. Only the tool's status could have told."""
    was, now = before.items[item].stdout, after.items[item].stdout if item in after.items else ""
    return now != was and now.endswith("\n") and was.startswith(now)

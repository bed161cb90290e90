"""Why an engine ended, told from the end of its log."""

from __future__ import annotations

from dataclasses import replace

from pdctl.control.autopsy import LINES_SHOWN, autopsy
from pdctl.model.role import UnitKind
from pdctl.model.unit import ExitEvidence, Labels, UnitState, UnitStatus
from pdctl.supervisors.fake import FakeNode, FakeSupervisor, Fault, FaultPlan

ENDED = UnitStatus(Labels("t", "n1.main.0", 1, "hash", UnitKind.ENGINE), UnitState.EXITED)
BY_ITSELF = ExitEvidence(0, None, 0.0, requested=False, last_lines=("the last line",))
LOST_WORKER = [
    "INFO serving",
    "(EngineCore pid=7) ERROR 11-22 04:30:34 [multiproc_executor.py:315] Worker proc VllmWorker-0 died unexpectedly",
    *["(EngineCore pid=7) ERROR 11-22 04:30:34 [core.py:1512]   in busy_loop"] * 300,
    "(EngineCore pid=7) ERROR 11-22 04:30:35 [core.py:1512] RuntimeError: cancelled",
    "(APIServer pid=6) INFO 11-22 04:30:37 [core_client.py:777] [shutdown] MPClient: complete",
    *["nanobind: leaked 1 functions!", ' - leaked function "erase"'] * 20,
]


def node_with(log: list[str], *, unreadable: bool = False) -> FakeSupervisor:
    faults = FaultPlan({0: Fault.UNREACHABLE}) if unreadable else FaultPlan()
    return FakeSupervisor(FakeNode("n1", faults=faults, logs={ENDED.labels.unit: log}), "t")


async def test_the_cause_is_found_far_above_the_end_and_status_0_is_no_excuse() -> None:
    found = await autopsy(node_with(LOST_WORKER), ENDED, BY_ITSELF)
    assert found.why == "exit status 0: worker process VllmWorker-0 died unexpectedly"
    assert found.last_lines[-1].endswith("MPClient: complete")
    assert len(found.last_lines) == LINES_SHOWN


async def test_older_errors_do_not_explain_a_signal_from_outside() -> None:
    killed = replace(BY_ITSELF, status=None, signal="SIGKILL", leftovers=3)
    found = await autopsy(node_with(LOST_WORKER), ENDED, killed)
    assert (found.why, found.last_lines) == ("killed by SIGKILL, 3 leftover processes swept", ("the last line",))


async def test_where_the_log_cannot_be_read_the_evidence_has_to_do() -> None:
    found = await autopsy(node_with(LOST_WORKER, unreadable=True), ENDED, BY_ITSELF, when="before it could serve")
    assert (found.why, found.last_lines) == ("exit status 0 before it could serve: the last line", ("the last line",))

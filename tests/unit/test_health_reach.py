"""T0: what could not be asked, what hung, what ran without root; and the kinds of GPUs that we know."""

from __future__ import annotations

import pytest

from pdctl.health.checks import reach
from pdctl.health.envelope import Envelope, Item
from pdctl.health.finding import Finding, Verdict
from pdctl.health.fleet import fleet_of
from pdctl.health.gpu_kinds import KINDS, gpu_kind
from pdctl.health.judge import judge
from pdctl.health.registry import Registry
from tests.unit.deployments import mori_1p1d

GIB = 1 << 30


def item(name: str, *, hung: bool = False, refused: str = "") -> Item:
    status = None if hung or refused else 0
    return Item(argv=(name.partition(".")[0], "x"), status=status, timed_out=hung, refused=refused, seconds=10.0)


def found(*missing: str, **items: Item) -> list[Finding]:
    """What T0 finds wrong with a node that sent these items, `_` for `.` in their ids."""
    named = {name.replace("amd_smi", "amd-smi").replace("__", "."): each for name, each in items.items()}
    envelope = Envelope(node="solo", items=named, missing=missing, user="ops")
    report = judge(fleet_of(mori_1p1d(), {"solo": envelope}), Registry(checks=reach.CHECKS))
    return list(report.problems)


def test_nothing_is_said_of_a_node_that_answered_everything() -> None:
    assert found(df=item("df")) == []


def test_what_was_left_out_is_named() -> None:
    (finding,) = found("/sys/class/net: out of time", df=item("df"))
    assert (finding.check, finding.verdict) == ("reach.collected", Verdict.UNKNOWN)
    assert "/sys/class/net: out of time" in finding.why


def test_a_tool_that_hangs_is_named_once_with_everything_it_was_asked() -> None:
    (finding,) = found(nicctl__card=item("nicctl.card", hung=True), nicctl__port=item("nicctl.port", hung=True))
    assert (finding.check, finding.subject.device, finding.verdict) == ("reach.hung", "nicctl", Verdict.FAIL)
    assert [each.source for each in finding.evidence] == ["nicctl.card", "nicctl.port"]
    assert not finding.blocks


def test_gpu_tools_that_hang_with_the_driver_are_left_to_the_check_that_blocks() -> None:
    assert found(amd_smi__list=item("amd-smi.list", hung=True), rocminfo=item("rocminfo", hung=True)) == []
    (finding,) = found(amd_smi__list=item("amd-smi.list"), rocminfo=item("rocminfo", hung=True))
    assert finding.subject.device == "rocminfo"


def test_what_sudo_refused_is_said_with_the_remedy() -> None:
    (finding,) = found(dmesg=item("dmesg", refused="sudo: a password is required"))
    assert finding.check == "reach.root"
    assert "sudo -n" in finding.fix
    assert "dmesg" in finding.why and "ops" in finding.why


def test_a_login_without_sudo_is_said_even_where_nothing_else_was_asked() -> None:
    denied = Item(argv=("sudo", "-n", "true"), status=1, stderr="sudo: a password is required\n")
    (finding,) = found(sudo=denied, df=item("df"))
    assert (finding.check, finding.evidence[0].excerpt) == ("reach.root", "sudo: a password is required")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("mi300x", "mi300x"),
        ("MI300X", "mi300x"),
        ("AMD Instinct MI355X", "mi355x"),
        ("mi350", "mi350x"),
        ("h100", None),
        ("unknown", None),
    ],
)
def test_kinds_of_gpus_by_the_inventorys_word(said: str, kind: str | None) -> None:
    known = gpu_kind(said)
    assert (known.name if known is not None else None) == kind


def test_vram_is_of_a_kind_within_three_percent() -> None:
    assert KINDS["mi300x"].vram_fits(206_141_652_992)  # as amdgpu shows 191.98 GiB
    assert not KINDS["mi300x"].vram_fits(256 * GIB)
    assert KINDS["mi325x"].vram_fits(255 * GIB)

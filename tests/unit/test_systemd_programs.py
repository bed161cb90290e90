"""The systemd supervisor's programs, and how they read a systemd that is played by a script."""

from __future__ import annotations

import ast
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels
from pdctl.supervisors.bundle import bundle
from pdctl.supervisors.node_state_on_node import Refusal
from pdctl.supervisors.systemd import FOLLOW, systemd_program
from pdctl.supervisors.systemd_command_on_node import described
from pdctl.supervisors.systemd_journal_on_node import message_of
from pdctl.supervisors.systemd_look_on_node import inspect
from pdctl.supervisors.systemd_unit_on_node import cgroup_members, shown_units
from pdctl.supervisors.unit_records import labels_to_json
from tests.unit.test_supervisor_programs import imported

ACTIONS = ["inspect", "take", "forget", "start", "stop"]
SOURCES = [*(systemd_program(action).source for action in ACTIONS), bundle(*FOLLOW)]


@pytest.mark.parametrize("source", SOURCES, ids=[*ACTIONS, "follow"])
def test_a_program_is_python_3_6_and_needs_only_the_standard_library(source: str) -> None:
    tree = ast.parse(source, feature_version=(3, 6))
    assert {name.partition(".")[0] for name in imported(tree)} <= sys.stdlib_module_names


@pytest.mark.parametrize("source", SOURCES, ids=[*ACTIONS, "follow"])
def test_no_two_fragments_of_a_program_define_the_same_name(source: str) -> None:
    tree = ast.parse(source)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assigned = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id != "TYPE_CHECKING"
    ]
    assert [name for name, times in Counter(defined + assigned).items() if times > 1] == []


def block(unit: str, description: str, active: str = "active", load: str = "loaded") -> str:
    lines = [f"Id={unit}.service", f"Description={description}", f"LoadState={load}", f"ActiveState={active}"]
    return "\n".join([*lines, "ExecMainStartTimestampMonotonic=0", ""])


def of(cluster: str, instance: str = "n1.all.0", gpus: tuple[int, ...] = (0,), active: str = "active") -> str:
    labels = Labels(cluster, instance, 1, "h", UnitKind.ENGINE, "p", "decode", gpus)
    return block(labels.unit, described(labels_to_json(labels)), active)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `systemctl` prints; the file beside it, with `.asked`, holds how it was called."""
    answer = tmp_path / "answer"
    scripts = {"systemctl": f'echo "$*" >> {answer}.asked; cat {answer}', "journalctl": "exit 0"}
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    answer.write_text("")
    return answer


def seen(root: Path, cluster: str) -> tuple[list[str], list[str]]:
    """(units, others' units) that an inspection finds."""
    (root / cluster).mkdir(exist_ok=True)
    found = inspect(str(root), cluster, {}, lambda directory: None)
    return [unit["unit"] for unit in found["units"]], found["others"]


def test_clusters_match_by_label_never_by_prefix(systemctl: Path, tmp_path: Path) -> None:
    units = [of("prod"), of("prod-2"), of("prod", "x.n1.all.0"), of("pro"), of("prod", "router", ())]
    # What pdctl did not make, whatever its name; and a label that is not its unit's own.
    foreign = [
        block("pdctl.prod.by-hand", "made by hand"),
        block("pdctl.prod.copied", of("prod").splitlines()[1].partition("=")[2]),
        block("pdctl.prod.gone", of("prod", "gone").splitlines()[1].partition("=")[2], load="not-found"),
    ]
    systemctl.write_text("\n".join([*units, *foreign]))
    root = tmp_path / "state"
    root.mkdir()
    ours = ["pdctl.prod.n1.all.0", "pdctl.prod.router", "pdctl.prod.x.n1.all.0"]
    assert seen(root, "prod") == (ours, ["pdctl.pro.n1.all.0", "pdctl.prod-2.n1.all.0"])
    assert seen(root, "prod-2")[0] == ["pdctl.prod-2.n1.all.0"]


def test_a_whole_node_is_seen_by_one_call(systemctl: Path, tmp_path: Path) -> None:
    systemctl.write_text("\n".join(of("t", f"n1.all.{number}") for number in range(8)))
    root = tmp_path / "state"
    root.mkdir()
    assert len(seen(root, "t")[0]) == 8
    assert len(Path(f"{systemctl}.asked").read_text().splitlines()) == 1


def test_a_node_without_systemd_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="systemd does not run here") as refused:
        shown_units()
    assert "docker" in refused.value.hint


def test_a_systemd_that_is_not_running_is_told_from_one_without_units(systemctl: Path, tmp_path: Path) -> None:
    script = "echo 'System has not been booted with systemd as init system (PID 1).' >&2; exit 1"
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(Refusal, match="not been booted"):
        shown_units()


@pytest.mark.parametrize(
    ("message", "text"), [("plain", "plain"), ([104, 105, 255], "hi\ufffd"), (None, ""), ([1000], ""), ("é", "é")]
)
def test_a_journal_message_is_text_or_bytes(message: object, text: str) -> None:
    assert message_of({"MESSAGE": message}) == text


def test_no_process_is_in_the_cgroup_of_a_unit_that_does_not_exist() -> None:
    assert cgroup_members("pdctl.t.nobody.service") == {}

"""Two names for one machine are refused; clones, containers and what says so itself are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment
from pdctl.model.observed import NodeView, Observed
from pdctl.plan.one_machine import refuse_one_machine
from pdctl.supervisors.node_state_on_node import place_of
from tests.unit.deployments import cluster, node

N1 = NodeView("n1", "machine", "boot", 0, 0, (), place="/var/lib/pdctl/c:9:4")


def deployment(**host_ids: str) -> Deployment:
    return cluster("c", [node(f"n{number}", number, host_id=host_ids.get(f"n{number}")) for number in (1, 2)], [], [])


def seen(*, machine_id: str = N1.machine_id, boot_id: str = N1.boot_id, place: str = N1.place) -> Observed:
    """n1, and n2 that is the same but for what is named."""
    other = replace(N1, node="n2", machine_id=machine_id, boot_id=boot_id, place=place)
    return Observed({"n1": N1, "n2": other}, {})


def test_two_names_for_one_machine_are_refused() -> None:
    with pytest.raises(PlanRefused, match="n1 and n2 are one machine") as refused:
        refuse_one_machine(deployment(), seen())
    assert "host_id" in refused.value.hint


@pytest.mark.parametrize(
    "other",
    [
        {"boot_id": "another"},  # installed from one image: the machine id is shared
        {"machine_id": "another"},
        {"place": "/var/lib/pdctl/c:9:5"},  # containers of one machine
        {"place": ""},  # not known is not the same
        {"boot_id": ""},
    ],
)
def test_what_differs_in_one_of_them_is_another_machine(other: dict[str, str]) -> None:
    refuse_one_machine(deployment(), seen(**other))


def test_entries_with_one_host_id_say_that_they_share_a_machine() -> None:
    refuse_one_machine(deployment(n1="box", n2="box"), seen())
    with pytest.raises(PlanRefused):
        refuse_one_machine(deployment(n1="box", n2="other"), seen())


def test_a_place_that_is_not_there_yet_is_known_by_what_is_above_it(tmp_path: Path) -> None:
    before = place_of(str(tmp_path / "lib" / "pdctl"))
    assert before == place_of(str(tmp_path))
    (tmp_path / "lib").mkdir()
    assert place_of(str(tmp_path / "lib" / "pdctl")) != before

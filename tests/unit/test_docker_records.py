"""What facts about containers mean."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.control.builds import differing_builds
from pdctl.model.observed import NodeView, Observed
from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, UnitState, UnitStatus
from pdctl.supervisors.docker_cli_on_node import shown_container, unix_time
from pdctl.supervisors.docker_records import container_status

UNIT = "pdctl.c.n1.all.0"
LABELS = {
    "cluster": "c", "instance": "n1.all.0", "generation": 3, "spec_hash": "h", "kind": "engine", "pool": "p",
    "role": "decode", "gpus": [0],
}  # fmt: skip
BOOTED = 1_000.0


def shown(status: str, code: int = 0, **changed: Any) -> dict[str, Any]:
    state = {"Status": status, "Pid": 77 if status == "running" else 0, "ExitCode": code, "OOMKilled": False}
    return {
        "id": "f" * 64, "name": UNIT, "image": "a" * 64, "labels": LABELS, "restarts": 0, "started_at": 2_000.0,
        "finished_at": 2_100.0, "endpoint": "10.0.0.1:20005", "log_at": 5, "state": {**state, "Error": ""}, **changed,
    }  # fmt: skip


def facts(container: dict[str, Any] | None, **changed: Any) -> dict[str, Any]:
    return {
        "unit": UNIT, "spec": None, "shown": container, "here": True, "booted_at": BOOTED, "stop_asked": False,
        "remains": [], "tail": ["last"], **changed,
    }  # fmt: skip


def seen(container: dict[str, Any] | None, **changed: Any) -> UnitStatus:
    return container_status("c", facts(container, **changed))


@pytest.mark.parametrize(
    ("found", "state", "cause"),
    [
        (facts(shown("exited", 0)), UnitState.EXITED, "exit status 0"),
        (facts(shown("exited", 1)), UnitState.FAILED, "exit status 1"),
        (facts(shown("exited", 137)), UnitState.FAILED, "killed by SIGKILL"),
        (facts(shown("exited", 255)), UnitState.FAILED, "exit status 255"),
        (facts(shown("exited", 143), stop_asked=True), UnitState.EXITED, "stopped"),
        (facts(shown("exited", 0), stop_asked=True), UnitState.EXITED, "stopped"),
        (facts(shown("exited", 137), stop_asked=True), UnitState.EXITED, "killed by SIGKILL"),
        (facts(shown("exited", 255), here=False), UnitState.FAILED, "gone with a reboot"),
        (facts(shown("exited", 1, finished_at=BOOTED - 1), here=False), UnitState.FAILED, "exit status 1"),
        (facts(shown("created", started_at=0.0)), UnitState.FAILED, "its start was cut short"),
        (facts(shown("configured", started_at=0.0)), UnitState.FAILED, "its start was cut short"),
        (
            facts(shown("exited", 1), remains=["pid 9 (vllm)"]),
            UnitState.FAILED,
            "its container has ended; still there: pid 9 (vllm)",
        ),
        (facts(shown("flying")), UnitState.UNKNOWN, "the container engine calls it flying"),
    ],
)
def test_how_a_container_ended(found: dict[str, Any], state: UnitState, cause: str) -> None:
    status = container_status("c", found)
    assert status.exit is not None
    assert (status.state, status.exit.cause) == (state, cause)


def test_memory_that_ran_out_is_no_forced_stop() -> None:
    container = shown("exited", 137)
    container["state"]["OOMKilled"] = True
    status = seen(container, stop_asked=True)
    assert status.exit is not None
    assert (status.state, status.exit.forced) == (UnitState.FAILED, False)
    assert status.exit.cause == "killed by the kernel: out of memory"


def test_a_running_container() -> None:
    status = seen(shown("running"))
    assert (status.state, status.pid, status.exit) == (UnitState.RUNNING, 77, None)
    assert (status.endpoint, status.image, status.labels.gpus) == ("10.0.0.1:20005", "a" * 64, (0,))
    assert seen(shown("running"), stop_asked=True).state is UnitState.STOPPING
    again = seen(shown("running", restarts=1, started_at=2_100.2))
    assert again.incarnation != status.incarnation
    assert again.exit is not None and again.exit.cause == "ended, cause unknown"


def test_a_record_without_its_container_says_so() -> None:
    status = seen(None, spec={"labels": LABELS, "at": 5.0})
    assert status.state is UnitState.FAILED
    assert status.exit is not None and "its container is gone" in status.exit.cause


@pytest.mark.parametrize(("living", "state"), [([], UnitState.FAILED), (["pid 9"], UnitState.UNKNOWN)])
def test_a_record_that_cannot_be_read_is_unknown_while_something_lives(living: list[str], state: UnitState) -> None:
    assert seen(None, spec={"labels": {}}, remains=living).state is state


DOCKER = {
    "Id": "f" * 64,
    "Name": f"/{UNIT}",
    "Image": "sha256:" + "a" * 64,
    "RestartCount": 2,
    "State": {
        "Status": "exited", "Pid": 0, "ExitCode": 3, "OOMKilled": False, "Error": "",
        "StartedAt": "2026-11-22T11:28:15.801690098Z", "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "Config": {
        "Image": "rocm/vllm:1", "StopTimeout": 91, "Env": ["HF_TOKEN=poison"],
        "Labels": {
            "pdctl.cluster": "c", "pdctl.instance": "n1.all.0", "pdctl.generation": "3", "pdctl.spec_hash": "h",
            "pdctl.kind": "engine", "pdctl.pool": "p", "pdctl.role": "decode", "pdctl.gpus": "0",
        },
    },
}  # fmt: skip


def test_docker_and_podman_are_read_alike_and_env_is_not_read() -> None:
    podman = {**DOCKER, "Name": UNIT, "Image": "a" * 64, "ImageName": "rocm/vllm:1"}
    assert shown_container(DOCKER) == shown_container(podman)
    assert "poison" not in repr(shown_container(DOCKER))
    assert shown_container(DOCKER)["labels"] == LABELS


@pytest.mark.parametrize(
    "change",
    [
        {"Name": "/pdctl.c.n1.all.00"},
        {"Name": "/other"},
        {"Config": {**DOCKER["Config"], "Labels": None}},  # type: ignore[dict-item]
        {"Config": {**DOCKER["Config"], "Labels": {"pdctl.cluster": "c"}}},  # type: ignore[dict-item]
    ],
)
def test_without_all_labels_and_the_name_they_make_it_is_none_of_ours(change: dict[str, Any]) -> None:
    assert shown_container({**DOCKER, **change})["labels"] is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-22T11:28:15.5Z", 1795346895.5),
        ("2026-11-22T12:28:15.500000000+01:00", 1795346895.5),
        ("2026-11-22T10:58:15-00:30", 1795346895.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_times_of_docker_and_podman(text: str, at: float) -> None:
    assert unix_time(text) == at


def view(node: str, image: str, *, kind: UnitKind = UnitKind.ENGINE, pid: int | None = 1) -> NodeView:
    unit = UnitStatus(Labels("c", f"{node}.all.0", 1, "h", kind), UnitState.RUNNING, pid=pid, image=image)
    return NodeView(node, "m", "b", 1, 1, (unit,))


def observed(*views: NodeView) -> Observed:
    return Observed({found.node: found for found in views}, {})


def test_builds_that_differ_between_nodes_are_named_with_the_nodes() -> None:
    same, other = "a" * 64, "b" * 64
    assert differing_builds(observed(view("n1", same), view("n2", same))) == ()
    assert differing_builds(observed(view("n1", same), view("n2", ""))) == ()
    assert differing_builds(observed(view("n1", same), view("n2", other, pid=None))) == ()
    assert differing_builds(observed(view("n1", same), view("n2", other, kind=UnitKind.ROUTER))) == ()
    assert differing_builds(observed(view("n1", same), view("n2", other), view("n3", same))) == (
        "engines run different builds of their image: aaaaaaaaaaaa on n1, n3; bbbbbbbbbbbb on n2",
    )

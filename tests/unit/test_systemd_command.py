"""What a system unit consists of: its command line, its environment file, its labels."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pdctl.model.role import UnitKind
from pdctl.model.unit import Labels, Restart, UnitSpec
from pdctl.supervisors.node_state_on_node import Refusal
from pdctl.supervisors.systemd_command_on_node import (
    check_root,
    described,
    env_file,
    labels_described,
    run_command,
)
from pdctl.supervisors.unit_records import labels_to_json, start_request

LABELS = Labels("prod", "n1.all.0", 7, "abc", UnitKind.ENGINE, "decode", "decode", (0, 1))


def command(labels: Labels = LABELS, *argv: str, restart: Restart = Restart.NEVER, **place: Any) -> list[str]:
    spec = UnitSpec(labels, ("/opt/vllm/bin/python", *argv), {"A": "1"}, restart, 90.5, secret_env={"T": "poison"})
    filled = {
        "directory": "/var/lib/pdctl/prod/units/u",
        "cluster_dir": "/var/lib/pdctl/prod",
        "user": "ops",
        "groups": ["video", "render"],
        "argv": list(spec.argv),
        **place,
    }
    return run_command(f"{labels.unit}.service", start_request(spec), filled)


def properties(found: list[str]) -> dict[str, str]:
    pairs = [word.removeprefix("--property=").partition("=") for word in found if word.startswith("--property=")]
    return {name: value for name, _, value in pairs}


def test_an_engine_gets_what_rdma_needs_and_never_restarts() -> None:
    found = properties(command())
    assert (
        found.items()
        >= {
            "User": "ops",
            "SupplementaryGroups": "video render",
            "LimitMEMLOCK": "infinity",
            "LimitNOFILE": "1048576",
            "TasksMax": "infinity",
            "KillMode": "mixed",
            "TimeoutStopSec": "90500ms",
            "Restart": "no",
            "EnvironmentFile": "/var/lib/pdctl/prod/units/u/env",
        }.items()
    )
    assert "ProtectSystem" not in found


def test_it_is_a_system_unit_that_leaves_evidence() -> None:
    found = command()
    assert found[:2] == ["systemd-run", "--quiet"]
    assert "--service-type=exec" in found
    assert not {"--user", "--collect"} & set(found)


def test_a_router_is_always_back_and_never_given_up() -> None:
    labels = Labels("prod", "router", 1, "abc", UnitKind.ROUTER)
    found = properties(command(labels, restart=Restart.ALWAYS, groups=[]))
    assert (found["Restart"], found["RestartSec"], found["StartLimitIntervalSec"]) == ("always", "100ms", "0")
    assert "SupplementaryGroups" not in found


def test_the_registrar_is_confined_to_the_clusters_directory() -> None:
    labels = Labels("prod", "registrar", 1, "abc", UnitKind.REGISTRAR)
    found = properties(command(labels, restart=Restart.ALWAYS))
    assert (found["ProtectSystem"], found["ReadWritePaths"]) == ("strict", "/var/lib/pdctl/prod")


def test_no_environment_and_no_secret_is_in_the_command_line() -> None:
    found = command()
    assert "poison" not in " ".join(found)
    assert "Environment" not in properties(found)


def test_a_dollar_in_an_argument_is_not_expanded_by_systemd() -> None:
    found = command(LABELS, argv=["/bin/sh", "-c", "echo $HOME ${X}"])
    assert found[found.index("--") + 1 :] == ["/bin/sh", "-c", "echo $$HOME $${X}"]


@pytest.mark.parametrize("root", ["/var/lib/my pdctl", "/var/%i", "/srv/$X", "relative", '/srv/"x"'])
def test_a_state_directory_that_systemd_would_read_differently_is_refused(root: str) -> None:
    with pytest.raises(Refusal, match=re.escape(repr(root))):
        check_root(root)


def test_the_usual_state_directory_is_not() -> None:
    check_root("/var/lib/pdctl")


def test_values_are_quoted_for_the_environment_file() -> None:
    assert env_file({"B": 'say "x" \\ $HOME `id` # no', "A": "two\nlines\tand a tab"}) == (
        'A="two\nlines\tand a tab"\nB="say \\"x\\" \\\\ \\$HOME \\`id\\` # no"\n'
    )


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A\n", "A=B", "Ä"])
def test_a_name_that_cannot_be_a_variables_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="cannot be the name"):
        env_file({name: "x"})


@pytest.mark.parametrize("value", ["bell\x07", "return\r", "nul\x00", "escape\x1b[31m", "half \ud800"])
def test_a_value_that_systemd_would_drop_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(Refusal, match="the value of TOKEN") as refused:
        env_file({"TOKEN": value})
    assert value[:4] not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("labels", [LABELS, Labels("a-1", "router", 12, "", UnitKind.ROUTER)])
def test_labels_survive_their_description(labels: Labels) -> None:
    assert labels_described(described(labels_to_json(labels))) == labels_to_json(labels)


@pytest.mark.parametrize(
    "description",
    [
        "",
        "nginx",
        "pdctl",
        "pdctl cluster=prod",
        described(labels_to_json(LABELS)) + " more=1",
        described(labels_to_json(LABELS)).replace("generation=7", "generation=x"),
        described(labels_to_json(LABELS)).replace("gpus=0,1", "gpus=0,"),
        described(labels_to_json(LABELS)).replace("pdctl ", "PDCTL "),
    ],
)
def test_a_description_that_pdctl_did_not_write_has_no_labels(description: str) -> None:
    assert labels_described(description) is None

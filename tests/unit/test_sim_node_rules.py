"""Small decisions of a simulated node: whom it forwards to, which faults it takes, what a command's world is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.sim.node import is_loopback
from pdctl.sim.node_env import NodeConfig, command_environment
from pdctl.sim.node_faults import Faults, acknowledge, parse_faults, take_order


@pytest.mark.parametrize("host", ["127.0.0.1", "127.77.3.2", "::1", "localhost"])
def test_a_node_forwards_to_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "localhost.example", ""])
def test_a_node_forwards_to_nothing_that_may_be_elsewhere(host: str) -> None:
    assert not is_loopback(host)


def test_faults_are_read_back_as_they_were_ordered(tmp_path: Path) -> None:
    assert take_order(tmp_path) is None
    (tmp_path / "faults.json").write_text('{"refuse": true, "delay_s": 0.5}')
    assert take_order(tmp_path) == Faults(refuse=True, delay_s=0.5)
    acknowledge(tmp_path)
    assert take_order(tmp_path) is None


@pytest.mark.parametrize("text", ['{"refuze": true}', "[]", "refuse"])
def test_an_order_that_is_no_set_of_faults_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_faults(text)


def test_a_command_sees_its_node_and_nothing_of_the_callers_secrets(tmp_path: Path) -> None:
    node = NodeConfig("f1", "n3", "127.9.9.3", 2022, tmp_path / "n3", tmp_path / "tools", "key", tmp_path / "host_key")
    inherited = {"PATH": "/usr/bin:/bin", "HOME": "/home/me", "HF_TOKEN": "secret", "SSH_AUTH_SOCK": "/tmp/agent"}
    environment = command_environment(node, inherited, {"LC_ALL": "C", "LD_PRELOAD": "/tmp/evil.so"})
    assert environment["HOME"] == str(tmp_path / "n3/home")
    assert environment["PATH"].startswith(f"{tmp_path}/tools:/usr/bin:/bin:")
    assert environment["LC_ALL"] == "C"
    assert environment["PDCTL_SIM_FLEET"] == "f1"
    assert not {"HF_TOKEN", "SSH_AUTH_SOCK", "LD_PRELOAD"} & environment.keys()
    assert all(value.startswith(str(tmp_path)) for name, value in environment.items() if name.startswith("XDG_"))

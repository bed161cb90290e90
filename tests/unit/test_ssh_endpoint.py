"""Where a node is dialled: the inventory's words, then the ssh_config's, and never the latter's trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.errors import UsageError
from pdctl.model.deployment import NodeSpec, SshSettings
from pdctl.ssh.endpoint import parse_jump, route


def _node(host: str = "n1.example", port: int = 22, **settings: str) -> NodeSpec:
    ssh = SshSettings(user="ops", known_hosts="/kh", **settings)  # type: ignore[arg-type]
    return NodeSpec("n1", host, port, "10.0.0.1", "mi300x", 8, 8, ssh)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("bastion", (None, "bastion", None)),
        ("me@bastion", ("me", "bastion", None)),
        ("me@bastion:2222", ("me", "bastion", 2222)),
        ("[::1]:2222", (None, "::1", 2222)),
        ("me@[::1]", ("me", "::1", None)),
        ("fe80::1", (None, "fe80::1", None)),
    ],
)
def test_jump_hosts(text: str, parts: tuple[str | None, str, int | None]) -> None:
    assert parse_jump(text) == parts


@pytest.mark.parametrize("text", ["", "@bastion", "bastion:", "bastion:ssh", "[::1]x", "-oProxyCommand=x"])
def test_jump_hosts_that_are_none(text: str) -> None:
    if text == "bastion:":
        assert parse_jump(text) == (None, "bastion", None)
        return
    with pytest.raises(UsageError):
        parse_jump(text)


def test_the_inventory_alone() -> None:
    (target,) = route(_node(identity="/id"))
    assert (target.name, target.host, target.port, target.user, target.alias) == (
        "n1", "n1.example", 22, "ops", "n1.example",
    )  # fmt: skip
    assert target.identities == ("/id",)
    assert target.known_hosts == Path("/kh")


def test_jump_hosts_in_a_row_are_ours_unless_they_say_otherwise() -> None:
    first, second, target = route(_node(jump="out@a:2222, b"))
    assert (first.name, first.host, first.port, first.user) == ("a", "a", 2222, "out")
    assert (second.host, second.port, second.user) == ("b", 22, "ops")
    assert target.name == "n1"


def test_an_ssh_config_fills_in_what_the_inventory_leaves_open(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host n1.example\n  HostName 10.9.9.9\n  Port 2200\n  User other\n  IdentityFile /cfg/id\n"
        "  HostKeyAlias n1-alias\n  ProxyJump gate\n"
        "Host gate\n  HostName gate.example\n  User gatekeeper\n  Port 2201\n"
    )
    gate, target = route(_node(ssh_config=str(config)))
    assert (target.host, target.port, target.user, target.alias) == ("10.9.9.9", 2200, "ops", "n1-alias")
    assert target.identities == ("/cfg/id",)
    assert (gate.host, gate.port, gate.user) == ("gate.example", 2201, "gatekeeper")

    _, own = route(_node(ssh_config=str(config), port=2222, identity="/id"))
    assert (own.port, own.identities) == (2222, ("/id",))
    (other, _) = route(_node(ssh_config=str(config), jump="direct.example"))
    assert other.host == "direct.example"


def test_a_proxy_command_is_not_run_but_mentioned(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  ProxyCommand nc %h %p\n")
    (target,) = route(_node(ssh_config=str(config)))
    assert "ProxyCommand" in target.note


def test_an_ssh_config_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="/nowhere/config"):
        route(_node(ssh_config="/nowhere/config"))

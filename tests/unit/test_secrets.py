"""Secrets: all that are missing are named at once, and no message ever holds a value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.control import secrets
from pdctl.control.secrets import SecretMissing, resolve
from pdctl.model.deployment import Deployment, Secret
from tests.unit.deployments import r1_2p3d

VALUE = "hf_s3cr3t"


def with_secrets(*found: Secret) -> Deployment:
    return replace(r1_2p3d(), secrets=found)


def test_values_come_from_variable_file_and_command(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    deployment = with_secrets(
        Secret("A", "env", "TOKEN"),
        Secret("B", "file", str(tmp_path / "token")),
        Secret("C", "command", "printf 'from-command\\n'"),
    )
    assert resolve(deployment, {"TOKEN": "from-env"}) == {"A": "from-env", "B": "from-file", "C": "from-command"}


def test_a_path_may_begin_with_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text("at-home")
    assert resolve(with_secrets(Secret("A", "file", "~/token")), {}) == {"A": "at-home"}


def test_no_secret_is_no_trouble() -> None:
    assert resolve(with_secrets(), {}) == {}


def test_all_missing_ones_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    deployment = with_secrets(
        Secret("A", "env", "NOT_THERE"),
        Secret("B", "file", str(tmp_path / "none")),
        Secret("C", "command", "exit 3"),
        Secret("D", "file", str(tmp_path / "empty")),
        Secret("E", "env", "THERE"),
    )
    with pytest.raises(SecretMissing) as raised:
        resolve(deployment, {"THERE": VALUE})
    for words in ("A (env NOT_THERE: not set)", "No such file", "exit status 3", "D (", "empty"):
        assert words in raised.value.message
    assert "E (" not in raised.value.message
    assert raised.value.hint


def test_a_failing_commands_output_is_in_no_message() -> None:
    with pytest.raises(SecretMissing) as raised:
        resolve(with_secrets(Secret("A", "command", f"x={VALUE}; echo $x; echo $x >&2; exit 1")), {})
    shown = f"{raised.value.message} {raised.value.hint}".replace(f"x={VALUE}", "")  # the inventory's own text
    assert VALUE not in shown


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT_S", 0.05)
    with pytest.raises(SecretMissing, match="timed out"):
        resolve(with_secrets(Secret("A", "command", "exec sleep 30")), {})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    deployment = with_secrets(
        Secret("A", "file", str(tmp_path / "key")),
        Secret("B", "command", "printf '\\377'"),
        Secret("C", "file", "~no-such-user/token"),
    )
    with pytest.raises(SecretMissing) as raised:
        resolve(deployment, {})
    assert raised.value.message.count("no UTF-8 text") == 2
    assert "no such user's home" in raised.value.message
    assert raised.value.__cause__ is None

"""The systemd units that are shipped: systemd takes them, and they start commands that exist."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pdctl.cli.commands.watch import command as watch

UNITS = sorted((Path(__file__).parents[2] / "docs" / "units").glob("*.service"))


def settings(unit: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def test_one_unit_keeps_a_cluster_and_one_only_heals() -> None:
    assert [unit.name for unit in UNITS] == ["pdctl-heal@.service", "pdctl-keep@.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_starts_a_watch_with_options_that_there_are(unit: Path) -> None:
    env, pdctl, name, *options = settings(unit)["ExecStart"].split()
    assert (env, pdctl, name) == ("/usr/bin/env", "pdctl", "watch")
    known = {flag for param in watch.params for flag in param.opts} | {"--json"}
    assert set(options) <= known
    assert settings(unit)["Restart"] == "always"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    instance = tmp_path / unit.name.replace("@", "@r1-2p3d")
    instance.write_text(unit.read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", instance], capture_output=True, text=True, timeout=30
    )
    assert instance.stem not in done.stderr, done.stderr

"""What starts an engine again after a reboot: its unit file, the generation it takes, the ports it gets."""

from __future__ import annotations

import ast
import json
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pdctl.supervisors import systemd_boot_on_node, systemd_look_on_node, systemd_persist_on_node
from pdctl.supervisors.node_state_on_node import Refusal, claim_generation, read_ledger
from pdctl.supervisors.systemd import boot_program
from pdctl.supervisors.systemd_boot_on_node import block_ports, next_generation
from pdctl.supervisors.systemd_persist_on_node import persist, unpersist
from pdctl.supervisors.systemd_unit_on_node import Service
from tests.unit.test_supervisor_programs import imported

UNIT = "pdctl.prod.n1.all.0"
LABELS = {
    "cluster": "prod",
    "instance": "n1.all.0",
    "generation": 7,
    "spec_hash": "abc",
    "kind": "engine",
    "pool": "decode",
    "role": "decode",
    "gpus": [0],
}


def request(*blocks: int, **more: Any) -> dict[str, Any]:
    plan = {"argv": [["serve"], ["--port"], [0]], "env": {"A": ["x"]}, "blocks": blocks, "block_size": 2}
    return {
        "unit": UNIT,
        "labels": LABELS,
        "restart": "never",
        "stop_s": 5.0,
        "paths": [],
        "address": "127.0.0.1",
        "files": {},
        "secret_env": {"HF_TOKEN": 'poi"son'},
        "relaunch": {**plan, "program": "print()\n"},
        **more,
    }


def free_blocks(count: int) -> list[int]:
    """First ports of as many pairs of ports that nobody listens on."""
    found: list[int] = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1]) & ~1
    while len(found) < count:
        port += 2 if port < 60000 else -20000
        try:
            for each in (port, port + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        found.append(port)
    return found


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """How systemctl is called, with unit files in a directory of the test's own."""
    said: list[tuple[str, ...]] = []

    def systemctl(*arguments: str) -> tuple[int, str, str]:
        said.append(arguments)
        return 0, "", ""

    (tmp_path / "system").mkdir()
    monkeypatch.setattr(systemd_persist_on_node, "UNIT_FILES", str(tmp_path / "system"))
    monkeypatch.setattr(systemd_persist_on_node, "systemctl", systemctl)
    return said


def service(tmp_path: Path, name: str = UNIT) -> Service:
    return Service(str(tmp_path / "state" / name.split(".")[1]), name, None)


class TestUnitFile:
    def test_it_holds_no_secret_and_is_enabled(self, tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
        unit = service(tmp_path)
        persist(unit, request(20000, 20002), "vllm")
        path = tmp_path / "system" / "pdctl-boot.prod.n1.all.0.service"
        directory = tmp_path / "state" / "prod" / "boot" / UNIT
        assert path.stat().st_mode & 0o777 == 0o644
        assert f"EnvironmentFile={directory}/secrets\n" in path.read_text()
        assert f"ExecStart={sys.executable} -I {directory}/boot.py\n" in path.read_text()
        assert calls == [("enable", "--", "pdctl-boot.prod.n1.all.0.service")]
        assert (directory / "secrets").read_text() == 'HF_TOKEN="poi\\"son"\n'
        assert (directory / "secrets").stat().st_mode & 0o777 == 0o600
        kept = json.loads((directory / "boot.json").read_text())
        assert (kept["user"], kept["secrets"], kept["cluster"]) == ("vllm", ["HF_TOKEN"], "prod")
        assert "poi" not in (directory / "boot.json").read_text() + path.read_text()

    def test_it_goes_and_systemd_is_told(self, tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
        persist(service(tmp_path), request(20000, 20002), "vllm")
        calls.clear()
        unpersist(service(tmp_path))
        assert [words[0] for words in calls] == ["disable", "daemon-reload", "reset-failed"]
        assert list((tmp_path / "system").iterdir()) == []
        assert not (tmp_path / "state" / "prod" / "boot" / UNIT).exists()
        calls.clear()
        unpersist(service(tmp_path))
        assert calls == []

    def test_prod_and_prod_2_have_files_of_their_own(self, tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
        other = "pdctl.prod-2.n1.all.0"
        persist(service(tmp_path), request(20000, 20002), "vllm")
        persist(service(tmp_path, other), request(20000, 20002, unit=other), "vllm")
        unpersist(service(tmp_path))
        assert [path.name for path in (tmp_path / "system").iterdir()] == ["pdctl-boot.prod-2.n1.all.0.service"]
        assert (tmp_path / "state" / "prod-2" / "boot" / other / "boot.json").exists()

    def test_a_file_of_that_name_that_pdctl_did_not_write_is_never_touched(
        self, tmp_path: Path, calls: list[tuple[str, ...]]
    ) -> None:
        path = tmp_path / "system" / "pdctl-boot.prod.n1.all.0.service"
        path.write_text("[Service]\nExecStart=/bin/true\n")
        with pytest.raises(Refusal, match="none of ours"):
            persist(service(tmp_path), request(20000, 20002), "vllm")
        unpersist(service(tmp_path))
        assert path.exists()
        assert calls == []


class TestGeneration:
    def test_it_counts_on_from_the_ledger(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.json").write_text('{"generation": 7}')
        assert next_generation(str(tmp_path), request(*free_blocks(3))) == 8

    def test_ports_that_are_taken_are_skipped(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.json").write_text('{"generation": 0}')
        blocks = free_blocks(2)
        with socket.create_server(("127.0.0.1", blocks[0] + 1)):
            assert next_generation(str(tmp_path), request(*blocks)) == 2

    def test_ports_that_a_record_names_are_skipped_too(self, tmp_path: Path) -> None:
        """An inventory that was edited since may have planned them for another launch."""
        (tmp_path / "ledger.json").write_text('{"generation": 0}')
        blocks = free_blocks(2)
        (tmp_path / "units" / "pdctl.prod.n1.all.1").mkdir(parents=True)
        (tmp_path / "units" / "pdctl.prod.n1.all.1" / "spec.json").write_text(json.dumps({"ports": [blocks[0]]}))
        assert next_generation(str(tmp_path), request(*blocks)) == 2

    def test_no_block_is_free(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.json").write_text('{"generation": 0}')
        (block,) = free_blocks(1)
        with socket.create_server(("127.0.0.1", block)), pytest.raises(Refusal, match="none of the 1 blocks"):
            next_generation(str(tmp_path), request(block))

    def test_an_address_that_is_not_up_yet_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.json").write_text('{"generation": 0}')
        with pytest.raises(Refusal, match="no address of this node"):
            next_generation(str(tmp_path), request(*free_blocks(1), address="192.0.2.1"))

    def test_a_lost_ledger_goes_on_past_every_trace(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / f"{UNIT}.7.log").write_text("")
        assert next_generation(str(tmp_path), request(*free_blocks(2))) > 1000

    def test_a_run_that_looked_before_the_boot_is_refused_its_generation(self, tmp_path: Path) -> None:
        claim_generation(str(tmp_path), 7)
        claim_generation(str(tmp_path), 8, at_boot=True)
        with pytest.raises(Refusal, match="generation 8 was taken by an engine that the node started"):
            claim_generation(str(tmp_path), 8)
        claim_generation(str(tmp_path), 9)
        assert (read_ledger(str(tmp_path)) or {})["generation"] == 9

    def test_a_generation_has_its_block_only(self) -> None:
        assert block_ports(request(20000, 20002)["relaunch"], 2) == [20002, 20003]


class TestProgram:
    def test_it_is_python_3_6_and_needs_only_the_standard_library(self) -> None:
        tree = ast.parse(boot_program(), feature_version=(3, 6))
        assert {name.partition(".")[0] for name in imported(tree)} <= sys.stdlib_module_names

    def test_no_two_fragments_define_the_same_name(self) -> None:
        tree = ast.parse(boot_program())
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        assert [name for name, times in Counter(defined).items() if times > 1] == []

    def test_an_engine_that_runs_already_is_left_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An operator's `up` was faster."""
        shown = {UNIT: {"ActiveState": "active", "labels": LABELS}}
        monkeypatch.setattr(systemd_boot_on_node, "shown_units", lambda pattern: shown)
        user = "nobody"
        said = systemd_boot_on_node.boot(str(tmp_path), "prod", request(user=user), lambda directory: None)
        assert said == {"said": f"{UNIT} runs already"}
        assert read_ledger(str(tmp_path / "prod")) is None


def test_a_boot_that_failed_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prod" / "boot" / UNIT).mkdir(parents=True)
    shown = {"pdctl-boot.prod.n1.all.0": {"ActiveState": "failed", "labels": None}}
    monkeypatch.setattr(systemd_look_on_node, "shown_units", lambda *patterns: shown)
    found = systemd_look_on_node.inspect(str(tmp_path), "prod", {}, lambda directory: None)
    assert "was not started after the reboot: see `journalctl -u pdctl-boot.prod.n1.all.0.service`" in found["note"]
    assert [unit["unit"] for unit in found["units"]] == [UNIT]

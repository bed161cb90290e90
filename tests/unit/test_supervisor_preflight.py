"""What is checked before a start, and that a start which fails half-way leaves nothing."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pdctl.supervisors import process_on_node, start_on_node
from pdctl.supervisors.node_state_on_node import Locked, Refusal, perform, state_root
from pdctl.supervisors.preflight_on_node import check_paths
from pdctl.supervisors.unit_on_node import Unit


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/state/spec.json")


def request(root: Path) -> dict[str, Any]:
    return {
        "root": str(root),
        "cluster": "t",
        "unit": "pdctl.t.a",
        "labels": {"generation": 1, "gpus": []},
        "argv": ["x"],
        "restart": "never",
        "stop_s": 1.0,
        "address": "127.0.0.1",
        "ports": [],
        "paths": [],
        "files": {"conf": "text"},
        "log_cap_bytes": 1,
    }


def test_a_hung_file_system_is_told_from_a_missing_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hangs(path: str) -> bool:
        if path == "/nfs/model":
            time.sleep(600)
        return True

    monkeypatch.setattr(os.path, "exists", hangs)
    with pytest.raises(Refusal, match=r"no answer for /nfs/model within .* hangs"):
        check_paths([str(tmp_path), "/nfs/model"], wait_s=0.2)


def test_every_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"/no/such/a, /no/such/b$"):
        check_paths([str(tmp_path), "/no/such/a", "/no/such/b"])


def test_a_full_disk_is_a_refusal_and_nothing_half_written_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(start_on_node, "write_json", no_space)
    monkeypatch.setattr(os, "umask", lambda mask: 0o022)  # the program's own, not this process's
    with pytest.raises(Refusal, match=r"no space left for /state/spec.json") as caught:
        perform(start_on_node.start, request(tmp_path), lambda _: None)
    assert caught.value.kind == "disk" and "df" in caught.value.hint
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".lock", "t/ledger.json"}  # the generation is given out, whatever became of the start


def test_a_directory_shared_with_another_machine_is_refused(tmp_path: Path) -> None:
    unit = Unit(str(tmp_path / "t"), "pdctl.t.a")
    unit.spec = {"machine_id": "another", "labels": {"generation": 1}}
    with pytest.raises(Refusal, match="was written by another machine"):
        start_on_node.check_former(unit, {"generation": 2})


def test_a_state_directory_that_may_not_be_read_is_not_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def forbidden(path: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "umask", lambda mask: 0o022)
    monkeypatch.setattr(os, "listdir", forbidden)
    with pytest.raises(Refusal, match="Permission denied"):
        perform(process_on_node.inspect, request(tmp_path), lambda _: None)


def test_who_waits_for_the_nodes_lock_gives_up_in_time(tmp_path: Path) -> None:
    with Locked(str(tmp_path)), pytest.raises(Refusal, match="another pdctl command has held"):
        Locked(str(tmp_path), wait_s=0.05).__enter__()
    with Locked(str(tmp_path), wait_s=0.05):
        pass


@pytest.mark.parametrize(
    ("xdg", "configured", "root"),
    [
        ("/x", None, "/x/pdctl"),
        ("", None, "/home/op/.local/state/pdctl"),
        ("relative", None, "/home/op/.local/state/pdctl"),
        ("/x", "/srv/pd", "/srv/pd"),
        ("/x", "~/pd", "/home/op/pd"),
    ],
)
def test_where_the_state_lies(monkeypatch: pytest.MonkeyPatch, xdg: str, configured: str | None, root: str) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    monkeypatch.setenv("XDG_STATE_HOME", xdg)
    assert state_root(configured) == root

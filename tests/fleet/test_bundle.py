"""`pdctl bundle`: one archive with what explains the cluster, and none of its secrets."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fleet.site import Site

pytestmark = pytest.mark.fleet

POISON = "poison-7c1f9e52a8d04b36"


async def test_a_bundle_explains_the_cluster_and_holds_no_secret(serving: Site, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    there = serving.with_inventory(
        tmp_path, lambda document: document.update({"secrets": {"POISON": {"env": "POISON"}}})
    )
    there = replace(there, env={"POISON": POISON})
    log = serving.unit_dir("n3", "n3.main.0") / "log"
    with log.open("a") as lines:
        lines.write(f"somebody printed {POISON}\n")
    done = (await there.pdctl("--json", "bundle", str(file))).expect(0)
    assert done.document["missing"] == {}
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        parts = {
            member.name.removeprefix("pdctl-bundle/"): (archive.extractfile(member) or file.open("rb")).read().decode()
            for member in archive.getmembers()
        }
    assert {"inventory.yaml", "status.json", "journal.ndjson", "about.json", "logs/router.log"} <= parts.keys()
    assert {f"health/n{number}.json" for number in range(1, 6)} <= parts.keys()
    assert json.loads(parts["status.json"])["cluster"] == "demo"
    assert all(POISON not in text for text in parts.values())
    assert "somebody printed [redacted POISON]" in parts["logs/n3.main.0.log"]
    assert json.loads(parts["about.json"])["redacted"]["POISON"] >= 1

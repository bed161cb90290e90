"""Layouts written as inventories: valid files, the wanted instances, nothing of the old one lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pdctl.bench.sizing.candidates import candidate
from pdctl.bench.sizing.derive import cluster_name
from pdctl.bench.sizing.layouts import layout_named, placed
from pdctl.cli.main import main
from pdctl.errors import PlanRefused, UsageError
from pdctl.inventory.load import load, parse
from pdctl.inventory.place import place
from pdctl.inventory.problems import InvalidInventory

BASE = Path(__file__).parents[2] / "inventories" / "gpt-oss-8p4d.yaml"


@pytest.mark.parametrize(
    ("name", "instances"),
    [
        ("2p-tp1-1d-tp2", {"prefill": [(2,), (3,)], "decode": [(0, 1)]}),
        ("8p-tp1-4d-tp2", {"prefill": [(n,) for n in range(8)], "decode": [(n, n + 1) for n in (0, 2, 4, 6)]}),
        ("agg-tp4", {"mixed": [(0, 1, 2, 3)]}),
        ("2x-agg-tp1dp8", {"mixed": [tuple(range(8))] * 2}),
    ],
)
def test_a_layout_becomes_a_valid_inventory_with_its_instances(
    name: str, instances: dict[str, list[tuple[int, ...]]], tmp_path: Path
) -> None:
    made = candidate(load(BASE), layout_named(name), tmp_path)
    again = place(parse(made.text.encode(), made.path))
    found: dict[str, list[tuple[int, ...]]] = {}
    for instance in again.instances:
        found.setdefault(instance.role.value, []).append(instance.parts[0].gpus)
    assert {role: sorted(gpus) for role, gpus in found.items()} == instances
    assert again.model.path == "/models/gpt-oss-120b"
    assert set(again.nodes) == {"mi300x-01", "mi300x-02"}
    assert again.pools[next(iter(found))].args["disable-hybrid-kv-cache-manager"] is True


def test_relative_files_of_the_old_inventory_are_found_from_the_new_ones_place(tmp_path: Path) -> None:
    text = BASE.read_text().replace("~/.ssh/id_ed25519}", "keys/id, known_hosts: ./known_hosts}")
    base = parse(text.encode(), tmp_path / "here" / "inventory.yaml")
    made = place(candidate(base, layout_named("agg-tp1"), tmp_path / "there"))
    ssh = made.nodes["mi300x-01"].ssh
    assert (ssh.identity, ssh.known_hosts) == (str(tmp_path / "here/keys/id"), str(tmp_path / "here/known_hosts"))


def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    base = load(BASE)
    with pytest.raises(PlanRefused, match="needs 21 GPUs"):
        candidate(base, layout_named("20p-tp1-1d-tp1"), tmp_path)
    with pytest.raises(InvalidInventory) as refused:
        candidate(base, layout_named("1p-tp2dp2-1d-tp2"), tmp_path)
    assert "MoRI-IO cannot have dp 2 with tp 2" in refused.value.problems[0]
    for name in ("2p1d", "0p-tp1-1d-tp1", "agg-tp0"):
        with pytest.raises(UsageError):
            layout_named(name)


def test_the_widest_are_placed_first_so_that_all_fit() -> None:
    where = placed(layout_named("4p-tp1-3d-tp4"), {"a": 8, "b": 8})
    gpus = [(node, gpu) for node, groups in where.items() for part in groups.values() for gpu in part]
    assert len(gpus) == len(set(gpus)) == 16


def test_names_of_clusters_fit_and_differ() -> None:
    long = "a-cluster-with-quite-a-long-name"
    names = {cluster_name(long, each) for each in ("1p-tp1-1d-tp2", "2p-tp1-1d-tp2")}
    assert len(names) == 2 and all(len(name) <= 32 for name in names)
    assert cluster_name("demo", "agg-tp4") == "demo-agg-tp4"


def test_match_writes_the_candidates_of_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["-i", str(BASE), "bench", "match", "--profile", "gpt-oss-120b-mi300x", "--gpus", "8x2"]
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--write", str(tmp_path / "out")])
    assert ended.value.code == 0, capsys.readouterr()
    names = {path.stem for path in (tmp_path / "out").iterdir()}
    plain = {f"{n}p-tp1-1d-tp2" for n in (1, 2, 3, 4)} | {f"agg-tp{n}" for n in (1, 2, 4, 8)}
    assert plain < names
    (fleet,) = names - plain
    assert yaml.safe_load((tmp_path / "out" / f"{fleet}.yaml").read_text())["version"] == 1

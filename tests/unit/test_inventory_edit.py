"""A move changes the bytes of one word, or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pdctl.errors import PlanRefused
from pdctl.inventory.edit import set_pool, write_if_unchanged

TEXT = """\
# the fleet
nodes:
  n1: {host: a,   pool: prefill}   # keep me
  n2:
    pool: 'prefill'  # quoted
    host: b
  n3: {slots: {a: {pool: "decode", gpus: 0-3}, b: {pool:   decode}}}
  é4: {pool: null}
  n6:
    pool:
  n7: {host: x}
  n8: {pool: &p prefill}
  n9: {pool: *p}
  n10: &m {pool: decode}
  n11: {<<: *m}
  n12:
    pool: >-
      decode
  n13: *m
"""


@pytest.mark.parametrize(
    ("node", "slot", "pool", "old", "new"),
    [
        ("n1", None, "decode", "a,   pool: prefill}", "a,   pool: decode}"),
        ("n1", "main", "decode", "a,   pool: prefill}", "a,   pool: decode}"),
        ("n2", None, "decode", "'prefill'", "'decode'"),
        ("n3", "a", "prefill", '"decode"', '"prefill"'),
        ("n3", "b", "prefill", "{pool:   decode}", "{pool:   prefill}"),
        ("é4", None, "decode", "null", "decode"),
        ("n6", None, "decode", "    pool:\n  n7", "    pool: decode\n  n7"),
        ("n1", None, "no", "a,   pool: prefill}", 'a,   pool: "no"}'),
        ("n1", None, "42", "a,   pool: prefill}", 'a,   pool: "42"}'),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_one_word_is_replaced(
    node: str, slot: str | None, pool: str, old: str, new: str, newline: str, mark: str
) -> None:
    assert TEXT.count(old) == 1
    before = mark + TEXT.replace("\n", newline)
    after = mark + TEXT.replace(old, new).replace("\n", newline)
    assert set_pool(before, node, slot, pool) == after


@pytest.mark.parametrize(
    ("node", "slot", "reason"),
    [
        ("n0", None, "there is no node 'n0' in the inventory"),
        ("n1", "b", "node 'n1' is not split: it has no slot 'b'"),
        ("n3", None, "node 'n3' is split into slots: name one"),
        ("n3", "c", "node 'n3' is split into slots: it has no slot 'c'"),
        ("n7", None, "nodes.n7.pool is not written in the inventory"),
        ("n8", None, "nodes.n8.pool is shared: nodes.n8.pool is an alias or merged"),
        ("n9", None, "nodes.n9.pool is shared: nodes.n9.pool is an alias or merged"),
        ("n11", None, "nodes.n11.pool is shared: nodes.n11.pool is an alias or merged"),
        ("n12", None, "nodes.n12.pool is not one word"),
        ("n13", None, "nodes.n13.pool is shared: nodes.n13 is an alias or merged"),
    ],
)
def test_what_is_not_one_word_of_its_own_is_refused(node: str, slot: str | None, reason: str) -> None:
    with pytest.raises(PlanRefused) as caught:
        set_pool(TEXT, node, slot, "decode")
    assert caught.value.message == reason


def test_an_anchored_word_is_refused_even_when_nothing_points_at_it() -> None:
    with pytest.raises(PlanRefused, match="has an anchor or a tag"):
        set_pool("nodes: {n: {pool: &p a}}", "n", None, "b")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_write_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "i.yaml"
    file.write_text("old")
    file.chmod(0o640)
    assert write_if_unchanged(file, digest("old"), "néw\r\n") == digest("néw\r\n")
    assert file.read_bytes() == "néw\r\n".encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["i.yaml"]


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "i.yaml"
    file.write_text("theirs")
    with pytest.raises(PlanRefused, match="was changed by someone else since it was read"):
        write_if_unchanged(file, digest("old"), "ours")
    assert file.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["i.yaml"]


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "i.yaml"
    target.write_text("old")
    link = tmp_path / "i.yaml"
    link.symlink_to(target)
    write_if_unchanged(link, digest("old"), "new")
    assert link.is_symlink()
    assert target.read_text() == "new"

"""The ledger never gives a generation twice, whatever happens to its file and whoever asks at the same time."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.supervisors.node_state_on_node import (
    Locked,
    claim_generation,
    ledger_view,
    take_generations,
    write_json,
)

CLUSTER = "t"

DAMAGE = st.sampled_from([b"", b"{", b"null", b"[]", b'{"generation": "9"}', b'{"generation": -4}', b"\xff\xfe", b"{}"])
"""What a crash, a full disk or an editor leaves of ledger.json."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 9)),
        st.tuples(st.just("launch"), st.none()),  # a unit records the last generation taken
        st.tuples(st.just("archive"), st.none()),  # ... and is forgotten: only its log is left
        st.tuples(st.just("damage"), DAMAGE),
        st.tuples(st.just("lose"), st.none()),
    ),
    max_size=25,
)


def take(root: Path, count: int) -> list[int]:
    with Locked(str(root)):
        first = int(take_generations(str(root / CLUSTER), count, [])["first"])
    return list(range(first, first + count))


class Node:
    """A state directory, and what was given out from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = root / CLUSTER
        self.ledger = self.cluster / "ledger.json"
        self.given: list[int] = []
        self.traces = False  # the last generation given out can be seen in a unit or a kept log

    def step(self, action: str, argument: int | bytes | None) -> None:
        if action == "take" and isinstance(argument, int):
            fresh = take(self.root, argument)
            assert not set(fresh) & set(self.given)
            assert not self.given or min(fresh) > max(self.given)
            self.given += fresh
            self.traces = False
        elif action == "launch" and self.given:
            unit = self.cluster / "units" / f"pdctl.t.u{self.given[-1]}"
            unit.mkdir(parents=True, exist_ok=True)
            (unit / "spec.json").write_text(json.dumps({"labels": {"generation": self.given[-1]}}))
            self.traces = True
        elif action == "archive" and self.given:
            logs = self.cluster / "logs"
            logs.mkdir(exist_ok=True)
            (logs / f"pdctl.t.n1.all.0.{self.given[-1]}.log").write_text("")
            self.traces = True
        elif action == "damage" and isinstance(argument, bytes) and self.ledger.exists():
            self.ledger.write_bytes(argument)
        elif action == "lose" and self.traces:  # without any trace nothing on the node could know better
            self.ledger.unlink(missing_ok=True)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_generations_only_rise_whatever_becomes_of_the_ledger(steps: list[tuple[str, int | bytes | None]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Path(directory))
        for action, argument in steps:
            if action == "damage" and not node.traces:
                continue  # fewer than 1000 can be lost between two traces: see below
            node.step(action, argument)


@given(lost=st.integers(1, 999))
@settings(max_examples=10, deadline=None)
def test_up_to_999_generations_without_a_trace_are_leapt_over(lost: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Path(directory))
        node.step("take", 5)
        node.step("launch", None)
        node.step("take", lost)
        node.ledger.write_bytes(b"")
        node.step("take", 1)
        note = ledger_view(str(node.cluster))["note"]
        assert "damaged" in note and "1005" in note


def test_a_lost_ledger_is_said() -> None:
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Path(directory))
        node.step("take", 1)
        assert ledger_view(str(node.cluster))["note"] == ""
        node.step("launch", None)
        node.step("lose", None)
        node.step("take", 1)
        assert "missing" in ledger_view(str(node.cluster))["note"]


def _many(root: str, counts: list[int], into: str) -> None:
    Path(into).write_text(json.dumps([generation for count in counts for generation in take(Path(root), count)]))


def test_simultaneous_takers_never_get_the_same_generation() -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        answers = [root / f".answer{i}" for i in range(4)]
        context = multiprocessing.get_context("spawn")
        takers = [context.Process(target=_many, args=(directory, [1, 3, 2] * 5, str(answer))) for answer in answers]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join(60)
            assert taker.exitcode == 0
        given_out = [generation for answer in answers for generation in json.loads(answer.read_text())]
        assert sorted(given_out) == list(range(1, 4 * 30 + 1))


@given(content=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), cut=st.integers(0, 10))
@settings(max_examples=30, deadline=None)
def test_a_file_is_replaced_whole_and_a_leftover_of_a_crash_is_harmless(content: dict[str, int], cut: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.json"
        Path(f"{path}.123.tmp").write_bytes(json.dumps(content).encode()[:cut])
        write_json(str(path), content)
        assert json.loads(path.read_text()) == content


@given(st.lists(st.integers(1, 60), max_size=12), st.integers(1, 5))
def test_what_a_start_claimed_is_never_taken_again(claims: list[int], count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / CLUSTER).mkdir()
        for generation in claims:
            claim_generation(str(root / CLUSTER), generation)
            view = ledger_view(str(root / CLUSTER))
            assert view["whole"]
            assert view["generation"] >= generation
        assert take(root, count)[0] > max([0, *claims])


def test_only_a_ledger_without_traces_counts_as_new() -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / CLUSTER
        root.mkdir()
        assert ledger_view(str(root))["fresh"]
        (root / "logs").mkdir()
        (root / "logs" / "pdctl.t.n1.0.7.log").touch()
        assert not ledger_view(str(root))["fresh"]
        (root / "logs" / "pdctl.t.n1.0.7.log").unlink()
        (root / "ledger.json").write_text("{")
        assert not ledger_view(str(root))["fresh"]

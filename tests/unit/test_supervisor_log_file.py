"""A unit's log on the node: bounded on disk, followed without a loss, its last lines found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pdctl.supervisors.follow_on_node import Follower
from pdctl.supervisors.node_state_on_node import keep_log, kept_logs
from pdctl.supervisors.unit_log_on_node import tail_lines, trim_log
from pdctl.supervisors.unit_logs import last_drawn

CAP = 64 << 10


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines(first: int, last: int) -> list[str]:
    return [f"line {number:06d} {'x' * 50}" for number in range(first, last)]


def append(log: Path, texts: list[str]) -> None:
    with log.open("a") as file:
        file.writelines(f"{text}\n" for text in texts)


def disk_bytes(log: Path) -> int:
    return log.stat().st_blocks * 512


def test_a_log_is_bounded_on_disk_while_its_writer_goes_on(log: Path) -> None:
    log.touch()
    writer = os.open(log, os.O_WRONLY | os.O_APPEND)
    for round_ in range(20):
        os.write(writer, "".join(f"{text}\n" for text in lines(round_ * 200, round_ * 200 + 200)).encode())
        os.fsync(writer)
        trim_log(str(log), CAP)
        assert disk_bytes(log) <= CAP
    os.close(writer)
    assert tail_lines(str(log), 3) == lines(3997, 4000)


def test_a_follower_loses_no_line_to_trimming(log: Path) -> None:
    append(log, lines(0, 100))
    follower = Follower(str(log), 10)
    got: list[bytes] = []
    for round_ in range(1, 20):
        append(log, lines(round_ * 100, round_ * 100 + 100))
        got += follower.finish()
        trim_log(str(log), CAP)
    os.close(follower.fd)
    assert disk_bytes(log) <= CAP
    assert [line.decode() for line in got] == lines(90, 2000)


def test_a_follower_that_is_too_slow_says_so_and_goes_on(log: Path) -> None:
    append(log, lines(0, 1))
    follower = Follower(str(log), 1)
    follower.finish()
    append(log, lines(1, 3000))
    trim_log(str(log), CAP)
    first, *rest = [line.decode() for line in follower.finish()]
    os.close(follower.fd)
    assert "given up before they were read" in first
    assert rest == lines(3000 - len(rest), 3000)


def test_past_a_trimmed_front_the_tail_begins_with_a_whole_line(log: Path) -> None:
    append(log, lines(0, 3000))
    assert trim_log(str(log), CAP)
    found = tail_lines(str(log), 100_000)
    assert found == lines(3000 - len(found), 3000)
    assert 100 < len(found) < 3000


def test_where_holes_cannot_be_punched_the_cut_is_said_and_the_tail_kept(log: Path) -> None:
    append(log, lines(0, 3000))
    follower = Follower(str(log), 0)
    assert trim_log(str(log), CAP, punch=lambda fd, until: False)
    assert log.stat().st_size < 200
    assert "cut here" in log.read_text()
    assert (log.parent / "log.1").read_text().splitlines()[-1] == lines(2999, 3000)[0]
    append(log, ["after"])
    assert follower.finish()[-1] == b"after"
    os.close(follower.fd)


def test_a_small_log_is_left_alone(log: Path) -> None:
    append(log, lines(0, 10))
    assert not trim_log(str(log), CAP)


@pytest.mark.parametrize(
    ("content", "count", "expected"),
    [
        (b"", 5, []),
        (b"one", 5, ["one"]),
        (b"one\n", 5, ["one"]),
        (b"one\ntwo\n", 1, ["two"]),
        (b"one\ntwo", 1, ["two"]),
        (b"one\n\n", 2, ["one", ""]),
        (b"\xff\n", 1, ["\ufffd"]),
        (b"a\n" + b"x" * 200_000 + b"\n", 2, ["a", "x" * 200_000]),
    ],
)
def test_last_lines(log: Path, content: bytes, count: int, expected: list[str]) -> None:
    log.write_bytes(content)
    assert tail_lines(str(log), count) == expected


def test_no_log_has_no_last_lines(log: Path) -> None:
    assert tail_lines(str(log), 5) == []


def test_a_line_without_end_is_cut_and_not_kept_in_memory(log: Path) -> None:
    log.write_bytes(b"x" * 20_000)
    follower = Follower(str(log), -1)
    assert b"".join(follower.finish()) == b"x" * 20_000
    os.close(follower.fd)


def test_the_last_few_logs_of_a_unit_are_kept_and_no_other_units(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "pdctl.t.n1.all.01.5.log").write_text("another unit")
    for generation in (8, 9, 10, 11):
        (tmp_path / "log").write_text(str(generation))
        keep_log(str(tmp_path), "pdctl.t.n1.all.0", generation, str(tmp_path / "log"))
    assert [generation for generation, _ in kept_logs(str(tmp_path), "pdctl.t.n1.all.0")] == [9, 10, 11]
    assert len(kept_logs(str(tmp_path), "pdctl.t.n1.all.01")) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Loading 10%\rLoading 20%\rLoading 30%", "Loading 30%"),
        ("\x1b[32mgreen\x1b[0m\r", "green"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would_end_up(text: str, shown: str) -> None:
    assert last_drawn(text) == shown

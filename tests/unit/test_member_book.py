"""The list of members during a run: whole writes, merged while they wait, and believed when the registrar says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from pdctl.control.member_book import MemberBook
from pdctl.control.ports import Member
from pdctl.errors import ConnectionLost, EpochRefused, InstanceError, Unreachable
from pdctl.model.launch import Registration
from pdctl.model.observed import MemberSeen, MembershipSeen
from tests.crash import virtual_time
from tests.crash.virtual_time import VirtualClock


def member(name: str, generation: int = 1) -> Member:
    return Member(name, generation, Registration("P", f"{name}:1", "", 1, 1, "WRITE"))


@dataclass
class Scripted:
    """A members file that takes its time, and a registrar with a script."""

    writes: list[list[str]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    words: list[MembershipSeen | Exception] = field(default_factory=list)
    reads: int = 0
    write_s: float = 1.0
    broken: Exception | None = None

    async def members(self) -> Mapping[str, Member]:
        raise AssertionError("the book holds them")

    async def replace(self, members: Mapping[str, Member], *, epoch: int) -> None:
        await asyncio.sleep(self.write_s)
        if self.broken is not None:
            raise self.broken
        self.writes.append(sorted(members))
        self.epochs.append(epoch)

    async def clear(self, *, epoch: int) -> None:
        raise AssertionError("no book clears the list")

    async def seen(self) -> MembershipSeen:
        self.reads += 1
        await asyncio.sleep(0.1)
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        if isinstance(word, Exception):
            raise word
        return word


def seen(*names: str, registered: bool = True) -> MembershipSeen:
    told = {name: MemberSeen(name, 1, registered, "" if registered else "bad health") for name in names}
    return MembershipSeen(1, 1, True, told, 0.1)


def book(file: Scripted, *names: str, stale: tuple[str, ...] = ()) -> MemberBook:
    return MemberBook(file, {name: member(name) for name in names}, 7, VirtualClock(), stale=stale)


def test_one_change_is_one_write_of_the_whole_list() -> None:
    file = Scripted()
    virtual_time.run(book(file, "a", "b").put(member("c")))
    assert (file.writes, file.epochs) == ([["a", "b", "c"]], [7])


def test_writes_that_wait_are_merged() -> None:
    file = Scripted()

    async def story() -> float:
        ours = book(file, "a")
        await asyncio.gather(*(ours.put(member(f"m{number}")) for number in range(30)), ours.drop(["a"]))
        return asyncio.get_running_loop().time()

    took_s = virtual_time.run(story())
    assert file.writes[-1] == sorted(f"m{number}" for number in range(30))
    assert len(file.writes) <= 2
    assert took_s <= 2 * file.write_s


def test_a_change_is_not_done_before_a_write_that_holds_it() -> None:
    file = Scripted()

    async def story() -> None:
        ours = book(file)
        first = asyncio.create_task(ours.put(member("a")))
        await asyncio.sleep(0.5)  # the first write is under way, without b
        await ours.put(member("b"))
        assert file.writes[-1] == ["a", "b"]
        await first

    virtual_time.run(story())


def test_dropping_who_is_no_member_writes_nothing() -> None:
    file = Scripted()
    virtual_time.run(book(file, "a").drop(["b"]))
    assert file.writes == []


def test_who_runs_no_more_leaves_the_file_with_any_write_and_when_dropped() -> None:
    file = Scripted()

    async def story() -> None:
        ours = book(file, "a", stale=("dead",))
        assert ours.names == {"a"}
        assert ours.listed == {"a", "dead"}
        await ours.drop(["dead"])
        await ours.drop(["dead"])
        assert ours.listed == {"a"}

    virtual_time.run(story())
    assert file.writes == [["a"]]


def test_who_runs_no_more_can_leave_at_once_and_when_that_was_is_kept() -> None:
    file = Scripted()

    async def story() -> None:
        ours = book(file, "a", stale=("dead",))
        await ours.drop_stale()
        assert ours.stale_left_at == file.write_s
        await ours.drop_stale()
        await ours.put(member("b"))
        assert ours.stale_left_at == file.write_s

    virtual_time.run(story())
    assert file.writes == [["a"], ["a", "b"]]


def test_who_could_not_leave_at_once_leaves_with_the_next_change() -> None:
    file = Scripted(broken=ConnectionLost("n1", "reset"))

    async def story() -> None:
        ours = book(file, "a", stale=("dead",))
        await ours.drop_stale()
        assert ours.listed == {"a", "dead"}
        file.broken = None
        await ours.put(member("b"))
        assert ours.stale_left_at == 2 * file.write_s
        assert ours.listed == {"a", "b"}

    virtual_time.run(story())


@pytest.mark.parametrize("error", [ConnectionLost("n1", "reset"), EpochRefused("n1", "epoch 9")])
def test_a_write_that_fails_is_raised_to_all_who_wait_and_tried_again_by_the_next(error: Exception) -> None:
    file = Scripted(broken=error)

    async def story() -> None:
        ours = book(file)
        ends = await asyncio.gather(*(ours.put(member(name)) for name in "abc"), return_exceptions=True)
        assert ends == [error] * 3
        file.broken = None
        await ours.put(member("d"))

    virtual_time.run(story())
    assert file.writes == [["a", "b", "c", "d"]]


def test_a_file_that_could_not_be_read_is_never_written() -> None:
    file, error = Scripted(), Unreachable("n1", "no route")
    ours = MemberBook(file, {}, 7, VirtualClock(), unreadable=error)
    with pytest.raises(Unreachable, match="no route"):
        virtual_time.run(ours.put(member("a")))
    assert file.writes == []


def test_waiting_ends_with_the_registrars_word() -> None:
    file = Scripted(words=[InstanceError("registrar", "has not said anything yet"), seen(), seen("a")])
    virtual_time.run(book(file).until(lambda word: "a" in word.members, "registration of a", 60))
    assert file.reads == 3


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (seen("a", registered=False), r"not registered: a \(bad health\)"),
        (MembershipSeen(1, 1, False, {}, 0.1), "the router's discovery port does not answer"),
        (seen(), "the registrar has not taken up the new list"),
        (ConnectionLost("n1", "reset"), "n1: reset"),
    ],
)
def test_at_the_deadline_the_registrars_last_word_is_told(word: MembershipSeen | Exception, says: str) -> None:
    file = Scripted(words=[word])
    with pytest.raises(InstanceError, match=rf"registration of a did not happen in 60 s: {says}"):
        virtual_time.run(book(file).until(lambda _: False, "registration of a", 60))


def test_one_read_serves_all_who_wait() -> None:
    file = Scripted(words=[seen(), seen(), seen("a")])

    async def story() -> None:
        ours = book(file)
        await asyncio.gather(*(ours.until(lambda word: "a" in word.members, "x", 60) for _ in range(20)))

    virtual_time.run(story())
    assert file.reads <= 5

"""`watch --apply --heal` on a fleet: the file is followed, dead engines come back, and nobody has to be there."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.fleet.command import Json, Operator
from tests.fleet.site import Site, launches, of, status

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

NODE = "n5"
ENGINE = "n5.main.0"


@pytest.fixture
async def operator(serving: Site, tmp_path: Path) -> AsyncIterator[Operator]:
    """With an inventory of their own; the cluster is as it was afterwards."""
    yield serving.with_inventory(tmp_path, lambda document: None)
    (await serving.operator.pdctl("up", "--json")).expect(0)


def replace_file(operator: Operator, text: str) -> None:
    """As a checkout does: a new file under the old name."""
    assert operator.inventory is not None
    new = operator.inventory.with_suffix(".new")
    new.write_text(text)
    new.rename(operator.inventory)


def with_another_environment(text: str) -> str:
    """The inventory with one engine's environment changed."""
    document: Json = yaml.safe_load(text)
    document["nodes"][NODE]["env"] = {"PDCTL_TEST_EDIT": "1"}
    return yaml.safe_dump(document, sort_keys=False)


async def test_the_file_is_followed_and_the_dead_come_back(operator: Operator) -> None:
    assert operator.inventory is not None
    before = await status(operator)
    good = operator.inventory.read_text()
    async with operator.starts("watch", "--apply", "--heal", "--json") as keeping:
        await keeping.until(lambda line: line["event"] == "run_ended", "the first look at the file")

        replace_file(operator, good + "pools: {}\nno-such-key: 1\n")
        rejected = await keeping.until(lambda line: line["event"] == "inventory_rejected", "the bad file")
        assert any("no-such-key" in problem for problem in rejected["problems"])

        replace_file(operator, with_another_environment(good))
        applied = await keeping.until(lambda line: line["event"] == "run_ended", "the new inventory")
        assert (applied["command"], applied["exit_code"]) == ("up", 0)
        replaced = await status(operator)
        old, new = launches(before), launches(replaced)
        assert {name for name in new if new[name] != old[name]} == {ENGINE}

        os.kill(of(replaced, ENGINE)["pid"], signal.SIGKILL)
        healed = await keeping.until(lambda line: line["event"] == "healed", "the dead engine")
        assert healed["subject"] == ENGINE

        keeping.send(signal.SIGINT)
        (await keeping.end()).expect(0)
    after = await status(operator)
    assert (after["serving"], after["ratio"]) == (True, "2P3D")
    assert launches(after)[ENGINE] != launches(replaced)[ENGINE]
    journal = (await operator.pdctl("events", "--json")).expect(0)
    assert [event["subject"] for event in journal.lines if event["event"] == "healing"] == [ENGINE]

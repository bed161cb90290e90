"""A secret reaches the engine and shows nowhere else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.fleet.command import Done, Json, Operator
from tests.fleet.site import Site, simulated_nodes, status

pytestmark = pytest.mark.fleet

POISON = "hf-5ecret-that-must-not-be-seen"
COMMANDS = (
    ("-v", "status"),
    ("status", "--json"),
    ("-v", "plan"),
    ("plan", "--json"),
    ("render",),
    ("render", "--json"),
    ("validate", "--json"),
    ("events", "--json", "-n", "1000"),
    ("logs", "-n", "1000"),
    ("logs", "router", "registrar", "-n", "1000"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with simulated_nodes(tmp_path_factory.mktemp("secrets"), "--layout", "1P1D") as site:
        yield site


def outputs(operator: Operator, here: Callable[..., Done]) -> list[Done]:
    """What every command prints while the cluster serves."""
    up = operator.pdctl_now("up", "--json", "-v").expect(0)
    return [up, *(here(operator, *argv).expect(0) for argv in COMMANDS)]


def seen_in(site: Site, operator: Operator, printed: list[Done]) -> list[str]:
    """Everywhere that the poison can be seen: what was printed, `ps`, and every file here and on the nodes."""
    found = [" ".join(done.argv) for done in printed if POISON in done.out + done.err]
    processes = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    found += [f"ps: {words[0]}" for words in processes if any(POISON in word for word in words)]
    for root in (site.nodes.directory, operator.state):
        files = (path for path in root.rglob("*") if path.is_file())
        found += [str(path) for path in files if POISON.encode() in path.read_bytes()]
    return found


def environment_of(pid: int) -> dict[str, str]:
    return psutil.Process(pid).environ()


def test_a_secret_is_in_the_engines_environment_and_nowhere_to_be_seen(
    site: Site, here: Callable[..., Done], tmp_path: Path
) -> None:
    operator = site.with_inventory(tmp_path, lambda document: document.update(secrets={"HF_TOKEN": {"env": "TOKEN"}}))
    operator = replace(operator, env={"TOKEN": POISON})
    printed = outputs(operator, here)
    for view in asyncio.run(status(operator))["instances"]:
        assert environment_of(view["pid"])["HF_TOKEN"] == POISON
    assert seen_in(site, operator, printed) == []
    down = operator.pdctl_now("down", "--now", "-v").expect(0)
    assert seen_in(site, operator, [down]) == [], "nothing is left of it either"


def leak(document: Json) -> None:
    """What an operator should not do: a secret as a plain setting."""
    document["cluster"] = "leaky"
    document["engine"]["args"]["hf-overrides"] = POISON


def test_the_look_for_the_secret_finds_one_that_is_there(site: Site, tmp_path: Path) -> None:
    operator = site.with_inventory(tmp_path, leak)
    printed = [operator.pdctl_now("render", "--json").expect(0)]
    stray = site.nodes.directory / "stray"
    stray.write_text(POISON)
    with subprocess.Popen([sys.executable, "-c", "input()", POISON], stdin=subprocess.PIPE) as shown:
        found = seen_in(site, operator, printed)
        shown.kill()
    stray.unlink()
    assert found == ["render --json", f"ps: {sys.executable}", str(stray)]


@pytest.mark.parametrize(
    "source", [{"env": "NOT_SET"}, {"file": "no-such-file"}, {"command": f"echo {POISON}; exit 3"}]
)
def test_a_secret_without_a_value_is_named_before_anything_starts(
    site: Site, here: Callable[..., Done], tmp_path: Path, source: dict[str, str]
) -> None:
    def edit(document: Json) -> None:
        document["cluster"] = "empty-handed"
        document["secrets"] = {"HF_TOKEN": source}

    done = here(site.with_inventory(tmp_path, edit), "up")
    assert "HF_TOKEN" in done.expect(1).err and "hint: " in done.err
    assert not list(site.nodes.directory.rglob("empty-handed"))

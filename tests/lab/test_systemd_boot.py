"""Engines that survive a reboot of their node: a new generation on new ports, no traffic until the next `up`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from pdctl.errors import InstanceError
from pdctl.model.unit import Relaunch, UnitSpec, UnitState
from tests.lab.controller import Said, pdctl
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.systemd_rig import Rig, cluster_of, rig
from tests.lab.traces import files_left, stays
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CLUSTER = "lab"
ENGINE = f"pdctl.{CLUSTER}.h2.main.0"
REQUESTS = 20
POISON = "s3cr3t-poison-5a11"
BLOCKS = tuple(range(21000, 21100, 10))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(2, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(lab, cluster_of(request.node.name), host="h2") as made:
        yield made


@pytest.fixture
def inventory(lab: Lab, tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    text = inventory_for(lab, Wanted(cluster=CLUSTER, supervisor="systemd"))
    path.write_text(text.replace('"kind": "simulated"', '"kind": "simulated", "persist": true'))
    return path


def ended(said: Said) -> str:
    return f"status {said.status}\n{said.stdout[-3000:]}\n{said.stderr[-2000:]}"


async def engine_on_h2(tmp_path: Path, inventory: Path) -> dict[str, object]:
    """What `pdctl status` says of it."""
    instances = (await pdctl(tmp_path, inventory, "status")).document()["instances"]
    found: dict[str, object] = next(view for view in instances if view["node"] == "h2")
    return found


async def load(lab: Lab) -> list[int]:
    body = {"model": "lab/simulated-moe", "prompt": "a b c d", "max_tokens": 8}
    url = f"http://{lab.hosts['h1'].address}:30000/v1/completions"
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        answers = await asyncio.gather(*(client.post(url, json=body) for _ in range(REQUESTS)))
    return [answer.status_code for answer in answers]


async def active(host: LabHost, unit: str) -> None:
    """Wait until systemd says so."""

    async def there() -> bool:
        return (await host.run("/bin/sh", "-c", f"systemctl is-active {unit} || true")).strip() == "active"

    await wait_until(there, 60, what=f"{unit} is active: {await host.run('journalctl', '-b', '-n40')}", poll_s=0.2)


async def boot_traces(host: LabHost) -> str:
    """What is left of boot units, in /etc and in systemd's memory, and of what they would start."""
    files = "find /etc/systemd /var/lib/pdctl -mindepth 1 -name 'pdctl*' -not -path '*/logs/*'"
    return await host.run("/bin/sh", "-c", f"{files}; systemctl list-units --all --plain --no-legend 'pdctl*'")


async def served(endpoint: object) -> float:
    """Requests that an engine has finished."""
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        said = (await client.get(f"http://{endpoint}/metrics")).text
    lines = [line for line in said.splitlines() if line.startswith("vllm:request_success_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_a_rebooted_node_brings_its_engine_back_and_up_takes_it_in(
    lab: Lab, inventory: Path, tmp_path: Path
) -> None:
    host = lab.hosts["h2"]
    up = await pdctl(tmp_path, inventory, "up")
    assert up.status == 0, ended(up)
    before = await engine_on_h2(tmp_path, inventory)
    assert before["state"] == "serving"

    await host.reboot()
    await active(host, ENGINE)

    async def answers() -> bool:
        return (await engine_on_h2(tmp_path, inventory))["state"] == "unregistered"

    await wait_until(answers, 30, what="the engine answers, and is no member", poll_s=0.5)
    after = await engine_on_h2(tmp_path, inventory)
    assert (after["generation"], before["generation"]) == (2, 1)
    assert after["endpoint"] != before["endpoint"]
    assert await served(after["endpoint"]) == 0

    again = await pdctl(tmp_path, inventory, "up")
    assert again.status == 0, ended(again)
    assert "start" not in {event["action"] for event in again.events("step_done")}, ended(again)
    taken_in = await engine_on_h2(tmp_path, inventory)
    assert (taken_in["state"], taken_in["generation"], taken_in["pid"]) == ("serving", 2, after["pid"])
    assert await load(lab) == [200] * REQUESTS

    down = await pdctl(tmp_path, inventory, "down")
    assert down.status == 0, ended(down)
    for each in lab.hosts.values():
        assert await boot_traces(each) == ""
        assert await files_left(each) == stays(CLUSTER, leases=each.name == "h1")
    await host.reboot()
    assert await boot_traces(host) == ""


async def test_a_rebooted_node_whose_inventory_was_changed_meanwhile(lab: Lab, inventory: Path, tmp_path: Path) -> None:
    """What came back is not what is wanted any more: `up` replaces it."""
    up = await pdctl(tmp_path, inventory, "up")
    assert up.status == 0, ended(up)
    host = lab.hosts["h2"]
    await host.power_off()
    await host.power_on()
    await active(host, ENGINE)
    edited = tmp_path / "edited.yaml"
    with inventory.open() as old, edited.open("w") as new:
        new.write(old.read().replace('"max-model-len": 16384', '"max-model-len": 8192'))
    inventory = edited
    before = await engine_on_h2(tmp_path, inventory)
    assert before["state"] == "outdated"
    again = await pdctl(tmp_path, inventory, "up", "--force")  # there is one of each role
    assert again.status == 0, ended(again)
    after = await engine_on_h2(tmp_path, inventory)
    assert after["state"] == "serving"
    assert isinstance(before["generation"], int) and isinstance(after["generation"], int)
    assert after["generation"] > before["generation"]
    assert await load(lab) == [200] * REQUESTS
    down = await pdctl(tmp_path, inventory, "down")
    assert down.status == 0, ended(down)
    assert await boot_traces(host) == ""


def surviving(on: Rig, script: str) -> UnitSpec:
    """An engine with a secret that is started again after a reboot; it says which port it got."""
    spec = on.spec(f"echo at $AT; {script}")
    words = tuple((word,) for word in spec.argv)
    again = Relaunch(argv=words, env={"AT": ("port ", 0)}, blocks=BLOCKS, block_size=4)
    ports = tuple(range(BLOCKS[0], BLOCKS[0] + 4))
    env = {"AT": f"port {BLOCKS[0]}"}
    return replace(spec, env=env, ports=ports, secret_env={"HF_TOKEN": POISON}, relaunch=again)


async def files_holding(on: Rig) -> list[str]:
    script = f"grep -rl {POISON} /var/lib/pdctl /run/systemd /etc/systemd | xargs -r stat -c '%n %a %U'"
    return sorted((await on.host.run("/bin/sh", "-c", script)).splitlines())


async def test_its_secret_survives_in_files_of_roots_only(lab: Lab, on: Rig) -> None:
    await on.supervisor.start(surviving(on, 'test -n "$HF_TOKEN" && echo has it; exec sleep 600'), epoch=1)
    await on.host.reboot()
    async with rig(lab, on.cluster, host="h2") as after:
        await active(after.host, f"{on.unit()}.service")
        await after.says(f"at port {BLOCKS[1]}\nhas it")
        state = f"/var/lib/pdctl/{on.cluster}"
        assert await files_holding(after) == [
            f"{state}/boot/{on.unit()}/secrets 600 root",
            f"{state}/units/{on.unit()}/env 600 root",
        ]
        become = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        seen = await after.host.run(*become, "/bin/sh", "-c", "systemctl show '*'; systemctl cat 'pdctl-boot.*'")
        assert "pdctl-boot" in seen and POISON not in seen
        assert POISON not in await after.host.run("journalctl", "-q", "-o", "export")
        assert (await after.supervisor.stop(on.unit(), epoch=1)).gone
        await after.supervisor.forget([on.unit()], epoch=1)
        assert await files_holding(after) == []
        assert on.cluster not in await boot_traces(after.host)


async def test_clusters_prod_and_prod_2_boot_apart(lab: Lab, on: Rig) -> None:
    async with rig(lab, f"{on.cluster}-2", host="h2") as other:
        await on.supervisor.start(surviving(on, "exec sleep 600"), epoch=1)
        second = surviving(other, "exec sleep 600")
        await other.supervisor.start(replace(second, labels=replace(second.labels, gpus=(1,))), epoch=1)
        assert (await on.supervisor.stop(on.unit(), epoch=1)).gone
        await on.supervisor.forget([on.unit()], epoch=1)
        await on.host.reboot()
        async with rig(lab, other.cluster, host="h2") as after:
            await active(after.host, f"{after.unit()}.service")
            assert (await after.seen()).labels.generation == 2
            traces = await boot_traces(after.host)
            assert f"pdctl-boot.{after.cluster}." in traces and f"{on.cluster}." not in traces
            assert (await after.supervisor.stop(after.unit(), epoch=1)).gone


async def test_an_operator_who_looked_before_the_reboot_gets_none_of_its_ports(lab: Lab, on: Rig) -> None:
    await on.supervisor.start(surviving(on, "exec sleep 600"), epoch=1)
    await on.host.reboot()
    async with rig(lab, on.cluster, host="h2") as after:
        await active(after.host, f"{on.unit()}.service")
        stale = on.spec("exec sleep 600", "n1.all.1", generation=2, gpus=(1,))
        with pytest.raises(InstanceError, match="generation 2 was taken by an engine that the node started"):
            await after.supervisor.start(stale, epoch=1)
        started = await after.supervisor.start(replace(stale, labels=replace(stale.labels, generation=3)), epoch=1)
        assert started.state is UnitState.RUNNING
        assert (await after.supervisor.stop(on.unit(), epoch=1)).gone


async def test_an_engine_runs_as_the_user_that_the_inventory_names(on: Rig) -> None:
    await on.host.run("useradd", "--create-home", "--groups", "video", "engines")
    spec = replace(on.spec('id -un; id -Gn; cat "$CONF"; exec sleep 600'), user="engines", files={"conf": "seen\n"})
    await on.supervisor.start(replace(spec, env={"CONF": "{unit_dir}/conf"}), epoch=1)
    await on.says("seen")
    said = (await on.journal()).split()
    assert said[0] == "engines"
    assert {"engines", "video"} <= set(said)


async def test_a_user_that_the_node_does_not_have(on: Rig) -> None:
    with pytest.raises(InstanceError, match="the node has no user nosuch") as refused:
        await on.supervisor.start(replace(on.spec("exec sleep 600"), user="nosuch"), epoch=1)
    assert "useradd" in refused.value.hint
    assert (await on.supervisor.inspect()).units == ()

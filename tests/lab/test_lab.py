"""The lab itself: hosts come up as hosts, are told apart, and keep to themselves."""

from __future__ import annotations

import asyncio
import socket
import sys

import asyncssh
import pytest

from tests.lab.cheap import Cheap
from tests.lab.docker_image import IMAGE, import_image
from tests.lab.host import LabHost
from tests.lab.lab import Kind, Lab
from tests.lab.nspawn import Systemd
from tests.lab.site import Sudo

BOTH_KINDS = pytest.mark.parametrize(
    "kind", [pytest.param(Cheap(), id="cheap"), pytest.param(Systemd(), id="systemd", marks=pytest.mark.systemd)]
)
_SHOWS = "hostname; id -un; ls /tmp | grep ^h.$; ls /etc | grep ^h[0-9]$; cat /etc/machine-id; readlink /proc/1/ns/pid"


async def login(lab: Lab, host: LabHost, *, user: str | None = None) -> asyncssh.SSHClientConnection:
    """A connection to a host, its key checked."""
    return await asyncssh.connect(
        host.address,
        username=user or host.user,
        client_keys=[str(lab.client_key)],
        known_hosts=str(lab.known_hosts),
        config=None,
        agent_path=None,
        connect_timeout=5,
    )


async def said(lab: Lab, host: LabHost, command: str, *, user: str | None = None) -> str:
    """What a command prints over SSH; it has to succeed."""
    async with await login(lab, host, user=user) as connection:
        done = await asyncio.wait_for(connection.run(command), 30)
    assert done.exit_status == 0, (done.stdout, done.stderr)
    return str(done.stdout).strip()


@BOTH_KINDS
async def test_hosts_are_hosts_of_their_own(kind: Kind) -> None:
    async with Lab(3, kind) as lab:
        hosts = list(lab.hosts.values())
        await asyncio.gather(*(host.run("touch", f"/tmp/{host.name}", f"/etc/{host.name}") for host in hosts))
        seen = [(await said(lab, host, f"sudo -n sh -c '{_SHOWS}'")).splitlines() for host in hosts]
        names = [lines[0] for lines in seen]
        assert names == ["h1", "h2", "h3"]
        assert [lines[1:4] for lines in seen] == [["root", name, name] for name in names]
        assert len({lines[4] for lines in seen}) == len({lines[5] for lines in seen}) == 3
        assert await said(lab, hosts[0], "id -un") == "ops"
        assert await said(lab, hosts[0], "id -un", user="root") == "root"
        there = f"exec 3<>/dev/tcp/{hosts[1].address}/22 && head -c4 <&3"
        assert await said(lab, hosts[0], f"bash -c '{there}'") == "SSH-"


@BOTH_KINDS
async def test_the_projects_python_runs_on_the_hosts(kind: Kind) -> None:
    async with Lab(1, kind) as lab:
        host = lab.hosts["h1"]
        assert "usage" in (await said(lab, host, f"{sys.executable} -m pdctl.sim.engine --help")).lower()


async def test_there_is_no_way_out_of_the_lab() -> None:
    async with Lab(1, Cheap()) as lab:
        with socket.socket() as probe, pytest.raises(OSError, match="unreachable"):
            probe.connect(("192.0.2.1", 80))
        host = lab.hosts["h1"]
        assert (
            await host.run("ip", "route")
        ).strip() == f"10.77.0.0/16 dev eth0 proto kernel scope link src {host.address}"


async def test_a_sys_of_its_own_choice() -> None:
    rail = "class/infiniband/mlx5_0/ports/1/state"
    async with Lab(1, Cheap(sysfs={rail: "4: ACTIVE\n"})) as lab:
        assert await said(lab, lab.hosts["h1"], f"cat /sys/{rail}; ls /sys/class/net") == "4: ACTIVE\neth0\nlo"


@pytest.mark.systemd
async def test_units_of_a_systemd_host() -> None:
    async with Lab(1, Systemd()) as lab:
        host = lab.hosts["h1"]
        await said(lab, host, "sudo -n systemd-run --quiet --unit=probe --service-type=exec sleep 600")
        group = await host.run("systemctl", "show", "--value", "-p", "ControlGroup", "probe")
        assert group.strip() == "/system.slice/probe.service"
        procs = "/sys/fs/cgroup/system.slice/probe.service/cgroup.procs"
        assert await host.run("sh", "-c", f"cat /proc/$(cat {procs})/comm") == "sleep\n"


@pytest.mark.parametrize(
    ("sudo", "complaint"),
    [
        (Sudo.PASSWORD, "a password is required"),
        (Sudo.REQUIRETTY, "you must have a tty"),
        (Sudo.NOTHING, "a password is required"),
    ],
)
async def test_sudo_as_asked_for(sudo: Sudo, complaint: str) -> None:
    async with Lab(1, Cheap(sudo=sudo)) as lab, await login(lab, lab.hosts["h1"]) as connection:
        done = await connection.run("sudo -n true")
        assert done.exit_status != 0
        assert complaint in str(done.stderr)


@pytest.mark.docker
async def test_a_container_runs_the_projects_python() -> None:
    async with Lab(1, Systemd(docker=True, disk="3g")) as lab:
        host = lab.hosts["h1"]
        image = await import_image(host)
        limits = ["--network", "host", "--ulimit", "memlock=-1", "--cap-add", "IPC_LOCK"]
        run = ["docker", "run", "--rm", *limits, IMAGE, sys.executable, "-m", "pdctl.sim.engine", "--help"]
        assert "usage" in (await host.run(*run)).lower()
        assert (await host.run("docker", "images", "-q", "--no-trunc")).split() == [image]

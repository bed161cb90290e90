"""The lab's faults do what they say, and stop when they are undone."""

from __future__ import annotations

import asyncio
import time

import asyncssh
import pytest

from tests.lab.cheap import Cheap
from tests.lab.host import LabHost
from tests.lab.lab import Kind, Lab
from tests.lab.nspawn import Systemd
from tests.lab.test_lab import BOTH_KINDS, login, said

_SILENCE_S = 0.5


async def greets(host: LabHost, patience_s: float = 2.0) -> bool:
    """Whether sshd says its first line. Raises OSError where there is no connection, TimeoutError where no answer."""
    async with asyncio.timeout(patience_s):
        reader, writer = await asyncio.open_connection(host.address, 22)
        try:
            return await reader.read(4) == b"SSH-"
        finally:
            writer.close()


async def test_a_cut_link_takes_the_carrier_and_heals() -> None:
    async with Lab(2, Cheap()) as lab:
        host, other = lab.hosts["h1"], lab.hosts["h2"]
        await host.cut()
        with pytest.raises(TimeoutError):
            await greets(host, _SILENCE_S)
        assert await host.run("cat", "/sys/class/net/eth0/operstate") != "up\n"
        assert await greets(other)
        await host.heal()
        await host.up()


async def test_a_blackhole_is_silence_on_an_open_connection() -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        async with await login(lab, host) as connection:
            await host.blackhole()
            assert await host.run("cat", "/sys/class/net/eth0/operstate") == "up\n"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.run("true"), _SILENCE_S)
            await host.heal()
            done = await asyncio.wait_for(connection.run("echo back"), 20)  # TCP sends again
            assert done.stdout == "back\n"


async def test_a_frozen_sshd_accepts_and_says_nothing_until_thawed() -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        async with await login(lab, host) as connection:
            host.freeze_sshd()
            with pytest.raises(TimeoutError):
                await greets(host, _SILENCE_S)
            host.thaw_sshd()
            assert await greets(host)
            assert (await asyncio.wait_for(connection.run("echo back"), 10)).stdout == "back\n"


async def test_a_killed_sshd_leaves_what_it_started() -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        connection = await login(lab, host)
        process = await connection.create_process("echo $$; exec sleep 601")
        pid = str(await process.stdout.readline()).strip()
        host.kill_sshd()
        await asyncio.wait_for(connection.wait_closed(), 5)
        with pytest.raises(ConnectionRefusedError):
            await greets(host)
        assert await host.run("cat", f"/proc/{pid}/comm") == "sleep\n"


@BOTH_KINDS
async def test_power_off_is_silent_and_the_disk_survives(kind: Kind) -> None:
    async with Lab(1, kind) as lab:
        host = lab.hosts["h1"]
        boot = await host.run("stat", "-c", "%Y %i", "/proc/1")
        await host.run("sh", "-c", "echo kept >/etc/kept; echo gone >/run/gone; sync")
        async with await login(lab, host) as connection:
            await host.power_off()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.run("true"), _SILENCE_S)
            connection.abort()
        assert host.machine.pid() is None
        await host.power_on()
        assert await said(lab, host, "cat /etc/kept; ls /run/gone 2>&1 | grep -c cannot") == "kept\n1"
        assert await host.run("stat", "-c", "%Y %i", "/proc/1") != boot


@pytest.mark.systemd
async def test_a_reboot_from_inside_is_another_boot() -> None:
    async with Lab(1, Systemd()) as lab:
        host = lab.hosts["h1"]
        boot_id = "/proc/sys/kernel/random/boot_id"
        before, machine = await said(lab, host, f"cat {boot_id}"), await said(lab, host, "cat /etc/machine-id")
        await host.reboot()
        assert await said(lab, host, f"cat {boot_id}") != before
        assert await said(lab, host, "cat /etc/machine-id") == machine


async def test_a_delay_is_felt_on_an_open_connection() -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        async with await login(lab, host) as connection:
            await host.delay(0.15)
            assert await _round_trip(connection) >= 0.3
            await host.delay(0)
            await _round_trip(connection)
            assert await _round_trip(connection) < 0.3


async def _round_trip(connection: asyncssh.SSHClientConnection) -> float:
    start = time.monotonic()
    await asyncio.wait_for(connection.run("true"), 20)
    return time.monotonic() - start

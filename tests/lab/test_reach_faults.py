"""Faults between the controller and one host's shell, each named after what happened; OpenSSH on real links."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from pdctl.errors import AuthRefused, CommandFailed, ConnectionLost, HostKeyChanged, HostKeyUnknown, Unreachable
from pdctl.ssh.sudo import SudoShell
from tests.lab.cheap import Cheap
from tests.lab.command import run
from tests.lab.controller import pdctl
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab
from tests.lab.reach import node, shells, sshd_log
from tests.lab.site import Sudo
from tests.waiting import wait_until

_KEEPALIVE_S, _KEEPALIVES = 2.0, 2
_PATIENCE = {"keepalive_s": _KEEPALIVE_S, "keepalive_count": _KEEPALIVES}
_FOUND_S = _KEEPALIVE_S * _KEEPALIVES + 1.0

_BEGAN = "/tmp/began"
_LONG = ["sh", "-c", f"touch {_BEGAN}; exec sleep 61"]


async def blackholed(host: LabHost) -> None:
    await host.blackhole()


async def cut(host: LabHost) -> None:
    await host.cut()


async def frozen(host: LabHost) -> None:
    host.freeze_sshd()


async def powered_off(host: LabHost) -> None:
    await host.power_off()


@pytest.mark.parametrize("fault", [blackholed, cut, frozen, powered_off])
async def test_half_open_tcp_is_found_while_a_command_runs(fault: Callable[[LabHost], asyncio.Future[None]]) -> None:
    async with Lab(2, Cheap()) as lab:
        h1, h2 = lab.hosts.values()
        async with shells(
            *(node(lab, host, keepalive_s=_KEEPALIVE_S, keepalive_count=_KEEPALIVES) for host in (h1, h2))
        ) as opened:
            shell, other = opened.shell("h1"), opened.shell("h2")
            await shell.run(["true"], deadline_s=10)
            lost = asyncio.create_task(shell.run(_LONG, deadline_s=60))
            fine = asyncio.create_task(other.run(["sleep", "5"], deadline_s=60))
            await wait_until(h1.path(_BEGAN).exists, 10, what="the command is under way")
            await fault(h1)
            began = time.monotonic()
            with pytest.raises(ConnectionLost) as caught:
                await lost
            assert time.monotonic() - began <= _FOUND_S
            assert "unknown" in caught.value.hint
            assert (await fine).status == 0


async def test_a_host_that_is_back_is_dialled_again_by_itself() -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        async with shells(node(lab, host, connect_timeout_s=1.0)) as opened:
            shell = opened.shell("h1")
            await shell.run(["true"], deadline_s=10)
            await host.blackhole()
            with pytest.raises((ConnectionLost, Unreachable)):
                await shell.run(["true"], deadline_s=30)
            with pytest.raises(Unreachable, match=r"no answer from 10\.77\.0\.1 in 1 s"):
                await shell.run(["true"], deadline_s=10)
            await host.heal()
            end = time.monotonic() + 10
            while True:
                try:
                    assert (await shell.run(["echo", "back"], deadline_s=10)).stdout == b"back\n"
                    break
                except Unreachable:  # the backoff of the failed dial
                    assert time.monotonic() < end
                    await asyncio.sleep(0.1)


async def test_a_frozen_sshd_is_no_login() -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        host.freeze_sshd()
        async with shells(node(lab, host, connect_timeout_s=1.0)) as opened:
            with pytest.raises(Unreachable, match="accepts connections, but no login came about in 1 s"):
                await opened.shell("h1").run(["true"], deadline_s=10)


async def test_the_host_key_is_unknown_until_it_is_trusted(tmp_path: Path) -> None:
    async with Lab(2, Cheap()) as lab:
        host = lab.hosts["h1"]
        lab.known_hosts.write_text("")
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(inventory_for(lab, Wanted()))
        true_print = (await host.run("ssh-keygen", "-lf", "/etc/ssh/lab_key")).split()[1]

        refused = await pdctl(tmp_path, inventory, "exec", "-n", "h1", "--", "true")
        assert refused.status == 4
        assert true_print in refused.stdout and "never pinned" in refused.stdout and "pdctl trust h1" in refused.stdout
        assert await sshd_log(host, "publickey") == 0  # nothing of ours was shown to it

        trusted = await pdctl(tmp_path, inventory, "trust", "h1")
        assert trusted.status == 0
        assert true_print in trusted.stdout
        assert (await pdctl(tmp_path, inventory, "exec", "-n", "h1", "--", "true")).status == 0


async def test_the_host_key_has_changed(tmp_path: Path) -> None:
    async with Lab(2, Cheap()) as lab:
        host = lab.hosts["h1"]
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(inventory_for(lab, Wanted()))
        pinned = lab.known_hosts.read_text()
        before = (await host.run("ssh-keygen", "-lf", "/etc/ssh/lab_key")).split()[1]
        await host.run("sh", "-c", "rm /etc/ssh/lab_key; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/lab_key")
        after = (await host.run("ssh-keygen", "-lf", "/etc/ssh/lab_key")).split()[1]
        await host.run("sh", "-c", "kill $(cat /run/sshd.pid)")
        await host.run("/usr/sbin/sshd", "-E", "/var/log/sshd.log")

        async with shells(node(lab, host)) as opened:
            with pytest.raises(HostKeyChanged) as caught:
                await opened.shell("h1").run(["true"], deadline_s=10)
        assert before in caught.value.cause and after in caught.value.cause and "CHANGED" in caught.value.cause
        for command in (("exec", "-n", "h1", "--", "true"), ("trust", "h1")):
            said = await pdctl(tmp_path, inventory, *command)
            assert said.status == 4
            assert after in said.stdout and before in said.stdout
        assert lab.known_hosts.read_text() == pinned  # never repaired by itself
        assert await sshd_log(host, "Accepted") == 0


@pytest.mark.parametrize("known_hosts", ["none", "/dev/null"])
async def test_an_ssh_config_that_disables_checks_is_not_honoured(tmp_path: Path, known_hosts: str) -> None:
    async with Lab(1, Cheap()) as lab:
        lab.known_hosts.write_text("")
        config = tmp_path / "ssh_config"
        config.write_text(f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile {known_hosts}\n  User root\n")
        async with shells(node(lab, lab.hosts["h1"], ssh_config=str(config))) as opened:
            with pytest.raises(HostKeyUnknown):
                await opened.shell("h1").run(["true"], deadline_s=10)


async def test_max_sessions_queues_commands_instead_of_failing() -> None:
    async with Lab(1, Cheap(sshd=["MaxSessions 2"])) as lab:
        async with shells(node(lab, lab.hosts["h1"])) as opened:
            shell = opened.shell("h1")
            ran = await asyncio.gather(*(shell.run(["echo", str(n)], deadline_s=60) for n in range(24)))
        assert [done.stdout for done in ran] == [f"{n}\n".encode() for n in range(24)]
        assert await sshd_log(lab.hosts["h1"], "Accepted publickey") == 1
        assert await sshd_log(lab.hosts["h1"], "no more sessions") > 0  # the limit was met


async def test_max_startups_behind_a_bastion() -> None:
    """Every operator's login goes through one sshd that sheds what is too many at once."""
    async with Lab(1, Cheap(sshd=["MaxStartups 2:100:2"])) as lab:
        bastion, operators = lab.hosts["h1"], 8
        nodes = await lab.add(6, Cheap())
        async with contextlib.AsyncExitStack() as held:
            ways = [[node(lab, host, jump=f"ops@{bastion.address}") for host in nodes] for _ in range(operators)]
            everyone = [await held.enter_async_context(shells(*way)) for way in ways]
            shell = [one.shell(host.name) for one in everyone for host in nodes]
            ran = await asyncio.gather(*(one.run(["hostname"], deadline_s=60) for one in shell))
        assert [done.stdout.decode().strip() for done in ran] == [host.name for host in nodes] * operators
        assert await sshd_log(bastion, "Accepted publickey") == operators  # one each, whatever number of nodes
        assert await sshd_log(bastion, "past MaxStartups") > 0  # it did shed
        assert await sshd_log(nodes[0], f"Accepted publickey for ops from {bastion.address}") == operators


async def test_a_bastion_that_dies_fails_every_node_behind_it() -> None:
    async with Lab(3, Cheap()) as lab:
        bastion, *rest = lab.hosts.values()
        jump = f"ops@{bastion.address}"
        async with shells(*(node(lab, host, jump=jump, **_PATIENCE) for host in rest)) as opened:
            behind = [opened.shell(host.name) for host in rest]
            await asyncio.gather(*(shell.run(["true"], deadline_s=20) for shell in behind))
            running = [asyncio.create_task(shell.run(_LONG, deadline_s=60)) for shell in behind]
            for host in rest:
                await wait_until(host.path(_BEGAN).exists, 10, what="the command is under way")
            began = time.monotonic()
            await bastion.power_off()
            ended = await asyncio.gather(*running, return_exceptions=True)
            assert [type(one) for one in ended] == [ConnectionLost, ConnectionLost]
            assert time.monotonic() - began <= _FOUND_S


async def test_auth_is_refused_once_and_never_retried(tmp_path: Path) -> None:
    async with Lab(1, Cheap()) as lab:
        host = lab.hosts["h1"]
        stranger = tmp_path / "stranger"
        stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        stranger.chmod(0o600)
        async with shells(node(lab, host, identity=str(stranger))) as opened:
            for _ in range(3):
                with pytest.raises(AuthRefused) as caught:
                    await opened.shell("h1").run(["true"], deadline_s=10)
        assert caught.value.cause == f"{host.address} refused the login of ops with {stranger}"
        assert await sshd_log(host, "by authenticating user ops") == 1


async def test_a_key_with_a_passphrase_is_named(tmp_path: Path) -> None:
    async with Lab(1, Cheap()) as lab:
        locked = tmp_path / "locked"
        await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(locked)])
        async with shells(node(lab, lab.hosts["h1"], identity=str(locked))) as opened:
            with pytest.raises(AuthRefused, match="protected by a passphrase") as caught:
                await opened.shell("h1").run(["true"], deadline_s=10)
        assert "ssh-add" in caught.value.hint


@pytest.mark.parametrize(
    ("sudo", "cause", "line"),
    [
        (Sudo.PASSWORD, "sudo wants a password", "ops ALL=(root) NOPASSWD: ALL"),
        (Sudo.NOTHING, "sudo wants a password", "ops ALL=(root) NOPASSWD: ALL"),
        (Sudo.REQUIRETTY, "sudo wants a terminal (requiretty)", "Defaults:ops !requiretty"),
    ],
)
async def test_sudo_wants_what_nobody_is_there_to_give(sudo: Sudo, cause: str, line: str) -> None:
    async with Lab(1, Cheap(sudo=sudo)) as lab:
        host = lab.hosts["h1"]
        async with shells(node(lab, host)) as opened:
            root = SudoShell(opened.shell("h1"))
            began = time.monotonic()
            with pytest.raises(CommandFailed) as caught:
                await root.run(["true"], deadline_s=30)
            assert time.monotonic() - began < 10.0  # it never waits for an answer
            assert caught.value.cause == cause
            assert line in caught.value.hint
            # The line that it asks for is the remedy.
            await host.run("sh", "-c", f"echo '{line}' >>/etc/sudoers.d/lab")
            assert (await root.run(["id", "-un"], deadline_s=30)).stdout == b"root\n"


_CHATTER = "echo 'Welcome, {\"event\": \"step_done\"}'; echo complaint >&2; printf 'no newline'\n"


async def test_a_noisy_login_shell_is_heard_and_kept_apart(tmp_path: Path) -> None:
    noise = {"/home/ops/.bashrc": _CHATTER, "/etc/banner": "Authorised use only\n"}
    async with Lab(2, Cheap(sshd=["Banner /etc/banner", "PrintMotd yes"], files=noise)) as lab:
        host = lab.hosts["h1"]
        async with shells(node(lab, host)) as opened:
            done = await opened.shell("h1").run(["printf", "a\\nb"], deadline_s=10)
            assert (done.stdout, done.stderr) == (b"a\nb", b"")
            assert b"Welcome" in done.noise and b"complaint" in done.noise
            async with opened.shell("h1").stream(["echo", "line"]) as stream:
                assert [line async for line in stream.lines()] == [b"line"]
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(inventory_for(lab, Wanted()))
        said = (await pdctl(tmp_path, inventory, "exec", "-n", "h1", "--", "hostname")).events("exec")
        assert [(one["stdout"], one["stderr"]) for one in said] == [("h1\n", "")]


async def test_the_login_shell_runs_no_commands() -> None:
    nologin = Cheap(sshd=["ForceCommand echo This account is currently not available."])
    async with Lab(1, nologin) as lab, shells(node(lab, lab.hosts["h1"])) as opened:
        with pytest.raises(CommandFailed, match="not available"):
            await opened.shell("h1").run(["true"], deadline_s=10)

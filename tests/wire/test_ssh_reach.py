"""Faults on the way to a node: each one cause, in words, with its own class and hint."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from pdctl.errors import AuthRefused, HostKeyChanged, HostKeyUnknown, Unreachable, UsageError
from pdctl.model.deployment import NodeSpec
from pdctl.ssh.dial import DialLimit
from pdctl.ssh.hostkeys import fingerprint, pin, public_line
from pdctl.ssh.keys import KeyRing
from pdctl.ssh.pool import SshShells, trust
from tests.waiting import free_port
from tests.wire.ssh_server import USER, SshServer, gated, host_key, listening, node, serving, unpinned, user_key


async def _failure(spec: NodeSpec, *, deadline_s: float = 10.0) -> Unreachable:
    """What a first command on this node fails with."""
    shells = SshShells({spec.name: spec}, ring=KeyRing(agent_path=""))
    try:
        with pytest.raises(Unreachable) as caught:
            await shells.shell(spec.name).run(["true"], deadline_s=deadline_s)
    finally:
        await shells.close()
    return caught.value


async def test_nothing_listens(tmp_path: Path) -> None:
    port = free_port()
    error = await _failure(node(tmp_path, port))
    assert str(error) == f"n1: 127.0.0.1 port {port} refused the connection"
    assert error.exit_code == 4


async def test_the_name_does_not_resolve(tmp_path: Path) -> None:
    spec = node(tmp_path, 22)
    error = await _failure(NodeSpec("n1", "no-such-host.invalid", 22, "127.0.0.1", "mi300x", 8, 0, spec.ssh))
    assert error.cause == "the name no-such-host.invalid does not resolve"


async def test_sshd_is_frozen(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # the kernel accepts; nobody ever answers
        error = await _failure(node(tmp_path, frozen.getsockname()[1], connect_timeout_s=0.3))
    assert "accepts connections, but no login came about in 0.3 s" in error.cause


async def test_a_server_that_hangs_in_the_login(tmp_path: Path) -> None:
    async with serving(SshServer(login_delay_s=30)) as server:
        error = await _failure(node(tmp_path, server.port, connect_timeout_s=0.5))
    assert "no login came about" in error.cause


async def test_the_deadline_of_a_command_passes_while_dialling(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        error = await _failure(node(tmp_path, frozen.getsockname()[1], connect_timeout_s=5.0), deadline_s=0.2)
    assert error.cause == "not connected within 0.2 s"


async def test_something_else_than_ssh_listens(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100_000)

    async with listening(answer) as port:
        error = await _failure(node(tmp_path, port, connect_timeout_s=2.0))
    assert type(error) is Unreachable


async def test_resets_before_the_login_are_retried(tmp_path: Path) -> None:
    """sshd sheds logins beyond MaxStartups by closing them; three in a row are no failure."""
    async with serving() as server, gated(server.port, resets=3) as gate:
        spec = node(tmp_path, gate.port)
        shells = SshShells({"n1": spec})
        assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
        await shells.close()
    assert gate.accepted == 4


async def test_resets_without_end(tmp_path: Path) -> None:
    async with serving() as server, gated(server.port, resets=1000) as gate:
        error = await _failure(node(tmp_path, gate.port, connect_timeout_s=10.0))
    assert type(error) is Unreachable
    assert gate.accepted == 6


async def test_host_key_unknown(tmp_path: Path) -> None:
    async with serving() as server:
        error = await _failure(unpinned(tmp_path, server.port))
    assert isinstance(error, HostKeyUnknown)
    assert fingerprint(host_key().public_data) in error.cause
    assert error.hint.endswith("pdctl trust n1")
    assert server.logins == 0  # nothing of ours was offered to it


async def test_host_key_changed(tmp_path: Path) -> None:
    async with serving() as server:
        error = await _failure(node(tmp_path, server.port, pinned=host_key("other")))
    assert isinstance(error, HostKeyChanged)
    assert fingerprint(host_key().public_data) in error.cause
    assert fingerprint(host_key("other").public_data) in error.cause
    assert f"line 1 of {tmp_path / 'known_hosts'}" in error.hint
    assert server.logins == 0


async def test_host_key_changed_to_another_type(tmp_path: Path) -> None:
    """With only the pinned type offered in key exchange, this would look like a protocol failure."""
    ecdsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    async with serving(SshServer(host_key=ecdsa)) as server:
        error = await _failure(node(tmp_path, server.port))
    assert isinstance(error, HostKeyChanged)
    assert "ecdsa-sha2-nistp256" in error.cause and "ssh-ed25519" in error.cause


async def test_a_changed_key_is_refused_even_where_new_keys_are_accepted(tmp_path: Path) -> None:
    async with serving() as server:
        error = await _failure(node(tmp_path, server.port, pinned=host_key("other"), accept_new=True))
    assert isinstance(error, HostKeyChanged)


async def test_host_key_revoked(tmp_path: Path) -> None:
    async with serving() as server:
        spec = node(tmp_path, server.port)
        with (tmp_path / "known_hosts").open("a") as file:
            file.write(f"@revoked * {public_line(host_key())}\n")
        error = await _failure(spec)
    assert isinstance(error, HostKeyChanged)
    assert "is revoked" in error.cause


async def test_accept_new_pins_the_first_key_for_good(tmp_path: Path) -> None:
    async with serving() as server:
        spec = unpinned(tmp_path, server.port, accept_new=True)
        shells = SshShells({"n1": spec})
        assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
        await shells.close()
    assert (tmp_path / "known_hosts").read_text() == f"[127.0.0.1]:{server.port} {public_line(host_key())}\n"


async def test_a_host_certificate_of_a_pinned_authority(tmp_path: Path) -> None:
    authority, other = asyncssh.generate_private_key("ssh-ed25519"), host_key("other authority")
    server_key = host_key("certified")
    certificate = authority.generate_host_certificate(server_key, "n1", principals=["127.0.0.1"])
    async with serving(SshServer(host_key=server_key, host_certificate=certificate)) as server:
        spec = unpinned(tmp_path, server.port)
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(f"@cert-authority * {public_line(authority)}\n")
        shells = SshShells({"n1": spec})
        assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
        await shells.close()
        known_hosts.write_text(f"@cert-authority [127.0.0.1]:{server.port} {public_line(other)}\n")
        error = await _failure(spec)
    assert isinstance(error, HostKeyChanged)


async def test_a_refused_login_is_not_tried_again(tmp_path: Path) -> None:
    async with serving() as server:
        stranger = tmp_path / "stranger"
        stranger.write_bytes(user_key("stranger").export_private_key())
        spec = node(tmp_path, server.port, identity=str(stranger))
        shells = SshShells({"n1": spec}, ring=KeyRing(agent_path=""))
        for _ in range(3):
            with pytest.raises(AuthRefused) as caught:
                await shells.shell("n1").run(["true"], deadline_s=10)
        await shells.close()
    assert caught.value.cause == f"127.0.0.1 port {server.port} refused the login of {USER} with {stranger}"
    assert server.logins == 1


async def test_a_key_with_a_passphrase_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(user_key().export_private_key("pkcs8-pem", passphrase="x"))
    async with serving() as server:
        error = await _failure(node(tmp_path, server.port, identity=str(locked)))
    assert isinstance(error, AuthRefused)
    assert f"{locked} is protected by a passphrase" in error.cause
    assert "ssh-add" in error.hint
    assert server.logins == 0


async def test_no_key_at_all(tmp_path: Path) -> None:
    error = await _failure(node(tmp_path, 22, identity=str(tmp_path / "missing")))
    assert isinstance(error, AuthRefused)
    assert "no such file" in error.cause


async def test_the_agent_is_asked_only_on_request(tmp_path: Path) -> None:
    asked: list[int] = []

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        writer.close()

    path = tmp_path / "agent"
    async with serving() as server, await asyncio.start_unix_server(agent, path):
        for wanted in (False, True):
            spec = node(tmp_path, server.port, agent=wanted)
            shells = SshShells({"n1": spec}, ring=KeyRing(agent_path=str(path)))
            assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
            await shells.close()
            assert bool(asked) is wanted


async def test_an_ssh_config_cannot_switch_the_checks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[dict[str, Any]] = []
    connect = asyncssh.connect

    async def spying(*args: Any, **kwargs: Any) -> asyncssh.SSHClientConnection:
        passed.append(kwargs)
        return await connect(*args, **kwargs)

    monkeypatch.setattr(asyncssh, "connect", spying)
    config = tmp_path / "config"
    async with serving() as server:
        config.write_text(
            f"Host alias\n  Hostname 127.0.0.1\n  Port {server.port}\n  ForwardAgent yes\n"
            "Host *\n  UserKnownHostsFile none\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking no\n"
        )
        own = unpinned(tmp_path, 22, ssh_config=str(config))
        spec = NodeSpec("n1", "alias", 22, "127.0.0.1", "mi300x", 8, 0, own.ssh)
        assert isinstance(await _failure(spec), HostKeyUnknown)
        pin(tmp_path / "known_hosts", "127.0.0.1", server.port, public_line(host_key()))
        shells = SshShells({"n1": spec})
        assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
        await shells.close()
    assert len(passed) == 2
    for options in passed:
        assert callable(options["known_hosts"])
        assert options["config"] is None
        assert options["agent_path"] is None and options["agent_forwarding"] is False
        assert options["password_auth"] is False and options["kbdint_auth"] is False


async def test_a_broken_ssh_config_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Port many\n")
    shells = SshShells({"n1": node(tmp_path, 22, ssh_config=str(config))})
    with pytest.raises(UsageError, match="config"):
        shells.shell("n1")


async def test_trust_shows_pins_and_is_then_content(tmp_path: Path) -> None:
    async with serving() as server:
        spec = unpinned(tmp_path, server.port)
        shells = SshShells({"n1": spec})
        (offer,) = await shells.offers("n1")
        assert (offer.name, offer.host, offer.port) == ("n1", "127.0.0.1", server.port)
        assert offer.fingerprint == fingerprint(host_key().public_data)
        assert not offer.trusted and offer.pinned == ()
        assert trust(offer) and not trust(offer)
        assert (await shells.offers("n1"))[0].trusted
        assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
        await shells.close()


async def test_trust_of_a_host_that_is_down(tmp_path: Path) -> None:
    shells = SshShells({"n1": unpinned(tmp_path, free_port())})
    with pytest.raises(Unreachable, match="refused the connection"):
        await shells.offers("n1")
    await shells.close()


async def test_a_failure_is_repeated_without_dialling_until_its_backoff_has_passed(tmp_path: Path) -> None:
    async with serving() as server, gated(server.port) as gate:
        spec = node(tmp_path, gate.port, pinned=host_key("other"))
        shells = SshShells({"n1": spec})
        for _ in range(3):
            with pytest.raises(HostKeyChanged):
                await shells.shell("n1").run(["true"], deadline_s=10)
        await shells.close()
    assert gate.accepted == 1


async def test_no_more_logins_at_once_than_the_limit(tmp_path: Path) -> None:
    """Forty nodes, five logins at a time: never more than five connections are in their login."""
    async with serving(SshServer(login_delay_s=0.02)) as server:
        spec = node(tmp_path, server.port)
        nodes = {f"n{i}": NodeSpec(f"n{i}", *_place(spec)) for i in range(20)}
        limit = DialLimit(5, jitter_s=0.001)
        shells = SshShells(nodes, limit=limit)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                logging_in = [c for c in server.connections if c.get_extra_info("username") is None]
                most = max(most, len(logging_in))
                await asyncio.sleep(0.002)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(shells.shell(name).run(["true"], deadline_s=20) for name in nodes))
        watching.cancel()
        await shells.close()
    assert server.logins == 20
    assert 1 <= most <= 5


def _place(spec: NodeSpec) -> tuple[str, int, str, str, int, int, Any]:
    return (spec.host, spec.port, spec.data_address, spec.gpu, spec.gpus, spec.nics, spec.ssh)

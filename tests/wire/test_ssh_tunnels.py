"""Ways through a node: jump hosts, tunnels to what listens there, and HTTP over them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import httpx
import pytest

from pdctl.errors import HostKeyUnknown, Unreachable
from pdctl.model.deployment import NodeSpec
from pdctl.ssh import http
from pdctl.ssh.hostkeys import pin, public_line
from pdctl.ssh.http import direct_http_client, shell_http_client
from pdctl.ssh.local import LocalShell
from pdctl.ssh.pool import SshShells, trust
from tests.waiting import free_port, wait_until
from tests.wire.ssh_server import SshServer, host_key, listening, node, serving, unpinned


def _through(tmp_path: Path, jump: SshServer, target: int, *, name: str = "n1") -> NodeSpec:
    return node(tmp_path, target, name=name, jump=f"127.0.0.1:{jump.port}")


async def test_a_jump_host_is_logged_in_to_once_for_all_nodes(tmp_path: Path) -> None:
    async with serving() as jump, serving() as first, serving() as second:
        pin(tmp_path / "known_hosts", "127.0.0.1", jump.port, public_line(host_key()))
        servers = {"n1": first, "n2": second}
        nodes = {name: _through(tmp_path, jump, server.port, name=name) for name, server in servers.items()}
        shells = SshShells(nodes)
        done = await asyncio.gather(*(shells.shell(name).run(["echo", name], deadline_s=10) for name in nodes))
        assert [one.stdout for one in done] == [b"n1\n", b"n2\n"]
        assert (jump.logins, first.logins, second.logins) == (1, 1, 1)
        assert jump.commands == []
        jump.cut()
        assert (await shells.shell("n1").run(["echo", "again"], deadline_s=10)).stdout == b"again\n"
        await shells.close()


async def test_a_jump_host_that_is_down_is_named(tmp_path: Path) -> None:
    spec = node(tmp_path, 22, jump=f"127.0.0.1:{free_port()}")
    shells = SshShells({"n1": spec})
    with pytest.raises(Unreachable, match=r"^n1: jump host 127\.0\.0\.1: .* refused the connection$"):
        await shells.shell("n1").run(["true"], deadline_s=10)
    await shells.close()


async def test_a_node_that_is_down_behind_its_jump_host(tmp_path: Path) -> None:
    async with serving() as jump:
        pin(tmp_path / "known_hosts", "127.0.0.1", jump.port, public_line(host_key()))
        shells = SshShells({"n1": _through(tmp_path, jump, free_port())})
        with pytest.raises(Unreachable, match=r"the jump host cannot reach 127\.0\.0\.1 port"):
            await shells.shell("n1").run(["true"], deadline_s=10)
        await shells.close()


async def test_trust_begins_with_the_jump_host(tmp_path: Path) -> None:
    async with serving() as jump, serving() as server:
        spec = unpinned(tmp_path, server.port, jump=f"127.0.0.1:{jump.port}")
        shells = SshShells({"n1": spec})
        with pytest.raises(HostKeyUnknown) as caught:
            await shells.shell("n1").run(["true"], deadline_s=10)
        assert caught.value.hint.endswith("pdctl trust n1")
        await shells.close()

        shells = SshShells({"n1": spec})
        (first,) = await shells.offers("n1")
        assert first.port == jump.port
        trust(first)
        first, second = await shells.offers("n1")
        assert first.trusted and second.port == server.port
        trust(second)
        assert (await shells.shell("n1").run(["true"], deadline_s=10)).status == 0
        await shells.close()


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say in upper case what is heard, until the client ends."""
    while data := await reader.read(65536):
        writer.write(data.upper())
        await writer.drain()


@pytest.mark.parametrize("forwarding", [True, False], ids=["direct-tcpip", "relay"])
async def test_a_tunnel_carries_bytes_both_ways_and_its_end(tmp_path: Path, forwarding: bool) -> None:
    async with serving(SshServer(forwarding=forwarding)) as server, listening(shout) as port:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        reader, writer = await shells.shell("n1").connect("127.0.0.1", port)
        writer.write(b"hello")
        await writer.drain()
        assert await reader.readexactly(5) == b"HELLO"
        big = bytes(range(97, 123)) * 40_000
        writer.write(big)
        writer.write_eof()
        assert await reader.read() == big.upper()
        assert reader.at_eof()
        writer.close()
        await writer.wait_closed()
        assert bool(server.commands) is not forwarding
        await wait_until(lambda: server.sessions == 0, 3, what="the relay ends with its tunnel")
        await shells.close()


@pytest.mark.parametrize("forwarding", [True, False], ids=["direct-tcpip", "relay"])
async def test_nothing_listens_behind_a_tunnel(tmp_path: Path, forwarding: bool) -> None:
    async with serving(SshServer(forwarding=forwarding)) as server:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        with pytest.raises(ConnectionRefusedError, match=r"n1 cannot connect to 127\.0\.0\.1:"):
            await shells.shell("n1").connect("127.0.0.1", free_port())
        assert (await shells.shell("n1").run(["true"], deadline_s=5)).status == 0
        await shells.close()


async def test_forwarding_is_asked_for_only_once_where_it_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    open_connection = asyncssh.SSHClientConnection.open_connection

    async def counting(self: asyncssh.SSHClientConnection, *args: object, **kwargs: object) -> object:
        asked.append(args)
        return await open_connection(self, *args, **kwargs)

    monkeypatch.setattr(asyncssh.SSHClientConnection, "open_connection", counting)
    async with serving(SshServer(forwarding=False)) as server, listening(shout) as port:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        for _ in range(3):
            _, writer = await shells.shell("n1").connect("127.0.0.1", port)
            writer.close()
        await shells.close()
    assert len(asked) == 1


@contextlib.asynccontextmanager
async def streaming_http(release: asyncio.Event) -> AsyncIterator[str]:
    """An HTTP server that keeps connections, and for /stream sends its second part only after `release`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /stream"):
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                await release.wait()
                writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
            elif head.startswith(b"GET /hang"):
                await reader.read()
            elif head.startswith(b"GET /cut"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart")
                return
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with listening(answer) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("way", ["direct-tcpip", "relay", "local", "direct"])
async def test_http_through_a_shell_streams(tmp_path: Path, way: str) -> None:
    release = asyncio.Event()
    async with serving(SshServer(forwarding=way != "relay")) as server, streaming_http(release) as url:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        if way == "direct":
            client = direct_http_client(base_url=url)
        else:
            client = shell_http_client(LocalShell() if way == "local" else shells.shell("n1"), base_url=url)
        async with client:
            for _ in range(3):  # over one kept connection
                assert (await client.get("/")).text == "ok"
            async with client.stream("GET", "/stream") as response:
                parts = response.aiter_bytes()
                assert await anext(parts) == b"first"
                release.set()
                assert await anext(parts) == b"second"
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/hang", timeout=httpx.Timeout(5, read=0.2))
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/cut")
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{free_port()}/")
        await shells.close()


async def test_http_to_a_node_that_is_down_has_the_cause(tmp_path: Path) -> None:
    shells = SshShells({"n1": node(tmp_path, free_port())})
    async with shell_http_client(shells.shell("n1")) as client:
        with pytest.raises(httpx.ConnectError, match="refused the connection") as caught:
            await client.get("http://127.0.0.1:1/")
    assert isinstance(caught.value.__cause__, Unreachable)
    await shells.close()


async def test_http_while_the_node_goes_down(tmp_path: Path) -> None:
    async with serving() as server, streaming_http(asyncio.Event()) as url:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        async with shell_http_client(shells.shell("n1"), base_url=url) as client:
            assert (await client.get("/")).text == "ok"
            waiting = asyncio.create_task(client.get("/hang", timeout=30))
            await asyncio.sleep(0.1)
            server.cut()
            with pytest.raises((httpx.NetworkError, httpx.ProtocolError)):
                await waiting
            assert (await client.get("/")).text == "ok"
        await shells.close()


@pytest.mark.parametrize("way", ["tunnel", "direct"])
async def test_an_idle_connection_is_left_before_an_engine_closes_it(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request on a connection that the engine is just closing would get no answer."""
    monkeypatch.setattr(http, "KEPT_S", 0.1)
    connections: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                connections[-1] += 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/health"
    async with server, direct_http_client() if way == "direct" else shell_http_client(LocalShell("n1")) as client:
        for _ in range(2):
            assert (await client.get(url)).status_code == 200
        await asyncio.sleep(0.2)  # idle for longer than it is kept
        assert (await client.get(url)).status_code == 200
    assert (connections[-1], sum(connections)) == (1, 3)

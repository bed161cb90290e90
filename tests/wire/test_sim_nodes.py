"""Simulated nodes seen through a plain SSH client: they behave as OpenSSH on a GPU node would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import psutil
import pytest
import yaml

from pdctl.control.demo_record import DemoNode, DemoNodes, read_nodes
from pdctl.sim.node_faults import Faults, order_faults
from tests.wire.sim_fleet import alive, eventually, login, running_fleet, start_escaping_daemon

pytestmark = pytest.mark.fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoNodes]:
    with running_fleet(tmp_path_factory.mktemp("fleet") / "nodes", "--startup-s", "0.5", "--env", "A=b c") as (
        nodes,
        _,
    ):
        yield nodes


@pytest.fixture
def node(fleet: DemoNodes) -> DemoNode:
    return fleet.nodes[0]


def test_five_nodes_come_up_cheaply(fleet: DemoNodes) -> None:
    parent = psutil.Process(fleet.identity.pid)
    times = [process.cpu_times() for process in (parent, *parent.children())]
    assert len(times) == 6
    assert sum(each.user + each.system for each in times) < 4.0


def test_the_inventory_names_the_nodes_as_they_are(fleet: DemoNodes) -> None:
    inventory = yaml.safe_load(fleet.inventory.read_text())
    assert [name for name, node in inventory["nodes"].items() if node["pool"] == "prefill"] == ["n1", "n2"]
    assert [name for name, node in inventory["nodes"].items() if node["pool"] == "decode"] == ["n3", "n4", "n5"]
    for node in fleet.nodes:
        entry = inventory["nodes"][node.name]
        assert (entry["host"], entry["port"], entry["data_address"]) == (node.host, node.port, node.data_address)
    assert len({node.data_address for node in fleet.nodes}) == 5
    assert inventory["engine"]["env"] == {"PDCTL_SIM_STARTUP_S": "0.5", "A": "b c"}
    assert inventory["router"]["port"] == fleet.router_port
    assert not 20000 <= fleet.router_port <= 32767  # the engines' blocks


def test_the_private_keys_are_private(fleet: DemoNodes) -> None:
    keys = [fleet.client_key, *(Path(node.root, "host_key") for node in fleet.nodes)]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600] * 6


async def test_a_command_runs_on_its_own_node_with_its_own_home(fleet: DemoNodes) -> None:
    for node in fleet.nodes[:2]:
        async with await login(fleet, node) as connection:
            done = await connection.run('hostname; pwd; echo "$HOME"; cat /proc/$$/stat')
            assert isinstance(done.stdout, bytes)
            hostname, directory, home, status = done.stdout.decode().splitlines()
            assert (hostname, directory, home) == (f"sim-{node.name}", node.home, node.home)
            fields = status.split()
            assert fields[0] == fields[5], "the command leads a session of its own"


async def test_statuses_and_signals_come_back(fleet: DemoNodes, node: DemoNode) -> None:
    async with await login(fleet, node) as connection:
        assert (await connection.run("exit 7")).exit_status == 7
        killed = await connection.run("kill -KILL $$")
        assert killed.exit_signal is not None
        assert killed.exit_signal[0] == "KILL"
        both = await connection.run("echo out; echo err >&2; exit 1")
        assert (both.stdout, both.stderr, both.exit_status) == (b"out\n", b"err\n", 1)


async def test_megabytes_go_in_and_out_unharmed(fleet: DemoNodes, node: DemoNode) -> None:
    data = os.urandom(3_000_000)
    async with await login(fleet, node) as connection:
        for _ in range(3):
            assert (await connection.run("cat", input=data)).stdout == data
        assert (await connection.run("head -c 10 | wc -c", input=data)).stdout == b"10\n"  # the rest is nobody's


async def test_a_slow_reader_slows_the_command_and_not_the_node(fleet: DemoNodes, node: DemoNode) -> None:
    async with await login(fleet, node) as connection:
        process = await connection.create_process("echo $$ >&2; exec head -c 100000000 /dev/zero")
        command = psutil.Process(int(await process.stderr.readline()))
        written, before = 0, -1
        while written != before:  # until the command stands still
            await asyncio.sleep(0.2)
            written, before = command.io_counters().write_chars, written
        assert written < 20_000_000, "it waits for its reader, with little in between"
        assert (await connection.run("echo still here")).stdout == b"still here\n"
        process.close()


async def test_a_command_outlives_its_client(fleet: DemoNodes, node: DemoNode) -> None:
    """As with OpenSSH: closing the connection stops nothing."""
    connection = await login(fleet, node)
    process = await connection.create_process("echo $$; exec sleep 60", stdin=asyncssh.PIPE)
    pid = int(await process.stdout.readline())
    connection.abort()
    await connection.wait_closed()
    async with await login(fleet, node):
        assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(eventually, lambda: not psutil.pid_exists(pid), 5.0, "the node reaps it")


async def test_tunnels_lead_to_loopback_only(fleet: DemoNodes, node: DemoNode) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, node.data_address, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, await login(fleet, node) as connection:
        reader, writer = await connection.open_connection(node.data_address, port, encoding=None)
        writer.write(b"tunnel\n")
        assert await reader.readline() == b"hello tunnel\n"
        writer.close()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("192.0.2.1", 80)


async def test_only_the_fleets_own_key_logs_in(fleet: DemoNodes, node: DemoNode, tmp_path: Path) -> None:
    stranger = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    with pytest.raises(asyncssh.PermissionDenied):
        await login(fleet, node, key=str(stranger))


async def test_an_eleventh_session_is_refused_and_the_ten_go_on(fleet: DemoNodes, node: DemoNode) -> None:
    async with await login(fleet, node) as connection:
        held = [await connection.create_process("cat") for _ in range(10)]
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("true")
        for process in held:
            process.stdin.write_eof()
            assert (await process.wait()).exit_status == 0
        assert (await connection.run("true")).exit_status == 0


async def test_the_tools_print_json(fleet: DemoNodes, node: DemoNode) -> None:
    commands = ["amd-smi list", "amd-smi version", "amd-smi static", "amd-smi metric", "amd-smi process"]
    commands = [f"{command} --json" for command in commands]
    commands += ["rocm-smi --showmeminfo vram --json", "rdma link -j", "rdma statistic -j"]
    async with await login(fleet, node) as connection:
        for command in commands:
            done = await connection.run(command, check=True)
            assert isinstance(done.stdout, bytes)
            assert json.loads(done.stdout), command


async def test_memory_in_use_is_what_the_engine_wrote_and_goes_with_it(fleet: DemoNodes, node: DemoNode) -> None:
    async def used_mib() -> list[int]:
        done = await connection.run("amd-smi metric --json", check=True)
        assert isinstance(done.stdout, bytes)
        return [gpu["mem_usage"]["used_vram"]["value"] for gpu in json.loads(done.stdout)["gpu_data"]]

    async with await login(fleet, node) as connection:
        idle = await used_mib()
        engine = await connection.create_process(
            'echo "1073741824 $$" > "$PDCTL_SIM_VRAM_DIR/3"; echo up; exec cat', stdin=asyncssh.PIPE
        )
        await engine.stdout.readline()
        assert [now - then for now, then in zip(await used_mib(), idle, strict=True)] == [0, 0, 0, 1024, 0, 0, 0, 0]
        engine.stdin.write_eof()
        await engine.wait()
        assert await used_mib() == idle


async def test_faults_come_and_go_on_command(fleet: DemoNodes) -> None:
    node = fleet.nodes[4]

    async def order(faults: Faults) -> None:
        await asyncio.to_thread(order_faults, Path(node.root), node.pid, faults)

    connection = await login(fleet, node)
    await order(Faults(noise="Welcome!\n", no_forwarding=True))
    assert (await connection.run("echo x")).stdout == b"Welcome!\nx\n"
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_connection("127.0.0.1", node.port)
    await order(Faults(cut=True, refuse=True))
    await asyncio.wait_for(connection.wait_closed(), 5)
    with pytest.raises(ConnectionRefusedError):
        await login(fleet, node)
    await order(Faults())
    async with await login(fleet, node) as again:
        assert (await again.run("echo x")).stdout == b"x\n"


async def test_a_killed_node_takes_its_processes_along_and_is_noted(tmp_path: Path) -> None:
    with running_fleet(tmp_path / "nodes", "--layout", "1P1D") as (fleet, _):
        first, second = fleet.nodes
        daemon = await start_escaping_daemon(fleet, first)
        os.kill(first.pid, signal.SIGKILL)

        def noted() -> bool:
            nodes = read_nodes(fleet.directory)
            return nodes is not None and nodes.nodes[0].state == "killed by SIGKILL"

        await asyncio.to_thread(eventually, noted, 5.0, "fleet.json says so")
        assert not alive(daemon.pid)
        async with await login(fleet, second) as connection:
            assert (await connection.run("true")).exit_status == 0

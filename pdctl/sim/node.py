"""One simulated node: a process with an SSH server, a home and GPUs of its own, and nothing that outlives its owner.

The fleet forks it (`run_node`). It serves SSH on loopback, adopts every process that is started on it, and when its
lifeline ends (or on SIGTERM, SIGINT) it kills all of them and itself, whatever they did to get away.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import NoReturn

import asyncssh

from pdctl.sim import node_tree
from pdctl.sim.node_children import Children
from pdctl.sim.node_env import NodeConfig, command_environment
from pdctl.sim.node_faults import Faults, acknowledge, take_order
from pdctl.sim.node_session import Command, CommandSession

KEEPALIVE_S = 15.0  # like sshd's ClientAliveInterval: a client that vanished frees its session


class NodeServer(asyncssh.SSHServer):
    """One client connection: who may log in, what may be opened, how many sessions."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sessions = 0
        self._conn: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._node.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conn is not None:
            self._node.connections.discard(self._conn)

    def begin_auth(self, username: str) -> bool:
        if self._node.faults.banner and self._conn is not None:
            self._conn.send_auth_banner(self._node.faults.banner)
        return True

    def session_requested(self) -> CommandSession:
        if self._sessions >= self._node.faults.max_sessions:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")  # OpenSSH's words
        self._sessions += 1
        return CommandSession(self._node.command(), self._session_closed)

    def _session_closed(self) -> None:
        self._sessions -= 1

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if self._node.faults.no_forwarding or not is_loopback(dest_host):
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "administratively prohibited: open failed"
            )
        return True


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine for certain; names other than localhost are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Node:
    """The node's state in its event loop."""

    def __init__(self, config: NodeConfig, environment: Mapping[str, str]) -> None:
        self.config = config
        self.faults = Faults()
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._environment = environment
        self._orders = asyncio.Event()
        self._children = Children(asyncio.get_running_loop())
        self._options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: NodeServer(self),
            server_host_keys=[str(config.host_key)],
            authorized_client_keys=asyncssh.import_authorized_keys(config.client_key),
            password_auth=False,
            kbdint_auth=False,
            agent_forwarding=False,
            allow_pty=False,
            encoding=None,
            keepalive_interval=KEEPALIVE_S,
        )
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def open(self, listener: socket.socket) -> None:
        """Begin to reap, to take fault orders, and to serve on `listener`."""
        loop = asyncio.get_running_loop()
        self._children.watch()
        loop.add_signal_handler(signal.SIGUSR1, self._orders.set)
        await self._listen(listener)

    async def follow_orders(self) -> NoReturn:
        """Apply every set of faults that is ordered, one after the other."""
        while True:
            await self._orders.wait()
            self._orders.clear()
            try:
                faults = take_order(self.config.root)
                if faults is not None:
                    await self._apply(faults)
                    acknowledge(self.config.root)
            except (ValueError, OSError) as error:  # not acknowledged: the commander's wait ends in a timeout
                print(f"{self.config.name}: faults not applied: {error}", file=sys.stderr, flush=True)

    def command(self) -> Command:
        """How the next session runs its command."""
        return Command(
            node=self.config,
            children=self._children,
            environment=lambda session: command_environment(self.config, self._environment, session),
            noise=self.faults.noise,
            delay_s=self.faults.delay_s,
        )

    async def _listen(self, listener: socket.socket) -> None:
        self._acceptor = await asyncssh.listen(sock=listener, options=self._options)

    async def _apply(self, faults: Faults) -> None:
        self.faults = faults
        if faults.refuse and self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None
        if not faults.refuse and self._acceptor is None:
            await self._listen(bind_listener(self.config.port))
        if faults.cut:
            for connection in tuple(self.connections):
                connection.abort()


def bind_listener(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises OSError if the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def run_node(config: NodeConfig, listener: socket.socket, *, lifeline: int, ready: int) -> NoReturn:
    """Be that node until `lifeline` reads end-of-file; then kill everything on it and exit. Runs in a fresh fork.

    Writes its name and a newline to `ready` once it serves.
    """
    try:
        node_tree.close_other_descriptors((listener.fileno(), lifeline, ready))
        node_tree.become_subreaper()
        node_tree.wake_on_parent_death()
        node_tree.set_name(f"sim-{config.name}")
        asyncio.run(_serve(config, listener, lifeline, ready))
    except Exception as error:
        print(f"{config.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    _end(config.name, status=1)


async def _serve(config: NodeConfig, listener: socket.socket, lifeline: int, ready: int) -> NoReturn:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(lifeline, ended.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Handled, not ignored: what is ignored here would be ignored in every command too.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    node = Node(config, dict(os.environ))
    await node.open(listener)
    os.write(ready, f"{config.name}\n".encode())
    os.close(ready)
    orders = loop.create_task(node.follow_orders())
    await ended.wait()
    orders.cancel()
    # No farewell to anybody: a loop that goes on could start another command while we kill.
    _end(config.name, status=0)


def _end(name: str, *, status: int) -> NoReturn:
    survivors = node_tree.kill_descendants()
    if survivors:
        print(f"{name}: could not kill {survivors}", file=sys.stderr, flush=True)
    os._exit(status)

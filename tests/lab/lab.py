"""A lab: hosts with their own network, made for one test and gone after it, however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import asyncssh

from tests.lab import network
from tests.lab.command import LabError
from tests.lab.host import LabHost, Machine
from tests.lab.linux import inside_network
from tests.lab.network import Port
from tests.lab.site import Site

_HERE = Path(__file__).parent
_READY_S = 30.0
_GONE_S = 30.0


class Kind(Protocol):
    """How hosts of one kind are built: `nspawn.Systemd`, `cheap.Cheap`."""

    @property
    def user(self) -> str:
        """Who logs in."""
        ...

    async def prepare(self) -> None:
        """Fetch what has to come from outside: in the lab's network there is no way out any more."""
        ...

    async def build(self, site: Site) -> Machine:
        """Make everything but switch nothing on."""
        ...


class Lab:
    """`async with Lab(5, Systemd()) as lab: lab.hosts["h1"].address`; inside, this thread is in the lab's network.

    So sockets that the test opens, and commands that it starts, reach the hosts and nothing else: there is no way out.
    Host keys are pinned in `known_hosts`; `client_key` logs in.
    """

    def __init__(self, n: int, kind: Kind) -> None:
        self._n = n
        self._kind = kind
        self._held = contextlib.AsyncExitStack()
        self._client_key = asyncssh.generate_private_key("ssh-ed25519", comment="lab")
        self._cgroup = f"pdctl-lab-{secrets.token_hex(4)}"
        self.hosts: dict[str, LabHost] = {}
        self.init = 0
        self.keeper = 0
        self.directory = Path()

    @property
    def cgroup(self) -> str:
        """The name of this lab's cgroups, in every hierarchy."""
        return self._cgroup

    @property
    def client_key(self) -> Path:
        """The private key that every host takes, for its operator and for root."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Every host's key, pinned."""
        return self.directory / "known_hosts"

    async def __aenter__(self) -> Self:
        await self._kind.prepare()
        async with contextlib.AsyncExitStack() as held:
            held.push_async_callback(self._all_gone)
            await self._found(held)
            await self.add(self._n, self._kind)
            self._held = held.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.aclose()

    async def add(self, n: int, kind: Kind) -> list[LabHost]:
        """Build, boot and pin `n` more hosts, all at once; they are named on: h1, h2, …

        A kind that the lab was not made with has to be prepared before the lab is entered.
        """
        first = len(self.hosts) + 1
        added = await asyncio.gather(*(self._host(index, kind) for index in range(first, first + n)))
        self.hosts |= {host.name: host for host in added}
        await asyncio.gather(*(host.machine.boot() for host in added))
        with self.known_hosts.open("a") as file:
            file.writelines(f"{host.address} {host.host_key}\n" for host in added)
        await asyncio.gather(*(host.up() for host in added))
        return added

    async def _found(self, held: contextlib.AsyncExitStack) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pdctl-lab-"))
        reading, writing = os.pipe()  # ours to close: the keeper sees the end of it, whatever becomes of us
        try:
            keeper = await asyncio.create_subprocess_exec(
                sys.executable, "-IS", str(_HERE / "keeper.py"), str(self.directory), self._cgroup,
                str(_HERE / "init.sh"),
                stdin=reading, stdout=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        held.push_async_callback(_close, writing, keeper)
        assert keeper.stdout is not None
        line = await asyncio.wait_for(keeper.stdout.readline(), _READY_S)
        if not line.strip().isdigit():
            raise LabError("the lab's namespaces cannot be made: is this root, with iproute2 and util-linux?")
        self.init, self.keeper = int(line), keeper.pid
        held.enter_context(inside_network(self.init))
        self.client_key.write_bytes(self._client_key.export_private_key())
        self.client_key.chmod(0o600)

    async def _all_gone(self) -> None:
        await asyncio.gather(*(host.gone() for host in self.hosts.values()))

    async def _host(self, index: int, kind: Kind) -> LabHost:
        name, port = f"h{index}", Port(index)
        host_key = asyncssh.generate_private_key("ssh-ed25519", comment=name)
        await network.plug_in(self.init, name, port)
        site = Site(
            init=self.init,
            cgroup=self._cgroup,
            name=name,
            port=port,
            directory=self.directory,
            client_key=_public(self._client_key),
            host_key=host_key,
        )
        machine = await kind.build(site)
        return LabHost(name, port, kind.user, _public(host_key), machine, site.log, self.init)


async def _close(lifeline: int, keeper: asyncio.subprocess.Process) -> None:
    os.close(lifeline)
    await asyncio.wait_for(keeper.wait(), _GONE_S)


def _public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])

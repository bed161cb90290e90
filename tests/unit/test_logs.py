"""`logs` of several units: whose they are, and that a log that cannot be read is said and not passed over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from pdctl.control.clock import SystemClock
from pdctl.control.cluster import Cluster
from pdctl.control.logs import logs, sources
from pdctl.control.ports import Http, Membership
from pdctl.errors import ConnectionLost, NodeError, Unreachable, UsageError
from pdctl.model.observed import Trouble
from pdctl.ssh.fake import FakeShell, FakeShells
from pdctl.supervisors.ports import LogLine, Supervisor
from tests.unit.deployments import r1_2p3d

DEPLOYMENT = r1_2p3d()
FIRST, SECOND = "mi300x-01", "mi300x-02"


@dataclass(frozen=True, slots=True)
class Printed:
    """A supervisor with one line in every log, then perhaps an error."""

    node: str
    error: NodeError | None = None

    @asynccontextmanager
    async def logs(self, unit: str, *, lines: int, follow: bool) -> AsyncIterator[AsyncIterator[LogLine]]:
        if isinstance(self.error, Unreachable):
            raise self.error
        yield self._lines(unit)

    async def _lines(self, unit: str) -> AsyncIterator[LogLine]:
        yield LogLine(unit, f"hello of {unit}")
        if self.error is not None:
            raise self.error


def cluster(errors: Mapping[str, NodeError]) -> Cluster:
    nodes = {name: cast(Supervisor, Printed(name, errors.get(name))) for name in DEPLOYMENT.nodes}
    http, members = cast(Http, None), cast(Membership, None)
    return Cluster(DEPLOYMENT, FakeShells({}), FakeShell(), nodes, nodes[FIRST], http, members, SystemClock())


def test_names_are_instances_and_services() -> None:
    found = sources(cluster({}), [f"{SECOND}.all.0", "router", "registrar"])
    assert [name for name, _ in found] == [f"{SECOND}.all.0", "router", "registrar"]
    with pytest.raises(UsageError, match=r"nobody is no instance of r1-2p3d"):
        sources(cluster({}), ["nobody"])


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    ("error", "lines"),
    [(Unreachable(FIRST, "no route to host", hint="is it on?"), 0), (ConnectionLost(FIRST, "the connection went"), 1)],
)
async def test_a_log_that_cannot_be_read_ends_in_its_trouble_and_the_others_go_on(
    follow: bool, error: NodeError, lines: int
) -> None:
    opened = cluster({FIRST: error})
    names = [f"{FIRST}.all.0", f"{SECOND}.all.0"]
    heard = [item async for item in logs(opened, sources(opened, names), lines=5, follow=follow)]
    first = [line for name, line in heard if name == names[0]]
    assert first[lines:] == [Trouble(error.message, error.hint, 4)]
    (second,) = [line for name, line in heard if name == names[1]]
    assert isinstance(second, LogLine)
    assert second.text == f"hello of pdctl.r1-2p3d.{SECOND}.all.0"

"""The fleets of this package. Each is started once; a test that needs a serving cluster says so by its fixture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from pdctl.cli.main import main
from tests.fleet.command import Done, Operator
from tests.fleet.site import Site, simulated_nodes, status


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Five nodes, 2P3D by their inventory. The cluster `demo` on them is one for the whole package: up, if at all."""
    with simulated_nodes(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
async def serving(site: Site) -> Site:
    """The nodes with the cluster serving whole, which costs an `up` only after a test that changed it."""
    seen = await status(site.operator)
    if not seen["serving"] or seen["ratio"] != "2P3D":
        (await site.operator.pdctl("up", "--json")).expect(0)
    return site


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """`here(operator, *argv)`: one command in this process, for those that end before they reach for a node.

    A process of its own for each would cost the better part of a second, nearly all of it imports.
    """

    def run(operator: Operator, *argv: str) -> Done:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PDCTL_")]:
                patch.delenv(name)
            for name, value in operator.environment().items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(argv)
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(argv, ended.value.code, printed.out, printed.err)

    return run

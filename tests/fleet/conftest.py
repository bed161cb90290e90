"""The fleets of this package. Each is started once; a test that needs a serving cluster says so by its fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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

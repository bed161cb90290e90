"""What holds for every test: one that starts a fleet leaves nothing running."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests import leaks

# Checks that lie outside of test files say what differed, too.
pytest.register_assert_rewrite("tests.conformance")

# A busy machine must not fail a property: how long one example takes says nothing about it. `make test-slow` asks for
# more examples; a test of its own settings states why it needs fewer.
settings.register_profile(
    "pdctl",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("PDCTL_HYPOTHESIS_EXAMPLES", "40")),
)
settings.load_profile("pdctl")

_GRACE_S = 5.0  # processes that were told to end may need this long to be gone


@pytest.fixture(autouse=True)
def _nothing_is_left_running(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a `fleet` test whose processes outlive it, and kills them, so that the next test starts clean."""
    if request.node.get_closest_marker("fleet") is None:
        yield
        return
    nonce = secrets.token_hex(8)
    before = leaks.descendants()
    monkeypatch.setenv(leaks.MARK, nonce)
    yield
    give_up_s = time.monotonic() + _GRACE_S
    while left := leaks.marked(nonce) | (leaks.descendants() - before):
        if time.monotonic() >= give_up_s:
            break
        time.sleep(0.05)
    names = sorted(leaks.name(process) for process in left)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if names:
        pytest.fail(f"left running {_GRACE_S:g} s after the test:\n" + "\n".join(names))


def pytest_collection_finish() -> None:
    """What collection made lives to the end: no later sweep of the garbage collector needs to look at it again."""
    gc.collect()
    gc.freeze()


_LONGEST_FIRST = ("fleet", "crash", "wire")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end."""

    def rank(item: pytest.Item) -> int:
        room = item.path.parent.name
        return _LONGEST_FIRST.index(room) if room in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=rank)
    for item in items:
        if item.path.parent.name == "property":
            item.add_marker(pytest.mark.property)

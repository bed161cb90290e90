"""httpx without what pdctl never uses of it: import it from here.

httpx brings a command line of its own that it leaves out where click or rich are missing; pdctl has both, and would
load it each time (60 of 95 ms of CPU, measured with httpx 0.28). And httpcore 1.0 asks `sniffio` which event loop
runs, at every lock that it takes: where that module is not installed (anyio 4.12 no longer brings it) the import
fails anew each time, 0.3 ms of 0.8 ms a request.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["assume_asyncio", "httpx"]


def assume_asyncio() -> None:
    """Let the import fail at once where it cannot succeed; httpcore takes the loop for asyncio's then, as it is."""
    if "sniffio" not in sys.modules and importlib.util.find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]  # what `import` takes for "known to be absent"


@contextmanager
def _without(module: str) -> Iterator[None]:
    """An import of `module` fails in this context, unless it was imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with _without("httpx._main"):
    import httpx

assume_asyncio()

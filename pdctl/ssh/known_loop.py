"""Spares httpcore a search for a module that is not there.

httpcore 1.0 asks `sniffio` which event loop runs, at every lock that it takes, and where that module is not installed
(anyio 4.12 no longer brings it) the import fails anew each time: 0.3 ms of 0.8 ms a request, measured.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

_ASKED: Final = "sniffio"


def assume_asyncio() -> None:
    """Let the import fail at once where it cannot succeed; httpcore takes the loop for asyncio's then, as it is."""
    if _ASKED not in sys.modules and importlib.util.find_spec(_ASKED) is None:
        sys.modules[_ASKED] = None  # type: ignore[assignment]  # what `import` takes for "known to be absent"

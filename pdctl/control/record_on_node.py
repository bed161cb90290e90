"""The cluster's record on the lease node: the last lines of its journal, and the last applied inventory.

Stdlib only, Python >= 3.6. Payload: {"root": directory or null, "cluster", "lines"}. Reply: {"lines": [text, ...],
"applied": text or null}, no lines and null where nothing was ever recorded.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pdctl.ssh.prelude_on_node import cluster_dir

    Facts = dict[str, Any]

MOST_BYTES = 4 << 20


def tail(path: str, lines: int) -> "list[str]":
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - MOST_BYTES))
            found = file.read().decode("utf-8", "replace").splitlines()
            found = found[1:] if size > MOST_BYTES else found  # its first line may have been cut
    except FileNotFoundError:
        return []
    return found[-lines:] if lines else []


def main(payload: "Facts") -> "Facts":
    directory = cluster_dir(payload)
    lines = tail(os.path.join(directory, "journal.ndjson"), payload["lines"])
    try:
        with open(os.path.join(directory, "applied.json"), encoding="utf-8", errors="replace") as file:
            applied = file.read()
    except FileNotFoundError:
        applied = None
    return {"lines": lines, "applied": applied}

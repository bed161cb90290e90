"""The cluster's record on the lease node: the last lines of its journal, and the last applied inventory.

Stdlib only, Python >= 3.6. Payload: {"root": directory or null, "cluster", "lines"}. Reply: {"lines": [text, ...],
"applied": text}, both empty where nothing was ever recorded.
"""

import os
from typing import Any, Dict, List

MOST_BYTES = 4 << 20


def cluster_dir(payload: Dict[str, Any]) -> str:
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join("~", ".local", "state")
    root = payload["root"] or os.path.join(base, "pdctl")
    return os.path.abspath(os.path.expanduser(os.path.join(root, payload["cluster"])))


def tail(path: str, lines: int) -> List[str]:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - MOST_BYTES))
            found = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return found[-lines:] if lines else []


def main(payload: Dict[str, Any]) -> Dict[str, Any]:
    directory = cluster_dir(payload)
    lines = tail(os.path.join(directory, "journal.ndjson"), payload["lines"])
    try:
        with open(os.path.join(directory, "applied.json"), encoding="utf-8") as file:
            applied = file.read()
    except FileNotFoundError:
        applied = ""
    return {"lines": lines, "applied": applied}

"""The last lines of the cluster's journal. Stdlib only, Python >= 3.6.

Payload: {"root": directory or null, "cluster", "lines"}. Reply: {"lines": [text, ...]}, none where there is no journal.
"""

import os
from typing import Any, Dict, List

MOST_BYTES = 4 << 20


def journal_path(payload: Dict[str, Any]) -> str:
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join("~", ".local", "state")
    root = payload["root"] or os.path.join(base, "pdctl")
    return os.path.abspath(os.path.expanduser(os.path.join(root, payload["cluster"], "journal.ndjson")))


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
    return {"lines": tail(journal_path(payload), payload["lines"])}

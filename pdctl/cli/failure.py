"""How a command that could not do its work says so: one error, on stderr, or as one JSON line with `--json`."""

from __future__ import annotations

import json as jsonlib
import sys
import time
import traceback

from pdctl.cli.render_error import render_error
from pdctl.errors import InventoryError, PdctlError


def show_failure(error: PdctlError, *, json: bool, verbose: bool) -> None:
    """Tell `error`; `verbose` adds the traceback. With `json` it goes to stdout as the last event."""
    if json:
        body = {
            "schema": 1,
            "ts": round(time.time(), 3),
            "event": "error",
            "cause": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        if isinstance(error, InventoryError):
            body["problems"] = [_problem(item) for item in getattr(error, "found", ())] or list(error.problems)
        print(jsonlib.dumps(body), flush=True)
    else:
        print(render_error(error), file=sys.stderr, flush=True)
    if verbose:
        traceback.print_exception(error, file=sys.stderr)


def _problem(item: object) -> object:
    as_json = getattr(item, "as_json", None)
    return as_json() if callable(as_json) else str(item)

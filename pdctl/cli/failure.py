"""How a command that could not do its work says so: one error, on stderr, or as one JSON line with `--json`."""

from __future__ import annotations

import json as jsonlib
import sys
import time
import traceback

from pdctl.cli.render_error import render_error
from pdctl.errors import InventoryError, PdctlError
from pdctl.inventory.problems import InvalidInventory


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
            located = error.located if isinstance(error, InvalidInventory) else ()
            body["problems"] = [problem.as_json() for problem in located] or list(error.problems)
        print(jsonlib.dumps(body), flush=True)
    else:
        print(render_error(error), file=sys.stderr, flush=True)
    if verbose:
        traceback.print_exception(error, file=sys.stderr)

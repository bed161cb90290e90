"""How a command that could not do its work says so: one error, on stderr, or as one JSON line with `--json`."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.render_error import render_error
from pdctl.errors import InventoryError, PdctlError
from pdctl.inventory.problems import InvalidInventory


def show_failure(error: PdctlError, options: Globals, *, cluster: str = "") -> int:
    """Tell `error`, on stdout as the last event with `--json`; `-v` adds the traceback. Returns its exit code."""
    if options.json:
        body: dict[str, Any] = {"cause": error.message, "hint": error.hint, "exit_code": error.exit_code}
        located = error.located if isinstance(error, InvalidInventory) else ()
        if error.problems or isinstance(error, InventoryError):
            body["problems"] = [problem.as_json() for problem in located] or list(error.problems)
        say_json(options, "error", body, cluster=cluster)
    else:
        print(render_error(error), file=sys.stderr, flush=True)
    if options.verbose:
        traceback.print_exception(error, file=sys.stderr)
    return error.exit_code

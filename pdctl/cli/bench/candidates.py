"""`pdctl bench candidates`, and what `bench match --write` shares with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json

if TYPE_CHECKING:
    from pdctl.bench.sizing.layouts import Layout


@click.command("candidates")
@click.argument("names", nargs=-1, required=True, metavar="LAYOUT...")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("candidates"),
    show_default=True,
    help="Where the inventories go.",
)
@click.pass_obj
def command(options: Globals, names: tuple[str, ...], out: Path) -> int:
    """Write layouts as inventories on the nodes of this one: 2p-tp1-1d-tp2, agg-tp4, 3x-agg-tp2.

    Each is a cluster of its own name that `validate` accepts; `bench compare` brings one after the other up and
    measures it. Exit 3 where some cannot be, with the reasons.
    """
    from pdctl.bench.sizing.layouts import layout_named

    return write(options, [layout_named(name) for name in names], out)


def write(options: Globals, layouts: Sequence[Layout], out: Path) -> int:
    """Write every layout that can be, and say which; of the others, why not."""
    from pdctl.bench.sizing.candidates import candidate
    from pdctl.errors import BenchError, InventoryError, PlanRefused
    from pdctl.inventory.load import load

    base = load(options.inventory)
    written: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for layout in layouts:
        try:
            found = candidate(base, layout, out)
            out.mkdir(parents=True, exist_ok=True)
            found.path.write_text(found.text)
        except InventoryError as error:
            why = "; ".join(problem.splitlines()[0] for problem in error.problems)
            refused.append({"layout": layout.name, "why": why, "hint": ""})
        except PlanRefused as error:
            refused.append({"layout": layout.name, "why": error.message, "hint": error.hint})
        except OSError as error:
            raise BenchError(f"{found.path} cannot be written: {error.strerror or error}") from error
        else:
            cluster = found.spec.cluster
            written.append({"layout": layout.name, "file": str(found.path), "cluster": cluster, "gpus": layout.gpus})
    if options.json:
        say_json(options, "candidates", {"written": written, "refused": refused}, cluster=base.spec.cluster)
    else:
        for each in written:
            click.echo(f"{each['file']}: {each['gpus']} GPU{'s'[: each['gpus'] > 1]}, cluster {each['cluster']}")
        for each in refused:
            hint = f" ({each['hint']})" if each["hint"] else ""
            click.echo(f"not written: {each['layout']}: {each['why']}{hint}")
    return 0 if not refused else 3 if written else 1

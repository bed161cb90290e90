"""Pictures of the screens that lie behind a key, over the cluster of an inventory: a node, the plan of a move, Help.

    benchmarks/tui_pictures.py INVENTORY DIRECTORY

Nothing is changed: the plan is looked at and left. `benchmarks/tui_captures.sh` takes the other pictures.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual.pilot import Pilot

from pdctl.cli.global_options import new_run_id
from pdctl.control.opened import open_cluster
from pdctl.tui.app import PdctlApp
from pdctl.tui.live import LiveFeed, LiveOperations
from pdctl.tui.settings import Settings

SIZE = (120, 36)
SETTLE_S = 3.0
KEYS = {
    "node": ("2", "enter"),
    "plan": ("escape", "m", "enter"),
    "help": ("escape", "1", "question_mark"),
}
"""By picture, the keys that lead to it from the one before."""


async def pictures(inventory: Path, directory: Path) -> None:
    async with open_cluster(inventory) as opened:
        feed = LiveFeed(opened.cluster, interval_s=1.0)
        operations = LiveOperations(opened, read_only="", changed=feed.look_again, new_run=new_run_id)
        app = PdctlApp(feed, operations, Settings())
        async with app.run_test(size=SIZE) as pilot:
            await asyncio.sleep(4 * SETTLE_S)
            for name, keys in KEYS.items():
                await _press(pilot, keys)
                (directory / f"{name}.svg").write_text(app.export_screenshot(title=f"pdctl {name}"))


async def _press(pilot: Pilot[int], keys: tuple[str, ...]) -> None:
    for key in keys:
        await pilot.press(key)
        await asyncio.sleep(SETTLE_S)


if __name__ == "__main__":
    asyncio.run(pictures(Path(sys.argv[1]), Path(sys.argv[2])))

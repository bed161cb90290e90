"""`show_gids` of MLNX_OFED and DOCA: the GID tables of all ports as one table. Indices may start above 0 (macvlan)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pdctl.health.parse.rdma_words import Gid, gid_address, gid_type
from pdctl.health.parse.text_values import nothing_in
from pdctl.model.reading import Known, Reading, Unknown

SOURCE: Final = "show_gids"
_TRAILER: Final = re.compile(r"^n_gids_found=(\d{1,6})\s*$", re.MULTILINE)


def show_gids(text: str) -> Reading[Mapping[tuple[str, int], tuple[Gid, ...]]]:
    """GID tables by (device, port). Where the trailer counts other than the rows, something is missing: unknown.

    A table without its trailer is cut off; its rows are given all the same, each is true for itself.
    """
    tables: dict[tuple[str, int], list[Gid]] = {}
    rows = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) not in (6, 7) or not words[1].isdecimal() or not words[2].isdecimal():
            continue
        address = gid_address(words[3])
        if address is None or len(words[1]) > 3 or len(words[2]) > 5:
            continue
        gid = Gid(int(words[2]), address, gid_type(words[-2], SOURCE), words[-1])
        tables.setdefault((words[0], int(words[1])), []).append(gid)
        rows += 1
    trailer = _TRAILER.search(text)
    if trailer is not None and int(trailer.group(1)) != rows:
        return Unknown(f"it counts {trailer.group(1)} GIDs and lists {rows}", SOURCE)
    if not rows and trailer is None:
        return nothing_in(text, SOURCE)
    return Known({key: tuple(gids) for key, gids in tables.items()}, SOURCE)

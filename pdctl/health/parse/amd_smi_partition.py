"""`amd-smi partition --current`: compute and memory partition of each GPU, as JSON or as a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.model.reading import Reading

SOURCE = "amd-smi partition"
_ROW = re.compile(r"^(\d+) +(\S+) +(\S+) +\S+ +\S+ *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Partition:
    """ "SPX" and "NPS1" are the whole device as one."""

    compute: Reading[str]
    memory: Reading[str]


def parse_partition(text: str) -> Mapping[int, Partition]:
    """By amd-smi's index. The table needs a header that names its columns."""
    if "ACCELERATOR_TYPE" in text and "CURRENT_PARTITION" in text:
        return {
            int(index): Partition(
                Field(compute, SOURCE, f"gpu {index}").text(), Field(memory, SOURCE, f"gpu {index}").text()
            )
            for index, memory, compute in _ROW.findall(text)
        }
    return {
        index: Partition(
            compute=gpu.any_of("accelerator_type", "partition_type").text(),
            memory=gpu["memory"].text(),
        )
        for index, gpu in rows(text, SOURCE).by_gpu.items()
    }

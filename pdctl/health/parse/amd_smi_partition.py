"""`amd-smi partition --current`: compute and memory partition of each GPU, as JSON or as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import Json, as_list, as_object, documents
from pdctl.model.reading import Known, Reading, Unknown

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
    found: dict[int, Partition] = {}
    for value in documents(text).values:
        for record in _records(value):
            index = record.any_of("gpu_id", "gpu").count()
            if isinstance(index, Known):
                found[index.value] = Partition(_mode(record["accelerator_type"]), _mode(record["memory"]))
    return found or _from_blocks(text)


def _records(value: Json) -> Iterator[Field]:
    """What speaks of both partitions of a GPU, however deep it lies: ROCm 7 puts several lists into one document."""
    record = as_object(value)
    if "accelerator_type" in record and "memory" in record:
        yield Field(record, SOURCE, f"gpu {record.get('gpu_id')}")
    else:
        for inner in (*as_list(value), *record.values()):
            yield from _records(inner)


def _mode(field: Field) -> Reading[str]:
    """A star marks the current mode, where all that are possible are listed."""
    word = field.text()
    return word if isinstance(word, Unknown) else Known(word.value.rstrip("*"), word.source)


def _from_blocks(text: str) -> Mapping[int, Partition]:
    """ROCm 6.3 as text: a block per GPU, with the memory partition only."""
    return {
        index: Partition(gpu["accelerator_partition"]["current"].text(), gpu["memory_partition"]["current"].text())
        for index, gpu in rows(text, SOURCE).by_gpu.items()
    }

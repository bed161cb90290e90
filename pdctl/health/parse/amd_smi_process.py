"""`amd-smi process`: who holds memory on which GPU.

Without processes `process_info` is the sentence "No running processes detected". Names are "N/A" without root. Memory
on the GPU is `memory_usage.vram_mem`; `mem_usage` beside it was 0 on real nodes where that was not, so it counts only
where it is all there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "amd-smi process"
NOBODY = "no running process"


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One process on one GPU."""

    pid: int
    name: Reading[str]
    vram_bytes: Reading[int]


def parse_process(text: str) -> Mapping[int, Reading[tuple[GpuProcess, ...]]]:
    """By amd-smi's index: the processes of a GPU, () when amd-smi says that there are none."""
    found = rows(text, SOURCE)
    return {index: _processes(gpu, found.damaged) for index, gpu in found.by_gpu.items()}


def _processes(gpu: Field, damaged: bool) -> Reading[tuple[GpuProcess, ...]]:
    listed = gpu.any_of("process_list", "process_info")
    processes = []
    nobody = False
    for info in _infos(listed):
        word = info.text()
        if isinstance(word, Known) and NOBODY in word.value.lower():
            nobody = True
            continue
        pid = info["pid"].count()
        if isinstance(pid, Unknown):
            return pid
        processes.append(GpuProcess(pid.value, info["name"].text(), _vram(info)))
    if nobody and processes:
        return listed.unknown(f"{SOURCE} says of {gpu.path} that there are processes, and that there are none")
    if damaged and processes:
        return listed.unknown(f"{SOURCE} is cut off: {gpu.path} may have more processes")
    return Known(tuple(processes), SOURCE) if nobody or processes else listed.unknown()


def _vram(info: Field) -> Reading[int]:
    memory, older = info["memory_usage"]["vram_mem"], info["mem_usage"].size_bytes(bare="b")
    if not memory.missing:
        return memory.size_bytes(bare="b")
    newer = not info["usage"].missing  # such an output has `memory_usage` too
    return memory.unknown() if newer else older


def _infos(listed: Field) -> Iterator[Field]:
    """`process_list: [{process_info: …}]` in JSON; one or several PROCESS_INFO blocks in text."""
    for element in listed.elements() or (listed,):
        inner = element["process_info"]
        yield element if inner.missing else inner

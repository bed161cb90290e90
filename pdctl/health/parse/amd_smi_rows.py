"""amd-smi's output, whatever its version and format, as one record per GPU, with the shape of its JSON.

JSON is a list of records (ROCm 6) or `{"gpu_data": […]}` (ROCm 7, some subcommands). Text is a block per GPU whose
indentation is the nesting; its keys are the JSON's in capitals. A warning about groups or permissions may come before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import Json, as_object, records
from pdctl.model.reading import Known

_DENIED = re.compile(
    r"missing (?:from |the )*(?:following )?required groups|Permission denied|requires? (?:sudo|root)", re.I
)
_LINE = re.compile(r"( *)([A-Za-z][\w ./-]*?): ?(.*)")
_BLOCK = re.compile(r" *(GPU|CPU|CORE): (\d+) *\Z")
_CUT = ("[output truncated]", "...")


@dataclass(frozen=True, slots=True)
class Rows:
    """`by_gpu`: index -> record; `why` a GPU that is not in it is not, in words for an Unknown.

    `denied`: what amd-smi says of missing rights. `damaged`: what is not there may only have been cut off;
    `open_ended`: it is text, in which nobody could see that.
    """

    by_gpu: Mapping[int, Field]
    source: str
    why: str
    denied: str = ""
    damaged: bool = False
    open_ended: bool = False

    def gpu(self, index: int) -> Field:
        """One GPU's record, or a field that says why there is none."""
        found = self.by_gpu.get(index)
        return found or Field(None, self.source, f"gpu {index}", self.why)


def rows(text: str, source: str) -> Rows:
    """The records of any subcommand that speaks of GPUs one by one. Never raises.

    Several records about one GPU (`amd-smi xgmi` prints two documents) are put together. Where they contradict each
    other the GPU has none: whichever were believed could be the better one.
    """
    found, documents = records(text, "gpu_data")
    listed = [record for record in found if _index(record) is not None]
    around, cut = documents.other, documents.damaged or 0 < len(listed) < len(found)
    open_ended = False
    if not listed and (blocks := _text_records(text))[0]:
        listed, cut = blocks
        open_ended = True
        around = text
    by_gpu: dict[int, Field] = {}
    for record in listed:
        index = _index(record)
        assert index is not None
        known = by_gpu.get(index, Field({}, source, f"gpu {index}"))
        by_gpu[index] = _merged(known, record)
    denied = next((line.strip() for line in around.splitlines() if _DENIED.search(line)), "")
    why = f"{source} shows no such GPU" if by_gpu and not cut else f"{source}: {denied or documents.why_empty}"
    return Rows(by_gpu, source, why, denied, cut, open_ended)


def _merged(known: Field, record: Mapping[str, Json]) -> Field:
    before = as_object(known.value)
    if known.missing or any(before.get(key, value) != value for key, value in record.items()):
        return Field(None, known.source, known.path, f"{known.source} shows {known.path} twice, differently")
    return Field({**before, **record}, known.source, known.path)


def _index(record: Mapping[str, Json]) -> int | None:
    for key in ("gpu", "gpu_id"):
        index = Field(record.get(key), "").count()
        if isinstance(index, Known):
            return index.value
    return None


def _text_records(text: str) -> tuple[list[Mapping[str, Json]], bool]:
    """The GPU blocks of human-readable output, and whether it says or shows that it was cut."""
    lines = text.splitlines()
    cut = any(line.strip() in _CUT for line in lines)
    if lines and not text.endswith("\n"):
        lines.pop()  # half a line is half a number
    found: list[Mapping[str, Json]] = []
    block: list[str] | None = None
    for line in [*lines, "GPU: 0"]:
        if start := _BLOCK.match(line):
            if block is not None:
                found.append({"gpu": int(block[0]), **as_object(_nested(block[1:]))})
            block = [start[2]] if start[1] == "GPU" else None
        elif block is not None:
            block.append(line)
    return found, cut


def _nested(lines: list[str]) -> Json:
    """Indented `KEY: value` lines as an object with lower-case keys; a key that comes again makes a list of both."""
    root: dict[str, Json] = {}
    base = next((len(match[1]) for line in lines if (match := _LINE.match(line))), 0)
    stack: list[tuple[int, dict[str, Json]]] = [(-1, root)]
    for line in lines:
        match = _LINE.fullmatch(line.replace("\t", "    ").rstrip())
        if match is None or len(match[1]) < base:  # a warning in between
            continue
        indent, key, value = len(match[1]), match[2].strip().lower().replace(" ", "_"), match[3].strip()
        while len(stack) > 1 and stack[-1][0] >= indent:
            stack.pop()
        inside = stack[-1][1]
        child: dict[str, Json] = {}
        new: Json = value if value else child
        old = inside.get(key)
        if key not in inside:
            inside[key] = new
        else:
            inside[key] = [*old, new] if isinstance(old, list) else [old, new]
        if not value:
            stack.append((indent, child))
    return root

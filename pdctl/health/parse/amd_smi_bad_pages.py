"""`amd-smi bad-pages`: pages of memory that were retired, wait to be, or cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.amd_smi_rows import rows
from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import as_list
from pdctl.model.reading import Known, Reading

SOURCE = "amd-smi bad-pages"
NONE_FOUND = "no bad pages found"


@dataclass(frozen=True, slots=True)
class BadPages:
    """How many pages of each state one GPU has."""

    retired: Reading[int]
    pending: Reading[int]
    unreservable: Reading[int]


def parse_bad_pages(text: str) -> Mapping[int, BadPages]:
    """By amd-smi's index; JSON or text of any version. Older ones put the three into `values`."""
    found = rows(text, SOURCE)
    return {index: bad_pages_of(gpu, damaged=found.damaged) for index, gpu in found.by_gpu.items()}


def bad_pages_of(gpu: Field, *, damaged: bool = False) -> BadPages:
    """From one GPU's record; all unknown from a missing one."""
    return BadPages(*(_pages(_kind(gpu, kind), damaged) for kind in ("retired", "pending", "un_res")))


def _kind(gpu: Field, kind: str) -> Field:
    plain = gpu[kind]
    return gpu["values"][kind] if plain.missing and not gpu["values"].missing else plain


def _pages(field: Field, damaged: bool) -> Reading[int]:
    """A sentence for none, one object for one page, a list for more; in text one PAGE_ADDRESS each."""
    if isinstance(field.value, str) and field.value.strip().lower().rstrip(".") == NONE_FOUND:
        return Known(0, SOURCE)
    pages = [element for element in field.elements() if not element["page_address"].missing]
    one = field["page_address"]
    count = len(pages) if pages else 0 if one.missing else len(as_list(one.value)) or 1
    if damaged or (pages and len(pages) < len(as_list(field.value))):
        return field.unknown(f"{SOURCE} is cut off or damaged: {field.path} may be more than {count}")
    return Known(count, SOURCE) if count else field.unknown()
